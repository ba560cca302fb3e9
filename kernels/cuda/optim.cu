// The optimisers' steps over all parameters in one launch. A thread reads parameter, gradient and state of one place,
// writes the new ones, and goes on: every array crosses the memory bus once.
//
// Parameters and gradients lie as T, states as Wide<T>, in which everything is computed. Numbers that a launch is given
// are fixed in a captured graph. A step in such a graph that depends on how many there were reads that from the device's
// memory, where `count_up` has counted it.
//
// The equations are in kernels/reference/optim.py, beside the same names.
#include "common.cuh"
#include "tensors.cuh"

// arrays: parameter, gradient, velocity (null without momentum). `weight` is the new step's in the velocity, 1 - dampening.
template <typename T>
__global__ void sgd(Tensors list, Wide<T> lr, Wide<T> momentum, Wide<T> weight, Wide<T> weight_decay, bool nesterov) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W* velocity = array_of<W>(list, 2, t);
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W p = param[i], step = W(grad[i]) + weight_decay * p;
        if (velocity) {
            W v = momentum * velocity[i] + weight * step;
            velocity[i] = v;
            step = nesterov ? step + momentum * v : v;
        }
        param[i] = T(p - lr * step);
    }
}

// arrays: parameter, gradient, mean, square, peak (null without AMSGrad), count (null where the host counts). `keep` is
// what decoupled weight decay leaves of a parameter, `decay` the coupled one. `rate` is lr / (1 - beta1^step) and `unbias`
// 1 / sqrt(1 - beta2^step); with a count the block's last thread computes them, from the numbers in full precision.
template <typename T>
__global__ void adam(Tensors list, Wide<T> keep, Wide<T> decay, Wide<T> beta1, Wide<T> weight1, Wide<T> beta2,
    Wide<T> weight2, Wide<T> rate, Wide<T> unbias, Wide<T> eps, double lr, double exact1, double exact2) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W *mean = array_of<W>(list, 2, t), *square = array_of<W>(list, 3, t), *peak = array_of<W>(list, 4, t);
    const float* count = array_of<float>(list, 5, t);
    __shared__ double counted[2];
    if (count) {
        if (threadIdx.x == blockDim.x - 1) {
            counted[0] = lr / (1 - pow(exact1, double(*count)));
            counted[1] = 1 / sqrt(1 - pow(exact2, double(*count)));
        }
        __syncthreads();
        rate = W(counted[0]), unbias = W(counted[1]);
    }
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W p = param[i], g = W(grad[i]) + decay * p;
        W m = beta1 * mean[i] + weight1 * g, s = beta2 * square[i] + weight2 * (g * g);
        mean[i] = m;
        square[i] = s;
        if (peak) {
            W old = peak[i];
            s = old >= s ? old : s;
            peak[i] = s;
        }
        param[i] = T(keep * p - rate * m / (unbias * sqrt(s) + eps));
    }
}

// arrays: parameter, gradient, square, mean (null unless centred), velocity (null without momentum). `weight` is that of
// the new in the averages, 1 - alpha.
template <typename T>
__global__ void rmsprop(Tensors list, Wide<T> lr, Wide<T> alpha, Wide<T> weight, Wide<T> eps, Wide<T> momentum,
    Wide<T> weight_decay) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W *square = array_of<W>(list, 2, t), *mean = array_of<W>(list, 3, t), *velocity = array_of<W>(list, 4, t);
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W p = param[i], g = W(grad[i]) + weight_decay * p;
        W s = alpha * square[i] + weight * (g * g), spread = s;
        square[i] = s;
        if (mean) {
            W m = alpha * mean[i] + weight * g;
            mean[i] = m;
            spread = s - m * m;
        }
        W step = g / (sqrt(spread) + eps);
        if (velocity) {
            step = momentum * velocity[i] + step;
            velocity[i] = step;
        }
        param[i] = T(p - lr * step);
    }
}

// arrays: parameter, gradient, total.
template <typename T>
__global__ void adagrad(Tensors list, Wide<T> lr, Wide<T> eps, Wide<T> weight_decay) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W* total = array_of<W>(list, 2, t);
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W p = param[i], g = W(grad[i]) + weight_decay * p, sum = total[i] + g * g;
        total[i] = sum;
        param[i] = T(p - lr * g / (sqrt(sum) + eps));
    }
}

// arrays: how many steps there were, of each tensor. One block.
__global__ void count_up(Tensors list) {
    if ((int)threadIdx.x < list.count) *array_of<float>(list, 0, threadIdx.x) += 1;
}

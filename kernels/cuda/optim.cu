// The optimisers' steps over all parameters in one launch. A thread reads parameter, gradient and state of one place,
// writes the new ones, and goes on: every array crosses the memory bus once.
//
// Parameters and gradients lie as T, states as Wide<T>, in which everything is computed. Numbers that a launch is given
// are fixed in a captured graph. A step in such a graph reads the rate, and what else changes with the number of the step,
// from `live` in device memory, unless that is null.
//
// The equations are in kernels/reference/optim.py, beside the same names.
#include "common.cuh"
#include "tensors.cuh"

// arrays: parameter, gradient, velocity (null without momentum). `weight` is the new step's in the velocity, 1 - dampening.
template <typename T>
__global__ void sgd(Tensors list, Wide<T> lr, Wide<T> momentum, Wide<T> weight, Wide<T> weight_decay, bool nesterov,
    const double* __restrict__ live) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W* velocity = array_of<W>(list, 2, t);
    W rate = live ? W(live[0]) : lr;
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W p = param[i], step = W(grad[i]) + weight_decay * p;
        if (velocity) {
            W v = momentum * velocity[i] + weight * step;
            velocity[i] = v;
            step = nesterov ? step + momentum * v : v;
        }
        param[i] = T(p - rate * step);
    }
}

// arrays: parameter, gradient, mean, square, peak (null without AMSGrad). `keep` is what decoupled weight decay leaves of
// a parameter, `decay` the coupled one. `rate` is lr / (1 - beta1^step) and `unbias` 1 / sqrt(1 - beta2^step).
template <typename T>
__global__ void adam(Tensors list, Wide<T> keep, Wide<T> decay, Wide<T> beta1, Wide<T> weight1, Wide<T> beta2,
    Wide<T> weight2, Wide<T> rate, Wide<T> unbias, Wide<T> eps, const double* __restrict__ live) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W *mean = array_of<W>(list, 2, t), *square = array_of<W>(list, 3, t), *peak = array_of<W>(list, 4, t);
    if (live) keep = W(live[0]), rate = W(live[1]), unbias = W(live[2]);
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
    Wide<T> weight_decay, const double* __restrict__ live) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W *square = array_of<W>(list, 2, t), *mean = array_of<W>(list, 3, t), *velocity = array_of<W>(list, 4, t);
    W rate = live ? W(live[0]) : lr;
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
        param[i] = T(p - rate * step);
    }
}

// arrays: parameter, gradient, total.
template <typename T>
__global__ void adagrad(Tensors list, Wide<T> lr, Wide<T> eps, Wide<T> weight_decay, const double* __restrict__ live) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T *param = array_of<T>(list, 0, t), *grad = array_of<T>(list, 1, t);
    W *total = array_of<W>(list, 2, t), rate = live ? W(live[0]) : lr;
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W p = param[i], g = W(grad[i]) + weight_decay * p, sum = total[i] + g * g;
        total[i] = sum;
        param[i] = T(p - rate * g / (sqrt(sum) + eps));
    }
}

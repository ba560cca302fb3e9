// Softmax and its logarithm along one axis, and the cross entropy of classes on top of it.
//
// In memory an axis of length L is `outer` times L lines of `inner` numbers. Where inner is 1 a line of L neighbours
// is one block's: its threads read the line together, and find its maximum and its sum through shuffles and shared
// memory. Otherwise a thread takes a line to itself and its neighbours the lines beside it, so that a warp reads
// neighbours at every step along the axis.
//
// Everything is shifted by the line's maximum, so that no exponential overflows:
//     y = e^(x - m) / S,   log y = x - m - log S,   S = sum of e^(x - m)
// The equations are in kernels/reference/softmax.py, beside the same names.
#include "common.cuh"

template <typename W>
__device__ __forceinline__ W finite_or_0(W x) {
    return x - x == 0 ? x : W(0);  // for infinity and NaN the difference is NaN
}

// ---- a block for a line ----------------------------------------------------------------------------------------------

// The maximum of a line (0 if it is not finite) and S, in every thread of the block.
template <typename T>
__device__ __forceinline__ void line_sums(const T* x, int length, Wide<T>& top, Wide<T>& sum) {
    top = -infinity<Wide<T>>();
    for (int i = threadIdx.x; i < length; i += blockDim.x) top = larger(top, Wide<T>(x[i]));
    top = finite_or_0(block_max(top));
    sum = 0;
    for (int i = threadIdx.x; i < length; i += blockDim.x) sum += exp(Wide<T>(x[i]) - top);
    sum = block_sum(sum);
}

template <typename T, bool LOG>
__global__ void softmax_rows(const T* __restrict__ x, T* __restrict__ y, int length) {
    x += (long long)blockIdx.x * length;
    y += (long long)blockIdx.x * length;
    Wide<T> top, sum;
    line_sums(x, length, top, sum);
    Wide<T> log_sum = log(sum);
    for (int i = threadIdx.x; i < length; i += blockDim.x)
        y[i] = T(LOG ? Wide<T>(x[i]) - top - log_sum : exp(Wide<T>(x[i]) - top) / sum);
}

// gx = y * (g - sum(g * y)); of the logarithm: g - e^y * sum(g).
template <typename T, bool LOG>
__global__ void softmax_backward_rows(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx, int length) {
    long long begin = (long long)blockIdx.x * length;
    g += begin, y += begin, gx += begin;
    Wide<T> sum = 0;
    for (int i = threadIdx.x; i < length; i += blockDim.x) sum += LOG ? Wide<T>(g[i]) : Wide<T>(g[i]) * Wide<T>(y[i]);
    sum = block_sum(sum);
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        Wide<T> own = g[i], out = y[i];
        gx[i] = T(LOG ? own - exp(out) * sum : out * own - out * sum);
    }
}

// ---- a thread for a line ---------------------------------------------------------------------------------------------

template <typename T, bool LOG>
__global__ void softmax_lines(const T* __restrict__ x, T* __restrict__ y, long long lines, int length, int inner) {
    for (long long line = first_index(); line < lines; line += index_step()) {
        long long begin = line / inner * length * inner + line % inner;
        Wide<T> top = -infinity<Wide<T>>(), sum = 0;
        for (int i = 0; i < length; ++i) top = larger(top, Wide<T>(x[begin + (long long)i * inner]));
        top = finite_or_0(top);
        for (int i = 0; i < length; ++i) sum += exp(Wide<T>(x[begin + (long long)i * inner]) - top);
        Wide<T> log_sum = log(sum);
        for (int i = 0; i < length; ++i) {
            Wide<T> shifted = Wide<T>(x[begin + (long long)i * inner]) - top;
            y[begin + (long long)i * inner] = T(LOG ? shifted - log_sum : exp(shifted) / sum);
        }
    }
}

template <typename T, bool LOG>
__global__ void softmax_backward_lines(
    const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx, long long lines, int length, int inner) {
    for (long long line = first_index(); line < lines; line += index_step()) {
        long long begin = line / inner * length * inner + line % inner;
        Wide<T> sum = 0;
        for (int i = 0; i < length; ++i) {
            long long at = begin + (long long)i * inner;
            sum += LOG ? Wide<T>(g[at]) : Wide<T>(g[at]) * Wide<T>(y[at]);
        }
        for (int i = 0; i < length; ++i) {
            long long at = begin + (long long)i * inner;
            Wide<T> own = g[at], out = y[at];
            gx[at] = T(LOG ? own - exp(out) * sum : out * own - out * sum);
        }
    }
}

// ---- cross entropy ---------------------------------------------------------------------------------------------------

// A label that is `ignored` costs nothing, and neither does one that is no class.
__device__ __forceinline__ bool is_class(long long label, int classes, long long ignored) {
    return label != ignored && label >= 0 && label < classes;
}

// logp = x - m - log S and loss = -logp[label], for each row of scores. Of labels t that are no class one is told in
// `worst`, unless that is null: the greatest of 2 t + 1, or -2 t where it is negative.
template <typename T>
__global__ void cross_entropy_rows(const T* __restrict__ x, const long long* __restrict__ labels, T* __restrict__ logp,
    Wide<T>* __restrict__ losses, long long* __restrict__ worst, int classes, long long ignored) {
    const T* row = x + (long long)blockIdx.x * classes;
    logp += (long long)blockIdx.x * classes;
    Wide<T> top, sum;
    line_sums(row, classes, top, sum);
    Wide<T> log_sum = log(sum);
    for (int i = threadIdx.x; i < classes; i += blockDim.x) logp[i] = T(Wide<T>(row[i]) - top - log_sum);
    if (threadIdx.x == 0) {
        long long label = labels[blockIdx.x];
        bool counts = is_class(label, classes, ignored);
        losses[blockIdx.x] = counts ? log_sum - (Wide<T>(row[label]) - top) : Wide<T>(0);
        if (worst && !counts && label != ignored) atomicMax(worst, label < 0 ? -2 * label : 2 * label + 1);
    }
}

// The sum of the losses, or with MEAN that over the number of labels that count; `scale` keeps what the sum was taken
// times. One block.
template <typename T, bool MEAN>
__global__ void cross_entropy_total(const Wide<T>* __restrict__ losses, const long long* __restrict__ labels,
    T* __restrict__ loss, Wide<T>* __restrict__ scale, int rows, int classes, long long ignored) {
    Wide<T> total = 0, count = 0;
    for (int i = threadIdx.x; i < rows; i += blockDim.x) {
        total += losses[i];
        count += is_class(labels[i], classes, ignored) ? 1 : 0;
    }
    total = block_sum(total), count = block_sum(count);
    if (threadIdx.x == 0) {
        Wide<T> factor = MEAN ? 1 / count : Wide<T>(1);
        *scale = factor;
        *loss = T(total * factor);
    }
}

// gx = g * scale * (e^logp - [class = label]), g the gradient of the loss.
template <typename T>
__global__ void cross_entropy_backward(const T* __restrict__ g, const T* __restrict__ logp,
    const long long* __restrict__ labels, const Wide<T>* __restrict__ scale, T* __restrict__ gx, long long total,
    int classes, long long ignored) {
    Wide<T> factor = Wide<T>(*g) * *scale;
    for (long long i = first_index(); i < total; i += index_step()) {
        long long row = i / classes, label = labels[row];
        Wide<T> slope = exp(Wide<T>(logp[i])) - (i - row * classes == label ? 1 : 0);
        gx[i] = T(is_class(label, classes, ignored) ? factor * slope : Wide<T>(0));
    }
}

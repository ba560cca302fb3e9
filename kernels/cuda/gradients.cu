// What is done to all gradients of a network at once, in one launch for the lot: scaling, and the parts of their norm.
//
// The equations are in kernels/reference/gradients.py, beside the same names.
#include "common.cuh"
#include "tensors.cuh"

// What |x| adds to the sum under the root; for the greatest, p = infinity, that is |x| itself.
__device__ __forceinline__ double powered(double x, double p) {
    return p == 2 ? x * x : p == 1 || p == infinity<double>() ? fabs(x) : pow(fabs(x), p);
}

// A block's total of its threads' values, in every thread.
__device__ __forceinline__ double joined(double value, double p) {
    return p == infinity<double>() ? block_max(value) : block_sum(value);
}

// arrays: one. Block b of the launch leaves what its piece of a tensor adds in parts[first + b].
template <typename T>
__global__ void norm_parts(Tensors list, double* __restrict__ parts, int first, double p) {
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    const T* x = array_of<T>(list, 0, t);
    double own = 0;
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        double term = powered(Wide<T>(x[i]), p);
        own = p == infinity<double>() ? larger(own, term) : own + term;
    }
    own = joined(own, p);
    if (threadIdx.x == 0) parts[first + blockIdx.x] = own;
}

// One block: the norm from the parts, always added in the same order.
template <typename W>
__global__ void norm_total(const double* __restrict__ parts, int count, double p, W* __restrict__ norm) {
    double own = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        own = p == infinity<double>() ? larger(own, parts[i]) : own + parts[i];
    own = joined(own, p);
    if (threadIdx.x == 0) *norm = W(p == 2 ? sqrt(own) : p == 1 || p == infinity<double>() ? own : pow(own, 1 / p));
}

// arrays: one. The norm comes from the device's memory, so that nobody waits for it.
template <typename T>
__global__ void clip_to_norm(Tensors list, const Wide<T>* __restrict__ norm, Wide<T> max_norm) {
    typedef Wide<T> W;
    W share = max_norm / (*norm + W(1e-6));
    share = share > 1 ? W(1) : share;  // a NaN stays
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T* x = array_of<T>(list, 0, t);
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) x[i] = T(W(x[i]) * share);
}

// arrays: one. Whoever meets an infinity or NaN writes a 1; of many that do, any may be last.
template <typename T>
__global__ void unscale(Tensors list, Wide<T> factor, int* __restrict__ found) {
    typedef Wide<T> W;
    long long begin, end;
    int t = piece_of_block(list, begin, end);
    T* x = array_of<T>(list, 0, t);
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        W value = W(x[i]) * factor;
        x[i] = T(value);
        if (!(fabs(value) < infinity<W>())) *found = 1;
    }
}

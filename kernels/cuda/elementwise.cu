// Activations and their gradients: every element by itself, in one pass over memory.
//
// Such a kernel waits for memory, not for arithmetic: it reads and writes a few bytes for every multiplication. So all
// that matters is how memory is read. A thread takes 16 bytes at a time, neighbouring threads take neighbouring 16
// bytes, and a warp's request is one line of 512 bytes. What is left over at the end, or arrays that do not begin at a
// multiple of 16 bytes, go number by number.
//
// The equations are in kernels/reference/elementwise.py, beside the same names.
#include "common.cuh"

template <typename T>
struct alignas(16) Pack {
    static constexpr int size = 16 / sizeof(T);
    T at[size];
};

__device__ __forceinline__ bool aligned(const void* p) { return (unsigned long long)p % 16 == 0; }

// y[i] = f(a[i]) for all i below n.
template <typename T, typename F>
__device__ void map(const T* a, T* y, long long n, F f) {
    long long packs = aligned(a) && aligned(y) ? n / Pack<T>::size : 0;
    for (long long i = first_index(); i < packs; i += index_step()) {
        Pack<T> from = reinterpret_cast<const Pack<T>*>(a)[i], to;
#pragma unroll
        for (int k = 0; k < Pack<T>::size; ++k) to.at[k] = T(f(Wide<T>(from.at[k])));
        reinterpret_cast<Pack<T>*>(y)[i] = to;
    }
    for (long long i = packs * Pack<T>::size + first_index(); i < n; i += index_step()) y[i] = T(f(Wide<T>(a[i])));
}

// y[i] = f(a[i], b[i]) for all i below n.
template <typename T, typename F>
__device__ void map(const T* a, const T* b, T* y, long long n, F f) {
    long long packs = aligned(a) && aligned(b) && aligned(y) ? n / Pack<T>::size : 0;
    for (long long i = first_index(); i < packs; i += index_step()) {
        Pack<T> left = reinterpret_cast<const Pack<T>*>(a)[i], right = reinterpret_cast<const Pack<T>*>(b)[i], to;
#pragma unroll
        for (int k = 0; k < Pack<T>::size; ++k) to.at[k] = T(f(Wide<T>(left.at[k]), Wide<T>(right.at[k])));
        reinterpret_cast<Pack<T>*>(y)[i] = to;
    }
    for (long long i = packs * Pack<T>::size + first_index(); i < n; i += index_step())
        y[i] = T(f(Wide<T>(a[i]), Wide<T>(b[i])));
}

template <typename T>
__global__ void relu(const T* __restrict__ x, T* __restrict__ y, long long n) {
    map(x, y, n, [](Wide<T> v) { return v <= 0 ? Wide<T>(0) : v; });  // a NaN is not <= 0, so it stays
}

template <typename T>
__global__ void relu_backward(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx, long long n) {
    map(g, y, gx, n, [](Wide<T> d, Wide<T> v) { return v > 0 ? d : Wide<T>(0); });
}

template <typename T>
__global__ void leaky_relu(const T* __restrict__ x, T* __restrict__ y, long long n, Wide<T> slope) {
    map(x, y, n, [slope](Wide<T> v) { return v > 0 ? v : v * slope; });
}

template <typename T>
__global__ void leaky_relu_backward(
    const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ gx, long long n, Wide<T> slope) {
    map(g, x, gx, n, [slope](Wide<T> d, Wide<T> v) { return v > 0 ? d : d * slope; });
}

template <typename T>
__global__ void sigmoid(const T* __restrict__ x, T* __restrict__ y, long long n) {
    map(x, y, n, [](Wide<T> v) { return 1 / (1 + exp(-v)); });  // e^-x = infinity gives 0, which is right
}

template <typename T>
__global__ void sigmoid_backward(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx, long long n) {
    map(g, y, gx, n, [](Wide<T> d, Wide<T> v) { return d * v * (1 - v); });
}

template <typename T>
__global__ void tanh_backward(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx, long long n) {
    map(g, y, gx, n, [](Wide<T> d, Wide<T> v) { return d * (1 - v * v); });
}

// Phi, the distribution function of the normal distribution.
template <typename W>
__device__ __forceinline__ W normal_cdf(W x) {
    return (erf(x * W(0.70710678118654752440)) + 1) * W(0.5);
}

template <typename T>
__global__ void gelu(const T* __restrict__ x, T* __restrict__ y, long long n) {
    map(x, y, n, [](Wide<T> v) { return v * normal_cdf(v); });
}

template <typename T>
__global__ void gelu_backward(const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ gx, long long n) {
    map(g, x, gx, n, [](Wide<T> d, Wide<T> v) {
        Wide<T> density = exp(v * v * Wide<T>(-0.5)) * Wide<T>(0.39894228040143267794);  // 1 / sqrt(2 pi)
        return d * (normal_cdf(v) + v * density);
    });
}

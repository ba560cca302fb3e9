// Chains of element-wise operations (activations, losses, their gradients) in one pass over memory, whatever the formula.
//
// Such a kernel waits for memory, not for arithmetic: it reads and writes a few bytes for every multiplication. So all
// that matters is how memory is read. A thread takes 16 bytes at a time, neighbouring threads take neighbouring 16
// bytes, and a warp's request is one line of 512 bytes. What is left over at the end, or arrays that do not begin at a
// multiple of 16 bytes, go number by number.
//
// The formulas are those of kernels/reference/elementwise.py, of the same names: formulas.py writes them as C++.
#include "common.cuh"

// ---- what formulas may call beside the functions of C++ ----------------------------------------------------------------

template <typename W>
__device__ __forceinline__ W sigmoid(W x) {
    return 1 / (1 + exp(-x));  // e^-x = infinity gives 0, which is right
}
template <typename W>
__device__ __forceinline__ W sign(W x) {
    return x > 0 ? W(1) : x < 0 ? W(-1) : W(0);
}
template <typename W>
__device__ __forceinline__ W smaller(W a, W b) {  // a NaN wins
    return a < b || a != a ? a : b;
}
// log(e^a + e^b)
template <typename W>
__device__ __forceinline__ W log_sum_exp(W a, W b) {
    return a == b ? a + W(0.69314718055994530942) : larger(a, b) + log1p(exp(-fabs(a - b)));
}

#include "formulas.cuh"

// ---- the one kernel --------------------------------------------------------------------------------------------------

const int INPUTS = 3;

template <typename T>
struct alignas(16) Pack {
    static constexpr int size = 16 / sizeof(T);
    T at[size];
};

// Divisions of 64 bits take several times as long as those of 32: few need them.
__device__ __forceinline__ long long quotient(long long i, long long width) {
    return (i | width) >> 32 == 0 ? (long long)((unsigned)i / (unsigned)width) : i / width;
}
__device__ __forceinline__ bool aligned(const void* p) { return (unsigned long long)p % 16 == 0; }

// y[i] = F(a[i], b[i], c[i], numbers p, q) for all i below n. y has no gaps. An input is rows of `width` neighbouring
// numbers, one row every so many numbers (`of_a` for a): some channels of a larger image, or with a step of 0 the same row
// again and again. An input whose bit in `single` is set has one number a row. An input that F does not have is null.
template <typename T, typename F>
__global__ void chain(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ c, T* __restrict__ y,
    long long n, long long width, long long of_a, long long of_b, long long of_c, unsigned single, Wide<T> p, Wide<T> q) {
    typedef Wide<T> W;
    const T* from[INPUTS] = {a, b, c};
    const long long step[INPUTS] = {of_a, of_b, of_c};
    const W number[2] = {p, q};
    const int size = Pack<T>::size;
    bool line = width == n, packed = aligned(y) && (line || width % size == 0);
#pragma unroll
    for (int k = 0; k < F::inputs; ++k)
        if (!(single >> k & 1)) packed = packed && aligned(from[k]) && (line || step[k] % size == 0);
    long long packs = packed ? n / size : 0;
    for (long long i = first_index(); i < packs; i += index_step()) {
        long long row = line ? 0 : quotient(i * size, width), column = i * size - row * width;
        Pack<T> read[F::inputs], to;
#pragma unroll
        for (int k = 0; k < F::inputs; ++k) {
            const T* begin = from[k] + row * step[k];
            if (single >> k & 1) {
#pragma unroll
                for (int j = 0; j < size; ++j) read[k].at[j] = *begin;
            } else read[k] = *reinterpret_cast<const Pack<T>*>(begin + column);
        }
#pragma unroll
        for (int j = 0; j < size; ++j) {
            W in[F::inputs];
#pragma unroll
            for (int k = 0; k < F::inputs; ++k) in[k] = W(read[k].at[j]);
            to.at[j] = T(F::of(in, number));
        }
        reinterpret_cast<Pack<T>*>(y)[i] = to;
    }
    for (long long i = packs * size + first_index(); i < n; i += index_step()) {
        long long row = line ? 0 : quotient(i, width), column = i - row * width;
        W in[F::inputs];
#pragma unroll
        for (int k = 0; k < F::inputs; ++k) in[k] = W(from[k][row * step[k] + (single >> k & 1 ? 0 : column)]);
        y[i] = T(F::of(in, number));
    }
}

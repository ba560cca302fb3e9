// What every kernel here may use: types of memory, indices, sums over the threads of a block.
//
// One text serves NVRTC, which knows no header of the C library, and a host compiler in the tests. Numbers of 16 bits
// are a way to store: kernels compute in Wide<T>, which is float for them, and round once when they write.

// ---- types -----------------------------------------------------------------------------------------------------------

// IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. The hardware converts; __CUDA_ARCH__ says that it is
// there. The lines for the host do the same with integers: they are what the tests on the CPU run.
struct half16 {
    unsigned short bits;
    half16() = default;
    __device__ explicit half16(float x) {
#ifdef __CUDA_ARCH__
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
        unsigned all = __float_as_uint(x), sign = all >> 16 & 0x8000, size = all & 0x7fffffff;
        if (size > 0x7f800000) bits = sign | 0x7e00;        // NaN
        else if (size >= 0x477ff000) bits = sign | 0x7c00;  // what would round to 65536 is infinite
        else if (size < 0x38800000)                         // subnormal: adding 0.5 leaves units of 2^-24, rounded
            bits = sign | (__float_as_uint(__uint_as_float(size) + 0.5f) - 0x3f000000);
        else bits = sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;  // to nearest, ties to even
#endif
    }
    __device__ operator float() const {
#ifdef __CUDA_ARCH__
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
#else
        unsigned sign = (bits & 0x8000u) << 16, size = bits & 0x7fffu;
        if (size >= 0x7c00) return __uint_as_float(sign | 0x7f800000 | (size & 0x3ff) << 13);
        if (size < 0x400) return __uint_as_float(sign | __float_as_uint(size * 0x1p-24f));
        return __uint_as_float(sign | ((size << 13) + 0x38000000));
#endif
    }
};

// The upper half of a float: its range with 8 bits of precision.
struct bfloat16 {
    unsigned short bits;
    bfloat16() = default;
    __device__ explicit bfloat16(float x) {
        unsigned all = __float_as_uint(x);
        bool is_nan = (all & 0x7fffffff) > 0x7f800000;
        bits = is_nan ? all >> 16 | 0x40 : (all + 0x7fff + (all >> 16 & 1)) >> 16;  // to nearest, ties to even
    }
    __device__ operator float() const { return __uint_as_float((unsigned)bits << 16); }
};

template <typename T>
struct WideOf {
    typedef float type;
};
template <>
struct WideOf<double> {
    typedef double type;
};
// What a kernel computes in for numbers that lie in memory as T.
template <typename T>
using Wide = typename WideOf<T>::type;

// ---- constants -------------------------------------------------------------------------------------------------------

template <typename T>
__device__ __forceinline__ T infinity() {
    return T(__int_as_float(0x7f800000));
}
template <typename T>
__device__ __forceinline__ T not_a_number() {
    return T(__int_as_float(0x7fffffff));
}

// ---- indices ---------------------------------------------------------------------------------------------------------

// The number of this thread among all of a one-dimensional grid, and how many there are: the beginning and the step of a
// grid-stride loop. Neighbouring threads take neighbouring numbers, so that a warp reads whole lines of memory.
__device__ __forceinline__ long long first_index() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ long long index_step() { return (long long)gridDim.x * blockDim.x; }

// ---- sums over a block -----------------------------------------------------------------------------------------------

// The sum over the 32 threads of a warp, in every one of them: in step k each adds what the thread 2^k away has.
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
    for (int away = 16; away > 0; away /= 2) value += __shfl_xor_sync(0xffffffffu, value, away);
    return value;
}

template <typename T>
__device__ __forceinline__ T larger(T a, T b) {  // a NaN wins
    return a > b || a != a ? a : b;
}

template <typename T>
__device__ __forceinline__ T warp_max(T value) {
    for (int away = 16; away > 0; away /= 2) value = larger(value, __shfl_xor_sync(0xffffffffu, value, away));
    return value;
}

// The sum over a block of one dimension, whole warps, in every thread: warps sum first, then each adds the warps' sums.
// The order is fixed, so that the same numbers give the same bits every time.
template <typename T>
__device__ __forceinline__ T block_sum(T value) {
    __shared__ T parts[32];
    value = warp_sum(value);
    __syncthreads();  // who has not yet read the parts of the last call
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : T(0));
}

template <typename T>
__device__ __forceinline__ T block_max(T value) {
    __shared__ T parts[32];
    value = warp_max(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    return warp_max(threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : parts[0]);
}

// ---- places in an image ----------------------------------------------------------------------------------------------

// Image n, channel c, row h and column w of the i-th number in memory of images with these sizes; the layout is (N, H, W,
// C) if LAST, otherwise (N, C, H, W). Divisions of 64 bits take several times as long as those of 32: few need them.
struct Place {
    int n, c, h, w;
};
template <bool LAST>
__device__ __forceinline__ Place place_of(long long i, int channels, int height, int width) {
    long long image = (long long)channels * height * width;
    Place at;
    unsigned rest;
    if (i >> 32 == 0 && image >> 32 == 0) {
        at.n = (unsigned)i / (unsigned)image;
        rest = (unsigned)i % (unsigned)image;
    } else {
        at.n = (int)(i / image);
        rest = (unsigned)(i % image);
    }
    if (LAST) {
        at.c = rest % channels, rest /= channels;
        at.w = rest % width, at.h = rest / width;
    } else {
        at.w = rest % width, rest /= width;
        at.h = rest % height, at.c = rest / height;
    }
    return at;
}

// The inverse: where that number lies, and how far from it its neighbour in the next column.
template <bool LAST>
__device__ __forceinline__ long long index_of(int n, int c, int h, int w, int channels, int height, int width) {
    return LAST ? (((long long)n * height + h) * width + w) * channels + c
                : (((long long)n * channels + c) * height + h) * width + w;
}

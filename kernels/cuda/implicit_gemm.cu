// Convolution as a matrix product whose matrix of windows is never written: implicit GEMM.
//
// im2col (im2col.cu) copies every window of the image into a row of a matrix, R * S times the image, only to read it
// back once. But the product works tile by tile (gemm_tile.cuh), and a tile's piece of that matrix can be put together
// on the way from device memory to shared memory, by index arithmetic alone:
//
//     forward, and the gradient of the input            the gradient of the kernels
//     rows     a pixel m = (n, p, q) of the result      rows     a filter k
//     columns  a filter k                               columns  a place l = (r, s, c) of the window
//     inner    a place l = (r, s, c) of the window      inner    a pixel m = (n, p, q) of the result
//     A[m, l] = x[n, p*stride + r*dilation - padding, ..., c]    A[k, m] = g[m, k]
//     B[l, k] = w[k, r, s, c]                                    B[m, l] = x[n, p*stride + ..., ..., c]
//
// Both directions share one kernel, since the gradient of the input is a correlation of g once its pixels are sorted by
// their remainder (conv_geometry.cuh): blockIdx.z counts groups and remainders.
//
// Why the accesses coalesce: x is channels-last, and so l runs through the channels first; threads beside each other
// fetch consecutive l, which are consecutive addresses as long as they stay in one tap. (For the gradient of the
// kernels the threads beside each other fetch consecutive k of g, and consecutive l of x.) The result's channels are
// consecutive too.
//
// Blocks that differ only in their filters have consecutive numbers: they run at the same time and find each other's
// pixels in the L2 cache. The kernels are small and stay there anyway.
//
// The gradient of the kernels has few elements (K * R * S * C) and a very long sum (N * P * Q), so the sum is cut into
// blockIdx.y parts, each written to its own place of a workspace; `implicit_gemm_sum_parts` adds them up in a fixed
// order. The same input therefore gives the same bits in every run, which atomic additions would not.
//
// Sources: S. Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning" (2014), section 3, for the lazy windows;
// A. Kerr et al., CUTLASS, "Implicit GEMM Convolution", for the order of the loops.

#include "common.cuh"
#include "conv_geometry.cuh"
#include "gemm_tile.cuh"

// Fetches pieces of x (or of g, backwards) and of w, one step of BK window places further with each call.
template <typename T, int BM, int BN, int BK, typename TileOf> struct WindowLoader {
    typedef Wide<T> Acc;
    static constexpr int A_LOADS = TileOf::A_LOADS, B_LOADS = TileOf::B_LOADS, ROW_STEP = TileOf::THREADS / BK;

    const T *x, *w;
    const Correlation& it;
    int kernel_h, first_filter;
    int left;                 // window places that are still to be fetched, counted from this thread's column
    Odometer place;           // (r, s, c) of this thread's column
    Corner corners[A_LOADS];  // of the pixels whose windows this thread fetches
    Acc a[A_LOADS], b[B_LOADS];

    __device__ __forceinline__ WindowLoader(const T* x, const T* w, const Correlation& it, int kernel_h,
                                            int first_pixel, int first_filter)
        : x(x), w(w), it(it), kernel_h(kernel_h), first_filter(first_filter) {
        int column = threadIdx.x % BK, row = threadIdx.x / BK;
        left = it.length() - column;
        if (left > 0) place.set(column, it.columns.taps, it.channels);
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) corners[i] = corner_of(it, first_pixel + row + i * ROW_STEP);
    }

    __device__ __forceinline__ void fetch() {
        int row = threadIdx.x / BK;
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) {
            long long at = 0;
            bool inside = left > 0 && find_tap(it, corners[i], place.outer, place.middle, at);
            a[i] = inside ? Wide<T>(x[at + place.inner]) : Acc(0);
        }
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j) {
            int filter = first_filter + row + j * ROW_STEP;
            bool inside = left > 0 && filter < it.filters;
            b[j] = inside ? Wide<T>(w[weight_of(it, kernel_h, filter, place.outer, place.middle) + place.inner])
                          : Acc(0);
        }
        left -= BK;
        if (left > 0) place.advance(BK, it.columns.taps, it.channels);
    }

    __device__ __forceinline__ void store(typename TileOf::Shared& shared, int stage) const {
        int column = threadIdx.x % BK, row = threadIdx.x / BK;
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) shared.a[stage][column][row + i * ROW_STEP] = a[i];
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j) shared.b[stage][column][row + j * ROW_STEP] = b[j];
    }
};

// x (N, H, W, C), w (K, R, S, C/G), bias (K,) or null -> y (N, P, Q, K); or, backwards,
// g = x (N, P, Q, K), w (C, R, S, K/G) with rows (group, channel) -> y (N, H, W, C).
// Grid: (tiles of pixels x tiles of filters, 1, groups x classes).
template <typename T, int BM, int BN, int BK, int TM, int TN>
__global__ void __launch_bounds__(TileFor<T, BM, BN, BK, TM, TN>::THREADS, TileFor<T, BM, BN, BK, TM, TN>::BLOCKS)
    implicit_gemm_correlate(const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ bias,
                            T* __restrict__ y, bool backwards, Geometry geometry) {
    typedef Wide<T> Acc;
    typedef TileFor<T, BM, BN, BK, TM, TN> TileOf;
    typedef typename TileOf::Shared Pieces;
    __shared__ Pieces pieces;

    const Correlation it = correlation_of(geometry, backwards, blockIdx.z);
    const int filter_tiles = (it.filters + BN - 1) / BN;
    const int first_pixel = blockIdx.x / filter_tiles * BM, first_filter = blockIdx.x % filter_tiles * BN;
    if (first_pixel >= it.pixels()) return; // the grid is as large as the largest class wants

    TileOf tile;
    WindowLoader<T, BM, BN, BK, TileOf> loader(x, w, it, geometry.R, first_pixel, first_filter);
    tile.run(loader, pieces, (it.length() + BK - 1) / BK);

#pragma unroll
    for (int i = 0; i < TM; ++i) {
        int pixel = first_pixel + TileOf::row(i);
        if (pixel >= it.pixels()) continue;
        long long at = result_of(it, pixel);
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            int filter = first_filter + TileOf::column(j);
            if (filter >= it.filters) continue;
            Acc sum = tile.sums[i][j];
            if (bias) sum += Wide<T>(bias[it.group * it.filters + filter]);
            y[at + filter] = T(sum);
        }
    }
}

// Fetches pieces of g and of the windows of x, one step of BK pixels further with each call.
template <typename T, int BM, int BN, int BK, typename TileOf> struct PixelLoader {
    typedef Wide<T> Acc;
    static constexpr int A_LOADS = TileOf::A_LOADS, B_LOADS = TileOf::B_LOADS;
    static constexpr int A_STEP = TileOf::THREADS / BM, B_STEP = TileOf::THREADS / BN;
    static_assert(TileOf::THREADS % BM == 0 && TileOf::THREADS % BN == 0, "a thread stays in its column");

    const T *g, *x;
    const Correlation& it;
    int filter, place;         // of this thread: a column of g, one of the windows; negative where there is none
    int pixel, end;            // where the next step begins
    Odometer tap, pixels[B_LOADS];
    Acc a[A_LOADS], b[B_LOADS];

    __device__ __forceinline__ PixelLoader(const T* g, const T* x, const Correlation& it, int first_filter,
                                           int first_place, int begin, int end)
        : g(g), x(x), it(it), pixel(begin), end(end) {
        filter = first_filter + (int)threadIdx.x % BM;
        place = first_place + (int)threadIdx.x % BN;
        if (filter >= it.filters) filter = -1;
        if (place >= it.length()) place = -1;
        tap.set(place < 0 ? 0 : place, it.columns.taps, it.channels);
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j)
            pixels[j].set(begin + (int)threadIdx.x / BN + j * B_STEP, it.rows.out, it.columns.out);
    }

    __device__ __forceinline__ void fetch() {
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) {
            int m = pixel + (int)threadIdx.x / BM + i * A_STEP;
            bool inside = filter >= 0 && m < end;
            a[i] = inside ? Wide<T>(g[(long long)m * it.out_channels + it.group * it.filters + filter]) : Acc(0);
        }
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j) {
            int m = pixel + (int)threadIdx.x / BN + j * B_STEP;
            Corner corner = corner_of(it, pixels[j]);
            long long at = 0;
            bool inside = place >= 0 && m < end && find_tap(it, corner, tap.outer, tap.middle, at);
            b[j] = inside ? Wide<T>(x[at + tap.inner]) : Acc(0);
            pixels[j].advance(BK, it.rows.out, it.columns.out);
        }
        pixel += BK;
    }

    __device__ __forceinline__ void store(typename TileOf::Shared& shared, int stage) const {
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i)
            shared.a[stage][threadIdx.x / BM + i * A_STEP][threadIdx.x % BM] = a[i];
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j)
            shared.b[stage][threadIdx.x / BN + j * B_STEP][threadIdx.x % BN] = b[j];
    }
};

// g (N, P, Q, K), x (N, H, W, C) -> parts (parts, K, R * S * C/G), each the sum over `chunk` pixels.
// Grid: (tiles of filters x tiles of window places, parts, groups).
template <typename T, int BM, int BN, int BK, int TM, int TN>
__global__ void __launch_bounds__(TileFor<T, BM, BN, BK, TM, TN>::THREADS, TileFor<T, BM, BN, BK, TM, TN>::BLOCKS)
    implicit_gemm_weight_grad(const T* __restrict__ g, const T* __restrict__ x,
                              Wide<T>* __restrict__ parts, int chunk, Geometry geometry) {
    typedef TileFor<T, BM, BN, BK, TM, TN> TileOf;
    typedef typename TileOf::Shared Pieces;
    __shared__ Pieces pieces;

    const Correlation it = correlation_of(geometry, false, blockIdx.z);
    const int filter_tiles = (it.filters + BM - 1) / BM;
    const int first_filter = blockIdx.x % filter_tiles * BM, first_place = blockIdx.x / filter_tiles * BN;
    const int begin = blockIdx.y * chunk, end = min(it.pixels(), begin + chunk);

    TileOf tile;
    PixelLoader<T, BM, BN, BK, TileOf> loader(g, x, it, first_filter, first_place, begin, end);
    tile.run(loader, pieces, (end - begin + BK - 1) / BK);

    const int length = it.length();
#pragma unroll
    for (int i = 0; i < TM; ++i) {
        int filter = first_filter + TileOf::row(i);
        if (filter >= it.filters) continue;
        long long at = ((long long)blockIdx.y * geometry.K + it.group * it.filters + filter) * length;
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            int place = first_place + TileOf::column(j);
            if (place < length) parts[at + place] = tile.sums[i][j];
        }
    }
}

// parts (parts, K, taps, channels) -> gw (K, channels, taps): the parts added up, first to last, and the taps put last,
// as weights are stored. A thread an element; threads beside each other read consecutive places of every part.
template <typename T>
__global__ void implicit_gemm_sum_parts(const Wide<T>* __restrict__ parts, T* __restrict__ gw,
                                        int count, int filters, int taps, int channels) {
    typedef Wide<T> Acc;
    const int size = filters * taps * channels;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Acc sum = 0;
    for (int part = 0; part < count; ++part) sum += parts[(long long)part * size + i];
    Odometer at;
    at.set(i, taps, channels);
    gw[((long long)at.outer * channels + at.inner) * taps + at.middle] = T(sum);
}

// Depthwise convolution: every channel has its own kernels, and nothing is summed over channels.
//
// That leaves R * S multiply-adds for each number of the result, two or three for every byte moved: there is nothing to
// gain from tiles or tensor cores, and a matrix product would multiply mostly padding. What counts is that device
// memory is read once and in whole lines. Threads beside each other take neighbouring channels of one pixel
// (channels-last, so that is one line of memory); the R * S reads of a window meet those of its neighbours in the L1
// and L2 caches. The kernels are handed over as (R, S, K), so that the threads of a warp read a line of them too.
//
// Source: F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (2017), for the layer.

#include "common.cuh"
#include "conv_geometry.cuh"

// x (N, H, W, C), w (R, S, K), bias (K,) or null -> y (N, P, Q, K), where K is a multiple of C: filter k sees channel k
// / (K/C).
template <typename T>
__global__ void conv_depthwise(const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ bias,
                               T* __restrict__ y, Geometry of) {
    const int each = of.K / of.C;
    const long long size = (long long)of.N * of.P * of.Q * of.K;
    for (long long i = first_index(); i < size; i += index_step()) {
        int k;
        Odometer at;
        at.set((int)divide(i, of.K, k), of.P, of.Q);
        int c = k / each;
        Wide<T> sum = bias ? Wide<T>(bias[k]) : Wide<T>(0);
        for (int r = 0; r < of.R; ++r) {
            int h = at.middle * of.stride_h - of.padding_h + r * of.dilation_h;
            if (h < 0 || h >= of.H) continue;
            for (int s = 0; s < of.S; ++s) {
                int v = at.inner * of.stride_w - of.padding_w + s * of.dilation_w;
                if (v < 0 || v >= of.W) continue;
                long long pixel = (long long)(at.outer * of.H + h) * of.W + v;
                sum += Wide<T>(x[pixel * of.C + c]) * Wide<T>(w[(r * of.S + s) * of.K + k]);
            }
        }
        y[i] = T(sum);
    }
}

// g (N, P, Q, K), w (R, S, K) -> gx (N, H, W, C), gathered: each thread finds the outputs that its pixel took part in.
template <typename T>
__global__ void conv_depthwise_input_grad(const T* __restrict__ g, const T* __restrict__ w, T* __restrict__ gx,
                                          Geometry of) {
    const int each = of.K / of.C;
    const long long size = (long long)of.N * of.H * of.W * of.C;
    for (long long i = first_index(); i < size; i += index_step()) {
        int c;
        Odometer at;
        at.set((int)divide(i, of.C, c), of.H, of.W);
        Wide<T> sum = 0;
        for (int r = 0; r < of.R; ++r) {
            int down = at.middle + of.padding_h - r * of.dilation_h, p = down / of.stride_h;
            if (down < 0 || p * of.stride_h != down || p >= of.P) continue;
            for (int s = 0; s < of.S; ++s) {
                int across = at.inner + of.padding_w - s * of.dilation_w, q = across / of.stride_w;
                if (across < 0 || q * of.stride_w != across || q >= of.Q) continue;
                long long pixel = (long long)(at.outer * of.P + p) * of.Q + q;
                for (int k = c * each; k < (c + 1) * each; ++k)
                    sum += Wide<T>(g[pixel * of.K + k]) * Wide<T>(w[(r * of.S + s) * of.K + k]);
            }
        }
        gx[i] = T(sum);
    }
}

// g (N, P, Q, K), x (N, H, W, C) -> parts (parts, K, R * S), each the sum over `chunk` pixels of the result; added up
// by implicit_gemm_sum_parts. A block is 32 filters x 8 pixels: a warp reads 32 neighbouring channels, and the 8 sums
// of a filter are added at the end in a fixed order. Grid: (K / 32, R * S, parts).
template <typename T>
__global__ void __launch_bounds__(256)
    conv_depthwise_weight_grad(const T* __restrict__ g, const T* __restrict__ x, Wide<T>* __restrict__ parts, int chunk,
                               Geometry of) {
    __shared__ Wide<T> sums[8][32];
    const int k = blockIdx.x * 32 + threadIdx.x, tap = blockIdx.y, r = tap / of.S, s = tap % of.S;
    const int pixels = of.N * of.P * of.Q, begin = blockIdx.z * chunk, end = min(pixels, begin + chunk);
    Wide<T> sum = 0;
    if (k < of.K) {
        int c = k / (of.K / of.C);
        Odometer at;
        at.set(begin + threadIdx.y, of.P, of.Q);
        for (int m = begin + threadIdx.y; m < end; m += 8, at.advance(8, of.P, of.Q)) {
            int h = at.middle * of.stride_h - of.padding_h + r * of.dilation_h;
            int w = at.inner * of.stride_w - of.padding_w + s * of.dilation_w;
            if (h < 0 || h >= of.H || w < 0 || w >= of.W) continue;
            long long pixel = (long long)(at.outer * of.H + h) * of.W + w;
            sum += Wide<T>(g[(long long)m * of.K + k]) * Wide<T>(x[pixel * of.C + c]);
        }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && k < of.K) {
        sum = 0;
        for (int row = 0; row < 8; ++row) sum += sums[row][threadIdx.x];
        parts[((long long)blockIdx.z * of.K + k) * of.R * of.S + tap] = sum;
    }
}

// Convolution for reading: the windows of an image as the rows of a matrix, and back.
//
// im2col writes, for each output place (n, p, q), the R * S * C numbers that the kernel sees there as one row.
// Convolution is then that matrix times the kernels, a product that a BLAS library does well (conv.py). The price is
// memory: every pixel is written R * S / stride^2 times and read again, so for a 3 x 3 kernel nine times the image goes
// out and comes back. implicit_gemm.cu saves that.
//
// A thread an element, threads beside each other on neighbouring channels: reads and writes coalesce. The source is x
// (N, H, W, C), channels-last; what lies outside of the image is zero.
//
// col2im is the adjoint: each pixel of the image adds up the windows' entries that were copied from it. Written as it
// is usually told ("each window adds its entries to the image") threads would meet at the same pixel and need atomic
// additions, whose order, and so the last bits of the result, changes from run to run. Here each thread owns a pixel
// and *gathers*.
//
// Source: K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for Document Processing"
// (2006), section 3.

#include "common.cuh"
#include "conv_geometry.cuh"

// x (N, H, W, C) -> cols (N, P, Q, R, S, C)
template <typename T>
__global__ void im2col(const T* __restrict__ x, T* __restrict__ cols, Geometry of) {
    const long long size = (long long)of.N * of.P * of.Q * of.R * of.S * of.C;
    for (long long i = first_index(); i < size; i += index_step()) {
        int c, s, r;
        Odometer at;
        at.set((int)divide(divide(divide(i, of.C, c), of.S, s), of.R, r), of.P, of.Q);
        int p = at.middle, q = at.inner;
        long long n = at.outer;
        int h = p * of.stride_h - of.padding_h + r * of.dilation_h;
        int w = q * of.stride_w - of.padding_w + s * of.dilation_w;
        bool inside = h >= 0 && h < of.H && w >= 0 && w < of.W;
        cols[i] = inside ? x[((n * of.H + h) * of.W + w) * of.C + c] : T(0);
    }
}

// cols (N, P, Q, R, S, C) -> x (N, H, W, C)
template <typename T>
__global__ void col2im(const T* __restrict__ cols, T* __restrict__ x, Geometry of) {
    const long long size = (long long)of.N * of.H * of.W * of.C;
    for (long long i = first_index(); i < size; i += index_step()) {
        int c;
        Odometer at;
        at.set((int)divide(i, of.C, c), of.H, of.W);
        int h = at.middle, w = at.inner;
        long long n = at.outer;
        Wide<T> sum = 0;
        for (int r = 0; r < of.R; ++r) {
            int down = h + of.padding_h - r * of.dilation_h, p = down / of.stride_h;
            if (down < 0 || p * of.stride_h != down || p >= of.P) continue;
            for (int s = 0; s < of.S; ++s) {
                int across = w + of.padding_w - s * of.dilation_w, q = across / of.stride_w;
                if (across < 0 || q * of.stride_w != across || q >= of.Q) continue;
                sum += Wide<T>(cols[((((n * of.P + p) * of.Q + q) * of.R + r) * of.S + s) * of.C + c]);
            }
        }
        x[i] = T(sum);
    }
}

// Pooling. A thread makes one number of the result and looks at all of the window, or of the windows, that it comes from:
// no two threads write to the same place, so there is nothing to lock and the same input gives the same bits. Only the
// scatter by index cannot know who else writes where it does, and adds atomically.
//
// Neighbouring threads make neighbouring numbers in memory. In channels-last images these are the channels of one pixel,
// whose windows lie side by side too, so that every access of a warp is one line of memory. In planes they are the
// pixels of a row, and a warp reads a line, or with a stride every other number of two.
//
// The equations are in kernels/reference/pool.py, beside the same names.
#include "common.cuh"

// The maximum of each window and its place in the plane, -1 for a window of nothing but padding.
template <typename T, bool LAST>
__global__ void max_pool2d(const T* __restrict__ x, T* __restrict__ y, long long* __restrict__ where, long long total,
    int channels, int height, int width, int out_height, int out_width, int kernel_h, int kernel_w, int stride_h,
    int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, out_height, out_width);
        Wide<T> best = -infinity<Wide<T>>();
        int place = -1;
        for (int r = 0; r < kernel_h; ++r) {
            int h = at.h * stride_h + r * dilation_h - pad_h;
            if (h < 0 || h >= height) continue;
            for (int s = 0; s < kernel_w; ++s) {
                int w = at.w * stride_w + s * dilation_w - pad_w;
                if (w < 0 || w >= width) continue;
                Wide<T> seen = x[index_of<LAST>(at.n, at.c, h, w, channels, height, width)];
                if (place < 0 || seen > best || (seen != seen && best == best)) {  // the first NaN wins
                    best = seen;
                    place = h * width + w;
                }
            }
        }
        y[i] = T(best);
        where[i] = place;
    }
}

// The same over windows [floor(p H / P), ceil((p + 1) H / P)).
template <typename T, bool LAST>
__global__ void adaptive_max_pool2d(const T* __restrict__ x, T* __restrict__ y, long long* __restrict__ where,
    long long total, int channels, int height, int width, int out_height, int out_width) {
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, out_height, out_width);
        int top = (long long)at.h * height / out_height, left = (long long)at.w * width / out_width;
        int bottom = ((at.h + 1LL) * height + out_height - 1) / out_height;
        int right = ((at.w + 1LL) * width + out_width - 1) / out_width;
        Wide<T> best = x[index_of<LAST>(at.n, at.c, top, left, channels, height, width)];
        int place = top * width + left;
        for (int h = top; h < bottom; ++h)
            for (int w = left; w < right; ++w) {
                Wide<T> seen = x[index_of<LAST>(at.n, at.c, h, w, channels, height, width)];
                if (seen > best || (seen != seen && best == best)) {
                    best = seen;
                    place = h * width + w;
                }
            }
        y[i] = T(best);
        where[i] = place;
    }
}

// The sum of each window over its divisor, or over `number` where there are none.
template <typename T, bool LAST>
__global__ void avg_pool2d(const T* __restrict__ x, T* __restrict__ y, const Wide<T>* __restrict__ divisors,
    Wide<T> number, long long total, int channels, int height, int width, int out_height, int out_width, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int pad_h, int pad_w) {
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, out_height, out_width);
        int top = at.h * stride_h - pad_h, left = at.w * stride_w - pad_w;
        int bottom = min(top + kernel_h, height), right = min(left + kernel_w, width);
        Wide<T> sum = 0;
        for (int h = max(top, 0); h < bottom; ++h)
            for (int w = max(left, 0); w < right; ++w)
                sum += Wide<T>(x[index_of<LAST>(at.n, at.c, h, w, channels, height, width)]);
        y[i] = T(sum / (divisors ? divisors[at.h * out_width + at.w] : number));
    }
}

// The adjoint: a pixel takes its share from every window that it lies in. Those are the rows p with
// p * stride - pad <= h < p * stride - pad + kernel, and the columns alike.
template <typename T, bool LAST>
__global__ void avg_pool2d_backward(const T* __restrict__ g, T* __restrict__ gx, const Wide<T>* __restrict__ divisors,
    Wide<T> number, long long total, int channels, int height, int width, int out_height, int out_width, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int pad_h, int pad_w) {
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, height, width);
        int h = at.h + pad_h, w = at.w + pad_w;
        int first_p = h < kernel_h ? 0 : (h - kernel_h) / stride_h + 1, last_p = min(h / stride_h, out_height - 1);
        int first_q = w < kernel_w ? 0 : (w - kernel_w) / stride_w + 1, last_q = min(w / stride_w, out_width - 1);
        Wide<T> sum = 0;
        for (int p = first_p; p <= last_p; ++p)
            for (int q = first_q; q <= last_q; ++q)
                sum += Wide<T>(g[index_of<LAST>(at.n, at.c, p, q, channels, out_height, out_width)]) /
                       (divisors ? divisors[p * out_width + q] : number);
        gx[i] = T(sum);
    }
}

// y[n, c, p, q] = x[n, c] at index[n, c, p, q], a number of its plane; 0 where there is no such number.
template <typename T, bool LAST>
__global__ void gather_plane(const T* __restrict__ x, const long long* __restrict__ index, T* __restrict__ y,
    long long total, int channels, int height, int width, int out_height, int out_width) {
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, out_height, out_width);
        long long from = index[i];
        bool inside = from >= 0 && from < (long long)height * width;
        y[i] = inside ? x[index_of<LAST>(at.n, at.c, 0, 0, channels, height, width) + from * (LAST ? channels : 1)] : T(0);
    }
}

// Its adjoint: x[n, c] at index[n, c, p, q] += g[n, c, p, q]; x holds zeros before. Sums are kept in Wide<T>, for which
// the hardware adds atomically. Where several meet, the order and with it the last bit may change from run to run.
template <typename T, bool LAST>
__global__ void scatter_plane(const T* __restrict__ g, const long long* __restrict__ index, Wide<T>* __restrict__ x,
    long long total, int channels, int height, int width, int out_height, int out_width) {
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, out_height, out_width);
        long long to = index[i];
        if (to >= 0 && to < (long long)height * width)
            atomicAdd(&x[index_of<LAST>(at.n, at.c, 0, 0, channels, height, width) + to * (LAST ? channels : 1)], Wide<T>(g[i]));
    }
}

// The gradient of max_pool2d where its windows are known: a pixel adds up what the windows that it lies in and whose
// maximum it is have got. No atomic operation, no memory to clear, the same bits every time.
template <typename T, bool LAST>
__global__ void max_pool2d_backward(const T* __restrict__ g, const long long* __restrict__ where, T* __restrict__ gx,
    long long total, int channels, int height, int width, int out_height, int out_width, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
    int reach_h = (kernel_h - 1) * dilation_h + 1, reach_w = (kernel_w - 1) * dilation_w + 1;
    for (long long i = first_index(); i < total; i += index_step()) {
        Place at = place_of<LAST>(i, channels, height, width);
        int h = at.h + pad_h, w = at.w + pad_w, own = at.h * width + at.w;
        int first_p = h < reach_h ? 0 : (h - reach_h) / stride_h + 1, last_p = min(h / stride_h, out_height - 1);
        int first_q = w < reach_w ? 0 : (w - reach_w) / stride_w + 1, last_q = min(w / stride_w, out_width - 1);
        Wide<T> sum = 0;
        for (int p = first_p; p <= last_p; ++p)
            for (int q = first_q; q <= last_q; ++q) {
                long long from = index_of<LAST>(at.n, at.c, p, q, channels, out_height, out_width);
                if (where[from] == own) sum += Wide<T>(g[from]);
            }
        gx[i] = T(sum);
    }
}

// Numbers rounded to how they are stored.
template <typename T>
__global__ void narrow(const Wide<T>* __restrict__ x, T* __restrict__ y, long long n) {
    for (long long i = first_index(); i < n; i += index_step()) y[i] = T(x[i]);
}

// How a kernel slides over an image, written so that a convolution and the gradient of its input are the same loop.
//
// Letters as everywhere in tinycnn: images x (N, H, W, C), kernels w (K, R, S, C/G), results y (N, P, Q, K), all stored
// with the last index running fastest (channels-last), and
//
//     y[n, p, q, k] = sum over r, s, c of  x[n, p * stride + r * dilation - padding, q * ..., c] * w[k, r, s, c].
//
// The gradient of x asks the question from the other side: which outputs did x[n, h, ...] take part in? Those p for
// which
//
//     p * stride = h + padding - r * dilation,
//
// so only taps r that leave no remainder count. All h with the same remainder a = h mod stride (a *class*; there are
// stride of them along each axis) use the same taps: a first one, and then every `stride / gcd(stride, dilation)`-th.
// With h = a + i * stride and r = first + j * every the division comes out even for the whole class at once:
//
//     p = i + (a + padding - first * dilation) / stride  -  j * (every * dilation / stride).
//
// That is again "output i reads input i * 1 + offset + j * step", an ordinary correlation, just with a negative step.
// Nothing is multiplied with inserted zeros, nothing is added atomically: each element of the gradient is gathered.
//
// Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016), chapter 4; the cut into
// classes is that of sub-pixel convolution: W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an
// Efficient Sub-Pixel Convolutional Neural Network" (2016).

// What the host hands over, sixteen integers (conv_geometry.py names the same).
struct Geometry {
    int N, C, H, W, K, P, Q, R, S, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, groups;
};

// One direction, down or across, of a correlation: output i reads input i * stride + offset + j * step for each tap j.
struct Axis {
    int in;                  // extent of the array that is read
    int out;                 // how many outputs there are
    int taps;                // how many taps each of them sees
    int stride, offset, step;
    int first, every;        // tap j is row first + j * every of the kernel
    int base, spread, whole; // output i is written to base + i * spread of `whole`
};

__device__ __forceinline__ Axis forward_axis(int in, int out, int taps, int stride, int padding, int dilation) {
    Axis axis = {in, out, taps, stride, -padding, dilation, 0, 1, 0, 1, out};
    return axis;
}

// `in` is the extent of the gradient that is read, `whole` that of the image, `remainder` the class.
__device__ __forceinline__ Axis backward_axis(int in, int whole, int kernel, int stride, int padding, int dilation,
                                              int remainder) {
    int every = 1;
    while (every * dilation % stride != 0) ++every;
    int first = 0;
    while (first < every && (remainder + padding - first * dilation) % stride != 0) ++first;
    // No tap of the kernel meets this class: its gradient is zero.
    int taps = first < every && first < kernel ? (kernel - first + every - 1) / every : 0;
    int out = remainder < whole ? (whole - remainder + stride - 1) / stride : 0;
    int offset = taps > 0 ? (remainder + padding - first * dilation) / stride : 0;
    Axis axis = {in, out, taps, 1, offset, -(every * dilation / stride), first, every, remainder, stride, whole};
    return axis;
}

// A whole correlation: which array is read, which is written, and how many numbers one output sums up.
struct Correlation {
    Axis rows, columns;
    int images;
    int kernel_w;            // columns of the kernel, S
    int in_channels, out_channels; // of all groups: how far apart two pixels lie
    int channels, filters;   // of one group: what is summed over, what is computed
    int group;
    __device__ __forceinline__ int pixels() const { return images * rows.out * columns.out; }
    __device__ __forceinline__ int length() const { return rows.taps * columns.taps * channels; }
};

// `part` counts the groups, and in the backward direction the classes too: part = class * groups + group.
__device__ __forceinline__ Correlation correlation_of(const Geometry& of, bool backwards, int part) {
    Correlation it;
    it.images = of.N;
    it.kernel_w = of.S;
    it.group = part % of.groups;
    if (backwards) {
        int remainder = part / of.groups, down = remainder / of.stride_w, across = remainder % of.stride_w;
        it.rows = backward_axis(of.P, of.H, of.R, of.stride_h, of.padding_h, of.dilation_h, down);
        it.columns = backward_axis(of.Q, of.W, of.S, of.stride_w, of.padding_w, of.dilation_w, across);
        it.in_channels = of.K;
        it.out_channels = of.C;
    } else {
        it.rows = forward_axis(of.H, of.P, of.R, of.stride_h, of.padding_h, of.dilation_h);
        it.columns = forward_axis(of.W, of.Q, of.S, of.stride_w, of.padding_w, of.dilation_w);
        it.in_channels = of.C;
        it.out_channels = of.K;
    }
    it.channels = it.in_channels / of.groups;
    it.filters = it.out_channels / of.groups;
    return it;
}

// Three wheels that count together, as the kilometres of a car: (r, s, c) of a window, or (n, p, q) of a batch.
struct Odometer {
    int outer, middle, inner;
    __device__ __forceinline__ void set(int at, int middles, int inners) {
        inner = at % inners;
        at /= inners;
        middle = at % middles;
        outer = at / middles;
    }
    // Cheaper than two divisions where `by` is not many times `inners`.
    __device__ __forceinline__ void advance(int by, int middles, int inners) {
        inner += by;
        while (inner >= inners) {
            inner -= inners;
            if (++middle == middles) {
                middle = 0;
                ++outer;
            }
        }
    }
};

// i / by, and what is left of i. A division of 64 bits takes several times as long as one of 32, and only arrays of
// more than 4 thousand million numbers need it.
__device__ __forceinline__ long long divide(long long i, int by, int& rest) {
    long long whole = i >> 32 ? i / by : (long long)((unsigned)i / (unsigned)by);
    rest = (int)(i - whole * by);
    return whole;
}

// Where an output's window begins in the array that is read.
struct Corner {
    int above;               // rows of the images before its own
    int h, w;
};

constexpr int NOWHERE = -(1 << 29); // so far above the image that no tap comes back into it

__device__ __forceinline__ Corner corner_of(const Correlation& it, const Odometer& at) {
    Corner corner = {at.outer * it.rows.in, at.middle * it.rows.stride + it.rows.offset,
                     at.inner * it.columns.stride + it.columns.offset};
    return corner;
}

__device__ __forceinline__ Corner corner_of(const Correlation& it, int pixel) {
    if (pixel >= it.pixels()) {
        Corner none = {0, NOWHERE, NOWHERE};
        return none;
    }
    Odometer at;
    at.set(pixel, it.rows.out, it.columns.out);
    return corner_of(it, at);
}

// Whether tap (a, b) of this window lies inside of the image; `at` becomes the place of its first channel.
__device__ __forceinline__ bool find_tap(const Correlation& it, const Corner& corner, int a, int b, long long& at) {
    int h = corner.h + a * it.rows.step, w = corner.w + b * it.columns.step;
    if ((unsigned)h >= (unsigned)it.rows.in || (unsigned)w >= (unsigned)it.columns.in) return false;
    at = (long long)((corner.above + h) * it.columns.in + w) * it.in_channels + it.group * it.channels;
    return true;
}

// Where the kernel's numbers for tap (a, b) and this filter begin: w is (filters of all groups, R, S, channels).
__device__ __forceinline__ long long weight_of(const Correlation& it, int kernel_h, int filter, int a, int b) {
    int r = it.rows.first + a * it.rows.every, s = it.columns.first + b * it.columns.every;
    return ((long long)(it.group * it.filters + filter) * kernel_h * it.kernel_w + r * it.kernel_w + s) * it.channels;
}

// Where the result of this output pixel begins, for the group's first filter.
__device__ __forceinline__ long long result_of(const Correlation& it, int pixel) {
    Odometer at;
    at.set(pixel, it.rows.out, it.columns.out);
    int h = it.rows.base + at.middle * it.rows.spread, w = it.columns.base + at.inner * it.columns.spread;
    long long place = ((long long)at.outer * it.rows.whole + h) * it.columns.whole + w;
    return place * it.out_channels + it.group * it.filters;
}

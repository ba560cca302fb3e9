// Batch normalisation: sums over every channel, then one pass that uses them.
//
// The sums. Each channel's M = N * H * W numbers are shared out between threads; a thread adds up its own in double
// precision, the threads of a block add up theirs through shared memory, and every block writes its part. `finish_*` adds
// the parts, always in the same order. How a block is laid over memory depends on the layout, and so does who is whose
// neighbour:
//
//   channels-last   blockDim.x neighbouring channels by blockDim.y pixels: a warp reads neighbouring channels
//   planes          all threads on one channel: a warp reads neighbouring pixels of a plane
//
// In both a thread stays with one channel, so that what belongs to it (mean, scale, bias) is read once and kept.
//
// The variance comes from sums of d = x - K and of d^2, where K is the channel's first number:
//     mean = K + S1 / M,   var = (S2 - S1^2 / M) / M
// Without K the difference would lose all digits where the mean is large beside the spread. K is one of the numbers, so
// (K - mean)^2 is at most M * var, and at most a factor M of double's precision is lost, as in any sum of M numbers.
// (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for Computing the Sample Variance", 1983, section 2: shifted data)
//
// The equations are in kernels/reference/norm.py, beside the same names.
#include "common.cuh"

// visit(i) for the places i in memory that fall to this thread, all of channel c. The grid has blocks of channels in x,
// and in y the shares that a channel's numbers are cut into.
template <bool LAST>
__device__ __forceinline__ int own_channel() {
    return LAST ? blockIdx.x * blockDim.x + threadIdx.x : blockIdx.x;
}
template <bool LAST, typename F>
__device__ __forceinline__ void for_own(int c, int images, int channels, int pixels, F visit) {
    if (LAST) {
        if (c >= channels) return;
        long long rows = (long long)images * pixels, step = (long long)gridDim.y * blockDim.y;
        for (long long row = (long long)blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += step)
            visit(row * channels + c);
    } else {
        // Pixel after pixel, on to the next image where a plane ends; steps are taken apart once, not at every pixel.
        int threads = blockDim.x * blockDim.y, step = gridDim.y * threads;
        int first = blockIdx.y * threads + threadIdx.y * blockDim.x + threadIdx.x;
        int n = first / pixels, place = first % pixels, more_n = step / pixels, more = step % pixels;
        while (n < images) {
            visit(((long long)n * channels + c) * pixels + place);
            n += more_n;
            place += more;
            if (place >= pixels) place -= pixels, ++n;
        }
    }
}

// The two sums of a block's threads, added up and written to parts[share][which][channel]: over the threads in y, each
// column by itself, if LAST; otherwise over all of them.
template <bool LAST>
__device__ __forceinline__ void write_parts(double a, double b, int c, int channels, double* parts) {
    __shared__ double sums[2][256];
    int own = threadIdx.y * blockDim.x + threadIdx.x;
    sums[0][own] = a;
    sums[1][own] = b;
    __syncthreads();
    int width = LAST ? blockDim.x : 1;  // powers of two, all of them
    for (int half = blockDim.x * blockDim.y / 2; half >= width; half /= 2) {
        if (own < half) {
            sums[0][own] += sums[0][own + half];
            sums[1][own] += sums[1][own + half];
        }
        __syncthreads();
    }
    if (own < width && c < channels) {
        double* to = parts + (long long)blockIdx.y * 2 * channels;
        to[c] = sums[0][own];
        to[channels + c] = sums[1][own];
    }
}

template <typename T, bool LAST>
__device__ __forceinline__ double first_of_channel(const T* x, int c, int pixels) {
    return Wide<T>(x[LAST ? (long long)c : (long long)c * pixels]);
}

// Sums of x - K and of its square.
template <typename T, bool LAST>
__global__ void moment_parts(const T* __restrict__ x, double* __restrict__ parts, int images, int channels, int pixels) {
    int c = own_channel<LAST>();
    double shift = c < channels ? first_of_channel<T, LAST>(x, c, pixels) : 0, sum = 0, squares = 0;
    for_own<LAST>(c, images, channels, pixels, [&](long long i) {
        double d = Wide<T>(x[i]) - shift;
        sum += d;
        squares += d * d;
    });
    write_parts<LAST>(sum, squares, c, channels, parts);
}

// Sums of x.
template <typename T, bool LAST>
__global__ void sum_parts(const T* __restrict__ x, double* __restrict__ parts, int images, int channels, int pixels) {
    int c = own_channel<LAST>();
    double sum = 0;
    for_own<LAST>(c, images, channels, pixels, [&](long long i) { sum += Wide<T>(x[i]); });
    write_parts<LAST>(sum, 0, c, channels, parts);
}

// Sums of g and of g * xhat; if GATED only where y > 0, as ReLU's gradient is.
template <typename T, bool LAST, bool GATED>
__global__ void gradient_parts(const T* __restrict__ g, const T* __restrict__ y, const T* __restrict__ x,
    const double* __restrict__ mean, const double* __restrict__ inv_std, double* __restrict__ parts, int images,
    int channels, int pixels) {
    int c = own_channel<LAST>();
    Wide<T> centre = c < channels ? mean[c] : 0, scale = c < channels ? inv_std[c] : 0;
    double sum = 0, products = 0;
    for_own<LAST>(c, images, channels, pixels, [&](long long i) {
        Wide<T> passed = GATED && !(Wide<T>(y[i]) > 0) ? Wide<T>(0) : Wide<T>(g[i]);
        sum += passed;
        products += passed * ((Wide<T>(x[i]) - centre) * scale);
    });
    write_parts<LAST>(sum, products, c, channels, parts);
}

// A block of 32 channels by blockDim.y shares adds up all shares of its channels, and leaves the totals in its first row
// of threads.
__device__ __forceinline__ double2 total_of_parts(const double* parts, int c, int channels, int shares) {
    __shared__ double sums[2][256];
    double a = 0, b = 0;
    if (c < channels)
        for (int share = threadIdx.y; share < shares; share += blockDim.y) {
            a += parts[(long long)share * 2 * channels + c];
            b += parts[((long long)share * 2 + 1) * channels + c];
        }
    int own = threadIdx.y * blockDim.x + threadIdx.x;
    sums[0][own] = a;
    sums[1][own] = b;
    __syncthreads();
    if (threadIdx.y == 0)
        for (unsigned row = 1; row < blockDim.y; ++row) {
            a += sums[0][row * blockDim.x + threadIdx.x];
            b += sums[1][row * blockDim.x + threadIdx.x];
        }
    return make_double2(a, b);
}

// Both moments; unless null, also 1 / sqrt(var + eps) and the running statistics, as `inverse_std` and `move_statistics`
// below have them.
template <typename T, bool LAST>
__global__ void finish_moments(const T* __restrict__ x, const double* __restrict__ parts, double* __restrict__ mean,
    double* __restrict__ var, int shares, int channels, int pixels, double count, double* __restrict__ inv_std, double eps,
    Wide<T>* __restrict__ running_mean, Wide<T>* __restrict__ running_var, double keep, double share, double var_share) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    double2 total = total_of_parts(parts, c, channels, shares);
    if (threadIdx.y > 0 || c >= channels) return;
    double apart = total.x / count, spread = total.y / count - apart * apart;
    double middle = first_of_channel<T, LAST>(x, c, pixels) + apart;
    spread = spread < 0 ? 0 : spread;  // by rounding only; a NaN stays
    mean[c] = middle;
    var[c] = spread;
    if (inv_std) inv_std[c] = 1 / sqrt(spread + eps);
    if (running_mean) running_mean[c] = Wide<T>(keep * running_mean[c] + share * middle);
    if (running_var) running_var[c] = Wide<T>(keep * running_var[c] + var_share * spread);
}

// The totals as they are stored, and if wanted in double precision for the pass that follows.
template <typename T>
__global__ void finish_sums(const double* __restrict__ parts, T* __restrict__ first, T* __restrict__ second,
    double* __restrict__ exact, int shares, int channels) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    double2 total = total_of_parts(parts, c, channels, shares);
    if (threadIdx.y > 0 || c >= channels) return;
    if (first) first[c] = T(Wide<T>(total.x));
    if (second) second[c] = T(Wide<T>(total.y));
    if (exact) exact[c] = total.x, exact[channels + c] = total.y;
}

// y = (x - mean) * inv_std * weight + bias, then + shortcut (if ADD), then the larger of that and 0 (if RELU), all in one
// pass over memory. A moment has the type that it comes in: double while training, the running one's otherwise.
template <typename T, bool LAST, bool RELU, bool ADD, typename M>
__global__ void transform(const T* __restrict__ x, const M* __restrict__ mean, const M* __restrict__ inv_std,
    const Wide<T>* __restrict__ weight, const Wide<T>* __restrict__ bias, const T* __restrict__ shortcut,
    T* __restrict__ y, int images, int channels, int pixels) {
    int c = own_channel<LAST>();
    if (c >= channels) return;
    Wide<T> centre = Wide<T>(mean[c]), scale = Wide<T>(weight ? inv_std[c] * weight[c] : inv_std[c]);
    Wide<T> shift = bias ? bias[c] : Wide<T>(0);
    for_own<LAST>(c, images, channels, pixels, [&](long long i) {
        Wide<T> value = (Wide<T>(x[i]) - centre) * scale + shift;
        if (ADD) value += Wide<T>(shortcut[i]);
        y[i] = T(RELU && value < 0 ? Wide<T>(0) : value);  // NaN stays NaN
    });
}

// gx = weight * inv_std * (g - mean(g) - xhat * mean(g * xhat)), the sums behind both means given. If GATED, g counts
// where y > 0; what then is left of it is the shortcut's gradient, written to `passed` unless that is null.
template <typename T, bool LAST, bool GATED>
__global__ void input_gradient(const T* __restrict__ g, const T* __restrict__ y, const T* __restrict__ x,
    const double* __restrict__ mean, const double* __restrict__ inv_std, const Wide<T>* __restrict__ weight,
    const double* __restrict__ sums, T* __restrict__ gx, T* __restrict__ passed, int images, int channels, int pixels,
    double count) {
    int c = own_channel<LAST>();
    if (c >= channels) return;
    Wide<T> centre = mean[c], deviation = inv_std[c], scale = weight ? inv_std[c] * weight[c] : inv_std[c];
    Wide<T> g_mean = sums[c] / count, slope = sums[channels + c] / count;
    for_own<LAST>(c, images, channels, pixels, [&](long long i) {
        Wide<T> own = GATED && !(Wide<T>(y[i]) > 0) ? Wide<T>(0) : Wide<T>(g[i]);
        if (GATED && passed) passed[i] = T(own);
        gx[i] = T((own - g_mean - (Wide<T>(x[i]) - centre) * deviation * slope) * scale);
    });
}

// ---- a number a channel ----------------------------------------------------------------------------------------------

template <typename T>
__global__ void inverse_std(const T* __restrict__ variance, T* __restrict__ out, int channels, Wide<T> eps) {
    for (long long c = first_index(); c < channels; c += index_step())
        out[c] = T(1 / sqrt(Wide<T>(variance[c]) + eps));
}

// running = keep * running + share * batch, for both moments.
template <typename T>
__global__ void move_statistics(T* __restrict__ running_mean, T* __restrict__ running_var, const double* __restrict__ mean,
    const double* __restrict__ var, int channels, double keep, double share, double var_share) {
    for (long long c = first_index(); c < channels; c += index_step()) {
        running_mean[c] = T(Wide<T>(keep * Wide<T>(running_mean[c]) + share * mean[c]));
        running_var[c] = T(Wide<T>(keep * Wide<T>(running_var[c]) + var_share * var[c]));
    }
}

// Implicit GEMM (implicit_gemm.cu) on the tensor cores, in TF32 and in 16 bits, with float32 sums.
//
// A multiprocessor of sm_80 and later multiplies 8 to 16 times faster through mma.sync (tensor_core.cuh) than through
// its ordinary units. To keep that fed, everything else has to get out of the way:
//
// * The tile is multiplied by warps, not by threads. A block of 4 warps holds 128 x 128 sums; each warp 64 x 64 of them
//   as 4 x 8 fragments of 16 x 8, which are 128 registers a lane. For one step of 8 words it reads 4 * 4 + 8 * 2 words
//   a lane from shared memory and issues 32 mma: one read an instruction.
// * The pieces go from device memory into shared memory by cp.async, 16 bytes at a time, STAGES - 1 steps ahead of the
//   multiplication. No thread waits for a load, and no register holds one. A vector of 16 bytes lies in one tap of the
//   window, so C/G must be a multiple of 4 (TF32) or 8 (16 bits); the host adds channels of zeros to a first layer's
//   image.
// * A row of a piece is 16 words (16 TF32 or 32 16-bit numbers) and four words of nothing: lane (g, t) reads word
//   20 * row + t, and 20 * g + t (g < 8, t < 4) meets each of the 32 banks once:
//
//       g      0  1  2  3  4  5  6  7
//       bank   0 20  8 28 16  4 24 12   + t           (with 16 words a row: 0 16 0 16 ... four lanes to a bank)
//
// Stages, with STAGES = 4 (the stage of step t is t % 4); one barrier a step:
//
//     step t:   wait until step t has arrived | barrier | order step t + 3 | multiply step t
//                                               ^ from here on nobody reads step t - 1 any more, whose stage t + 3 gets
//
// The gradient of the kernels multiplies along the pixels, but its pieces arrive with the channels running fastest:
// they lie transposed in shared memory. For TF32 a lane reads its words one by one anyway (8 * t + g meets every bank
// once, with rows 8 words longer than the tile); in 16 bits two numbers of *different rows* share a register, which is
// what ldmatrix.trans is for.
//
// On a CPU the same kernels run through the portable twins in tensor_core.cuh: same tiles, same addresses, same stages.
//
// Sources: PTX ISA as in tensor_core.cuh; A. Kerr, D. Merrill, J. Demouth, J. Tran, "CUTLASS: Fast Linear Algebra in
// CUDA C++" (2017), for the levels of tiling; cuDNN's "Tensor Core" layout rules for why channels come last.

#include "common.cuh"
#include "conv_geometry.cuh"
#include "tensor_core.cuh"

constexpr int ROW_WORDS = 16;              // of a piece, a row and a step
constexpr int ROW_PITCH = ROW_WORDS + 4;
constexpr int ROW_VECTORS = ROW_WORDS / 4; // of 16 bytes

// One stage of the forward product: rows of windows, and rows of the kernels.
template <int BM, int BN> struct WindowStage {
    unsigned a[BM][ROW_PITCH], b[BN][ROW_PITCH];
};

template <typename T, int BM, int BN, int THREADS> struct WindowCopies {
    static constexpr int VECTOR = 16 / sizeof(T), BK = ROW_VECTORS * VECTOR, ROW_STEP = THREADS / ROW_VECTORS;
    static constexpr int A_LOADS = BM / ROW_STEP, B_LOADS = BN / ROW_STEP;
    static_assert(BM % ROW_STEP == 0 && BN % ROW_STEP == 0, "every thread orders the same number of copies");

    const T *x, *w;
    const Correlation& it;
    WindowStage<BM, BN>* stages;
    int kernel_h, first_filter, left;
    Odometer place;
    Corner corners[A_LOADS];

    __device__ __forceinline__ WindowCopies(const T* x, const T* w, const Correlation& it, WindowStage<BM, BN>* stages,
                                            int kernel_h, int first_pixel, int first_filter)
        : x(x), w(w), it(it), stages(stages), kernel_h(kernel_h), first_filter(first_filter) {
        int column = threadIdx.x % ROW_VECTORS * VECTOR, row = threadIdx.x / ROW_VECTORS;
        left = it.length() - column;
        if (left > 0) place.set(column, it.columns.taps, it.channels);
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) corners[i] = corner_of(it, first_pixel + row + i * ROW_STEP);
    }

    __device__ __forceinline__ void order(Copies& copies, int stage) {
        int column = threadIdx.x % ROW_VECTORS * 4, row = threadIdx.x / ROW_VECTORS;
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) {
            long long at = 0;
            bool inside = left > 0 && find_tap(it, corners[i], place.outer, place.middle, at);
            copies.copy(&stages[stage].a[row + i * ROW_STEP][column], inside ? x + at + place.inner : x,
                        inside ? 16 : 0);
        }
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j) {
            int filter = first_filter + row + j * ROW_STEP;
            bool inside = left > 0 && filter < it.filters;
            const T* from =
                inside ? w + weight_of(it, kernel_h, filter, place.outer, place.middle) + place.inner : w;
            copies.copy(&stages[stage].b[row + j * ROW_STEP][column], from, inside ? 16 : 0);
        }
        left -= BK;
        if (left > 0) place.advance(BK, it.columns.taps, it.channels);
    }
};

// The arguments and the grid of implicit_gemm_correlate; channels of a group (of x, or of g backwards) in whole
// vectors. Dynamic shared memory: STAGES x (BM + BN) x 80 bytes.
template <typename T, int BM, int BN, int WM, int WN, int STAGES>
__global__ void __launch_bounds__(WarpTile<BM, BN, WM, WN>::THREADS)
    tensor_core_correlate(const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ bias,
                          T* __restrict__ y, bool backwards, Geometry geometry) {
    STOP_ON_OLD_CHIP;
    typedef WarpTile<BM, BN, WM, WN> TileOf;
    typedef WindowStage<BM, BN> Stage;
    extern __shared__ __align__(16) unsigned char shared_bytes[];
    Stage* const stages = (Stage*)shared_bytes;
    __shared__ Exchange exchanges[TileOf::WARPS];
    Exchange* const exchange = exchanges + threadIdx.x / 32;

    const Correlation it = correlation_of(geometry, backwards, blockIdx.z);
    const int filter_tiles = (it.filters + BN - 1) / BN;
    const int first_pixel = blockIdx.x / filter_tiles * BM, first_filter = blockIdx.x % filter_tiles * BN;
    if (first_pixel >= it.pixels()) return;

    TileOf tile;
    typedef WindowCopies<T, BM, BN, TileOf::THREADS> Loader;
    Loader loader(x, w, it, stages, geometry.R, first_pixel, first_filter);
    run_pipeline<STAGES>(loader, (it.length() + Loader::BK - 1) / Loader::BK, [&](int stage) {
#pragma unroll
        for (int word = 0; word < ROW_WORDS; word += STEP_WORDS) {
            unsigned a[TileOf::ROWS][4], b[TileOf::COLUMNS][2];
#pragma unroll
            for (int i = 0; i < TileOf::ROWS; ++i)
#pragma unroll
                for (int k = 0; k < 4; ++k)
                    a[i][k] = operand(stages[stage].a[tile.row(i, k % 2)][word + k / 2 * 4 + tile.t], T());
#pragma unroll
            for (int j = 0; j < TileOf::COLUMNS; ++j)
#pragma unroll
                for (int k = 0; k < 2; ++k)
                    b[j][k] = operand(stages[stage].b[tile.first_column + 8 * j + tile.g][word + k * 4 + tile.t], T());
            tile.multiply(a, b, T(), exchange);
        }
    });

#pragma unroll
    for (int i = 0; i < TileOf::ROWS; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int pixel = first_pixel + tile.row(i, half);
            if (pixel >= it.pixels()) continue;
            long long at = result_of(it, pixel);
#pragma unroll
            for (int j = 0; j < TileOf::COLUMNS; ++j) {
                int filter = first_filter + tile.column(j), there = it.filters - filter;
                float first = tile.sums[i][j][2 * half], second = tile.sums[i][j][2 * half + 1];
                if (bias && there >= 1) first += Wide<T>(bias[it.group * it.filters + filter]);
                if (bias && there >= 2) second += Wide<T>(bias[it.group * it.filters + filter + 1]);
                write_two(y + at + filter, T(first), T(second), there);
            }
        }
}

// One stage of the kernels' gradient: a row a pixel, of g and of one window place after another.
template <typename T, int BM, int BN> struct PixelStage {
    static constexpr int BK = ROW_WORDS * 4 / sizeof(T); // pixels a step
    T a[BK][BM + 8], b[BK][BN + 8];
};

template <typename T, int BM, int BN, int THREADS> struct PixelCopies {
    static constexpr int VECTOR = 16 / sizeof(T), BK = PixelStage<T, BM, BN>::BK;
    static constexpr int A_VECTORS = BM / VECTOR, B_VECTORS = BN / VECTOR; // in a row
    static constexpr int A_STEP = THREADS / A_VECTORS, B_STEP = THREADS / B_VECTORS;
    static constexpr int A_LOADS = BK / A_STEP, B_LOADS = BK / B_STEP;
    static_assert(THREADS % A_VECTORS == 0 && THREADS % B_VECTORS == 0, "a thread stays in its column");
    static_assert(BK % A_STEP == 0 && BK % B_STEP == 0, "every thread orders the same number of copies");

    const T *g, *x;
    const Correlation& it;
    PixelStage<T, BM, BN>* stages;
    int filter, place, pixel, end;
    Odometer tap, pixels[B_LOADS];

    __device__ __forceinline__ PixelCopies(const T* g, const T* x, const Correlation& it, PixelStage<T, BM, BN>* stages,
                                           int first_filter, int first_place, int begin, int end)
        : g(g), x(x), it(it), stages(stages), pixel(begin), end(end) {
        filter = first_filter + (int)threadIdx.x % A_VECTORS * VECTOR;
        place = first_place + (int)threadIdx.x % B_VECTORS * VECTOR;
        if (filter >= it.filters) filter = -1;
        if (place >= it.length()) place = -1;
        tap.set(place < 0 ? 0 : place, it.columns.taps, it.channels);
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j)
            pixels[j].set(begin + (int)threadIdx.x / B_VECTORS + j * B_STEP, it.rows.out, it.columns.out);
    }

    __device__ __forceinline__ void order(Copies& copies, int stage) {
#pragma unroll
        for (int i = 0; i < A_LOADS; ++i) {
            int row = threadIdx.x / A_VECTORS + i * A_STEP, m = pixel + row;
            bool inside = filter >= 0 && m < end;
            const T* from = inside ? g + ((long long)m * it.out_channels + it.group * it.filters + filter) : g;
            copies.copy(&stages[stage].a[row][threadIdx.x % A_VECTORS * VECTOR], from, inside ? 16 : 0);
        }
#pragma unroll
        for (int j = 0; j < B_LOADS; ++j) {
            int row = threadIdx.x / B_VECTORS + j * B_STEP, m = pixel + row;
            long long at = 0;
            bool inside =
                place >= 0 && m < end && find_tap(it, corner_of(it, pixels[j]), tap.outer, tap.middle, at);
            copies.copy(&stages[stage].b[row][threadIdx.x % B_VECTORS * VECTOR], inside ? x + at + tap.inner : x,
                        inside ? 16 : 0);
            pixels[j].advance(BK, it.rows.out, it.columns.out);
        }
        pixel += BK;
    }
};

// The fragments of one step of the kernels' gradient, from pixel `first` of a stage on: A's rows are the filters.
template <typename TileOf, typename Stage>
__device__ __forceinline__ void read_fragments(const TileOf& tile, const Stage& stage, int first,
                                               unsigned (&a)[TileOf::ROWS][4], unsigned (&b)[TileOf::COLUMNS][2], float,
                                               Exchange*) {
#pragma unroll
    for (int i = 0; i < TileOf::ROWS; ++i)
#pragma unroll
        for (int k = 0; k < 4; ++k)
            a[i][k] = operand(__float_as_uint(stage.a[first + k / 2 * 4 + tile.t][tile.row(i, k % 2)]), 0.0f);
#pragma unroll
    for (int j = 0; j < TileOf::COLUMNS; ++j)
#pragma unroll
        for (int k = 0; k < 2; ++k)
            b[j][k] = operand(__float_as_uint(stage.b[first + k * 4 + tile.t][tile.first_column + 8 * j + tile.g]),
                              0.0f);
}

template <typename TileOf, typename Stage, typename T>
__device__ __forceinline__ void read_fragments(const TileOf& tile, const Stage& stage, int first,
                                               unsigned (&a)[TileOf::ROWS][4], unsigned (&b)[TileOf::COLUMNS][2], T,
                                               Exchange* exchange) {
    const int matrix = threadIdx.x % 32 / 8, row = first + (int)threadIdx.x % 8;
#pragma unroll
    for (int i = 0; i < TileOf::ROWS; ++i) // a0 ... a3: pixels 0-7, filters 0-7; 0-7, 8-15; 8-15, 0-7; 8-15, 8-15
        transposed(a[i], &stage.a[row + matrix / 2 * 8][tile.first_row + 16 * i + matrix % 2 * 8], exchange);
#pragma unroll
    for (int j = 0; j < TileOf::COLUMNS; j += 2) { // b0, b1 of one fragment, b0, b1 of the next
        unsigned words[4];
        transposed(words, &stage.b[row + matrix % 2 * 8][tile.first_column + 8 * j + matrix / 2 * 8], exchange);
        b[j][0] = words[0];
        b[j][1] = words[1];
        b[j + 1][0] = words[2];
        b[j + 1][1] = words[3];
    }
}

// The arguments and the grid of implicit_gemm_weight_grad; K/G and C/G in whole vectors.
// Dynamic shared memory: STAGES x BK x (BM + BN + 16) numbers, BK = 16 (TF32) or 32 pixels.
template <typename T, int BM, int BN, int WM, int WN, int STAGES>
__global__ void __launch_bounds__(WarpTile<BM, BN, WM, WN>::THREADS)
    tensor_core_weight_grad(const T* __restrict__ g, const T* __restrict__ x, float* __restrict__ parts, int chunk,
                            Geometry geometry) {
    STOP_ON_OLD_CHIP;
    typedef WarpTile<BM, BN, WM, WN> TileOf;
    typedef PixelStage<T, BM, BN> Stage;
    extern __shared__ __align__(16) unsigned char shared_bytes[];
    Stage* const stages = (Stage*)shared_bytes;
    __shared__ Exchange exchanges[TileOf::WARPS];
    Exchange* const exchange = exchanges + threadIdx.x / 32;

    const Correlation it = correlation_of(geometry, false, blockIdx.z);
    const int filter_tiles = (it.filters + BM - 1) / BM;
    const int first_filter = blockIdx.x % filter_tiles * BM, first_place = blockIdx.x / filter_tiles * BN;
    const int begin = blockIdx.y * chunk, end = min(it.pixels(), begin + chunk);

    TileOf tile;
    PixelCopies<T, BM, BN, TileOf::THREADS> loader(g, x, it, stages, first_filter, first_place, begin, end);
    run_pipeline<STAGES>(loader, (end - begin + Stage::BK - 1) / Stage::BK, [&](int stage) {
        constexpr int STEP = STEP_WORDS * 4 / sizeof(T);
#pragma unroll
        for (int first = 0; first < Stage::BK; first += STEP) {
            unsigned a[TileOf::ROWS][4], b[TileOf::COLUMNS][2];
            read_fragments(tile, stages[stage], first, a, b, T(), exchange);
            tile.multiply(a, b, T(), exchange);
        }
    });

    const int length = it.length();
#pragma unroll
    for (int i = 0; i < TileOf::ROWS; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int filter = first_filter + tile.row(i, half);
            if (filter >= it.filters) continue;
            long long at = ((long long)blockIdx.y * geometry.K + it.group * it.filters + filter) * length;
#pragma unroll
            for (int j = 0; j < TileOf::COLUMNS; ++j) {
                int place = first_place + tile.column(j);
                write_two(parts + at + place, tile.sums[i][j][2 * half], tile.sums[i][j][2 * half + 1], length - place);
            }
        }
}

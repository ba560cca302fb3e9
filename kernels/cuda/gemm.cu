// Matrix product on the plain arithmetic units: C = A B (+ a bias for every column), for matrices of any strides.
//
// cuBLAS does this better, and is used where it can be. It cannot while a CUDA graph is captured through CuPy, whose
// wrapper sets the library's stream and workspace in ways a capture refuses; then the linear layers run on this kernel.
// The tile, its drawing and its sources are in gemm_tile.cuh; here is only how it is fed.
//
// An element of A is a[m * a_m + k * a_k], one of B is b[k * b_k + n * b_n]: a transposed matrix is the same memory
// with other strides. For coalesced reads the threads beside each other must run along the index whose stride is 1. For
// A that is k or m, for B k or n; ALONG_K_A and ALONG_K_B say which, and are all that is different between A B, A^T B
// and A B^T.
//
// With threads along m (or n) a warp writes a row of shared memory, 32 neighbouring banks. Along k it writes columns of
// a matrix whose rows are 4 numbers longer than the tile: 8 (16) values of k lie 4 banks apart, times 4 (2) rows beside
// each other; no bank is hit twice (with 16 values of k twice).

#include "common.cuh"
#include "gemm_tile.cuh"

// One of the two matrices as a thread sees it: `length` rows (of A) or columns (of B) along `step`, `inner` numbers
// along `inner_step`.
template <typename T, int TILE, int BK, int THREADS, bool ALONG_K> struct Side {
    static constexpr int LOADS = TILE * BK / THREADS;
    static constexpr int FAST = ALONG_K ? BK : TILE;      // how many threads run along the fast index
    static constexpr int STEP = THREADS / FAST;
    static_assert(THREADS % FAST == 0, "a thread keeps its place along the fast index");

    const T* from;
    long long step, inner_step;
    int first, length, inner;
    Wide<T> values[LOADS];

    __device__ __forceinline__ static int along(int i) {
        return ALONG_K ? (int)threadIdx.x / FAST + i * STEP : (int)threadIdx.x % FAST;
    }
    __device__ __forceinline__ static int down(int i) {
        return ALONG_K ? (int)threadIdx.x % FAST : (int)threadIdx.x / FAST + i * STEP;
    }
    __device__ __forceinline__ void fetch(int k) {
#pragma unroll
        for (int i = 0; i < LOADS; ++i) {
            int at = first + along(i), depth = k + down(i);
            bool inside = at < length && depth < inner;
            values[i] = inside ? Wide<T>(from[at * step + depth * inner_step]) : Wide<T>(0);
        }
    }
    template <int PITCH> __device__ __forceinline__ void store(Wide<T> (&piece)[BK][PITCH]) const {
#pragma unroll
        for (int i = 0; i < LOADS; ++i) piece[down(i)][along(i)] = values[i];
    }
};

template <typename T, int BK, typename A, typename B> struct TwoSides {
    A& a;
    B& b;
    int k;
    __device__ __forceinline__ void fetch() {
        a.fetch(k);
        b.fetch(k);
        k += BK;
    }
    template <typename Shared> __device__ __forceinline__ void store(Shared& shared, int stage) const {
        a.store(shared.a[stage]);
        b.store(shared.b[stage]);
    }
};

// How a batch of products lies in memory, all in numbers: A (batch, M, K), B (batch, K, N), C (batch, M, N).
struct Product {
    long long a_batch, a_m, a_k, b_batch, b_k, b_n;
    int M, N, K, unused;
};

// a, b, bias (N,) or null -> c, C-contiguous. Grid: (tiles of rows x tiles of columns, 1, batch).
template <typename T, int BM, int BN, int BK, int TM, int TN, bool ALONG_K_A, bool ALONG_K_B>
__global__ void __launch_bounds__(TileFor<T, BM, BN, BK, TM, TN>::THREADS, TileFor<T, BM, BN, BK, TM, TN>::BLOCKS)
    gemm(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias, T* __restrict__ c, Product it) {
    typedef TileFor<T, BM, BN, BK, TM, TN> TileOf;
    typedef typename TileOf::Shared Pieces;
    __shared__ Pieces pieces;

    const int column_tiles = (it.N + BN - 1) / BN;
    const int first_row = blockIdx.x / column_tiles * BM, first_column = blockIdx.x % column_tiles * BN;
    typedef Side<T, BM, BK, TileOf::THREADS, ALONG_K_A> SideA;
    typedef Side<T, BN, BK, TileOf::THREADS, ALONG_K_B> SideB;
    SideA rows = {a + blockIdx.z * it.a_batch, it.a_m, it.a_k, first_row, it.M, it.K, {}};
    SideB columns = {b + blockIdx.z * it.b_batch, it.b_n, it.b_k, first_column, it.N, it.K, {}};
    TwoSides<T, BK, SideA, SideB> both = {rows, columns, 0};

    TileOf tile;
    tile.run(both, pieces, (it.K + BK - 1) / BK);

#pragma unroll
    for (int i = 0; i < TM; ++i) {
        int m = first_row + TileOf::row(i);
        if (m >= it.M) continue;
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            int n = first_column + TileOf::column(j);
            if (n >= it.N) continue;
            Wide<T> sum = tile.sums[i][j];
            if (bias) sum += Wide<T>(bias[n]);
            c[((long long)blockIdx.z * it.M + m) * it.N + n] = T(sum);
        }
    }
}

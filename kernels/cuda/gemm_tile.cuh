// The heart of every matrix product here that runs on the plain arithmetic units: a tile, and each thread's share of
// it.
//
// A block computes BM x BN elements of  C = A B.  It walks along the inner dimension in steps of BK: it copies a BM x
// BK piece of A and a BK x BN piece of B into shared memory, and there every number is used BN (or BM) times instead of
// being fetched again from device memory. Each thread keeps TM x TN sums in registers: for each of the BK steps it
// reads TM + TN numbers from shared memory and makes TM * TN multiply-adds of them. That ratio is what decides the
// speed, since shared memory delivers 32 numbers a cycle to a multiprocessor that could multiply 128: with 4 x 4 a
// thread reads half a number for one multiply-add, with 8 x 4 three eighths. (8 x 8 would read a quarter, but its 64
// sums leave registers for one block only, or spill.)
//
//            B   n -->
//          +-----------+      A thread's columns are a run of 4, its rows (TM = 8) two runs of 4, half a tile apart:
//        k |    ##     |
//          +-----------+          tx = 0    1    2   ...  15
//     A    |    ||     |               |----|----|----|----|     columns 4 * tx ... 4 * tx + 3
//   +---+  |    ||     |
//   |  #|--|----##     |      Threads beside each other read runs of 16 bytes beside each other: no two of
// m |   |  |           |      them ask the same bank for different words. Were a thread's 8 rows one run of
//   |  #|--|----##     |      32 bytes, every second of them would.
//   +---+  +-----------+
//
// Both pieces lie in shared memory with k as the slow index ([k][m], [k][n]), so that a run is one 16-byte read; rows
// are longer by four numbers than the tile, which spreads the threads that *write* one column over different banks.
//
// There are two copies of the pieces: while one is multiplied, the next one is on its way from device memory (into
// registers first, into shared memory after the multiplication). So one barrier a step is enough: a piece is
// overwritten only when all threads have passed the barrier after its last use.
//
// Sources: V. Volkov, J. Demmel, "Benchmarking GPUs to Tune Dense Linear Algebra" (2008), for the sums in registers; S.
// Boehm, "How to Optimize a CUDA Matmul Kernel for cuBLAS-like Performance" (2022), which builds such a kernel in
// steps.

template <typename Acc, int BM, int BN, int BK, int TM, int TN> struct Tile {
    static constexpr int THREADS = (BM / TM) * (BN / TN);
    static constexpr int A_LOADS = BM * BK / THREADS, B_LOADS = BN * BK / THREADS; // numbers a thread fetches a step
    // So many blocks are to fit on a multiprocessor with its 65536 registers: while one waits, another one multiplies.
    static constexpr int BLOCKS = sizeof(Acc) == 8 ? 1 : 2;
    static constexpr int A_PITCH = BM + 4, B_PITCH = BN + 4;
    static_assert(TM % 4 == 0 && TN % 4 == 0, "runs of four");
    static_assert(BM * BK % THREADS == 0 && BN * BK % THREADS == 0, "every thread fetches the same number");

    struct __align__(16) Shared {
        Acc a[2][BK][A_PITCH];
        Acc b[2][BK][B_PITCH];
    };

    Acc sums[TM][TN];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN; ++j) sums[i][j] = 0;
    }

    // The row of the tile that this thread's sum i belongs to, and the column of its sum j.
    static __device__ __forceinline__ int row(int i) {
        return i / 4 * (BM / (TM / 4)) + (int)threadIdx.x / (BN / TN) * 4 + i % 4;
    }
    static __device__ __forceinline__ int column(int j) {
        return j / 4 * (BN / (TN / 4)) + (int)threadIdx.x % (BN / TN) * 4 + j % 4;
    }

    __device__ __forceinline__ void multiply(const Shared& shared, int stage) {
#pragma unroll
        for (int k = 0; k < BK; ++k) {
            Acc a[TM], b[TN];
#pragma unroll
            for (int i = 0; i < TM; ++i) a[i] = shared.a[stage][k][row(i)];
#pragma unroll
            for (int j = 0; j < TN; ++j) b[j] = shared.b[stage][k][column(j)];
#pragma unroll
            for (int i = 0; i < TM; ++i)
#pragma unroll
                for (int j = 0; j < TN; ++j) sums[i][j] += a[i] * b[j];
        }
    }

    // All steps of the product. `loader` fetches a step into its registers, and puts them into shared memory.
    template <typename Loader> __device__ __forceinline__ void run(Loader& loader, Shared& shared, int steps) {
        clear();
        if (steps > 0) {
            loader.fetch();
            loader.store(shared, 0);
        }
        __syncthreads();
        for (int t = 0; t < steps; ++t) {
            if (t + 1 < steps) loader.fetch();
            multiply(shared, t % 2);
            if (t + 1 < steps) loader.store(shared, (t + 1) % 2);
            __syncthreads();
        }
    }
};

// The tile that multiplies numbers stored as T.
template <typename T, int BM, int BN, int BK, int TM, int TN>
using TileFor = Tile<Wide<T>, BM, BN, BK, TM, TN>;

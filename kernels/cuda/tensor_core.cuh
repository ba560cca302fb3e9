// The two instructions that the tensor-core kernels are built from, and the same thing in plain C++.
//
// mma.sync: a warp multiplies two small matrices that lie spread over its lanes' registers. In 32-bit words, a word
// being one TF32 number or two neighbouring 16-bit numbers, both formats share one picture. Lane = 4 * g + t, g = 0..7,
// t = 0..3:
//
//          A: 16 rows x 8 words           B: 8 words x 8 columns           D: 16 rows x 8 columns, float32
//
//             t = 0 1 2 3 | 0 1 2 3           g = 0 1 2 ... 7                  0 1 | 2 3 | 4 5 | 6 7
//      row g    [  a0   ] | [  a2   ]      t    [  b0     ]            row g    t=0 | t=1 | t=2 | t=3   d0 d1
//      row g+8  [  a1   ] | [  a3   ]      t+4  [  b1     ]            row g+8  t=0 | t=1 | t=2 | t=3   d2 d3
//
//      m16n8k8, TF32: word w of a row is column w.    m16n8k16, 16 bits: word w holds columns 2w (low half) and 2w + 1.
//
// TF32 is float32 with 10 bits of fraction instead of 23: the products are exact, the sums float32. The instruction
// ignores the lower bits; `operand` rounds to nearest first, which halves the error and keeps it free of a bias.
//
// cp.async: copies 16 bytes from device memory to shared memory without passing through registers, and without waiting:
// copies are gathered into groups (commit), and wait<n> returns when all but the n youngest groups of this thread have
// arrived. Bytes beyond `valid` are written as zeros: so the padding of an image, and the rest of a last tile, cost
// nothing.
//
// The portable twins: on a CPU, `multiply_add` exchanges the fragments through shared memory and computes each lane's
// four sums from the picture above; `transposed` does what ldmatrix.trans does, from the very same addresses; and the
// copies are strict: they spoil their destination at once and deliver at the wait, so that both reading too early and
// overwriting too early show. So indexing, tiling and the order of the pipeline are run and proven without a tensor
// core, and only the instructions themselves remain to be tried on a GPU. A chip older than sm_80 has no such
// instructions: there the kernels stop at once (conv_choice.py never picks them).
//
// Sources: NVIDIA, PTX ISA, sections "Matrix Fragments for mma.m16n8k8" and "... mma.m16n8k16 with floating point
// type", "ldmatrix", "cp.async"; S. Markidis et al., "NVIDIA Tensor Core Programmability, Performance & Precision"
// (2018).

#include "common.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define HAS_TENSOR_CORES 1
#else
#define HAS_TENSOR_CORES 0
#endif

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define STOP_ON_OLD_CHIP                                                                                              \
    __trap();                                                                                                         \
    return
#else
#define STOP_ON_OLD_CHIP
#endif

constexpr int STEP_WORDS = 8; // words of A's rows, and of B's columns, that one instruction takes

// What the lanes of a warp exchange in the portable twins; on a chip with tensor cores it is never used and takes no
// room.
struct __align__(16) Exchange {
    unsigned words[32][6];
};

#if HAS_TENSOR_CORES

__device__ __forceinline__ unsigned operand(unsigned word, float) {
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(word)));
    return rounded;
}

__device__ __forceinline__ void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], float,
                                             Exchange*) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], half16,
                                             Exchange*) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], bfloat16,
                                             Exchange*) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices of 16-bit numbers, stored one row of 16 bytes after another at any addresses, each turned over
// its diagonal into one register a lane: lane 4 * g + t gets column g of rows 2t and 2t + 1. Lane i brings the address
// of row i % 8 of matrix i / 8.
__device__ __forceinline__ void transposed(unsigned (&words)[4], const void* row, Exchange*) {
    unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(at)
                 : "memory");
}

struct Copies {
    __device__ __forceinline__ void copy(void* to, const void* from, int valid) {
        unsigned at = (unsigned)__cvta_generic_to_shared(to);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(valid) : "memory");
    }
    __device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
    template <int YOUNGEST> __device__ __forceinline__ void wait() {
        asm volatile("cp.async.wait_group %0;" ::"n"(YOUNGEST) : "memory");
    }
};

#else

__device__ __forceinline__ unsigned operand(unsigned word, float) {
    if ((word & 0x7f800000u) == 0x7f800000u) return word; // infinite, or not a number
    return (word + 0x1000u) & ~0x1fffu;                   // half of the last bit that stays, carried upwards
}

__device__ __forceinline__ float low_part(unsigned word, float) { return __uint_as_float(word); }
__device__ __forceinline__ float high_part(unsigned, float) { return 0; }

template <typename T> __device__ __forceinline__ float low_part(unsigned word, T) {
    T number;
    number.bits = (unsigned short)(word & 0xffffu);
    return Wide<T>(number);
}

template <typename T> __device__ __forceinline__ float high_part(unsigned word, T) {
    T number;
    number.bits = (unsigned short)(word >> 16);
    return Wide<T>(number);
}

template <typename T>
__device__ __forceinline__ void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], T type,
                                             Exchange* warp) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) warp->words[lane][i] = a[i];
    for (int i = 0; i < 2; ++i) warp->words[lane][4 + i] = b[i];
    __syncwarp();
    for (int i = 0; i < 4; ++i) {
        float sum = d[i];
        for (int w = 0; w < STEP_WORDS; ++w) {
            unsigned of_a = warp->words[4 * g + w % 4][w / 4 * 2 + i / 2]; // row g or g + 8, word w
            unsigned of_b = warp->words[4 * (2 * t + i % 2) + w % 4][4 + w / 4]; // word w, column 2t or 2t + 1
            sum += low_part(of_a, type) * low_part(of_b, type);
            sum += high_part(of_a, type) * high_part(of_b, type);
        }
        d[i] = sum;
    }
    __syncwarp();
}

__device__ __forceinline__ void transposed(unsigned (&words)[4], const void* row, Exchange* warp) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    unsigned long long address = (unsigned long long)row;
    warp->words[lane][0] = (unsigned)address;
    warp->words[lane][1] = (unsigned)(address >> 32);
    __syncwarp();
    for (int i = 0; i < 4; ++i) {
        unsigned halves[2];
        for (int j = 0; j < 2; ++j) {
            const unsigned* from = warp->words[8 * i + 2 * t + j];
            halves[j] = ((const unsigned short*)(from[0] | (unsigned long long)from[1] << 32))[g];
        }
        words[i] = halves[0] | halves[1] << 16;
    }
    __syncwarp();
}

struct Copies { // at the latest possible time, and on a spoilt destination
    static constexpr int MOST = 128;
    struct One {
        unsigned char* to;
        const unsigned char* from;
        int valid, group;
    } queue[MOST];
    int begin = 0, end = 0, group = 0;

    __device__ void copy(void* to, const void* from, int valid) {
        One one = {(unsigned char*)to, (const unsigned char*)from, valid, group};
        for (int i = 0; i < 16; ++i) one.to[i] = 0xff; // a NaN in every format
        queue[end++ % MOST] = one;
    }
    __device__ void commit() { ++group; }
    template <int YOUNGEST> __device__ void wait() {
        for (; begin < end && queue[begin % MOST].group < group - YOUNGEST; ++begin) {
            const One& one = queue[begin % MOST];
            for (int i = 0; i < 16; ++i) one.to[i] = i < one.valid ? one.from[i] : 0;
        }
    }
};

#endif

__device__ __forceinline__ unsigned operand(unsigned word, half16) { return word; }
__device__ __forceinline__ unsigned operand(unsigned word, bfloat16) { return word; }

// Which part of a block's tile this warp multiplies, and which of the fragments' places are this lane's.
template <int BM, int BN, int WM, int WN> struct WarpTile {
    static constexpr int WARPS = (BM / WM) * (BN / WN), THREADS = 32 * WARPS;
    static constexpr int ROWS = WM / 16, COLUMNS = WN / 8; // of fragments
    static_assert(WM % 16 == 0 && WN % 16 == 0, "whole fragments, and the second operand's are read two at a time");

    float sums[ROWS][COLUMNS][4];
    int first_row, first_column, g, t;

    __device__ __forceinline__ WarpTile() {
        int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        first_row = warp / (BN / WN) * WM;
        first_column = warp % (BN / WN) * WN;
        g = lane / 4;
        t = lane % 4;
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
                for (int k = 0; k < 4; ++k) sums[i][j][k] = 0;
    }

    // The tile's row of sum 2 * half and its neighbour in fragment row i; the column of the first of the two.
    __device__ __forceinline__ int row(int i, int half) const { return first_row + 16 * i + 8 * half + g; }
    __device__ __forceinline__ int column(int j) const { return first_column + 8 * j + 2 * t; }

    template <typename T>
    __device__ __forceinline__ void multiply(const unsigned (&a)[ROWS][4], const unsigned (&b)[COLUMNS][2], T type,
                                             Exchange* exchange) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) multiply_add(sums[i][j], a[i], b[j], type, exchange);
    }
};

template <typename T> struct __align__(2 * sizeof(T)) Two {
    T first, second;
};

// Two neighbours at once where both are there and lie on an even place.
template <typename T> __device__ __forceinline__ void write_two(T* to, T first, T second, int there) {
    if (there >= 2 && (unsigned long long)to % sizeof(Two<T>) == 0) {
        Two<T> both = {first, second};
        *(Two<T>*)to = both;
    } else {
        if (there >= 1) to[0] = first;
        if (there >= 2) to[1] = second;
    }
}

// The order of the stages, for any pair of pieces. `loader.order(copies, stage)` orders the next step's copies into a
// stage and moves on; `multiply(stage)` uses what has arrived.
template <int STAGES, typename Loader, typename Multiply>
__device__ __forceinline__ void run_pipeline(Loader& loader, int steps, const Multiply& multiply) {
    Copies copies;
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) loader.order(copies, s);
        copies.commit(); // an empty group too, so that the count below is the same for every step
    }
    for (int step = 0; step < steps; ++step) {
        copies.template wait<STAGES - 2>();
        __syncthreads();
        int ahead = step + STAGES - 1;
        if (ahead < steps) loader.order(copies, ahead % STAGES);
        copies.commit();
        multiply(step % STAGES);
    }
}

// Dropout, and random numbers in general. Nobody keeps a mask: forward and backward draw the same words again, from a
// counter (philox.cuh). The counter is (which four elements, which draw), the key the generator's seed.
//
// A thread makes four neighbouring elements of one block of four words. Words are whole numbers below 2^32; an element is
// dropped if its word is below p * 2^32.
#include "common.cuh"
#include "philox.cuh"

// y = x * scale where the word is at least `threshold`, else 0. For the gradient: g in the place of x.
template <typename T>
__global__ void dropout(const T* __restrict__ x, T* __restrict__ y, long long n, unsigned long long threshold,
    Wide<T> scale, unsigned long long seed, unsigned long long draw, const unsigned long long* __restrict__ counter) {
    unsigned long long number = draw_number(draw, counter);
    for (long long four = first_index(); 4 * four < n; four += index_step()) {
        uint4 words = philox(four, number, seed);
        unsigned word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            long long i = 4 * four + k;
            if (i < n) y[i] = word[k] >= threshold ? T(Wide<T>(x[i]) * scale) : T(0);
        }
    }
}

// Uniform on [0, 1): as many upper bits of a word as the type has; two words for a double.
__global__ void uniform_float(float* __restrict__ y, long long n, unsigned long long seed, unsigned long long draw,
    const unsigned long long* __restrict__ counter) {
    unsigned long long number = draw_number(draw, counter);
    for (long long four = first_index(); 4 * four < n; four += index_step()) {
        uint4 words = philox(four, number, seed);
        unsigned word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (4 * four + k < n) y[4 * four + k] = (word[k] >> 8) * (1.0f / 16777216);
    }
}

__global__ void uniform_double(double* __restrict__ y, long long n, unsigned long long seed, unsigned long long draw,
    const unsigned long long* __restrict__ counter) {
    unsigned long long number = draw_number(draw, counter);
    for (long long two = first_index(); 2 * two < n; two += index_step()) {
        uint4 words = philox(two, number, seed);
        unsigned long long word[2] = {(unsigned long long)words.y << 32 | words.x, (unsigned long long)words.w << 32 | words.z};
#pragma unroll
        for (int k = 0; k < 2; ++k)
            if (2 * two + k < n) y[2 * two + k] = (word[k] >> 11) * (1.0 / 9007199254740992);
    }
}

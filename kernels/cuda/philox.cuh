// Philox 4x32-10: random words from a counter. The n-th block of four 32-bit words is a function of n and a key alone, so
// a thread draws what belongs to its place without a state to keep or share, and anybody can draw it again.
//
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (2011), section 4:
// ten rounds, each two products of 64 bits whose halves are exchanged and mixed with the key.

// The words for a counter of 128 bits (here two of 64) and a key of 64.
__device__ __forceinline__ uint4 philox(unsigned long long low, unsigned long long high, unsigned long long key) {
    uint4 c = make_uint4((unsigned)low, (unsigned)(low >> 32), (unsigned)high, (unsigned)(high >> 32));
    unsigned key0 = (unsigned)key, key1 = (unsigned)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
        unsigned high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
        c = make_uint4(high1 ^ c.y ^ key0, low1, high0 ^ c.w ^ key1, low0);
        key0 += 0x9E3779B9u;  // the golden ratio
        key1 += 0xBB67AE85u;  // the root of 3, less 1
    }
    return c;
}

// The number of a draw: one that the launch was given, plus one that lies in device memory if there is such. A captured
// graph repeats its arguments, so what is to differ from run to run has to lie in memory.
__device__ __forceinline__ unsigned long long draw_number(unsigned long long draw, const unsigned long long* counter) {
    return counter ? draw + *counter : draw;
}

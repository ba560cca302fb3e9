// Concatenation along an axis, in one launch for all parts. In memory, everything before the axis is
// `outer` rows; in a row the parts follow each other, each with a width of its own. A block works on one part
// (blockIdx.y), and its threads on neighbouring numbers of it, which are neighbours in the whole too.
#include "common.cuh"
#include "tensors.cuh"

// In `list`, arrays[0] are the parts, sizes[t] is the width of part t, first_block[t] where it begins in a row.
template <typename T>
__global__ void concat(Tensors list, T* __restrict__ whole, long long outer, long long row) {
    int t = blockIdx.y;
    long long width = list.sizes[t], begin = list.first_block[t], total = outer * width;
    const T* part = array_of<T>(list, 0, t);
    for (long long i = first_index(); i < total; i += index_step()) {
        long long at = total >> 32 == 0 ? (unsigned)i / (unsigned)width : i / width;
        long long there = at * row + begin + (i - at * width);
        whole[there] = part[i];
    }
}

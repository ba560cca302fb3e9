// A list of tensors as one argument of a kernel: pointers and sizes, handed over by value (a launch takes 4096 bytes). So
// one launch serves all of a network's parameters, where one for each would wait longer for its start than for memory.
//
// Each tensor is cut into pieces of PIECE numbers, a block takes one: block b works on tensor t, the last with
// first_block[t] <= b.

const int TENSORS = 64, ARRAYS = 6, PIECE = 4096;

struct Tensors {
    void* arrays[ARRAYS][TENSORS];
    long long sizes[TENSORS];
    int first_block[TENSORS];
    int count;
    int unused;
};

// The tensor of this block, and the piece of it from `begin` to below `end`.
__device__ __forceinline__ int piece_of_block(const Tensors& list, long long& begin, long long& end) {
    int low = 0, high = list.count;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (list.first_block[middle] <= (int)blockIdx.x) low = middle;
        else high = middle;
    }
    begin = (long long)((int)blockIdx.x - list.first_block[low]) * PIECE;
    end = min(begin + PIECE, list.sizes[low]);
    return low;
}

template <typename T>
__device__ __forceinline__ T* array_of(const Tensors& list, int which, int tensor) {
    return static_cast<T*>(list.arrays[which][tensor]);
}

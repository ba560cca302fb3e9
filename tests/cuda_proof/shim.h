// The part of CUDA C++ that the kernels use, for a host compiler: a kernel then runs on the CPU, one block at a time.
//
// Each CUDA thread is a fiber, a stack of its own that is left and entered by switching the stack pointer. A thread runs
// until it ends or waits, at __syncthreads() or in a warp's shuffle; then the next thread of its warp gets the processor,
// and the next warp when the whole warp waits for others. When nobody can run, all wait: if they wait at the same barrier
// it opens, otherwise that is a deadlock, reported with the lines. So everything between two barriers happens one thread
// after the other, in an order that the caller picks: forward, reverse or random. A kernel that lacks a barrier reads what
// another thread has not yet written, or has already overwritten, in one of these orders; shared memory holds NaN before
// every block so that it shows.
//
// Found so: wrong indices (with -fsanitize=address), missing and divergent barriers, shuffles that not all lanes reach,
// uninitialised shared memory, integer overflow (-fsanitize=undefined). Not found: two blocks that write to the same
// place without an atomic operation, for blocks run one after the other; nor anything about speed.
// No inline PTX, no tensor cores, no cooperative groups: what uses them keeps a portable twin behind __CUDA_ARCH__.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace shim {

// ---- fibers ----------------------------------------------------------------------------------------------------------

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t stack_size = 256 << 10;  // redzones want room
#else
constexpr size_t stack_size = 64 << 10;
#endif

struct Fiber {
    char* stack;
#if defined(__x86_64__)
    void* pointer;  // its stack pointer while another runs
#else
    ucontext_t context;
#endif
};

static Fiber host;  // the caller's own stack

#if defined(__x86_64__)
// Saves what a function must preserve on the stack that is left, notes where, and continues where the other stopped.
extern "C" void shim_switch(void** leave, void* enter);
asm(R"(
    .text
    .local shim_switch
    .type shim_switch, @function
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size shim_switch, . - shim_switch
)");
static void jump(Fiber& from, Fiber& to) { shim_switch(&from.pointer, to.pointer); }
#else
static void jump(Fiber& from, Fiber& to) { swapcontext(&from.context, &to.context); }
#endif

#if defined(__SANITIZE_ADDRESS__)  // it wants to know which stack is in use
static const void* host_bottom;
static size_t host_size;
static void enter(Fiber& fiber) {
    void* fake;
    __sanitizer_start_switch_fiber(&fake, fiber.stack, stack_size);
    jump(host, fiber);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}
static void leave(Fiber& fiber) {
    void* fake;
    __sanitizer_start_switch_fiber(&fake, host_bottom, host_size);
    jump(fiber, host);
    __sanitizer_finish_switch_fiber(fake, &host_bottom, &host_size);
}
static void arrive() { __sanitizer_finish_switch_fiber(nullptr, &host_bottom, &host_size); }
#else
static void enter(Fiber& fiber) { jump(host, fiber); }
static void leave(Fiber& fiber) { jump(fiber, host); }
static void arrive() {}
#endif

static void fiber_main();

static Fiber* new_fiber() {
    Fiber* fiber = new Fiber;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    fiber->stack = static_cast<char*>(mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, flags, -1, 0));
    mprotect(fiber->stack, 4096, PROT_NONE);  // who needs more stack than this stops here
#if defined(__x86_64__)
    static size_t shift;  // equal addresses in all stacks would share a few lines of the cache
    shift = (shift + 320) % 8192;
    void** top = reinterpret_cast<void**>(fiber->stack + stack_size - 64 - shift / 64 * 64);
    *--top = nullptr;  // there is nobody to return to
    *--top = reinterpret_cast<void*>(&fiber_main);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    fiber->pointer = top;
#else
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = stack_size;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, fiber_main, 0);
#endif
    return fiber;
}

// ---- threads and blocks ----------------------------------------------------------------------------------------------

enum class State : unsigned char { ready, at_barrier, in_warp, finished };

struct Thread {
    uint3 index;
    unsigned lane;
    State state;
    int line;  // where it waits
    Fiber* fiber;
    // What it brings to a warp's exchange, and what it takes from there.
    unsigned mask;
    int source;
    uint64_t given, taken;
    unsigned ballot;
};

static std::vector<Thread> threads;  // of the one block that runs
static std::vector<Fiber*> idle;
static Thread* current;
static uint3 thread_index, block_index;  // copies: kernels read them all the time
static dim3 block_size, grid_size;
static char* dynamic_memory;
static void (*body)(void** args);
static void** arguments;
static char message[512];

static void fiber_main() {
    arrive();
    for (;;) {
        body(arguments);
        current->state = State::finished;
        leave(*current->fiber);
    }
}

static void wait(State state, int line) {
    Thread* self = current;
    self->state = state;
    self->line = line;
    leave(*self->fiber);
}

static void resume(Thread& thread) {
    if (!thread.fiber) {
        if (idle.empty()) idle.push_back(new_fiber());
        thread.fiber = idle.back();
        idle.pop_back();
    }
    current = &thread;
    thread_index = thread.index;
    enter(*thread.fiber);
    if (thread.state == State::finished) {
        idle.push_back(thread.fiber);
        thread.fiber = nullptr;
    }
}

static void barrier(int line) { wait(State::at_barrier, line); }

// ---- shared memory ---------------------------------------------------------------------------------------------------

constexpr size_t arena_size = 1 << 20, gap = 64;
alignas(128) static char arena[arena_size];
static size_t arena_used = gap;

// A place for one __shared__ variable, the same in every block; a gap behind it catches who goes too far.
static size_t reserve(size_t size) {
    size_t place = arena_used;
    arena_used += (size + gap - 1) / gap * gap + gap;
    if (arena_used > arena_size) abort();
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(arena + place + size, arena_used - place - size);
#endif
    memset(arena + place, 0xFF, size);
    return place;
}

static std::vector<std::pair<size_t, size_t>> variables;  // place and size

template <class T>
T* shared_variable(size_t place) {
    return reinterpret_cast<T*>(arena + place);
}

static size_t declare_shared(size_t size) {
    size_t place = reserve(size);
    variables.emplace_back(place, size);
    return place;
}

static void poison(size_t dynamic_size) {  // bytes of ones: a NaN as a number, -1 as an index
    for (auto& [place, size] : variables) memset(arena + place, 0xFF, size);
    if (dynamic_size) memset(dynamic_memory, 0xFF, dynamic_size);
}

// ---- a warp's exchange -----------------------------------------------------------------------------------------------

static Thread* exchange(unsigned mask, uint64_t given, int source, int line) {
    Thread* self = current;
    self->mask = mask, self->given = given, self->source = source, self->line = line;
    self->state = State::in_warp;
    Thread* warp = self - self->lane;
    size_t lanes = threads.data() + threads.size() - warp;
    auto takes_part = [&](unsigned lane) { return mask >> lane & 1; };
    bool complete = takes_part(self->lane);
    for (unsigned lane = 0; lane < 32 && complete; ++lane)
        if (takes_part(lane))
            complete = lane < lanes && warp[lane].state == State::in_warp && warp[lane].mask == mask &&
                       warp[lane].line == line;
    if (!complete) {
        leave(*self->fiber);
        return self;
    }
    unsigned ballot = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (takes_part(lane) && warp[lane].given) ballot |= 1u << lane;
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!takes_part(lane)) continue;
        Thread& thread = warp[lane];
        bool from_other = thread.source >= 0 && takes_part(thread.source);
        thread.taken = from_other ? warp[thread.source].given : thread.given;
        thread.ballot = ballot;
    }
    for (unsigned lane = 0; lane < 32; ++lane)
        if (takes_part(lane)) warp[lane].state = State::ready;
    return self;
}

template <class T>
T shuffle(unsigned mask, T value, int source, int line) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    uint64_t taken = exchange(mask, bits, source, line)->taken;
    memcpy(&value, &taken, sizeof value);
    return value;
}

static int lane_of(int wanted, int width) {  // a lane outside the own group of `width` gives one's own value
    int own = current->lane;
    return wanted >= 0 && wanted / width == own / width ? wanted : own;
}

// ---- a launch --------------------------------------------------------------------------------------------------------

struct Random {
    uint64_t state;
    unsigned below(unsigned n) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return unsigned((state >> 33) % n);
    }
};

static int stuck() {
    size_t barrier = 0, warp = 0, done = 0;
    int barrier_line = 0, warp_line = 0;
    bool elsewhere = false;
    for (Thread& thread : threads) {
        if (thread.state == State::at_barrier) {
            elsewhere |= barrier && thread.line != barrier_line;
            barrier_line = thread.line;
            ++barrier;
        } else if (thread.state == State::in_warp) {
            warp_line = thread.line;
            ++warp;
        } else {
            ++done;
        }
    }
    if (barrier == threads.size() && !elsewhere) {
        for (Thread& thread : threads) thread.state = State::ready;
        return 0;
    }
    const char* reason = elsewhere            ? "threads wait at different __syncthreads()"
                         : !warp              ? "threads have ended that others wait for at __syncthreads()"
                         : barrier || done    ? "not all lanes of a warp reach its shuffle"
                                              : "lanes of a warp wait at different shuffles";
    snprintf(message, sizeof message,
             "%s: block (%u, %u, %u): %zu threads at a barrier (line %d), %zu at a shuffle (line %d), %zu ended", reason,
             block_index.x, block_index.y, block_index.z, barrier, barrier_line, warp, warp_line, done);
    return 1;
}

// A permutation of 0 ... n - 1: as it is, turned round, or shuffled.
static void arrange(std::vector<unsigned>& turns, unsigned n, unsigned in_order, Random& random) {
    turns.resize(n);
    for (unsigned i = 0; i < n; ++i) turns[i] = in_order == 1 ? n - 1 - i : i;
    if (in_order > 1)
        for (unsigned i = n - 1; i > 0; --i) std::swap(turns[i], turns[random.below(i + 1)]);
}

// Let the threads of a warp run until all wait for others: so a warp gets as far ahead of the rest as it may on a GPU. In
// random order it is sometimes interrupted. Returns how many turns there were.
static size_t run_warp(unsigned warp, unsigned in_order, Random& random, size_t& ended) {
    static std::vector<unsigned> lanes;
    unsigned first = warp * 32, count = threads.size() - first < 32 ? threads.size() - first : 32;
    size_t turns = 0;
    arrange(lanes, count, in_order, random);
    for (bool any = true; any && !(in_order > 1 && turns && random.below(4) == 0);) {
        any = false;
        for (unsigned lane : lanes) {
            Thread& thread = threads[first + lane];
            if (thread.state != State::ready) continue;
            any = true;
            ++turns;
            resume(thread);
            ended += thread.state == State::finished;
        }
    }
    return turns;
}

static int run_block(size_t dynamic_size, unsigned in_order, Random& random) {
    static std::vector<unsigned> warps;
    poison(dynamic_size);
    for (Thread& thread : threads) thread.state = State::ready;
    for (size_t ended = 0; ended < threads.size();) {
        size_t turns = 0;
        arrange(warps, unsigned(threads.size() + 31) / 32, in_order, random);
        for (unsigned warp : warps) turns += run_warp(warp, in_order, random, ended);
        if (!turns && stuck()) return 1;
    }
    return 0;
}

// in_order: 0 forward, 1 reverse, anything above random from that seed.
static int launch(void (*function)(void**), void** args, const unsigned* grid, const unsigned* block, size_t dynamic_size,
                  unsigned in_order) {
    message[0] = 0;
    size_t count = size_t(block[0]) * block[1] * block[2];
    bool legal = count && count <= 1024 && block[2] <= 64 && grid[0] && grid[1] && grid[2] && grid[0] <= 0x7fffffff &&
                 grid[1] <= 65535 && grid[2] <= 65535 && dynamic_size <= (227 << 10);
    if (!legal) {
        snprintf(message, sizeof message, "no GPU takes grid (%u, %u, %u), block (%u, %u, %u), %zu bytes of shared memory",
                 grid[0], grid[1], grid[2], block[0], block[1], block[2], dynamic_size);
        return 1;
    }
    body = function, arguments = args;
    grid_size = {grid[0], grid[1], grid[2]}, block_size = {block[0], block[1], block[2]};
    threads.assign(count, Thread{});
    for (unsigned i = 0; i < count; ++i) {
        threads[i].index = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
        threads[i].lane = i % 32;
    }
    Random random{in_order};
    dynamic_memory = dynamic_size ? static_cast<char*>(aligned_alloc(16, (dynamic_size + 15) / 16 * 16)) : nullptr;
    int failed = 0;
    for (unsigned z = 0; z < grid[2] && !failed; ++z)
        for (unsigned y = 0; y < grid[1] && !failed; ++y)
            for (unsigned x = 0; x < grid[0] && !failed; ++x) {
                block_index = {x, y, z};
                failed = run_block(dynamic_size, in_order, random);
            }
    free(dynamic_memory);  // of a failed block the fibers stay where they wait, for good
    return failed;
}

// ---- from a kernel's parameters to untyped arguments -----------------------------------------------------------------

// The code of a type: its kind and size as NumPy writes them, "V" and the size of anything else.
template <class T>
struct Code {
    static void write(char* to) {
        char kind = 'V';
        if (std::is_same<T, bool>::value) kind = 'b';
        else if (std::is_floating_point<T>::value) kind = 'f';
        else if (std::is_integral<T>::value) kind = std::is_signed<T>::value ? 'i' : 'u';
        snprintf(to, 16, "%c%zu", kind, sizeof(T));
    }
};
template <>
struct Code<void> {
    static void write(char* to) { strcpy(to, "any"); }
};
#define SHIM_CODE(type, code)                                  \
    template <>                                                \
    struct shim::Code<type> {                                  \
        static void write(char* to) { strcpy(to, code); }      \
    };
template <class T>
struct Code<const T> : Code<T> {};
template <class T>
struct Code<T*> {
    static void write(char* to) {
        *to = std::is_const<T>::value ? '<' : '*';  // read only, or written
        Code<T>::write(to + 1);
    }
};

template <class... P>
struct Kernel {
    template <void (*function)(P...), size_t... I>
    static void call(void** args, std::index_sequence<I...>) {
        function(*static_cast<P*>(args[I])...);
    }
    static void signature(char* to) {
        *to = 0;
        auto append = [&](void (*write)(char*)) {
            write(to);
            to += strlen(to);
            *to++ = ' ';
            *to = 0;
        };
        (append(&Code<P>::write), ...);
    }
};
template <auto function, class... P>
void call_with(void (*)(P...), void** args) {
    Kernel<P...>::template call<function>(args, std::index_sequence_for<P...>{});
}
template <class... P>
void signature_of(void (*)(P...), char* to) {
    Kernel<P...>::signature(to);
}

}  // namespace shim

#define SHIM_EXPORT(number, ...)                                                                                       \
    extern "C" __attribute__((visibility("default"))) int launch_##number(                                            \
        void** args, const unsigned* grid, const unsigned* block, size_t shared, unsigned order) {                    \
        auto call = [](void** a) { shim::call_with<&__VA_ARGS__>(&__VA_ARGS__, a); };                                 \
        return shim::launch(call, args, grid, block, shared, order);                                                  \
    }                                                                                                                  \
    extern "C" __attribute__((visibility("default"))) void signature_##number(char* to) {                             \
        shim::signature_of(&__VA_ARGS__, to);                                                                         \
    }
extern "C" __attribute__((visibility("default"))) const char* failure() { return shim::message; }

// ---- what CUDA declares ----------------------------------------------------------------------------------------------

#define threadIdx (shim::thread_index)
#define blockIdx (shim::block_index)
#define blockDim (shim::block_size)
#define gridDim (shim::grid_size)
static const int warpSize = 32;

#define __syncthreads() shim::barrier(__LINE__)
#define SHIM_SHUFFLE(mask, value, lane, width, ...) shim::shuffle(mask, value, shim::lane_of(lane, width), __LINE__)
#define SHIM_OWN int(shim::current->lane)
#define SHIM_TO(mask, value, lane, width, ...) \
    SHIM_SHUFFLE(mask, value, SHIM_OWN / (width) * (width) + (lane) % (width), width)
#define SHIM_DOWN(mask, value, by, width, ...) SHIM_SHUFFLE(mask, value, SHIM_OWN + int(by), width)
#define SHIM_UP(mask, value, by, width, ...) SHIM_SHUFFLE(mask, value, SHIM_OWN - int(by), width)
#define SHIM_XOR(mask, value, by, width, ...) SHIM_SHUFFLE(mask, value, SHIM_OWN ^ int(by), width)
#define __shfl_sync(...) SHIM_TO(__VA_ARGS__, 32, 0)
#define __shfl_down_sync(...) SHIM_DOWN(__VA_ARGS__, 32, 0)
#define __shfl_up_sync(...) SHIM_UP(__VA_ARGS__, 32, 0)
#define __shfl_xor_sync(...) SHIM_XOR(__VA_ARGS__, 32, 0)
#define __ballot_sync(mask, predicate) (shim::exchange(mask, (predicate) ? 1 : 0, -1, __LINE__)->ballot)
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0)
#define __all_sync(mask, predicate) (__ballot_sync(mask, predicate) == unsigned(mask))
#define SHIM_SYNCWARP(mask, ...) ((void)shim::exchange(mask, 0, -1, __LINE__))
#define __syncwarp(...) SHIM_SYNCWARP(__VA_ARGS__ __VA_OPT__(, ) 0xffffffffu, 0)
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)

// Threads run one at a time, so that plain operations are atomic here.
template <class T>
static inline T atomicAdd(T* p, std::common_type_t<T> v) { T old = *p; *p = old + v; return old; }
template <class T>
static inline T atomicMax(T* p, std::common_type_t<T> v) { T old = *p; if (v > old) *p = v; return old; }
template <class T>
static inline T atomicMin(T* p, std::common_type_t<T> v) { T old = *p; if (v < old) *p = v; return old; }
template <class T>
static inline T atomicExch(T* p, std::common_type_t<T> v) { T old = *p; *p = v; return old; }
template <class T>
static inline T atomicOr(T* p, std::common_type_t<T> v) { T old = *p; *p = old | v; return old; }
template <class T>
static inline T atomicCAS(T* p, std::common_type_t<T> expected, std::common_type_t<T> v) {
    T old = *p;
    if (old == expected) *p = v;
    return old;
}

template <class T>
static inline T __ldg(const T* p) { return *p; }
static inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }
static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
static inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
template <class A, class B>
static inline std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B>
static inline std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }

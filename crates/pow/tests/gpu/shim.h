// Enough of CUDA to compile the kernels as C++ and to run one thread or one warp of them on a CPU.
//
// A warp is 32 fibers in turns. A lane that shuffles puts its value down and lets the other lanes run until each has done
// the same; a lane that ends while another waits in a shuffle stops the test, since a GPU would wait for it for ever.

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct dim3_x {
    unsigned x;
};
static thread_local dim3_x threadIdx, blockIdx, blockDim;

struct uint4 {
    unsigned x, y, z, w;
};
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return uint4{x, y, z, w}; }
static inline uint4 __ldg(const uint4 *from) { return *from; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline unsigned atomicAdd(unsigned *place, unsigned more) {
    unsigned before = *place;
    *place += more;
    return before;
}

// Byte i of the result is the byte of (b, a) that digit i of the selector names.
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    uint64_t bytes = (uint64_t)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}

static const int LANES = 32;

class Warp {
public:
    // Runs `body` once in each lane, `first_thread` being the block's thread that is lane 0.
    static void run(unsigned first_thread, const std::function<void()> &body) {
        static thread_local Warp warp;
        warp.body = &body;
        for (int lane = 0; lane < LANES; lane++) {
            ucontext_t &context = warp.contexts[lane];
            getcontext(&context);
            context.uc_stack.ss_sp = warp.stacks.data() + lane * STACK_BYTES;
            context.uc_stack.ss_size = STACK_BYTES;
            context.uc_link = nullptr;
            makecontext(&context, enter, 0);
            warp.first_thread = first_thread;
            warp.done[lane] = warp.begun[lane] = false;
            warp.shuffles[lane] = 0;
        }
        current = &warp;
        warp.lane = 0;
        threadIdx.x = first_thread;
        if (!_setjmp(warp.caller)) warp.resume();
    }

    // What lane `source` of this lane's group of `width` put down in the same shuffle.
    static unsigned shuffle(unsigned value, unsigned source, unsigned width) {
        Warp &warp = *current;
        int lane = warp.lane;
        // Two sets of places in turns: no lane can be two shuffles ahead of another.
        unsigned(&places)[LANES] = warp.places[warp.shuffles[lane]++ & 1];
        places[lane] = value;
        warp.next();
        for (int other = 0; other < LANES; other++)
            if (warp.shuffles[other] < warp.shuffles[lane]) fail("lanes differ in their shuffles");
        return places[(lane & ~(width - 1)) | (source & (width - 1))];
    }

private:
    static const size_t STACK_BYTES = 1 << 16;
    static thread_local Warp *current;

    ucontext_t contexts[LANES];
    jmp_buf caller, places_left[LANES];
    std::vector<char> stacks = std::vector<char>(LANES * STACK_BYTES);
    const std::function<void()> *body;
    unsigned first_thread, places[2][LANES], shuffles[LANES];
    bool begun[LANES], done[LANES];
    int lane;

    static void enter() {
        Warp &warp = *current;
        (*warp.body)();
        warp.done[warp.lane] = true;
        if (warp.lane == LANES - 1) {
            for (int lane = 0; lane < LANES; lane++)
                if (!warp.done[lane]) fail("a lane ended before its neighbours");
            _longjmp(warp.caller, 1);
        }
        warp.next();
        fail("a lane ran past its end");
    }

    // Lets the next lane run until it shuffles or ends.
    void next() {
        int from = lane;
        lane = (lane + 1) % LANES;
        threadIdx.x = first_thread + lane;
        if (done[lane]) fail("a lane waits for one that ended");
        if (!_setjmp(places_left[from])) resume();
    }

    // Runs the present lane from where it left off. Jumps, because a switch of contexts takes a system call.
    void resume() {
        if (begun[lane]) _longjmp(places_left[lane], 1);
        begun[lane] = true;
        setcontext(&contexts[lane]);
    }

    [[noreturn]] static void fail(const char *why) {
        fprintf(stderr, "emulated warp: %s\n", why);
        abort();
    }
};
thread_local Warp *Warp::current;

static inline unsigned __shfl_sync(unsigned mask, unsigned value, int source, int width) {
    if (mask != 0xffffffffu) abort();
    return Warp::shuffle(value, (unsigned)source, (unsigned)width);
}

// A stand-in for libcuda: the driver calls that the host side makes, on memory of this process. Its kernels are the .cu
// sources themselves, compiled for this processor, and on one device the PTX that the host side hands over, interpreted. It
// checks what a driver checks and a little more: contexts, bounds, the size of a block. Some devices fail in chosen ways.

#include "ptx.h"
#include "shim.h"

#include <atomic>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <string>

namespace sha256d {
#include "sha256d.cu"
}
namespace ethash {
#include "ethash.cu"
}

namespace {

enum Code {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
};

// What is special about a device.
enum Fault { NONE, INTERPRETED, WRONG_HITS, WRONG_HITS_LATER, TOO_MANY_HITS, WRONG_NODES, LAUNCH };

struct Device {
    const char *name;
    int compute;
    size_t memory_bytes;
    Fault fault;
};

// Names say what a test may expect.
const Device DEVICES[] = {
    {"Emulated", 70, 64 << 20, NONE},
    {"Interpreted", 70, 64 << 20, INTERPRETED},
    {"Emulated, wrong hits", 90, 64 << 20, WRONG_HITS},
    {"Emulated, wrong hits later", 90, 64 << 20, WRONG_HITS_LATER},
    {"Emulated, too many hits", 90, 64 << 20, TOO_MANY_HITS},
    {"Emulated, wrong nodes", 90, 64 << 20, WRONG_NODES},
    {"Emulated, fails to launch", 90, 64 << 20, LAUNCH},
    {"Emulated, too old", 61, 64 << 20, NONE},
    {"Emulated, little memory", 90, 1 << 20, NONE},
};
const int COUNT = sizeof DEVICES / sizeof DEVICES[0];

std::mutex lock;
const char *const KERNELS[] = {"sha256d_search", "ethash_generate", "ethash_search"};
// What a function handle points to: which of the kernels, and its PTX, decoded.
struct Function {
    int kernel;
    ptx::Kernel code;
};

// A loaded module and the functions asked of it.
struct Module {
    std::string text;
    std::list<Function> functions;
};

// Live objects: how often each device's context is retained, memory by address, modules; the latter two with their device.
int contexts[COUNT];
typedef std::map<uint64_t, std::pair<size_t, int>> Memory;
Memory memory;
std::map<Module *, int> modules;
std::atomic<bool> broken{false};
thread_local int current = -1;

// The device range lies in one allocation of the current context.
bool lies_in(const Memory &memory, uint64_t address, size_t bytes) {
    auto after = memory.upper_bound(address);
    if (after == memory.begin()) return false;
    auto found = std::prev(after);
    return found->second.second == current && address - found->first + bytes <= found->second.first;
}

template <typename T> T parameter(void **parameters, int index) {
    T value;
    memcpy(&value, parameters[index], sizeof value);
    return value;
}

template <typename T> T *pointer(void **parameters, int index) { return (T *)parameter<uint64_t>(parameters, index); }

void each_block(unsigned blocks, unsigned threads, const std::function<void()> &block) {
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) block();
}

void each_thread(unsigned blocks, unsigned threads, const std::function<void()> &thread) {
    each_block(blocks, threads, [&] {
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) thread();
    });
}

void each_warp(unsigned blocks, unsigned threads, const std::function<void()> &thread) {
    each_block(blocks, threads, [&] {
        for (unsigned first = 0; first < threads; first += LANES) Warp::run(first, thread);
    });
}

void spoil_hits(unsigned *hits) {
    Fault fault = DEVICES[current].fault;
    if (fault == WRONG_HITS || (fault == WRONG_HITS_LATER && broken)) hits[1] ^= 1;
    if (fault == TOO_MANY_HITS) hits[0] = 0xffffffff;
}

} // namespace

extern "C" {

// For tests: what was taken of a device and not given back, and the moment at which one begins to fail.
int emulated_live_objects(int device) {
    std::lock_guard<std::mutex> guard(lock);
    int live = contexts[device];
    for (auto &one : memory) live += one.second.second == device;
    for (auto &one : modules) live += one.second == device;
    return live;
}
void emulated_break() { broken = true; }

Code cuInit(unsigned) { return SUCCESS; }

Code cuGetErrorString(Code code, const char **text) {
    *text = code == OUT_OF_MEMORY ? "out of memory" : "emulated failure";
    return SUCCESS;
}

Code cuDeviceGetCount(int *count) {
    *count = COUNT;
    return SUCCESS;
}

Code cuDeviceGet(int *device, int index) {
    *device = index;
    return index < COUNT ? SUCCESS : INVALID_DEVICE;
}

Code cuDeviceGetName(char *name, int bytes, int device) {
    snprintf(name, bytes, "%s", DEVICES[device].name);
    return SUCCESS;
}

Code cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = DEVICES[device].memory_bytes;
    return SUCCESS;
}

Code cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 16: *value = 2; return SUCCESS;
    case 36: *value = 1000000; return SUCCESS;
    case 37: *value = 512; return SUCCESS;
    case 75: *value = DEVICES[device].compute / 10; return SUCCESS;
    case 76: *value = DEVICES[device].compute % 10; return SUCCESS;
    default: return INVALID_VALUE;
    }
}

Code cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return SUCCESS; }

Code cuDevicePrimaryCtxRetain(void **context, int device) {
    std::lock_guard<std::mutex> guard(lock);
    contexts[device]++;
    *context = (void *)(intptr_t)(device + 1);
    return SUCCESS;
}

Code cuDevicePrimaryCtxRelease_v2(int device) {
    std::lock_guard<std::mutex> guard(lock);
    return contexts[device]-- > 0 ? SUCCESS : INVALID_CONTEXT;
}

Code cuCtxSetCurrent(void *context) {
    current = (int)(intptr_t)context - 1;
    return SUCCESS;
}

Code cuCtxSynchronize() { return current < 0 ? INVALID_CONTEXT : SUCCESS; }

Code cuModuleLoadData(void **module, const void *image) {
    std::string ptx((const char *)image);
    if (current < 0) return INVALID_CONTEXT;
    if (ptx.find(".target sm_70") == ptx.npos) return INVALID_IMAGE;
    std::lock_guard<std::mutex> guard(lock);
    auto made = new Module{ptx, {}};
    modules[made] = current;
    *module = made;
    return SUCCESS;
}

Code cuModuleUnload(void *module) {
    std::lock_guard<std::mutex> guard(lock);
    if (!modules.erase((Module *)module)) return INVALID_VALUE;
    delete (Module *)module;
    return SUCCESS;
}

Code cuModuleGetFunction(void **function, void *module, const char *name) {
    auto &[text, functions] = *(Module *)module;
    if (text.find(std::string(".visible .entry ") + name + "(") == text.npos) return NOT_FOUND;
    for (int kernel = 0; kernel < 3; kernel++)
        if (!strcmp(KERNELS[kernel], name)) {
            functions.push_back({kernel, ptx::Kernel(text, name)});
            *function = &functions.back();
            return SUCCESS;
        }
    return NOT_FOUND;
}

Code cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
    std::lock_guard<std::mutex> guard(lock);
    if (current < 0) return INVALID_CONTEXT;
    size_t used = 0;
    for (auto &one : memory)
        if (one.second.second == current) used += one.second.first;
    *total_bytes = DEVICES[current].memory_bytes;
    *free_bytes = *total_bytes - used;
    return SUCCESS;
}

Code cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    size_t free_bytes, total_bytes;
    if (bytes == 0) return INVALID_VALUE;
    if (Code code = cuMemGetInfo_v2(&free_bytes, &total_bytes)) return code;
    if (bytes > free_bytes) return OUT_OF_MEMORY;
    void *made = malloc(bytes);
    // A GPU's memory holds whatever was there before.
    memset(made, 0xa5, bytes);
    std::lock_guard<std::mutex> guard(lock);
    memory[*address = (uint64_t)made] = {bytes, current};
    return SUCCESS;
}

Code cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = memory.find(address);
    if (found == memory.end() || found->second.second != current) return INVALID_VALUE;
    memory.erase(found);
    free((void *)address);
    return SUCCESS;
}

Code cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    if (!lies_in(memory, to, bytes)) return INVALID_VALUE;
    memcpy((void *)to, from, bytes);
    return SUCCESS;
}

Code cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    if (!lies_in(memory, from, bytes)) return INVALID_VALUE;
    memcpy(to, (void *)from, bytes);
    return SUCCESS;
}

Code cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    if (!lies_in(memory, to, bytes)) return INVALID_VALUE;
    memset((void *)to, value, bytes);
    return SUCCESS;
}

Code cuLaunchKernel(void *function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads, unsigned threads_y,
                    unsigned threads_z, unsigned shared_bytes, void *stream, void **p, void **extra) {
    if (current < 0) return INVALID_CONTEXT;
    if (!blocks || !threads || threads % LANES || blocks_y * blocks_z * threads_y * threads_z != 1) return INVALID_VALUE;
    if (shared_bytes || stream || extra) return INVALID_VALUE;
    if (DEVICES[current].fault == LAUNCH) return LAUNCH_FAILED;
    Memory now;
    {
        std::lock_guard<std::mutex> guard(lock);
        now = memory;
    }
    auto inside = [&](uint64_t address, size_t bytes) { return lies_in(now, address, bytes); };
    auto &[kernel, code] = *(Function *)function;
    if (DEVICES[current].fault == INTERPRETED) {
        code.run({inside, p, blocks, threads});
        return SUCCESS;
    }
    switch (kernel) {
    case 0: {
        auto params = parameter<sha256d::Sha256dParams>(p, 0);
        auto first = parameter<unsigned>(p, 1), count = parameter<unsigned>(p, 2);
        auto hits = pointer<sha256d::Hits>(p, 3);
        if (threads > 256 || !inside((uint64_t)hits, sizeof *hits)) return INVALID_VALUE;
        each_thread(blocks, threads, [&] { sha256d::sha256d_search(params, first, count, hits); });
        spoil_hits(&hits->count);
        return SUCCESS;
    }
    case 1: {
        auto cache = pointer<uint4>(p, 0), dataset = pointer<uint4>(p, 2);
        auto nodes = parameter<ethash::Divisor>(p, 1);
        auto first = parameter<unsigned>(p, 3), count = parameter<unsigned>(p, 4);
        size_t last = ((size_t)first + count) * 64;
        if (threads > 128 || !inside((uint64_t)cache, (size_t)nodes.divisor * 64) || !inside((uint64_t)dataset, last))
            return INVALID_VALUE;
        each_warp(blocks, threads, [&] { ethash::ethash_generate(cache, nodes, dataset, first, count); });
        if (DEVICES[current].fault == WRONG_NODES) dataset[4 * first].x ^= 1 << 31;
        return SUCCESS;
    }
    case 2: {
        auto dataset = pointer<uint4>(p, 0);
        auto pages = parameter<ethash::Divisor>(p, 1);
        auto params = parameter<ethash::EthashParams>(p, 2);
        auto count = parameter<unsigned>(p, 3);
        auto hits = pointer<ethash::Hits>(p, 4);
        if (threads > 128 || !inside((uint64_t)dataset, (size_t)pages.divisor * 128)) return INVALID_VALUE;
        if (!inside((uint64_t)hits, sizeof *hits)) return INVALID_VALUE;
        each_warp(blocks, threads, [&] { ethash::ethash_search(dataset, pages, params, count, hits); });
        spoil_hits(&hits->count);
        return SUCCESS;
    }
    default: return INVALID_VALUE;
    }
}
}

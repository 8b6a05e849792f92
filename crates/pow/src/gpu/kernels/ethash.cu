// Ethash (EIP-1057's base algorithm, revision 23): the full dataset from the light cache, and the search over it.
//
// Both kernels do one item a thread where the work is Keccak, and let neighbouring lanes of a warp share each item where the
// work is reading memory: four lanes read a 64-byte cache node, eight a 128-byte dataset page, 16 bytes each, so that every
// read is whole sectors side by side. The lanes of a group take turns at their items, several at a time, so that several
// reads are under way in each thread. All lanes of a warp take part in every shuffle: those past the end work along.

typedef unsigned int u32;
typedef unsigned long long u64;

// A divisor of at most 2^31. Same layout as `Divisor` of the host.
struct Divisor {
    u32 divisor;
    // floor(2^32 / divisor), and 2^32 - 1 for a divisor of one.
    u32 inverse;
};

// Same layout as `Hits` of the host. Hits beyond the capacity are counted and not kept.
#define HITS_MAX 1023
struct Hits {
    u32 count;
    u32 offsets[HITS_MAX];
};

// Same layout as `EthashParams` of the host.
struct EthashParams {
    // The work hash, as Keccak lanes.
    u64 work_hash[4];
    // The nonce of offset zero.
    u64 first_nonce;
    // The most significant 64 bits of a value that may meet the target are at most this.
    u64 top_max;
};

#define DATASET_PARENTS 256
#define ACCESSES 64
#define ALL_LANES 0xffffffffu
// Lanes that share a cache node, and a dataset page.
#define NODE_LANES 4
#define PAGE_LANES 8
// Pages that a thread reads side by side.
#define PAGES_TOGETHER 4

__constant__ u64 ROUND_CONSTANTS[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

__device__ __forceinline__ u64 rotl(u64 x, int count) { return (x << count) | (x >> (64 - count)); }

// One round of Keccak-f[1600] (FIPS 202, 3.2), lane (x, y) at x + 5y.
__device__ __forceinline__ void keccak_round(u64 s[25], u64 constant) {
    u64 column[5], moved[25];
#pragma unroll
    for (int x = 0; x < 5; x++) column[x] = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20];
#pragma unroll
    for (int x = 0; x < 5; x++) {
        u64 spread = column[(x + 4) % 5] ^ rotl(column[(x + 1) % 5], 1);
#pragma unroll
        for (int y = 0; y < 25; y += 5) s[x + y] ^= spread;
    }
    moved[0] = s[0];
    moved[10] = rotl(s[1], 1);
    moved[7] = rotl(s[10], 3);
    moved[11] = rotl(s[7], 6);
    moved[17] = rotl(s[11], 10);
    moved[18] = rotl(s[17], 15);
    moved[3] = rotl(s[18], 21);
    moved[5] = rotl(s[3], 28);
    moved[16] = rotl(s[5], 36);
    moved[8] = rotl(s[16], 45);
    moved[21] = rotl(s[8], 55);
    moved[24] = rotl(s[21], 2);
    moved[4] = rotl(s[24], 14);
    moved[15] = rotl(s[4], 27);
    moved[23] = rotl(s[15], 41);
    moved[19] = rotl(s[23], 56);
    moved[13] = rotl(s[19], 8);
    moved[12] = rotl(s[13], 25);
    moved[2] = rotl(s[12], 43);
    moved[20] = rotl(s[2], 62);
    moved[14] = rotl(s[20], 18);
    moved[22] = rotl(s[14], 39);
    moved[9] = rotl(s[22], 61);
    moved[6] = rotl(s[9], 20);
    moved[1] = rotl(s[6], 44);
#pragma unroll
    for (int y = 0; y < 25; y += 5) {
#pragma unroll
        for (int x = 0; x < 5; x++) s[x + y] = moved[x + y] ^ (~moved[(x + 1) % 5 + y] & moved[(x + 2) % 5 + y]);
    }
    s[0] ^= constant;
}

__device__ __forceinline__ void permute(u64 s[25]) {
    // A loop: unrolled, the code would not fit the instruction cache. The last round stands alone, so that the compiler
    // drops what nobody reads of it.
#pragma unroll 1
    for (int i = 0; i < 23; i++) keccak_round(s, ROUND_CONSTANTS[i]);
    keccak_round(s, ROUND_CONSTANTS[23]);
}

// Keccak-512 of 64 bytes, in place.
__device__ __forceinline__ void keccak512_node(u32 node[16]) {
    u64 s[25];
#pragma unroll
    for (int i = 0; i < 25; i++) s[i] = i < 8 ? node[2 * i] | (u64)node[2 * i + 1] << 32 : 0;
    s[8] = 0x8000000000000001;
    permute(s);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        node[2 * i] = (u32)s[i];
        node[2 * i + 1] = (u32)(s[i] >> 32);
    }
}

// Keccak-512 of work hash and nonce: the seed of one proof.
__device__ __forceinline__ void keccak512_seed(const u64 work_hash[4], u64 nonce, u32 seed[16]) {
    u64 s[25];
#pragma unroll
    for (int i = 0; i < 25; i++) s[i] = i < 4 ? work_hash[i] : 0;
    s[4] = nonce;
    s[5] = 1;
    s[8] = 0x8000000000000000;
    permute(s);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        seed[2 * i] = (u32)s[i];
        seed[2 * i + 1] = (u32)(s[i] >> 32);
    }
}

// The first lane of Keccak-256 of seed and mix: the first eight bytes of the value.
__device__ __forceinline__ u64 keccak256_first(const u32 seed[16], const u32 mix[8]) {
    u64 s[25];
#pragma unroll
    for (int i = 0; i < 25; i++) s[i] = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) s[i] = seed[2 * i] | (u64)seed[2 * i + 1] << 32;
#pragma unroll
    for (int i = 0; i < 4; i++) s[8 + i] = mix[2 * i] | (u64)mix[2 * i + 1] << 32;
    s[12] = 1;
    s[16] = 0x8000000000000000;
    permute(s);
    return s[0];
}

__device__ __forceinline__ u32 fnv(u32 a, u32 b) { return a * 0x01000193u ^ b; }

__device__ __forceinline__ void fnv_quad(uint4 &quad, const uint4 &other) {
    quad.x = fnv(quad.x, other.x);
    quad.y = fnv(quad.y, other.y);
    quad.z = fnv(quad.z, other.z);
    quad.w = fnv(quad.w, other.w);
}

// x modulo the divisor. The quotient by multiplication is right or one too small, so that at most one divisor is left over;
// taking it off a remainder that is right already wraps round, and the smaller of the two is kept.
__device__ __forceinline__ u32 remainder_of(const Divisor &by, u32 x) {
    u32 rest = x - __umulhi(x, by.inverse) * by.divisor;
    return min(rest, rest - by.divisor);
}

// Element `i` of a quad, for an `i` that is known when compiling.
__device__ __forceinline__ u32 &element(uint4 &quad, int i) {
    return i == 0 ? quad.x : i == 1 ? quad.y : i == 2 ? quad.z : quad.w;
}

// Quad `mine` of the sixteen words that lane `source` of a group of `width` lanes holds.
__device__ __forceinline__ uint4 gather_quad(u32 words[16], int source, int width, u32 mine) {
    uint4 quad = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (u32 i = 0; i < 16; i++) {
        u32 word = __shfl_sync(ALL_LANES, words[i], source, width);
        if (i / 4 == mine) element(quad, i % 4) = word;
    }
    return quad;
}

// Makes dataset nodes `first` to `first + count - 1`, one a thread; `dataset` is where node 0 lies.
extern "C" __global__ void __launch_bounds__(128)
    ethash_generate(const uint4 *__restrict__ cache, const Divisor cache_nodes, uint4 *dataset, u32 first, u32 count) {
    u32 offset = blockIdx.x * blockDim.x + threadIdx.x;
    u32 index = first + offset;
    u32 lane = threadIdx.x % NODE_LANES;

    u32 node[16];
    const uint4 *parent = cache + (u64)remainder_of(cache_nodes, index) * NODE_LANES;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        uint4 quad = __ldg(parent + i);
#pragma unroll
        for (int j = 0; j < 4; j++) node[4 * i + j] = element(quad, j);
    }
    node[0] ^= index;
    keccak512_node(node);

    // Each lane now takes a quarter of each of the four nodes, which have consecutive indices.
    u32 group_index = index - lane;
    uint4 quads[NODE_LANES];
#pragma unroll
    for (int k = 0; k < NODE_LANES; k++) quads[k] = gather_quad(node, k, NODE_LANES, lane);
#pragma unroll 1
    for (u32 number = 0; number < DATASET_PARENTS; number += 4) {
        // Four parents in a row use the elements of one quad, so that no element is chosen at run time.
        u32 owner = number / 4 % NODE_LANES;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            uint4 read[NODE_LANES];
#pragma unroll
            for (int k = 0; k < NODE_LANES; k++) {
                u32 word = __shfl_sync(ALL_LANES, element(quads[k], j), owner, NODE_LANES);
                u32 from = remainder_of(cache_nodes, fnv((group_index + k) ^ (number + j), word));
                read[k] = __ldg(cache + (u64)from * NODE_LANES + lane);
            }
#pragma unroll
            for (int k = 0; k < NODE_LANES; k++) fnv_quad(quads[k], read[k]);
        }
    }
    // And gives back what it has of the other lanes' nodes.
#pragma unroll
    for (u32 k = 0; k < NODE_LANES; k++) {
#pragma unroll
        for (int i = 0; i < 16; i++) {
            u32 word = __shfl_sync(ALL_LANES, element(quads[k], i % 4), i / 4, NODE_LANES);
            if (lane == k) node[i] = word;
        }
    }
    keccak512_node(node);
    if (offset >= count) return;
    uint4 *place = dataset + (u64)index * NODE_LANES;
#pragma unroll
    for (int i = 0; i < 4; i++) place[i] = make_uint4(node[4 * i], node[4 * i + 1], node[4 * i + 2], node[4 * i + 3]);
}

// Tries the nonces at offsets 0 to `count - 1`, one a thread, and notes the offsets that may be hits.
extern "C" __global__ void __launch_bounds__(128)
    ethash_search(const uint4 *__restrict__ dataset, const Divisor pages, const EthashParams params, u32 count, Hits *hits) {
    u32 offset = blockIdx.x * blockDim.x + threadIdx.x;
    u32 lane = threadIdx.x % PAGE_LANES;

    u32 seed[16], digest[8];
    keccak512_seed(params.work_hash, params.first_nonce + offset, seed);
#pragma unroll 1
    for (u32 turn = 0; turn < PAGE_LANES; turn += PAGES_TOGETHER) {
        // Quad `lane` of each mix, which begins as the seed twice over.
        uint4 mixes[PAGES_TOGETHER];
        u32 heads[PAGES_TOGETHER];
#pragma unroll
        for (int k = 0; k < PAGES_TOGETHER; k++) {
            mixes[k] = gather_quad(seed, turn + k, PAGE_LANES, lane % 4);
            heads[k] = __shfl_sync(ALL_LANES, seed[0], turn + k, PAGE_LANES);
        }
#pragma unroll 1
        for (u32 access = 0; access < ACCESSES; access += 4) {
            // Four accesses in a row use the elements of one quad, so that no element is chosen at run time.
            u32 owner = access / 4 % PAGE_LANES;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                uint4 read[PAGES_TOGETHER];
#pragma unroll
                for (int k = 0; k < PAGES_TOGETHER; k++) {
                    u32 word = __shfl_sync(ALL_LANES, element(mixes[k], j), owner, PAGE_LANES);
                    u32 page = remainder_of(pages, fnv((access + j) ^ heads[k], word));
                    read[k] = __ldg(dataset + (u64)page * PAGE_LANES + lane);
                }
#pragma unroll
                for (int k = 0; k < PAGES_TOGETHER; k++) fnv_quad(mixes[k], read[k]);
            }
        }
#pragma unroll
        for (int k = 0; k < PAGES_TOGETHER; k++) {
            u32 compressed = fnv(fnv(fnv(mixes[k].x, mixes[k].y), mixes[k].z), mixes[k].w);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                u32 word = __shfl_sync(ALL_LANES, compressed, i, PAGE_LANES);
                if (lane == turn + k) digest[i] = word;
            }
        }
    }
    // Values are big-endian, Keccak lanes little-endian.
    u64 first = keccak256_first(seed, digest);
    u64 top = (u64)__byte_perm((u32)first, 0, 0x0123) << 32 | __byte_perm((u32)(first >> 32), 0, 0x0123);
    if (offset < count && top <= params.top_max) {
        u32 slot = atomicAdd(&hits->count, 1u);
        if (slot < HITS_MAX) hits->offsets[slot] = offset;
    }
}

// SHA-256d over the nonces of one 80-byte work header, one nonce a thread.
//
// The host does what does not depend on the nonce (gpu/sha256d.rs): the first 64 bytes, the first four rounds of the second
// block, and the parts of its message schedule that are constant. The kernel stops at the round that settles the value's most
// significant word; nearly every nonce ends there, and the few that pass are hashed again by the host.

typedef unsigned int u32;

// Same layout as `Sha256dParams` of the host.
struct Sha256dParams {
    // State after the first block: what the second block's result is added to.
    u32 midstate[8];
    // State after round 3 of the second block, computed with a nonce of zero.
    u32 start[8];
    // Message words 16 and 17, which no nonce changes.
    u32 word16, word17;
    // Message words 18 and 19 without their terms that hold the nonce.
    u32 part18, part19;
    // The most significant word of a value that may meet the target is at most this.
    u32 top_max;
};

// Same layout as `Hits` of the host. Hits beyond the capacity are counted and not kept.
#define HITS_MAX 1023
struct Hits {
    u32 count;
    u32 offsets[HITS_MAX];
};

// Round constants (FIPS 180-4, 4.2.2).
__device__ constexpr u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// The state before any block (FIPS 180-4, 5.3.3).
__device__ constexpr u32 INITIAL[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

__device__ __forceinline__ u32 rotr(u32 x, int count) { return (x >> count) | (x << (32 - count)); }

__device__ __forceinline__ u32 small_sigma0(u32 x) { return rotr(x, 7) ^ rotr(x, 18) ^ (x >> 3); }
__device__ __forceinline__ u32 small_sigma1(u32 x) { return rotr(x, 17) ^ rotr(x, 19) ^ (x >> 10); }
__device__ __forceinline__ u32 big_sigma0(u32 x) { return rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22); }
__device__ __forceinline__ u32 big_sigma1(u32 x) { return rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25); }

// One round (FIPS 180-4, 6.2.2). `s` is a to h; after unrolling the moves cost nothing.
__device__ __forceinline__ void round_of(u32 s[8], u32 word, u32 constant) {
    u32 choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    u32 majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    u32 t1 = s[7] + big_sigma1(s[4]) + choice + constant + word;
    u32 t2 = big_sigma0(s[0]) + majority;
    s[7] = s[6];
    s[6] = s[5];
    s[5] = s[4];
    s[4] = s[3] + t1;
    s[3] = s[2];
    s[2] = s[1];
    s[1] = s[0];
    s[0] = t1 + t2;
}

// Message word `t` of 16 and more, into the place of word `t - 16`.
__device__ __forceinline__ u32 next_word(u32 w[16], int t) {
    w[t & 15] += small_sigma1(w[(t - 2) & 15]) + w[(t - 7) & 15] + small_sigma0(w[(t - 15) & 15]);
    return w[t & 15];
}

__device__ __forceinline__ u32 swapped(u32 x) { return __byte_perm(x, 0, 0x0123); }

// Rounds 4 to 63 of the header's second block, for the message word that holds the nonce; the result in `out`.
__device__ __forceinline__ void header_hash(const Sha256dParams &params, u32 nonce_word, u32 out[8]) {
    u32 s[8];
#pragma unroll
    for (int i = 0; i < 8; i++) s[i] = params.start[i];
    // In round 3 the nonce is added to T1, and T1 to both of these.
    s[0] += nonce_word;
    s[4] += nonce_word;

    // Words 4 to 15 are padding and length; words 0 to 3 are dead by the time their places are written.
    u32 w[16] = {0, 0, 0, nonce_word, 0x80000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640};
#pragma unroll
    for (int t = 4; t < 16; t++) round_of(s, w[t], K[t]);
    w[0] = params.word16;
    w[1] = params.word17;
    w[2] = params.part18 + small_sigma0(nonce_word);
    w[3] = params.part19 + nonce_word;
#pragma unroll
    for (int t = 16; t < 20; t++) round_of(s, w[t & 15], K[t]);
#pragma unroll
    for (int t = 20; t < 64; t++) round_of(s, next_word(w, t), K[t]);
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = params.midstate[i] + s[i];
}

// The most significant word of the double hash: H of the outer hash, bytes reversed, because values are little-endian.
// H of the last round is E of round 60, so that three rounds are never computed.
__device__ __forceinline__ u32 outer_top(const u32 inner[8]) {
    u32 s[8], w[16];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        s[i] = INITIAL[i];
        w[i] = inner[i];
        w[i + 8] = 0;
    }
    w[8] = 0x80000000;
    w[15] = 256;
#pragma unroll
    for (int t = 0; t < 16; t++) round_of(s, w[t], K[t]);
#pragma unroll
    for (int t = 16; t < 61; t++) round_of(s, next_word(w, t), K[t]);
    return swapped(s[4] + INITIAL[7]);
}

// Tries nonces `first` to `first + count - 1`, wrapping round at 2^32, and notes the offsets from `first` that may be hits.
extern "C" __global__ void __launch_bounds__(256)
    sha256d_search(const Sha256dParams params, u32 first, u32 count, Hits *hits) {
    u32 offset = blockIdx.x * blockDim.x + threadIdx.x;
    if (offset >= count) return;
    u32 inner[8];
    header_hash(params, swapped(first + offset), inner);
    if (outer_top(inner) <= params.top_max) {
        u32 slot = atomicAdd(&hits->count, 1u);
        if (slot < HITS_MAX) hits->offsets[slot] = offset;
    }
}

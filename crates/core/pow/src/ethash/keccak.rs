//! Keccak with its original padding (first pad byte 0x01), which Ethash uses; SHA-3 pads with 0x06.

use super::cache::Node;

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Keccak-256 of any bytes.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    digest::<136, 32>(bytes)
}

/// Keccak-512 of any bytes.
#[must_use]
pub fn keccak512(bytes: &[u8]) -> [u8; 64] {
    digest::<72, 64>(bytes)
}

/// Keccak-512 of a node, in place: one permutation, no byte handling.
#[inline]
pub(super) fn keccak512_node(node: &mut Node) {
    let mut state = [0; 25];
    load(&mut state, &node.0);
    state[8] = 0x8000_0000_0000_0001;
    permute(&mut state);
    store(&state, &mut node.0);
}

/// Keccak-512 of a work hash and a nonce: the seed of hashimoto.
#[inline]
pub(super) fn keccak512_seed(work_hash: &[u8; 32], nonce: u64) -> Node {
    let mut state = [0; 25];
    absorb(&mut state, work_hash);
    state[4] = nonce;
    state[5] = 0x01;
    state[8] = 1 << 63;
    permute(&mut state);
    let mut node = Node([0; 16]);
    store(&state, &mut node.0);
    node
}

/// Keccak-256 of a seed and a compressed mix: the final value of hashimoto.
#[inline]
pub(super) fn keccak256_final(seed: &Node, mix: &[u8; 32]) -> [u8; 32] {
    let mut state = [0; 25];
    load(&mut state, &seed.0);
    for (lane, bytes) in state[8..12].iter_mut().zip(mix.as_chunks().0) {
        *lane = u64::from_le_bytes(*bytes);
    }
    state[12] = 0x01;
    state[16] = 1 << 63;
    permute(&mut state);
    squeeze(&state)
}

fn digest<const RATE: usize, const OUT: usize>(bytes: &[u8]) -> [u8; OUT] {
    let mut state = [0; 25];
    let (blocks, rest) = bytes.as_chunks::<RATE>();
    for block in blocks {
        absorb(&mut state, block);
        permute(&mut state);
    }
    let mut last = [0; RATE];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x01;
    last[RATE - 1] |= 0x80;
    absorb(&mut state, &last);
    permute(&mut state);
    squeeze(&state)
}

fn absorb(state: &mut [u64; 25], bytes: &[u8]) {
    for (lane, bytes) in state.iter_mut().zip(bytes.as_chunks().0) {
        *lane ^= u64::from_le_bytes(*bytes);
    }
}

fn squeeze<const OUT: usize>(state: &[u64; 25]) -> [u8; OUT] {
    let mut out = [0; OUT];
    for (bytes, lane) in out.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = lane.to_le_bytes();
    }
    out
}

#[inline(always)]
fn load(state: &mut [u64; 25], words: &[u32; 16]) {
    for lane in 0..8 {
        state[lane] = u64::from(words[2 * lane]) | (u64::from(words[2 * lane + 1]) << 32);
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "splits a lane into its two halves")]
fn store(state: &[u64; 25], words: &mut [u32; 16]) {
    for lane in 0..8 {
        words[2 * lane] = state[lane] as u32;
        words[2 * lane + 1] = (state[lane] >> 32) as u32;
    }
}

/// Keccak-f[1600].
#[inline]
pub(super) fn permute(state: &mut [u64; 25]) {
    let mut lanes = *state;
    for constant in ROUND_CONSTANTS {
        lanes = round(&lanes, constant);
    }
    *state = lanes;
}

/// One round. Every index is written out, which lets all 25 lanes live in registers and on the stack without a copy: three
/// times as fast as loops over a table of moves, which the tests do.
#[inline(always)]
fn round(a: &[u64; 25], constant: u64) -> [u64; 25] {
    let c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
    let c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    let c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
    let c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    let c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    let d0 = c4 ^ c1.rotate_left(1);
    let d1 = c0 ^ c2.rotate_left(1);
    let d2 = c1 ^ c3.rotate_left(1);
    let d3 = c2 ^ c4.rotate_left(1);
    let d4 = c3 ^ c0.rotate_left(1);
    let b00 = a[0] ^ d0;
    let b01 = (a[6] ^ d1).rotate_left(44);
    let b02 = (a[12] ^ d2).rotate_left(43);
    let b03 = (a[18] ^ d3).rotate_left(21);
    let b04 = (a[24] ^ d4).rotate_left(14);
    let b10 = (a[3] ^ d3).rotate_left(28);
    let b11 = (a[9] ^ d4).rotate_left(20);
    let b12 = (a[10] ^ d0).rotate_left(3);
    let b13 = (a[16] ^ d1).rotate_left(45);
    let b14 = (a[22] ^ d2).rotate_left(61);
    let b20 = (a[1] ^ d1).rotate_left(1);
    let b21 = (a[7] ^ d2).rotate_left(6);
    let b22 = (a[13] ^ d3).rotate_left(25);
    let b23 = (a[19] ^ d4).rotate_left(8);
    let b24 = (a[20] ^ d0).rotate_left(18);
    let b30 = (a[4] ^ d4).rotate_left(27);
    let b31 = (a[5] ^ d0).rotate_left(36);
    let b32 = (a[11] ^ d1).rotate_left(10);
    let b33 = (a[17] ^ d2).rotate_left(15);
    let b34 = (a[23] ^ d3).rotate_left(56);
    let b40 = (a[2] ^ d2).rotate_left(62);
    let b41 = (a[8] ^ d3).rotate_left(55);
    let b42 = (a[14] ^ d4).rotate_left(39);
    let b43 = (a[15] ^ d0).rotate_left(41);
    let b44 = (a[21] ^ d1).rotate_left(2);
    [
        b00 ^ (!b01 & b02) ^ constant,
        b01 ^ (!b02 & b03),
        b02 ^ (!b03 & b04),
        b03 ^ (!b04 & b00),
        b04 ^ (!b00 & b01),
        b10 ^ (!b11 & b12),
        b11 ^ (!b12 & b13),
        b12 ^ (!b13 & b14),
        b13 ^ (!b14 & b10),
        b14 ^ (!b10 & b11),
        b20 ^ (!b21 & b22),
        b21 ^ (!b22 & b23),
        b22 ^ (!b23 & b24),
        b23 ^ (!b24 & b20),
        b24 ^ (!b20 & b21),
        b30 ^ (!b31 & b32),
        b31 ^ (!b32 & b33),
        b32 ^ (!b33 & b34),
        b33 ^ (!b34 & b30),
        b34 ^ (!b30 & b31),
        b40 ^ (!b41 & b42),
        b41 ^ (!b42 & b43),
        b42 ^ (!b43 & b44),
        b43 ^ (!b44 & b40),
        b44 ^ (!b40 & b41),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_nothing() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../vectors/ethash.json")).unwrap();
        assert_eq!(hex::encode(keccak256(&[])), vectors["keccak_empty"]["k256"].as_str().unwrap());
        assert_eq!(hex::encode(keccak512(&[])), vectors["keccak_empty"]["k512"].as_str().unwrap());
    }

    #[test]
    fn a_rate_sized_message_pads_into_a_block_of_its_own() {
        // The Ethereum address of private key 1 is the tail of this digest: an independent check of a 64-byte message.
        let public_key = hex::decode(concat!(
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
        ))
        .unwrap();
        assert_eq!(hex::encode(&keccak256(&public_key)[12..]), "7e5f4552091a69125d5dfcb7b8c2659029395bdf");
        // One byte over and under a block boundary must all differ and must equal absorbing by hand.
        for len in [71, 72, 73, 135, 136, 137] {
            let message = vec![0x5a; len];
            let mut state = [0; 25];
            let mut padded = message.clone();
            padded.push(1);
            padded.resize(padded.len().div_ceil(136) * 136, 0);
            *padded.last_mut().unwrap() |= 0x80;
            for block in padded.chunks(136) {
                absorb(&mut state, block);
                permute(&mut state);
            }
            assert_eq!(keccak256(&message), squeeze::<32>(&state));
        }
    }

    #[test]
    fn fixed_length_forms_equal_the_general_one() {
        let mut word = 0x9e37_79b9_u32;
        let node = Node(std::array::from_fn(|_| {
            word = word.wrapping_mul(0x0100_0193);
            word
        }));
        let mut hashed = node;
        keccak512_node(&mut hashed);
        assert_eq!(hashed.to_bytes(), keccak512(&node.to_bytes()));
        let work_hash = [0xab; 32];
        let nonce = 0x0123_4567_89ab_cdef;
        let seed = keccak512_seed(&work_hash, nonce);
        assert_eq!(seed.to_bytes(), keccak512(&[work_hash.as_slice(), &nonce.to_le_bytes()].concat()));
        let mix = [0x77; 32];
        assert_eq!(keccak256_final(&seed, &mix), keccak256(&[seed.to_bytes().as_slice(), &mix].concat()));
    }

    /// One round as the standard tells it: theta, then rho and pi along the path of lane (1, 0), then chi and iota.
    fn model_round(state: &[u64; 25], constant: u64) -> [u64; 25] {
        let column = |x: usize| (0..5).fold(0, |sum, y| sum ^ state[x % 5 + 5 * y]);
        let spread = |lane: usize| state[lane] ^ column(lane + 4) ^ column(lane % 5 + 1).rotate_left(1);
        let mut moved = [0; 25];
        moved[0] = spread(0);
        let (mut x, mut y, mut rotation) = (1, 0, 0);
        for step in 1..=24 {
            rotation += step;
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = spread(x + 5 * y).rotate_left(rotation % 64);
            (x, y) = (y, (2 * x + 3 * y) % 5);
        }
        let mut next: [u64; 25] = std::array::from_fn(|lane| {
            let row = lane - lane % 5;
            moved[lane] ^ (!moved[row + (lane + 1) % 5] & moved[row + (lane + 2) % 5])
        });
        next[0] ^= constant;
        next
    }

    proptest::proptest! {
        #[test]
        fn a_round_equals_the_model(state in proptest::array::uniform25(proptest::num::u64::ANY), constant: u64) {
            proptest::prop_assert_eq!(round(&state, constant), model_round(&state, constant));
        }
    }
}

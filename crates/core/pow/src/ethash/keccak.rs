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

/// Lane `x + 5y` moves to `MOVES[x + 5y].0` after a rotation by `MOVES[x + 5y].1` (steps rho and pi).
const MOVES: [(usize, u32); 25] = moves();

const fn moves() -> [(usize, u32); 25] {
    let mut moves = [(0, 0); 25];
    let (mut x, mut y, mut step, mut rotation) = (1, 0, 0, 0);
    while step < 24 {
        rotation += step + 1;
        moves[x + 5 * y] = (y + 5 * ((2 * x + 3 * y) % 5), rotation % 64);
        (x, y) = (y, (2 * x + 3 * y) % 5);
        step += 1;
    }
    moves
}

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
    for constant in ROUND_CONSTANTS {
        let column: [u64; 5] =
            std::array::from_fn(|x| state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]);
        let spread: [u64; 5] = std::array::from_fn(|x| column[(x + 4) % 5] ^ column[(x + 1) % 5].rotate_left(1));
        let mut moved = [0; 25];
        // Constant bounds: unrolled, so that `MOVES` and the remainders become constants of each lane.
        for lane in 0..25 {
            let (to, rotation) = MOVES[lane];
            moved[to] = (state[lane] ^ spread[lane % 5]).rotate_left(rotation);
        }
        for row in 0..5 {
            for x in 0..5 {
                state[5 * row + x] =
                    moved[5 * row + x] ^ (!moved[5 * row + (x + 1) % 5] & moved[5 * row + (x + 2) % 5]);
            }
        }
        state[0] ^= constant;
    }
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
        let node = Node(std::array::from_fn(|i| 0x9e37_79b9_u32.wrapping_mul(i as u32 + 1)));
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
}

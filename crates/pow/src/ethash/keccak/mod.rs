//! Keccak with its original padding (first pad byte 0x01), which Ethash uses; SHA-3 pads with 0x06.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod round;
mod scalar;
mod wide;

use self::{
    scalar::permute_one,
    wide::{STATES, States},
};
use super::{cache::Node, lockstep::EthashTask};

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
    let mut state = node_state(node);
    permute_one(&mut state);
    *node = first_lanes(&state);
}

/// As [`keccak512_node`] for many: eight side by side.
pub(super) fn keccak512_nodes(nodes: &mut [Node]) {
    for group in nodes.chunks_mut(STATES) {
        let mut states = States::of(group.iter().map(node_state));
        states.permute();
        for (index, node) in group.iter_mut().enumerate() {
            *node = first_lanes(&states.state(index));
        }
    }
}

/// Keccak-512 of a work hash and a nonce: the seed of hashimoto.
pub(super) fn keccak512_seed(work_hash: &[u8; 32], nonce: u64) -> Node {
    let mut state = seed_state(work_hash, nonce);
    permute_one(&mut state);
    first_lanes(&state)
}

/// As [`keccak512_seed`] for many, eight side by side, into as many `seeds`.
pub(super) fn keccak512_seeds(tasks: &[EthashTask], seeds: &mut [Node]) {
    for (group, seeds) in tasks.chunks(STATES).zip(seeds.chunks_mut(STATES)) {
        let mut states = States::of(group.iter().map(|task| seed_state(&task.work_hash.0, task.nonce)));
        states.permute();
        for (index, seed) in seeds.iter_mut().enumerate() {
            *seed = first_lanes(&states.state(index));
        }
    }
}

/// Keccak-256 of a seed and a compressed mix: the final value of hashimoto.
pub(super) fn keccak256_final(seed: &Node, mix: &[u8; 32]) -> [u8; 32] {
    let mut state = final_state(seed, mix);
    permute_one(&mut state);
    squeeze(&state)
}

/// As [`keccak256_final`] for many, eight side by side, into as many `values`.
pub(super) fn keccak256_finals(seeds: &[Node], mixes: &[[u8; 32]], values: &mut [[u8; 32]]) {
    let inputs = seeds.chunks(STATES).zip(mixes.chunks(STATES));
    for ((seeds, mixes), values) in inputs.zip(values.chunks_mut(STATES)) {
        let mut states = States::of(seeds.iter().zip(mixes).map(|(seed, mix)| final_state(seed, mix)));
        states.permute();
        for (index, value) in values.iter_mut().enumerate() {
            *value = squeeze(&states.state(index));
        }
    }
}

fn node_state(node: &Node) -> [u64; 25] {
    let mut state = [0; 25];
    state[..8].copy_from_slice(&node.lanes());
    state[8] = 0x8000_0000_0000_0001;
    state
}

fn seed_state(work_hash: &[u8; 32], nonce: u64) -> [u64; 25] {
    let mut state = [0; 25];
    absorb(&mut state, work_hash);
    state[4] = nonce;
    state[5] = 0x01;
    state[8] = 1 << 63;
    state
}

fn final_state(seed: &Node, mix: &[u8; 32]) -> [u64; 25] {
    let mut state = [0; 25];
    state[..8].copy_from_slice(&seed.lanes());
    absorb(&mut state[8..12], mix);
    state[12] = 0x01;
    state[16] = 1 << 63;
    state
}

fn first_lanes(state: &[u64; 25]) -> Node {
    Node::from_lanes(std::array::from_fn(|lane| state[lane]))
}

fn digest<const RATE: usize, const OUT: usize>(bytes: &[u8]) -> [u8; OUT] {
    let mut state = [0; 25];
    let (blocks, rest) = bytes.as_chunks::<RATE>();
    for block in blocks {
        absorb(&mut state, block);
        permute_one(&mut state);
    }
    let mut last = [0; RATE];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x01;
    last[RATE - 1] |= 0x80;
    absorb(&mut state, &last);
    permute_one(&mut state);
    squeeze(&state)
}

fn absorb(state: &mut [u64], bytes: &[u8]) {
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
                permute_one(&mut state);
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
}

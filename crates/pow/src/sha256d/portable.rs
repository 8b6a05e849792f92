use sha2::block_api::compress256;

use super::{INITIAL, work::SearchParts};

/// One block of SHA-256 (FIPS 180-4, 6.2), its words in order.
pub(super) fn compress(state: &mut [u32; 8], words: &[u32; 16]) {
    let mut block = [0; 64];
    for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
    compress256(state, &[block]);
}

/// Appends the nonces among `first..first + count` whose hash may meet the target.
pub(super) fn search(parts: &SearchParts, first: u32, count: u32, candidates: &mut Vec<u32>) {
    let [root, time, bits] = parts.tail;
    let mut inner = [0; 16];
    (inner[0], inner[1], inner[2]) = (root, time, bits);
    (inner[4], inner[15]) = (0x8000_0000, 640);
    let mut outer = [0; 16];
    (outer[8], outer[15]) = (0x8000_0000, 256);
    for step in 0..count {
        let nonce = first.wrapping_add(step);
        inner[3] = nonce.swap_bytes();
        let mut state = parts.midstate;
        compress(&mut state, &inner);
        outer[..8].copy_from_slice(&state);
        let mut state = INITIAL;
        compress(&mut state, &outer);
        if state[7].swap_bytes() <= parts.top_max {
            candidates.push(nonce);
        }
    }
}

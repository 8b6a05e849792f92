use std::sync::Arc;

use super::{
    GpuError,
    driver::{Context, Kernel, Module, parameter},
    hits::HitBuffer,
};
use crate::sha256d::{K, SearchParts};

pub(super) const PTX: &str = include_str!("kernels/sha256d.ptx");

/// What the kernel needs of one work header and target: all that does not depend on the nonce. Same layout as
/// `Sha256dParams` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Sha256dParams {
    midstate: [u32; 8],
    /// State after round 3 of the second block, computed with a nonce of zero.
    start: [u32; 8],
    word16: u32,
    word17: u32,
    /// Message words 18 and 19 without their terms that hold the nonce.
    part18: u32,
    part19: u32,
    top_max: u32,
}

impl Sha256dParams {
    pub(super) fn of(parts: &SearchParts) -> Self {
        let [root, time, bits] = parts.tail;
        let start = [root, time, bits, 0].into_iter().zip(K).fold(parts.midstate, round);
        // Words 4 and 15 are the padding's first bit and the header's length in bits; those between are zero.
        let word16 = root.wrapping_add(sigma0(time));
        let word17 = time.wrapping_add(sigma0(bits)).wrapping_add(sigma1(640));
        Self {
            midstate: parts.midstate,
            start,
            word16,
            word17,
            part18: bits.wrapping_add(sigma1(word16)),
            part19: sigma0(0x8000_0000).wrapping_add(sigma1(word17)),
            top_max: parts.top_max,
        }
    }
}

/// The search kernel on one device.
#[derive(Debug)]
pub(super) struct Sha256dSearch {
    kernel: Kernel,
}

impl Sha256dSearch {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, GpuError> {
        let module = Module::load(context, PTX)?;
        Ok(Self { kernel: Kernel::new(&module, "sha256d_search", 256)? })
    }

    /// The nonces among `first..first + count` whose value may meet the target, as offsets from `first`, in order.
    pub(super) fn candidates(
        &self,
        parts: &SearchParts,
        first: u32,
        count: u32,
        hits: &HitBuffer,
    ) -> Result<Vec<u32>, GpuError> {
        let params = Sha256dParams::of(parts);
        hits.collect(count, |start, length| {
            let (first, hits) = (first.wrapping_add(start), hits.address());
            let mut parameters = [parameter(&params), parameter(&first), parameter(&length), parameter(&hits)];
            // SAFETY: the kernel's parameters by type and order, which a test compares with the PTX; it writes to its list of
            // hits only, and checks the list's end.
            unsafe { self.kernel.launch(length, &mut parameters) }
        })
    }
}

/// One round of SHA-256 (FIPS 180-4, 6.2.2).
fn round([a, b, c, d, e, f, g, h]: [u32; 8], (word, constant): (u32, u32)) -> [u32; 8] {
    let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = (e & f) ^ (!e & g);
    let t1 = [sum1, choice, constant, word].into_iter().fold(h, u32::wrapping_add);
    let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    [t1.wrapping_add(sum0).wrapping_add(majority), a, b, c, d.wrapping_add(t1), e, f, g]
}

const fn sigma0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

const fn sigma1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

#[cfg(test)]
mod tests {
    use bq_primitives::{Target, double_sha256};

    use super::*;

    /// Does the kernel's part in the plainest way.
    fn finished(params: &Sha256dParams, nonce: u32) -> [u8; 32] {
        let word = nonce.swap_bytes();
        let mut words = vec![0; 64];
        (words[3], words[4], words[15]) = (word, 0x8000_0000, 640);
        (words[16], words[17]) = (params.word16, params.word17);
        words[18] = params.part18.wrapping_add(sigma0(word));
        words[19] = params.part19.wrapping_add(word);
        for t in 20..64 {
            let terms = [sigma1(words[t - 2]), words[t - 7], sigma0(words[t - 15]), words[t - 16]];
            words[t] = terms.into_iter().fold(0, u32::wrapping_add);
        }
        let mut start = params.start;
        start[0] = start[0].wrapping_add(word);
        start[4] = start[4].wrapping_add(word);
        let state = words.into_iter().zip(K).skip(4).fold(start, round);
        let inner: Vec<u8> =
            state.iter().zip(params.midstate).flat_map(|(a, b)| a.wrapping_add(b).to_be_bytes()).collect();
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(inner)).into()
    }

    proptest::proptest! {
        #[test]
        fn what_the_host_does_ahead_leads_to_the_hash(
            header in proptest::collection::vec(proptest::num::u8::ANY, 80), nonce: u32,
        ) {
            let mut header: [u8; 80] = header.try_into().unwrap();
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            let params = Sha256dParams::of(&SearchParts::of(&header, Target::MAX));
            proptest::prop_assert_eq!(finished(&params, nonce), double_sha256(&header));
        }
    }
}

use bq_primitives::{Algorithm, PowHash, PowValue, Target};

use super::{INITIAL, Sha256dKernel, portable, sha256d};

/// What stays the same while nonces are tried: the state after the first 64 bytes of the work header, and the rest of it.
#[derive(Clone, Debug)]
pub struct Sha256dWork {
    header: [u8; 80],
    target: Target,
    parts: SearchParts,
    kernel: Sha256dKernel,
}

/// The part of the work that kernels use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchParts {
    /// State after the first block.
    pub(crate) midstate: [u32; 8],
    /// Words 16 to 18 of the header: end of the root, time, bits.
    pub(crate) tail: [u32; 3],
    /// The target's most significant 32 bits: a necessary condition that drops nearly every nonce.
    pub(crate) top_max: u32,
}

impl SearchParts {
    pub(crate) fn of(header: &[u8; 80], target: Target) -> Self {
        let mut words = [0; 20];
        for (word, bytes) in words.iter_mut().zip(header.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let mut midstate = INITIAL;
        portable::compress(&mut midstate, &std::array::from_fn(|i| words[i]));
        let top = target.0 >> 224_usize;
        Self { midstate, tail: [words[16], words[17], words[18]], top_max: u32::try_from(top).unwrap_or(u32::MAX) }
    }

    /// What every kernel tests of a value.
    pub(crate) const fn may_meet(&self, value: &PowHash) -> bool {
        let [.., b0, b1, b2, b3] = value.0;
        u32::from_le_bytes([b0, b1, b2, b3]) <= self.top_max
    }
}

impl Sha256dWork {
    /// Prepares a search over the nonce in the last four bytes of `header`, whose present value does not matter, with the
    /// kernel that is fastest on most processors.
    #[must_use]
    pub fn new(header: &[u8; 80], target: Target) -> Self {
        Self::with_kernel(header, target, Sha256dKernel::detect())
    }

    /// As [`Sha256dWork::new`] with a kernel of the caller's choice; one that this CPU cannot run is replaced by the portable one.
    #[must_use]
    pub fn with_kernel(header: &[u8; 80], target: Target, kernel: Sha256dKernel) -> Self {
        let kernel = if kernel.is_supported() { kernel } else { Sha256dKernel::Portable };
        let parts = SearchParts::of(header, target);
        Self { header: *header, target, parts, kernel }
    }

    /// The kernel in use.
    #[must_use]
    pub const fn kernel(&self) -> Sha256dKernel {
        self.kernel
    }

    pub(crate) const fn parts(&self) -> &SearchParts {
        &self.parts
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Tries `count` nonces from `first` on, wrapping round at 2^32, and returns those that meet the target, in order.
    #[must_use]
    pub fn search(&self, first: u32, count: u32) -> Vec<(u32, PowHash)> {
        let mut candidates = Vec::new();
        self.kernel.search(&self.parts, first, count, &mut candidates);
        candidates
            .into_iter()
            .map(|nonce| (nonce, self.hash(nonce)))
            .filter(|(_, hash)| PowValue::of(Algorithm::Sha256d, hash).meets(&self.target))
            .collect()
    }

    /// The value of one nonce.
    #[must_use]
    pub fn hash(&self, nonce: u32) -> PowHash {
        let mut header = self.header;
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        sha256d(&header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::U256;
    use proptest::prelude::*;

    fn model(header: &[u8; 80], target: Target, first: u32, count: u32) -> Vec<(u32, PowHash)> {
        (0..count)
            .map(|i| {
                let nonce = first.wrapping_add(i);
                let mut header = *header;
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                (nonce, sha256d(&header))
            })
            .filter(|(_, hash)| PowValue::of(Algorithm::Sha256d, hash).meets(&target))
            .collect()
    }

    fn header() -> impl Strategy<Value = [u8; 80]> {
        proptest::collection::vec(any::<u8>(), 80).prop_map(|bytes| bytes.try_into().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_kernel_finds_what_the_model_finds(
            header in header(), first in any::<u32>(), count in 0..300_u32, shift in 0..9_usize, noise in any::<u64>(),
        ) {
            // Easy targets, so that there are hits and near misses in every run.
            let target = Target((U256::MAX >> shift) - (U256::from(noise) << 180));
            let expected = model(&header, target, first, count);
            for kernel in Sha256dKernel::supported() {
                let work = Sha256dWork::with_kernel(&header, target, kernel);
                prop_assert_eq!(work.kernel(), kernel);
                prop_assert_eq!(work.search(first, count), expected.clone());
            }
        }
    }

    #[test]
    fn the_nonce_wraps_round() {
        for kernel in Sha256dKernel::supported() {
            let work = Sha256dWork::with_kernel(&[9; 80], Target::MAX, kernel);
            let nonces: Vec<u32> = work.search(u32::MAX - 2, 7).into_iter().map(|hit| hit.0).collect();
            assert_eq!(nonces, [u32::MAX - 2, u32::MAX - 1, u32::MAX, 0, 1, 2, 3]);
        }
    }

    /// Every lane of every batch, the first and the last one of a search, and the one past its end.
    #[test]
    fn a_hit_is_found_wherever_it_lies_and_not_past_the_end() {
        let bits = bq_primitives::CompactTarget(0x1f00_ffff);
        let header = [0x5a; 80];
        let easiest = Sha256dWork::with_kernel(&header, bits.decode().unwrap(), Sha256dKernel::Portable);
        let (nonce, value) = easiest.search(1000, 1 << 20)[0];
        // Only this nonce and none of its neighbours.
        let target = Target(U256::from_le_bytes(value.0));
        for kernel in Sha256dKernel::supported() {
            let work = Sha256dWork::with_kernel(&header, target, kernel);
            assert_eq!(work.kernel(), kernel);
            for place in 0..50 {
                let first = nonce - place;
                assert_eq!(work.search(first, place), [], "{kernel:?}, {place} nonces");
                for more in [1, 2, 7, 40] {
                    assert_eq!(
                        work.search(first, place + more),
                        [(nonce, value)],
                        "{kernel:?}, {place} + {more} nonces"
                    );
                }
            }
        }
    }

    #[test]
    fn a_kernel_that_cannot_run_is_replaced() {
        for kernel in Sha256dKernel::ALL {
            let expected = if kernel.is_supported() { kernel } else { Sha256dKernel::Portable };
            assert_eq!(Sha256dWork::with_kernel(&[1; 80], Target::MAX, kernel).kernel(), expected);
        }
    }

    #[test]
    fn bitcoin_headers_of_the_vectors_are_found_again() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../vectors/bitcoin_headers.json")).unwrap();
        let cases = vectors["headers"].as_array().unwrap();
        assert_eq!(cases.len(), 33);
        for case in cases {
            let header: [u8; 80] = hex::decode(case["header"].as_str().unwrap()).unwrap().try_into().unwrap();
            let nonce = u32::from_le_bytes(header[76..].try_into().unwrap());
            let bits = bq_primitives::CompactTarget(u32::from_le_bytes(header[72..76].try_into().unwrap()));
            for kernel in Sha256dKernel::supported() {
                let work = Sha256dWork::with_kernel(&header, bits.decode().unwrap(), kernel);
                let hits = work.search(nonce.wrapping_sub(501), 1003);
                assert_eq!(hits, [(nonce, sha256d(&header))]);
            }
        }
    }
}

use bq_primitives::{Target, double_sha256};

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, sha_ni};
use super::{portable, work::SearchParts};

/// The code that searches. All of them find the same nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sha256dKernel {
    /// One nonce at a time; runs everywhere.
    Portable,
    /// Eight nonces in the lanes of AVX2.
    Avx2,
    /// Six nonces interleaved on the SHA extensions of x86-64.
    ShaNi,
    /// Sixteen nonces in the lanes of AVX-512.
    Avx512,
}

/// Why a kernel must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Sha256dKernelError {
    /// The processor or its operating system lacks the instructions.
    #[error("this machine lacks the instructions of the SHA-256d kernel {}", .0.name())]
    Unsupported(Sha256dKernel),
    /// It fails its self-test: processor, compiler or kernel is faulty.
    #[error("the SHA-256d kernel {} computes wrongly: next hit is {got:?}, expected {expected:?}", .kernel.name())]
    Wrong {
        /// Which one.
        kernel: Sha256dKernel,
        /// The nonce that it found where it first went wrong; nothing if it ended there.
        got: Option<u32>,
        /// The nonce that it had to find, by the reference.
        expected: Option<u32>,
    },
}

/// What a kernel does: appends the nonces among `first..first + count` whose hash may meet the target.
type Search = fn(&SearchParts, u32, u32, &mut Vec<u32>);

impl Sha256dKernel {
    /// Every kernel there is.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::ShaNi, Self::Avx512];

    /// Those that this CPU can run.
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kernel| kernel.is_supported())
    }

    /// This CPU can run it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => sha_ni::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_supported(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::ShaNi | Self::Avx512 => false,
        }
    }

    /// A good kernel for this CPU, chosen without a clock. Which is the fastest differs between processors that can run the
    /// same ones, so who has a clock should measure.
    #[must_use]
    pub fn detect() -> Self {
        let preferred = [Self::ShaNi, Self::Avx512, Self::Avx2];
        preferred.into_iter().find(|kernel| kernel.is_supported()).unwrap_or(Self::Portable)
    }

    /// The name shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::ShaNi => "sha-ni",
            Self::Avx512 => "avx512",
        }
    }

    /// Compares what the kernel finds among a thousand fixed nonces with one plain hash each, for four targets. Takes less than
    /// a millisecond.
    ///
    /// # Errors
    /// [`Sha256dKernelError`]: it must not be used.
    pub fn self_test(self) -> Result<(), Sha256dKernelError> {
        if self.is_supported() { check(self, self.search_fn()) } else { Err(Sha256dKernelError::Unsupported(self)) }
    }

    pub(crate) fn search(self, parts: &SearchParts, first: u32, count: u32, candidates: &mut Vec<u32>) {
        self.search_fn()(parts, first, count, candidates);
    }

    /// The kernel's code; on a CPU that cannot run it, it does the portable one's work.
    fn search_fn(self) -> Search {
        match self {
            Self::Portable => portable::search,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::search,
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => sha_ni::search,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::search,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::ShaNi | Self::Avx512 => portable::search,
        }
    }
}

/// The nonces of a self-test: not a multiple of any kernel's batch, and across the end of their range.
const TEST_NONCES: u32 = 1037;
const TEST_FIRST: u32 = u32::MAX - 600;

fn check(kernel: Sha256dKernel, search: Search) -> Result<(), Sha256dKernelError> {
    let mut header: [u8; 80] = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0).wrapping_mul(151));
    let tops: Vec<(u32, u32)> = (0..TEST_NONCES)
        .map(|step| {
            let nonce = TEST_FIRST.wrapping_add(step);
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            let [.., b0, b1, b2, b3] = double_sha256(&header);
            (nonce, u32::from_le_bytes([b0, b1, b2, b3]))
        })
        .collect();
    let least = tops.iter().map(|(_, top)| *top).min().unwrap_or(0);
    // Every nonce a hit; one in four, so that each lane has hits and misses; exactly one; none, by one.
    for top_max in [u32::MAX, u32::MAX >> 2, least, least.saturating_sub(1)] {
        let parts = SearchParts { top_max, ..SearchParts::of(&header, Target::MAX) };
        let mut found = Vec::new();
        search(&parts, TEST_FIRST, TEST_NONCES, &mut found);
        let mut found = found.into_iter();
        let mut hits = tops.iter().filter(|(_, top)| *top <= top_max).map(|(nonce, _)| *nonce);
        loop {
            match (found.next(), hits.next()) {
                (None, None) => break,
                (got, expected) if got == expected => {}
                (got, expected) => return Err(Sha256dKernelError::Wrong { kernel, got, expected }),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_kernel_passes_and_the_others_are_refused() {
        for kernel in Sha256dKernel::ALL {
            let expected = if kernel.is_supported() { Ok(()) } else { Err(Sha256dKernelError::Unsupported(kernel)) };
            assert_eq!(kernel.self_test(), expected);
        }
        assert!(Sha256dKernel::detect().is_supported());
        assert!(Sha256dKernel::supported().any(|kernel| kernel == Sha256dKernel::Portable));
    }

    /// The ways in which kernels go wrong.
    #[test]
    fn faulty_kernels_are_caught() {
        const LAST_LANE_DEAF: Search = |parts, first, count, candidates| {
            portable::search(parts, first, count, candidates);
            candidates.retain(|nonce| nonce.wrapping_sub(first) % 16 != 15);
        };
        const PAST_THE_END: Search =
            |parts, first, count, candidates| portable::search(parts, first, count.next_multiple_of(16), candidates);
        const LAST_BATCH_FORGOTTEN: Search =
            |parts, first, count, candidates| portable::search(parts, first, count / 16 * 16, candidates);
        const OFF_BY_ONE: Search = |parts, first, count, candidates| {
            let parts = SearchParts { top_max: parts.top_max.saturating_sub(1), ..*parts };
            portable::search(&parts, first, count, candidates);
        };
        const OUT_OF_ORDER: Search = |parts, first, count, candidates| {
            portable::search(parts, first, count, candidates);
            candidates.reverse();
        };
        const WRONG_MIDSTATE: Search = |parts, first, count, candidates| {
            let mut parts = *parts;
            parts.midstate[5] ^= 1 << 31;
            portable::search(&parts, first, count, candidates);
        };
        const WRONG_TAIL: Search = |parts, first, count, candidates| {
            let mut parts = *parts;
            parts.tail[2] ^= 1;
            portable::search(&parts, first, count, candidates);
        };
        let faulty =
            [LAST_LANE_DEAF, PAST_THE_END, LAST_BATCH_FORGOTTEN, OFF_BY_ONE, OUT_OF_ORDER, WRONG_MIDSTATE, WRONG_TAIL];
        for (case, search) in faulty.into_iter().enumerate() {
            let verdict = check(Sha256dKernel::Avx2, search);
            let Err(Sha256dKernelError::Wrong { kernel: Sha256dKernel::Avx2, got, expected }) = verdict else {
                panic!("case {case}: {verdict:?}");
            };
            assert_ne!(got, expected);
        }
        let nonce = |step| Some(TEST_FIRST.wrapping_add(step));
        let wrong = |got, expected| Err(Sha256dKernelError::Wrong { kernel: Sha256dKernel::ShaNi, got, expected });
        assert_eq!(check(Sha256dKernel::ShaNi, LAST_LANE_DEAF), wrong(nonce(16), nonce(15)));
        assert_eq!(check(Sha256dKernel::ShaNi, PAST_THE_END), wrong(nonce(TEST_NONCES), None));
    }
}

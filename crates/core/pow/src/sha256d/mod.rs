//! Double SHA-256 of the 80-byte work header: one at a time to verify, four billion at a time to mine.

mod portable;
#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::needless_range_loop,
    reason = "lane numbers are below eight, and loops over lanes index several arrays at once"
)]
mod sha_ni;
mod work;

use bq_primitives::{PowHash, double_sha256};
pub use work::{Sha256dKernel, Sha256dWork};

/// The proof-of-work value (little-endian) of an 80-byte work header.
#[must_use]
pub fn sha256d(work_header: &[u8; 80]) -> PowHash {
    PowHash(double_sha256(work_header))
}

/// The state before any block (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

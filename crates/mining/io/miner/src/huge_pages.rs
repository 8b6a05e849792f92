use bq_pow::{PowVerifier, huge_page_bytes};
use bq_primitives::PowKey;
use tracing::{info, warn};

/// What Linux tells a process about its memory.
const SMAPS: &str = "/proc/self/smaps";
/// Less than this share of the dataset in huge pages is worth a warning.
const PERCENT_MIN: usize = 90;

/// Logs how much of the RandomX dataset of `key` lies in huge pages, if it is built. Where the system does not tell, nothing.
pub fn log_huge_pages(pow: &PowVerifier, key: &PowKey) {
    let PowKey::RandomX(key) = key else { return };
    let Ok(Some(memory)) = pow.randomx_dataset_memory(key) else { return };
    let Ok(smaps) = std::fs::read_to_string(SMAPS) else { return };
    let percent = huge_page_bytes(&smaps, &memory).saturating_mul(100) / memory.len().max(1);
    if percent >= PERCENT_MIN {
        info!("RandomX dataset in huge pages: {percent} %");
    } else {
        warn!(
            "RandomX dataset in huge pages: only {percent} %; hashing is up to 1.8 times slower. Set \
             /sys/kernel/mm/transparent_hugepage/enabled to madvise and start with more free memory"
        );
    }
}

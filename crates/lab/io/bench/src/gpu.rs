//! Hashes per second of each CUDA GPU, under its own name, or the reason why there are none.

use std::time::{Duration, Instant};

use bq_pow::{EthashCache, EthashWorkHash, GpuDevice, GpuError, GpuInfo, Sha256dWork, ethash_dataset_bytes};
use bq_primitives::{Target, U256};

use super::host::Host;

/// No hash meets it, so that nothing but searching is timed.
const IMPOSSIBLE: Target = Target(U256::ZERO);
/// Bytes of the dataset that one Ethash evaluation reads.
const ETHASH_BYTES_PER_HASH: f64 = 8192.0;
/// A step is made so long that starting it costs nothing.
const STEP: Duration = Duration::from_millis(200);

/// Measures every GPU, each algorithm for `time`. A machine without any is no failure.
pub(super) fn gpu(host: &dyn Host, time: Duration) {
    match GpuDevice::list() {
        Err(error) => host.say(&format!("GPU: none: {error}")),
        Ok(devices) => devices.iter().for_each(|info| {
            host.say(&format!("GPU {info}"));
            if let Err(error) = measure(host, info, time) {
                host.say(&format!("  not measured: {error}"));
            }
        }),
    }
}

fn measure(host: &dyn Host, info: &GpuInfo, time: Duration) -> Result<(), GpuError> {
    let started = Instant::now();
    let mut device = GpuDevice::open(info.index)?;
    host.say(&format!("  kernels compiled and tested in {:.2} s", started.elapsed().as_secs_f64()));

    let work = Sha256dWork::new(&[0x5a; 80], IMPOSSIBLE);
    let rate = hashrate(time, |count| device.search_sha256d(&work, 0, count).map(drop))?;
    host.say(&format!("  {}, sha256d: {:.1} MH/s", info.name, rate / 1e6));

    let started = Instant::now();
    let cache = EthashCache::build(0)?;
    let cache_time = started.elapsed();
    device.prepare_ethash(&cache)?;
    host.say(&format!(
        "  {}, ethash dataset of {} MiB in {:.2} s, after its cache in {:.2} s",
        info.name,
        ethash_dataset_bytes(0) >> 20,
        (started.elapsed() - cache_time).as_secs_f64(),
        cache_time.as_secs_f64(),
    ));
    let work_hash = EthashWorkHash([0x5a; 32]);
    let rate = hashrate(time, |count| device.search_ethash(&cache, &work_hash, IMPOSSIBLE, 0, count).map(drop))?;
    host.say(&format!("  {}, ethash: {:.2} MH/s{}", info.name, rate / 1e6, bandwidth_share(info, rate)));
    Ok(())
}

/// Nonces per second of `search(count)`, called with ever the same count for `time` once a step is long enough.
fn hashrate(time: Duration, mut search: impl FnMut(u32) -> Result<(), GpuError>) -> Result<f64, GpuError> {
    let mut count = 1 << 16;
    loop {
        let started = Instant::now();
        search(count)?;
        if started.elapsed() >= STEP || count > u32::MAX / 2 {
            break;
        }
        count *= 2;
    }
    let (started, mut hashes) = (Instant::now(), 0.0);
    while started.elapsed() < time {
        search(count)?;
        hashes += f64::from(count);
    }
    Ok(hashes / started.elapsed().as_secs_f64())
}

/// How much of what its memory can move an Ethash rate takes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn bandwidth_share(info: &GpuInfo, hashrate: f64) -> String {
    info.memory_bytes_per_sec.map_or_else(String::new, |bytes_per_sec| {
        let share = hashrate * ETHASH_BYTES_PER_HASH / bytes_per_sec as f64;
        format!(", {:.0} % of a memory bandwidth of {:.0} GB/s", share * 100.0, bytes_per_sec as f64 / 1e9)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_whole_steps() {
        let mut steps = Vec::new();
        let rate = hashrate(Duration::ZERO, |count| {
            steps.push(count);
            Ok(())
        });
        assert_eq!(rate, Ok(0.0), "no time, no hashes");
        assert_eq!((steps.first(), steps.last()), (Some(&(1 << 16)), Some(&(1 << 31))));
        assert_eq!(hashrate(STEP, |_| Err(GpuError::NoDevice)), Err(GpuError::NoDevice));
    }
}

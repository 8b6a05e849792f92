//! CUDA GPUs, where they are asked for: one thread feeds each, beside the worker threads. What a GPU finds is checked on the
//! processor before it counts ([`GpuDevice`]); one that fails, or whose hits are none, is given up until the next start.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bq_pow::{EthashWorkHash, GpuDevice, GpuError, GpuInfo, PowVerifier, Sha256dWork};
use bq_primitives::{Algorithm, Target};
use tracing::{info, warn};

use crate::{
    MinerEvent,
    backend::{Backend, Step},
    job::{Found, Job, Proof, Sha256dTemplate, Work},
    metrics,
    search::{SHA256D_STEP, SHA256D_STEPS_PER_HEADER},
    shared::{Lane, Settings, Shared},
};

/// Upper bound on sleeping; news wakes earlier.
const IDLE: Duration = Duration::from_millis(500);
/// How long Ethash rests on a GPU after its dataset could not be built.
const WITHOUT_DATASET: Duration = Duration::from_secs(60);
/// How long a step may take before it is made smaller, and below which it is made larger: short enough for a new job to be
/// taken up soon, long enough that starting one costs little.
const STEP_TIME_MAX: Duration = Duration::from_millis(80);
const STEP_TIME_MIN: Duration = Duration::from_millis(30);
/// Most expected hits of one step: checking an Ethash hit takes the processor half a millisecond.
const SHA256D_HITS_MAX: u64 = 512;
const ETHASH_HITS_MAX: u64 = 64;
/// Largest steps, in the units of [`Job::take`]: 2^31 SHA-256d nonces, and as many of Ethash.
const SHA256D_UNITS_MAX: u64 = 1 << 13;
const ETHASH_UNITS_MAX: u64 = 1 << 31;

/// Starts the thread that looks for GPUs; nothing if there can be no thread.
pub(crate) fn start(shared: Arc<Shared>) -> Option<JoinHandle<()>> {
    let started = thread::Builder::new().name("miner-gpus".to_owned()).spawn(move || run(&shared));
    started.inspect_err(|error| warn!(%error, "cannot start a thread for GPUs")).ok()
}

/// Feeds every GPU until the miner stops or it is given up.
fn run(shared: &Shared) {
    metrics::gpus(0);
    let devices = match GpuDevice::list() {
        Ok(devices) => devices,
        Err(error) => return tell(shared, 0, format!("none: {error}")),
    };
    thread::scope(|scope| {
        for (number, device) in devices.into_iter().enumerate() {
            tell(shared, number, format!("{device}: being tested"));
            scope.spawn(move || {
                let why = feed(shared, number, &device);
                tell(shared, number, format!("{device}: {why}"));
            });
        }
    });
}

/// Tests a GPU and feeds it. Returns when that is over, and says why.
fn feed(shared: &Shared, number: usize, info: &GpuInfo) -> String {
    let mut searcher = match GpuDevice::open(info.index) {
        Ok(device) => GpuSearcher::new(device),
        Err(error) => return format!("not used: {error}"),
    };
    tell(shared, number, format!("{info}: works"));
    count_working(shared, 1);
    let ended = loop {
        let hashing = shared.hashing();
        let settings = shared.settings.borrow().clone();
        if settings.stopped {
            break "stopped".to_owned();
        }
        let turn = searcher.turn(shared, number, &settings);
        let Some((lane, job, search)) = turn.and_then(|(lane, job)| Some((lane, job, lane.search()?))) else {
            drop(hashing);
            shared.wait_for_news(IDLE);
            continue;
        };
        let began = shared.now();
        let step = searcher.step(&job, &shared.pow);
        metrics::gpu_bad_hits(searcher.new_bad_hits());
        match step {
            Ok(step) => {
                lane.stats.hashed_by_gpu(began, shared.now(), step.hashes);
                shared.submit(lane, &job, step.found);
                drop(search);
                drop(hashing);
                if step.exhausted {
                    shared.wait_for_news(IDLE);
                }
            }
            // No dataset of this epoch, for want of room on the GPU or here; SHA-256d goes on meanwhile.
            Err(error @ (GpuError::Memory { .. } | GpuError::Pow(_))) => {
                searcher.no_ethash_before = shared.now().saturating_add(WITHOUT_DATASET);
                lane.stats.failed(error.to_string());
                tell(shared, number, format!("{info}: works, ethash rests: {error}"));
            }
            Err(error) => break format!("given up: {error}"),
        }
    };
    count_working(shared, -1);
    ended
}

/// Notes the state of a GPU for whoever asks, and tells the log and whoever listens.
fn tell(shared: &Shared, number: usize, state: String) {
    info!(gpu = %state, "GPU");
    let mut gpus = shared.gpus.write();
    if gpus.len() <= number {
        gpus.resize_with(number + 1, String::new);
    }
    if let Some(place) = gpus.get_mut(number) {
        place.clone_from(&state);
    }
    drop(gpus);
    shared.tell(MinerEvent::Gpu { text: state });
}

/// Adds to the number of GPUs that work.
fn count_working(shared: &Shared, more: isize) {
    shared.settings.send_modify(|settings| {
        settings.gpus_working = settings.gpus_working.saturating_add_signed(more);
        metrics::gpus(settings.gpus_working);
    });
    shared.announce_news();
}

/// One GPU as a [`Backend`].
struct GpuSearcher {
    device: GpuDevice,
    sha256d: Pace,
    ethash: Pace,
    /// Until then, by the miner's time, the dataset is not tried again.
    no_ethash_before: Duration,
    /// Bad hits that were told.
    bad_hits: u64,
}

impl GpuSearcher {
    fn new(device: GpuDevice) -> Self {
        let (sha256d, ethash) = (Pace::new(1, SHA256D_UNITS_MAX), Pace::new(1 << 10, ETHASH_UNITS_MAX));
        Self { device, sha256d, ethash, no_ethash_before: Duration::ZERO, bad_hits: 0 }
    }

    /// The lane whose turn it is. GPUs take turns in either mode: what `auto` chooses is chosen by the speed of threads.
    fn turn<'a>(&self, shared: &'a Shared, number: usize, settings: &Settings) -> Option<(&'a Lane, Arc<Job>)> {
        let mines = |algorithm| match algorithm {
            Algorithm::Sha256d => settings.algorithms.contains(&algorithm),
            Algorithm::Ethash => settings.algorithms.contains(&algorithm) && shared.now() >= self.no_ethash_before,
            Algorithm::RandomX => false,
        };
        if settings.hashes() { shared.turn_among(number, mines) } else { None }
    }

    fn new_bad_hits(&mut self) -> u64 {
        let told = std::mem::replace(&mut self.bad_hits, self.device.counters().bad_hits);
        self.bad_hits.saturating_sub(told)
    }

    fn step_sha256d(&mut self, job: &Job, template: &Sha256dTemplate) -> Result<Step, GpuError> {
        let nonces_max = (SHA256D_HITS_MAX << 32).checked_div(top(job.target));
        let units = self.sha256d.units(nonces_max, SHA256D_STEP);
        let (began, mut step) = (Instant::now(), Step::default());
        let first = job.take(units);
        let end = first.saturating_add(units);
        let mut unit = first;
        while unit < end {
            // A step may go from one header into the next.
            let (header, place) = (unit / SHA256D_STEPS_PER_HEADER, unit % SHA256D_STEPS_PER_HEADER);
            let Some(extranonce2) = template.extranonce2(header) else {
                step.exhausted = true;
                break;
            };
            let taken = (end - unit).min(SHA256D_STEPS_PER_HEADER - place);
            let first_nonce = u32::try_from(place * SHA256D_STEP).unwrap_or(0);
            // Where even one unit has too many hits, the rest of it is left out: no pool takes so many.
            let count = (taken * SHA256D_STEP).min(nonces_max.unwrap_or(u64::MAX));
            let work = Sha256dWork::new(&template.header(&extranonce2), job.target);
            let hits = self.device.search_sha256d(&work, first_nonce, u32::try_from(count).unwrap_or(u32::MAX))?;
            let found =
                |(nonce, value)| Found { proof: Proof::Sha256d { extranonce2: extranonce2.clone(), nonce }, value };
            step.found.extend(hits.into_iter().map(found));
            step.hashes += count;
            unit += taken;
        }
        self.sha256d.note(units, began.elapsed());
        Ok(step)
    }

    fn step_ethash(&mut self, job: &Job, task: &EthashTask, pow: &PowVerifier) -> Result<Step, GpuError> {
        let cache = pow.ethash_cache(task.epoch)?;
        self.device.prepare_ethash(&cache)?;
        let count = self.ethash.units((ETHASH_HITS_MAX << 32).checked_div(top(job.target)), 1);
        let (began, mut step) = (Instant::now(), Step::default());
        for (first, count) in task.ranges(job.take(count), count) {
            let hits = self.device.search_ethash(&cache, &task.work_hash, job.target, first, count)?;
            let found = hits
                .into_iter()
                .map(|(nonce, proof)| Found { proof: Proof::Ethash { nonce, mix: proof.mix }, value: proof.value });
            step.found.extend(found);
            step.hashes += u64::from(count);
        }
        self.ethash.note(count, began.elapsed());
        Ok(step)
    }
}

impl Backend for GpuSearcher {
    type Error = GpuError;

    fn step(&mut self, job: &Arc<Job>, pow: &PowVerifier) -> Result<Step, GpuError> {
        match &job.work {
            Work::Sha256d(template) => self.step_sha256d(job, template),
            Work::RandomX { .. } => Ok(Step::default()),
            Work::Ethash { work_hash, epoch, first_nonce, nonce_bits } => {
                let (work_hash, epoch, first_nonce, nonce_bits) = (*work_hash, *epoch, *first_nonce, *nonce_bits);
                self.step_ethash(job, &EthashTask { work_hash, epoch, first_nonce, nonce_bits }, pow)
            }
        }
    }

    /// The dataset stays: building it again costs seconds, and nobody else wants its memory.
    fn release(&mut self) {}
}

/// The fields of an Ethash job.
struct EthashTask {
    work_hash: EthashWorkHash,
    epoch: u32,
    first_nonce: u64,
    nonce_bits: u32,
}

impl EthashTask {
    /// The nonces of `count` units from `taken` on: one run of them, or two where our bits of the nonce wrap round.
    fn ranges(&self, taken: u64, count: u64) -> impl Iterator<Item = (u64, u32)> {
        let ours = u64::MAX.checked_shr(64_u32.saturating_sub(self.nonce_bits)).unwrap_or(0);
        let (fixed, start) = (self.first_nonce & !ours, self.first_nonce.wrapping_add(taken) & ours);
        let until_wrap = count.min((ours - start).saturating_add(1));
        let run = |first, count| Some((fixed | first, u32::try_from(count).ok().filter(|count| *count > 0)?));
        [run(start, until_wrap), run(0, count - until_wrap)].into_iter().flatten()
    }
}

/// How many units a step takes: as many as fill its time.
struct Pace {
    units: u64,
    max: u64,
}

impl Pace {
    const fn new(units: u64, max: u64) -> Self {
        Self { units, max }
    }

    /// Units of the next step, fewer where a target is so easy that they would give more than `nonces_max` nonces' hits; at
    /// least one.
    fn units(&self, nonces_max: Option<u64>, nonces_per_unit: u64) -> u64 {
        nonces_max.map_or(self.units, |max| self.units.min(max / nonces_per_unit)).max(1)
    }

    /// A step of so many units took `time`. A smaller one than this pace says nothing against a larger one.
    fn note(&mut self, units: u64, time: Duration) {
        if time > STEP_TIME_MAX {
            self.units = (units / 2).max(1);
        } else if time < STEP_TIME_MIN && units >= self.units {
            self.units = (self.units * 2).min(self.max);
        }
    }
}

/// The most significant 32 bits of a target: of 2^32 values about as many meet it.
fn top(target: Target) -> u64 {
    u64::try_from(target.0 >> 224_usize).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::U256;

    fn task(first_nonce: u64, nonce_bits: u32) -> EthashTask {
        EthashTask { work_hash: EthashWorkHash([0; 32]), epoch: 0, first_nonce, nonce_bits }
    }

    #[test]
    fn ethash_nonces_wrap_within_our_bits() {
        let ranges = |task: EthashTask, taken, count| task.ranges(taken, count).collect::<Vec<_>>();
        assert_eq!(ranges(task(7, 64), 3, 100), [(10, 100)]);
        assert_eq!(ranges(task(u64::MAX - 1, 64), 0, 5), [(u64::MAX - 1, 2), (0, 3)]);
        let pool_bits = 0xaabb_cc00_0000_0000;
        assert_eq!(
            ranges(task(pool_bits | 0xff_ffff_fffd, 40), 1, 5),
            [(pool_bits | 0xff_ffff_fffe, 2), (pool_bits, 3)]
        );
        assert_eq!(ranges(task(pool_bits, 40), 1 << 40, 1), [(pool_bits, 1)]);
        assert_eq!(ranges(task(5, 64), 0, 0), []);
    }

    #[test]
    fn a_pace_fills_the_time_of_a_step_and_heeds_easy_targets() {
        let mut pace = Pace::new(1, 64);
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            pace.note(pace.units(None, 1), Duration::from_millis(1));
            assert_eq!(pace.units(None, 1), expected);
        }
        pace.note(64, Duration::from_millis(50));
        assert_eq!(pace.units(None, 1), 64);
        pace.note(64, Duration::from_secs(1));
        assert_eq!(pace.units(None, 1), 32);
        assert_eq!((pace.units(Some(80), 10), pace.units(Some(5), 10), pace.units(Some(u64::MAX), 10)), (8, 1, 32));
        pace.note(8, Duration::from_millis(1));
        assert_eq!(pace.units(None, 1), 32, "a small step is short for its size");
        assert_eq!((top(Target(U256::MAX)), top(Target(U256::MAX >> 40_usize))), (u32::MAX.into(), 0));
    }
}

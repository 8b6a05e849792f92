//! Which processor a worker thread runs on, and how important it is.

use bq_primitives::Algorithm;
use tracing::{debug, warn};

/// Processors that a mask can name.
const CPUS_MAX: usize = 1024;
/// `nice` levels of [`crate::MinerConfig::cpu_priority`]; those below zero need a privilege.
const NICE: [i32; 6] = [19, 10, 0, -5, -10, -15];

/// Which processors worker threads are bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// The system moves them as it likes.
    #[default]
    Free,
    /// While every processor has a thread of its own that hashes RandomX, each stays on its processor and keeps its caches;
    /// otherwise free.
    Auto,
    /// Thread by thread to these, in turn.
    Cpus(CpuMask),
}

/// A set of processors, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuMask(Vec<usize>);

/// A text that is not a mask of processors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mask of processors in hex, such as 0x5 for processors 0 and 2")]
pub struct CpuMaskError(pub String);

impl std::str::FromStr for CpuMask {
    type Err = CpuMaskError;

    /// Hex digits with or without `0x`; the lowest bit is processor 0.
    fn from_str(text: &str) -> Result<Self, CpuMaskError> {
        let error = || CpuMaskError(text.to_owned());
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() || digits.len() > CPUS_MAX / 4 {
            return Err(error());
        }
        let mut cpus = Vec::new();
        for (place, digit) in digits.chars().rev().enumerate() {
            let digit = digit.to_digit(16).ok_or_else(error)?;
            cpus.extend((0..4).filter(|bit| digit >> bit & 1 == 1).map(|bit| place * 4 + bit));
        }
        if cpus.is_empty() { Err(error()) } else { Ok(Self(cpus)) }
    }
}

/// The processor that thread `index` of `threads` belongs on while it hashes `algorithm`; `allowed` are those that the
/// process may use. Nothing: anywhere.
fn cpu_of(affinity: &Affinity, index: usize, threads: usize, algorithm: Algorithm, allowed: &[usize]) -> Option<usize> {
    match affinity {
        Affinity::Free => None,
        Affinity::Auto if algorithm == Algorithm::RandomX && threads == allowed.len() => allowed.get(index).copied(),
        Affinity::Auto => None,
        Affinity::Cpus(CpuMask(cpus)) => cpus.get(index.checked_rem(cpus.len())?).copied(),
    }
}

/// Where one worker thread runs; remembered, so that the system is asked on changes alone.
pub(crate) struct Place {
    index: usize,
    /// What the process may use; asked before the thread is bound to less.
    allowed: Vec<usize>,
    /// What was asked for last.
    cpu: Option<usize>,
}

impl Place {
    /// For the calling thread.
    pub(crate) fn new(index: usize) -> Self {
        Self { index, allowed: system::allowed(), cpu: None }
    }

    /// Puts the calling thread where it belongs from now on.
    pub(crate) fn take(&mut self, affinity: &Affinity, threads: usize, algorithm: Algorithm) {
        let cpu = cpu_of(affinity, self.index, threads, algorithm, &self.allowed);
        if std::mem::replace(&mut self.cpu, cpu) == cpu {
            return;
        }
        let cpus = cpu.map_or_else(|| self.allowed.clone(), |cpu| vec![cpu]);
        match system::bind(&cpus) {
            Ok(()) => debug!(thread = self.index, ?cpu, "bound to a processor"),
            Err(error) => warn!(thread = self.index, ?cpu, %error, "a miner thread runs on any processor"),
        }
    }
}

/// Gives the calling thread a priority: 0 lets every other thread go first, 2 is normal, 5 the highest. What the system
/// refuses is logged once for each thread.
pub(crate) fn set_priority(level: u8) {
    let Some(nice) = NICE.get(usize::from(level)) else { return };
    if let Err(error) = system::set_nice(*nice) {
        warn!(level, %error, "the priority of a miner thread stays as it is");
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use rustix::{
        process::setpriority_process,
        thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    };

    pub(super) fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(None);
        (0..CpuSet::MAX_CPU).filter(|cpu| set.as_ref().is_ok_and(|set| set.is_set(*cpu))).collect()
    }

    pub(super) fn bind(cpus: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu));
        Ok(sched_setaffinity(None, &set)?)
    }

    /// Linux has priorities for threads, and no process means the calling one.
    pub(super) fn set_nice(level: i32) -> io::Result<()> {
        Ok(setpriority_process(None, level)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    pub(super) fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub(super) fn bind(_: &[usize]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set_nice(_: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_hex() {
        for (text, cpus) in [("1", vec![0]), ("0x5", vec![0, 2]), ("F0", vec![4, 5, 6, 7]), ("100000000", vec![32])] {
            assert_eq!(text.parse(), Ok(CpuMask(cpus)));
        }
        let long = "1".repeat(300);
        for text in ["", "0x", "0", "x5", "1,2", long.as_str()] {
            assert_eq!(text.parse::<CpuMask>(), Err(CpuMaskError(text.to_owned())));
        }
    }

    #[test]
    fn threads_are_bound_as_configured() {
        let allowed = [1, 3, 5];
        let mask = Affinity::Cpus("0x14".parse().unwrap());
        let cpus = |affinity: &Affinity, threads, algorithm| -> Vec<Option<usize>> {
            (0..threads).map(|index| cpu_of(affinity, index, threads, algorithm, &allowed)).collect()
        };
        assert_eq!(cpus(&Affinity::Free, 3, Algorithm::RandomX), [None; 3]);
        assert_eq!(cpus(&Affinity::Auto, 3, Algorithm::RandomX), [Some(1), Some(3), Some(5)]);
        assert_eq!(cpus(&Affinity::Auto, 3, Algorithm::Ethash), [None; 3]);
        assert_eq!(cpus(&Affinity::Auto, 2, Algorithm::RandomX), [None; 2], "somebody else uses the third");
        assert_eq!(cpus(&mask, 3, Algorithm::Sha256d), [Some(2), Some(4), Some(2)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_bound_and_freed_again() {
        let worker = std::thread::spawn(|| {
            let before = system::allowed();
            let last = *before.last().unwrap();
            let mut mask = format!("{:x}", 1_u32 << (last % 4));
            mask.push_str(&"0".repeat(last / 4));
            let mut place = Place::new(0);
            place.take(&Affinity::Cpus(mask.parse().unwrap()), 1, Algorithm::Sha256d);
            let bound = system::allowed();
            place.take(&Affinity::Free, 1, Algorithm::Sha256d);
            set_priority(0);
            let nice = rustix::process::getpriority_process(None).unwrap();
            (before, vec![last], bound, system::allowed(), nice)
        });
        let (before, one, bound, freed, nice) = worker.join().unwrap();
        assert_eq!((bound, freed), (one, before));
        assert_eq!(nice, 19);
        assert_ne!(rustix::process::getpriority_process(None).unwrap(), 19, "of that thread alone");
    }
}

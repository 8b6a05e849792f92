//! What Linux says of the server's process.

use std::{fs, time::Duration};

/// A process to be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerProcess {
    pid: u32,
}

/// What it uses, as far as the system tells.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) peak_kib: u64,
    /// Of all its threads that still run.
    pub(crate) cpu: Duration,
}

impl ServerProcess {
    pub(crate) const fn new(pid: u32) -> Self {
        Self { pid }
    }

    pub(crate) fn usage(self) -> Usage {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        Usage { resident_kib: kib(&status, "VmRSS:"), peak_kib: kib(&status, "VmHWM:"), cpu: self.cpu() }
    }

    /// Nanoseconds by the scheduler's count: that of ticks is too coarse for a tip.
    fn cpu(self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let of_thread = |thread: fs::DirEntry| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(threads.filter_map(of_thread).sum())
    }
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_memory_and_time() {
        let usage = ServerProcess::new(std::process::id()).usage();
        assert!(usage.resident_kib > 0 && usage.peak_kib >= usage.resident_kib, "{usage:?}");
        assert!(usage.cpu > Duration::ZERO, "{usage:?}");
        assert_eq!(kib("VmHWM:\t  12 kB\nVmRSS:\t 7 kB\n", "VmRSS:"), 7);
    }
}

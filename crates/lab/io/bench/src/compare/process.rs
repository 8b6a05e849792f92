//! One other process at a time: started, read, and ended by its id whatever happens, also on Ctrl-C.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::{
    Contender, End,
    tally::{Outcome, Tally},
};
use crate::host::Interruption;

/// How often to look for Ctrl-C and the end of a turn.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a program that has closed its output may take to end.
const EXIT_MAX: Duration = Duration::from_secs(5);
/// Longer lines are cut; the programs compared here write shorter ones.
const LINE_BYTES_MAX: u64 = 4096;
/// Lines read but not looked at yet. A program that writes faster waits.
const LINES_MAX: usize = 256;

/// Why a program has no figure.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It could not be started.
    #[error("not started: {0}")]
    NotStarted(#[from] std::io::Error),
    /// It ended before its time, or not well.
    #[error("{status}; it last said {last:?}")]
    Ended { status: ExitStatus, last: String },
    /// It ended well and said nothing of a rate.
    #[error("no hash rate in its output; it last said {0:?}")]
    NoFigure(String),
    /// It did not end.
    #[error("not done after {} s; it last said {last:?}", .limit.as_secs())]
    TooLong { limit: Duration, last: String },
    /// Somebody wants everything to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Runs programs, one at a time.
pub(super) struct Processes {
    is_interrupted: Interruption,
}

impl Processes {
    /// An interruption ends the program that runs, and then only this process.
    pub(super) const fn new(is_interrupted: Interruption) -> Self {
        Self { is_interrupted }
    }

    /// Runs a program for its turn.
    pub(super) fn run(&self, contender: &Contender) -> Result<Outcome, Failure> {
        let mut process = Process::start(contender)?;
        let (time, limit) = match contender.end {
            End::ByItself(about) => (Duration::MAX, contender.setup_max.saturating_add(about.saturating_mul(4))),
            End::After(time) => (time, contender.setup_max.saturating_add(time)),
        };
        let mut tally = Tally::default();
        let start = Instant::now();
        while tally.hashing_for() < time {
            match process.lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => {
                    let reading = (contender.read)(&line);
                    tally.take(line, reading, || process.cpu_time());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let outcome = tally.outcome(process.cpu_time(), contender.threads);
                    let status = process.wait()?;
                    return match outcome {
                        Some(outcome) if status.success() && matches!(contender.end, End::ByItself(_)) => Ok(outcome),
                        None if status.success() => Err(Failure::NoFigure(tally.last())),
                        _ => Err(Failure::Ended { status, last: tally.last() }),
                    };
                }
            }
            if (self.is_interrupted)() {
                return Err(Failure::Interrupted);
            }
            if start.elapsed() >= limit {
                return Err(Failure::TooLong { limit, last: tally.last() });
            }
        }
        let outcome = tally.outcome(process.cpu_time(), contender.threads);
        outcome.ok_or_else(|| Failure::NoFigure(tally.last()))
    }
}

/// A program that runs; dropped, it is killed and reaped.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(contender: &Contender) -> Result<Self, Failure> {
        let mut command = Command::new(&contender.program);
        command.args(&contender.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sender, lines) = sync_channel(LINES_MAX);
        // The readers end with the pipes, or with the first line that nobody wants.
        if let Some(stdout) = stdout {
            let sender = sender.clone();
            thread::spawn(move || forward(stdout, &sender));
        }
        if let Some(stderr) = stderr {
            thread::spawn(move || forward(stderr, &sender));
        }
        Ok(Self { child, lines })
    }

    /// How it ended, once it has; one that goes on without an output is killed.
    fn wait(&mut self) -> Result<ExitStatus, Failure> {
        let start = Instant::now();
        while start.elapsed() < EXIT_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK_EVERY);
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Processor time it has used so far.
    fn cpu_time(&self) -> Option<Duration> {
        cpu_time(&std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends each line until the stream ends or nobody listens.
fn forward(stream: impl Read, lines: &SyncSender<String>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) || lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
            return;
        }
    }
}

/// User and system time of a `/proc/PID/stat`, which counts them in hundredths of a second on every Linux.
fn cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may hold blanks and parentheses.
    let mut fields = stat.get(stat.rfind(')')?.checked_add(1)?..)?.split_whitespace().skip(11);
    let mut hundredths = || fields.next()?.parse::<u64>().ok();
    let ticks = hundredths()?.saturating_add(hundredths()?);
    Some(Duration::from_millis(ticks.saturating_mul(10)))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::compare::Reading;

    fn shell(script: &str, end: End) -> Contender {
        Contender {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            threads: 1,
            read: |line| match line.split_once(' ')? {
                ("built", secs) => secs.parse().ok().map(Reading::Built),
                ("ready", _) => Some(Reading::Ready),
                ("rate", rate) => rate.parse().ok().map(Reading::Rate),
                _ => None,
            },
            setup_max: Duration::from_secs(60),
            end,
        }
    }

    fn run(script: &str, end: End) -> Result<Outcome, Failure> {
        Processes::new(Box::new(|| false)).run(&shell(script, end))
    }

    const BY_ITSELF: End = End::ByItself(Duration::from_secs(1));

    #[test]
    fn a_program_that_ends_by_itself_is_read_from_both_streams() {
        let outcome = run("echo built 2.5; echo ready now >&2; echo rate 7; echo done", BY_ITSELF).unwrap();
        assert_eq!((outcome.rate, outcome.built_secs), (7.0, Some(2.5)));
    }

    #[test]
    fn a_program_without_end_is_ended() {
        let pid = std::env::temp_dir().join(format!("bq-compare-pid-{}", std::process::id()));
        let script = format!("echo $$ > {}; echo rate 5; exec sleep 1000", pid.display());
        let outcome = run(&script, End::After(Duration::from_millis(300))).unwrap();
        assert!((outcome.rate - 5.0).abs() < 1e-9);
        let id = std::fs::read_to_string(&pid).unwrap();
        std::fs::remove_file(&pid).unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{}", id.trim())).exists(), "ended and reaped");
    }

    #[test]
    fn every_failure_is_named() {
        let missing = Contender { program: "/nonexistent/miner".into(), ..shell("", BY_ITSELF) };
        assert!(matches!(Processes::new(Box::new(|| false)).run(&missing), Err(Failure::NotStarted(_))));
        let failed = run("echo rate 5; echo out of memory >&2; exit 3", BY_ITSELF).unwrap_err();
        let Failure::Ended { status, last } = &failed else { panic!("{failed}") };
        assert_eq!(status.code(), Some(3));
        assert!(last == "rate 5" || last == "out of memory", "{last}");
        let silent = run("echo nonsense", BY_ITSELF).unwrap_err();
        assert!(matches!(&silent, Failure::NoFigure(last) if last == "nonsense"), "{silent}");
        let early = run("echo rate 5", End::After(Duration::from_secs(60))).unwrap_err();
        assert!(matches!(early, Failure::Ended { .. }), "{early}");
    }

    #[test]
    fn garbage_without_end_is_survived() {
        let outcome = run("echo rate 5; exec cat /dev/urandom", End::After(Duration::from_millis(300))).unwrap();
        assert!((outcome.rate - 5.0).abs() < 1e-9);
        let zeroes = shell("exec cat /dev/zero", End::After(Duration::from_millis(300)));
        let zeroes = Contender { setup_max: Duration::from_millis(300), ..zeroes };
        let failure = Processes::new(Box::new(|| false)).run(&zeroes).unwrap_err();
        assert!(matches!(failure, Failure::TooLong { .. }), "{failure}");
    }

    #[test]
    fn an_interruption_ends_the_program() {
        let interrupted = Arc::new(AtomicBool::new(false));
        let processes = Processes::new(Box::new({
            let interrupted = Arc::clone(&interrupted);
            move || interrupted.load(Ordering::Relaxed)
        }));
        let ended = thread::spawn(move || processes.run(&shell("exec sleep 1000", End::After(Duration::MAX))));
        interrupted.store(true, Ordering::Relaxed);
        assert!(matches!(ended.join().unwrap(), Err(Failure::Interrupted)));
    }

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time("12 (a"), None);
        assert_eq!(cpu_time(""), None);
    }
}

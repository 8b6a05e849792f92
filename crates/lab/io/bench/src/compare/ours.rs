//! Ours, as a process of its own.

use std::{path::PathBuf, time::Duration};

use bq_primitives::Algorithm;

use super::{Contender, End, Reading, setup_max};

/// What `bq bench hash` is to do.
pub(super) struct Ours {
    pub(super) algorithm: Algorithm,
    pub(super) threads: usize,
    pub(super) time: Duration,
    pub(super) full_dataset: bool,
}

impl Ours {
    pub(super) fn contender(&self) -> Contender {
        let mut arguments: Vec<String> = ["bench", "hash", "--algorithm"].map(str::to_owned).into();
        arguments.extend([self.algorithm.to_string(), "--threads".to_owned(), self.threads.to_string()]);
        arguments.extend(["--seconds".to_owned(), self.time.as_secs().to_string()]);
        if self.full_dataset {
            arguments.push("--full-dataset".to_owned());
        }
        Contender {
            // Without a path of our own, starting fails, which is reported as any other failure.
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bq")),
            arguments,
            threads: self.threads,
            read,
            setup_max: setup_max(self.full_dataset),
            end: End::ByItself(self.time),
        }
    }

    /// At the niceness of a rival that changes its own. Who may not do that stays where it is, as the rival does.
    pub(super) fn contender_at_niceness(&self, niceness: i8) -> Contender {
        let mut contender = self.contender();
        let program = std::mem::replace(&mut contender.program, PathBuf::from("nice"));
        let mut arguments = vec!["-n".to_owned(), niceness.to_string(), program.display().to_string()];
        arguments.append(&mut contender.arguments);
        Contender { arguments, ..contender }
    }
}

fn read(line: &str) -> Option<Reading> {
    if let Some(secs) = line.strip_prefix("tables built in ") {
        return secs.strip_suffix(" s")?.parse().ok().map(Reading::Built);
    }
    if line == "hashing" {
        return Some(Reading::Ready);
    }
    line.strip_suffix(" H/s")?.parse().ok().map(Reading::Rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        assert_eq!(read("tables built in 25.31 s"), Some(Reading::Built(25.31)));
        assert_eq!(read("hashing"), Some(Reading::Ready));
        assert_eq!(read("62950109.0 H/s"), Some(Reading::Rate(62_950_109.0)));
        assert_eq!(read("bq: out of memory"), None);
    }

    #[test]
    fn niceness_goes_in_front() {
        let ours = Ours { algorithm: Algorithm::Ethash, threads: 2, time: Duration::from_secs(9), full_dataset: true };
        let plain = ours.contender();
        assert_eq!(plain.arguments.join(" "), "bench hash --algorithm ethash --threads 2 --seconds 9 --full-dataset");
        let nice = ours.contender_at_niceness(-15);
        assert_eq!(nice.program, PathBuf::from("nice"));
        assert_eq!(nice.arguments[..2], ["-n", "-15"]);
        assert_eq!(nice.arguments[2], plain.program.display().to_string());
        assert_eq!(nice.arguments[3..], plain.arguments);
    }
}

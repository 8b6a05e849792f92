use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bq_share::Restored;
use tokio::sync::{mpsc, watch};

use crate::shared::Shared;

/// What is remembered over a restart, where, and how often it is written. Nothing but time is lost with it.
#[derive(Clone, Debug)]
pub struct KeptFiles {
    /// Where workers' difficulties stood.
    pub workers: PathBuf,
    /// Who is banned. The operator's own bans are written at once.
    pub bans: PathBuf,
    /// Connections that ended and may be come back to; written when the server ends, and emptied when it is read.
    pub tickets: PathBuf,
    /// At most so many milliseconds of changes are lost to a crash.
    pub period_ms: u64,
}

/// No line is longer: algorithm, key, name and number; or peer, reason and moments.
const LINE_BYTES_MAX: usize = 192;
/// No line of a ticket is longer: name, key, machine, peer, and seven numbers.
const TICKET_BYTES_MAX: usize = 320;

/// What was kept in `path`, as `restore` takes it in. A missing or damaged file means a new start.
pub(crate) fn load(path: &Path, lines_max: usize, restore: impl FnOnce(&str) -> Restored) {
    take_in(path, lines_max.saturating_mul(LINE_BYTES_MAX), restore);
}

/// What [`load`] does, once: the file is empty afterwards. If it cannot be emptied nothing is taken in, for it could be again.
pub(crate) fn load_once(path: &Path, lines_max: usize, restore: impl FnOnce(&str) -> Restored) {
    take_in(path, lines_max.saturating_mul(TICKET_BYTES_MAX), |text| {
        if text.is_empty() || empty(path).is_err() { Restored::default() } else { restore(text) }
    });
}

/// Not even a power cut brings back what was there: the folder is on disk too.
fn empty(path: &Path) -> io::Result<()> {
    save(path, "")?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn take_in(path: &Path, bytes_max: usize, restore: impl FnOnce(&str) -> Restored) {
    let shown = path.display();
    match read(path, bytes_max) {
        Ok((text, bytes_left)) => {
            let Restored { unread, first_unread, dropped } = restore(&text);
            if let Some(first) = first_unread {
                let line = named(&text, first);
                tracing::warn!(path = %shown, unread, first, ?line, "lines cannot be read");
            }
            if dropped > 0 || bytes_left > 0 {
                tracing::warn!(path = %shown, dropped, bytes_left, "there are more entries than are kept: the rest is forgotten");
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %shown, %error, "what was remembered is forgotten"),
    }
}

/// The beginning of a line, counted from 1, for people.
fn named(text: &str, number: usize) -> String {
    let line = text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
    line.chars().take(NAMED_CHARS_MAX).collect()
}

/// Of a line that cannot be read.
const NAMED_CHARS_MAX: usize = 80;

/// Replaces what is kept. Blocks on the disk.
pub(crate) fn save(path: &Path, text: &str) -> io::Result<()> {
    bq_private_file::write(path, text.as_bytes())
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "what changed cannot be remembered"))
}

/// The whole lines at the beginning of a file, and how many bytes come after them where they are more than it may hold.
fn read(path: &Path, bytes_max: usize) -> io::Result<(String, u64)> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.take(limit).read_to_end(&mut bytes)?;
    if length > limit {
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1)));
    }
    let bytes_left = length.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    Ok((String::from_utf8_lossy(&bytes).into_owned(), bytes_left))
}

/// Writes what changed from time to time until the server ends; the last of it is for [`Shared::save`] when every connection is
/// gone.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    period_ms: u64,
    mut stop: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    let mut ticks = tokio::time::interval(Duration::from_millis(period_ms.max(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let shared = Arc::clone(&shared);
                let _panicked = tokio::task::spawn_blocking(move || shared.save()).await;
            }
            _ = stop.changed() => break,
        }
    }
    drop(shared);
    drop(alive);
}

#[cfg(test)]
mod tests {
    use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, WorkerName};

    use super::*;
    use crate::remembered::Remembered;

    #[test]
    fn a_restart_remembers_and_a_damaged_file_is_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workers");
        let (payee, worker) = (KeyHash([1; 32]), WorkerName::new("rig1").unwrap());
        let again = || {
            let mut remembered = Remembered::new(4);
            load(&path, 4, |text| remembered.restore(text));
            remembered
        };
        let mut remembered = again();
        remembered.put(Algorithm::Sha256d, payee, worker.clone(), ShareDifficulty::from_hashes(77));
        save(&path, &remembered.changes().unwrap()).unwrap();
        assert_eq!(again().get(Algorithm::Sha256d, payee, &worker), Some(ShareDifficulty::from_hashes(77)));
        fs::write(&path, [0xff; 5_000]).unwrap();
        assert_eq!(again().get(Algorithm::Sha256d, payee, &worker), None);
    }

    #[test]
    fn a_line_that_is_cut_is_not_read_and_one_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(read(&path, 14).unwrap(), ("one\ntwo\nthree\n".to_owned(), 0));
        assert_eq!(read(&path, 13).unwrap(), ("one\ntwo\n".to_owned(), 6));
        assert_eq!(read(&path, 2).unwrap(), (String::new(), 14));
        let text = format!("one\n{}\n", "x".repeat(500));
        assert_eq!((named(&text, 1), named(&text, 2), named(&text, 9)), ("one".into(), "x".repeat(80), String::new()));
    }

    /// A process that is killed finds nothing that it could give out a second time.
    #[test]
    fn what_is_read_once_is_not_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tickets");
        let read = || {
            let mut text = String::new();
            load_once(&path, 4, |found| {
                text = found.to_owned();
                Restored::default()
            });
            text
        };
        assert_eq!(read(), "", "no file");
        save(&path, "one\n").unwrap();
        assert_eq!((read(), read()), ("one\n".to_owned(), String::new()));
        // Where it cannot be replaced, it is not read.
        save(&path, "two\n").unwrap();
        let draft = path.with_extension("new");
        fs::create_dir(&draft).unwrap();
        assert_eq!(read(), "");
        fs::remove_dir(&draft).unwrap();
        assert_eq!(read(), "two\n");
    }
}

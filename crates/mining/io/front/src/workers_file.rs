use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use crate::{remembered::Remembered, shared::Shared};

/// Where workers' difficulties are kept over a restart, and how often they are written.
#[derive(Clone, Debug)]
pub struct WorkersFile {
    /// The file. What is lost with it is a minute of each miner's time.
    pub path: PathBuf,
    /// At most so many milliseconds of changes are lost to a crash.
    pub period_ms: u64,
}

/// No line is longer: algorithm, key, name and number.
const LINE_BYTES_MAX: usize = 192;

impl WorkersFile {
    /// Takes in what was kept. A missing or damaged file means a new start.
    pub(crate) fn load(&self, remembered: &mut Remembered, workers_max: usize) {
        let path = self.path.display();
        match read(&self.path, workers_max.saturating_mul(LINE_BYTES_MAX)) {
            Ok(text) => match remembered.restore(&text) {
                0 => {}
                unread => tracing::warn!(%path, unread, "lines about workers cannot be read"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%path, %error, "workers are forgotten"),
        }
    }

    /// Replaces what is kept. Blocks on the disk.
    pub(crate) fn save(&self, text: &str) {
        if let Err(error) = bq_private_file::write(&self.path, text.as_bytes()) {
            tracing::warn!(path = %self.path.display(), %error, "workers cannot be remembered");
        }
    }
}

/// A file that grew past what it may hold was written by nobody here; its beginning is as good as any part.
fn read(path: &Path, bytes_max: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes what changed from time to time until the server ends; the last of it is for [`Shared::save_workers`] when every
/// connection is gone.
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
                let _panicked = tokio::task::spawn_blocking(move || shared.save_workers()).await;
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

    #[test]
    fn a_restart_remembers_and_a_damaged_file_is_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = WorkersFile { path: folder.path().join("workers"), period_ms: 1 };
        let (payee, worker) = (KeyHash([1; 32]), WorkerName::new("rig1").unwrap());
        let load = || {
            let mut remembered = Remembered::new(4);
            file.load(&mut remembered, 4);
            remembered
        };
        let mut remembered = load();
        remembered.put(Algorithm::Sha256d, payee, worker.clone(), ShareDifficulty::from_hashes(77));
        file.save(&remembered.changes().unwrap());
        assert_eq!(load().get(Algorithm::Sha256d, payee, &worker), Some(ShareDifficulty::from_hashes(77)));
        fs::write(&file.path, [0xff; 5_000]).unwrap();
        assert_eq!(load().get(Algorithm::Sha256d, payee, &worker), None);
    }
}

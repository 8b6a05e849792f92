//! What the share log costs: `cargo run --release -p bq-segments --example share_log -- FOLDER [SHARES]`. Prints shares per second of
//! appending, bytes per share, and the time to open the log, to fold a PPLNS window, to read and to verify all of it. The folder must be empty; it keeps the log.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use bq_ledger::{Window, WindowUnits};
use bq_mining_message::{BootEpoch, FrontEndId, Share, SharePay, ShareSequence};
use bq_primitives::{
    AccountId, Algorithm, BlockId, Height, KeyHash, NetworkDifficulty, ShareDifficulty, WorkerName, WorkerNameError,
};
use bq_segments::{LogIdentity, LogOptions, RealDisk, ShareLog};

type Outcome<T> = Result<T, Box<dyn Error>>;

const IDENTITY: LogIdentity = LogIdentity { genesis: BlockId([7; 32]), front_end: FrontEndId(1) };
const PAYEES: u64 = 1000;
const WINDOW: u64 = 5_000_000;
/// Appended one by one, to measure it.
const SINGLE: u64 = 100_000;
const BATCH: u64 = 256;

#[expect(clippy::print_stdout, reason = "an example prints what it measured")]
fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: share_log FOLDER [SHARES]")?);
    let count = arguments.next().map_or(Ok(10_000_000), |count| count.parse())?;

    let rates = append(&folder, count)?;
    println!("append one by one      {:>12.0} shares/s", rates.single);
    println!("append in batches of {BATCH} {:>10.0} shares/s", rates.batch);
    println!("size                   {:>12.2} bytes/share", bytes(&folder)? / as_float(count));

    let (log, seconds) = timed(|| open(&folder, count))?;
    println!("open                   {seconds:>12.3} s");
    for _ in 0..2 {
        let (shares, seconds) = timed(|| fold(&log, WINDOW.min(count)))?;
        println!("fold {shares} shares    {seconds:>12.3} s");
    }
    let (_, seconds) = timed(|| walk(&log, WINDOW.min(count)))?;
    println!("window of them         {seconds:>12.3} s");
    let (shares, seconds) = timed(|| fold(&log, count))?;
    println!("fold all {shares}      {seconds:>12.3} s");
    let (shares, seconds) = timed(|| read(&log))?;
    println!("read all {shares}      {seconds:>12.3} s");
    let (frames, seconds) = timed(|| {
        let frames = log.frames(ShareSequence::FIRST, BootEpoch(1), log.next());
        Ok(frames.collect::<Result<Vec<_>, _>>()?)
    })?;
    println!("cut frames from files  {:>12.0} shares/s", as_float(count) / seconds);
    let ((), seconds) = timed(|| Ok(log.verify(frames)?))?;
    println!("verify                 {:>12.0} shares/s", as_float(count) / seconds);
    println!("load average           {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    Ok(())
}

struct Rates {
    single: f64,
    batch: f64,
}

fn append(folder: &Path, count: u64) -> Outcome<Rates> {
    let log = open(folder, 0)?;
    let single = (1..=SINGLE.min(count)).map(share).collect::<Result<Vec<_>, _>>()?;
    let ((), single_seconds) = timed(|| {
        for share in &single {
            log.append(share)?;
        }
        Ok(())
    })?;
    let (mut batch_seconds, mut batched, mut next) = (0.0, 0, SINGLE + 1);
    while next <= count {
        let end = (next + BATCH).min(count + 1);
        let batch = (next..end).map(share).collect::<Result<Vec<_>, _>>()?;
        let ((), seconds) = timed(|| Ok(log.append_many(&batch).1?))?;
        batch_seconds += seconds;
        batched += end - next;
        next = end;
    }
    log.sync()?;
    Ok(Rates { single: as_float(SINGLE.min(count)) / single_seconds, batch: as_float(batched) / batch_seconds })
}

/// A pool of a thousand payees with one machine each on three algorithms, and another job every hundred thousand shares.
fn share(number: u64) -> Result<Share, WorkerNameError> {
    let payee = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % PAYEES;
    let mut key = [0; 32];
    key[..8].copy_from_slice(&payee.to_le_bytes());
    Ok(Share {
        algorithm: u8::try_from(number % 3)
            .ok()
            .and_then(|id| Algorithm::try_from(id).ok())
            .unwrap_or(Algorithm::Sha256d),
        payee: KeyHash(key),
        worker: WorkerName::new(&format!("rig-{payee}"))?,
        difficulty: ShareDifficulty::from_hashes(1 << (10 + payee % 20)),
        network_difficulty: NetworkDifficulty::from_hashes((1 << 60) + u128::from(number / 100_000)),
        height: Height(u32::try_from(number / 100_000).unwrap_or(u32::MAX)),
        time_ms: 1_700_000_000_000 + number * 10,
        block_id: number.is_multiple_of(1_000_000).then_some(BlockId([1; 32])),
        pay: SharePay::default(),
    })
}

fn open(folder: &Path, count: u64) -> Outcome<ShareLog> {
    let at_least = ShareSequence::FIRST.after(count);
    Ok(ShareLog::open(Arc::new(RealDisk), folder, IDENTITY, at_least, LogOptions::default())?)
}

/// Sums the newest shares by payee.
fn fold(log: &ShareLog, count: u64) -> Outcome<u64> {
    let (mut accounts, mut sums, mut folded) = (BTreeMap::new(), Vec::new(), 0);
    let resolve = |payee: &KeyHash| {
        let next = accounts.len();
        *accounts.entry(*payee).or_insert(next)
    };
    for piece in log.backwards(log.next(), resolve).take(usize::try_from(count)?) {
        let piece = piece?;
        if sums.len() <= piece.payee {
            sums.resize(piece.payee + 1, 0_u128);
        }
        sums[piece.payee] += u128::from(piece.weight.parts());
        folded += 1;
    }
    Ok(folded)
}

/// The same with the rule's own walk; so many shares do not fill it.
fn walk(log: &ShareLog, count: u64) -> Outcome<Window> {
    let resolve = |payee: &KeyHash| AccountId(payee.0.first_chunk().map_or(0, |low| u32::from_le_bytes(*low)));
    let pieces = log.backwards(log.next(), resolve).take(usize::try_from(count)?);
    Ok(Window::walk(WindowUnits::MAX, pieces.map(|piece| piece.map(|piece| (piece.payee, piece.weight))))?)
}

fn read(log: &ShareLog) -> Outcome<usize> {
    let mut count = 0;
    for share in log.read(ShareSequence::FIRST..log.next()) {
        share?;
        count += 1;
    }
    Ok(count)
}

fn bytes(folder: &Path) -> Outcome<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(as_float(bytes))
}

fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, start.elapsed().as_secs_f64()))
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn as_float(count: u64) -> f64 {
    count as f64
}

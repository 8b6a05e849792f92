//! The older share segments become a share log of today, with the same numbers: accounts by their keys instead of their rows.

use std::{collections::HashMap, path::Path, sync::Arc};

use bq_mining_message::{Share, SharePay, ShareSequence};
use bq_pool_machine::{BlockState, Opened};
use bq_primitives::{BlockId, NetworkDifficulty, ShareDifficulty, WorkerName};
use bq_segments::{
    Disk, LogIdentity, LogOptions, RealDisk, ShareLog,
    v1::{self, ShareV1},
};

use super::{
    Reason,
    ledger::{Content, OldBlock},
};
use crate::PoolConfig;

/// Shares that are written at once.
const SHARES_TOGETHER: usize = 4096;

/// The log that was made.
pub(super) struct Converted {
    pub(super) log: ShareLog,
    /// The first share that is there; those before it had been moved away.
    pub(super) first: ShareSequence,
    /// Position after the newest.
    pub(super) next: ShareSequence,
}

/// Writes every share of `old` to a log in `new`. A block whose share a crash had not linked gets it: the one in the log, or one
/// that is appended now, as the older software did at start.
pub(super) fn convert(
    old: &Path,
    new: &Path,
    config: &PoolConfig,
    opened: &Opened,
    content: &mut Content,
) -> Result<Converted, Reason> {
    let disk = Arc::new(RealDisk);
    let identity = LogIdentity { genesis: opened.genesis, front_end: config.front_end };
    std::fs::create_dir_all(new)?;
    let shares = if old.exists() { Some(v1::read_v1(disk.clone(), old, opened.genesis)?) } else { None };
    let first = shares.as_ref().map_or(ShareSequence::FIRST, v1::SharesV1::first);
    v1::begin_at(&RealDisk, new, identity, first)?;
    let options = LogOptions { sync_interval: None, ..LogOptions::default() };
    let log = ShareLog::open(disk, new, identity, first, options)?;
    let mut found: HashMap<BlockId, ShareSequence> = HashMap::new();
    let mut waiting = Vec::with_capacity(SHARES_TOGETHER);
    for share in shares.into_iter().flatten() {
        let share = share?;
        if let Some(id) = share.block_id {
            found.insert(id, share.sequence);
        }
        waiting.push(of_today(share, content)?);
        if waiting.len() == SHARES_TOGETHER {
            append(&log, &mut waiting)?;
        }
    }
    append(&log, &mut waiting)?;
    let keys = &content.accounts;
    let unlinked = content.blocks.iter_mut().filter(|block| block.winning.is_none());
    for block in unlinked.filter(|block| block.state == BlockState::Found) {
        let own = own_share(block, |account| keys.get(&account).map(|account| account.key))?;
        block.winning = Some(match (found.get(&block.id), own) {
            (Some(share), _) => *share,
            (None, Some(share)) => log.append(&share)?,
            (None, None) => ShareSequence(log.next().0.saturating_sub(1)),
        });
    }
    log.sync()?;
    RealDisk.sync_folder(new)?;
    let next = log.next();
    Ok(Converted { log, first, next })
}

fn append(log: &ShareLog, shares: &mut Vec<Share>) -> Result<(), Reason> {
    let (_, outcome) = log.append_many(shares);
    shares.clear();
    Ok(outcome?)
}

fn of_today(share: ShareV1, content: &Content) -> Result<Share, Reason> {
    let ShareV1 { sequence, algorithm, account, worker, difficulty, network_difficulty, height, time_ms, block_id } =
        share;
    let known = content.accounts.get(&account);
    let payee = known.ok_or_else(|| Reason(format!("share {sequence} is of account {account}, which is missing")))?.key;
    let pay = SharePay::Window;
    Ok(Share { algorithm, payee, worker, difficulty, network_difficulty, height, time_ms, block_id, pay })
}

fn own_share(
    block: &OldBlock,
    key: impl Fn(bq_primitives::AccountId) -> Option<bq_primitives::KeyHash>,
) -> Result<Option<Share>, Reason> {
    let Some(finder) = &block.finder else { return Ok(None) };
    let account = finder.account;
    let missing = || Reason(format!("block {} was found by account {account}, which is missing", block.id));
    Ok(Some(Share {
        algorithm: block.algorithm,
        payee: key(account).ok_or_else(missing)?,
        worker: WorkerName::new(&finder.worker)?,
        difficulty: ShareDifficulty::from_hashes(finder.difficulty),
        network_difficulty: NetworkDifficulty::from_hashes(finder.network_difficulty),
        height: block.height,
        time_ms: finder.time_ms,
        block_id: Some(block.id),
        pay: SharePay::Window,
    }))
}

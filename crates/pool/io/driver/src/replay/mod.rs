//! A pool computed anew by a stranger, who has only what the pool gives out and the chain (SPEC 8.10.11).

mod books;
mod chain;
mod coinbase;
mod files;
mod frames;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_chain_api::NodeError;
use bq_mining_message::ShareSequence;
use bq_pool_machine::{Act, ColdEvent, Event, LogHead, LogNumber, Opened, Operator};
use bq_primitives::{Height, KeyHash};
use bq_segments::{LogIdentity, RealDisk, ShareLog, TrialDisk};

use self::{books::Books, chain::PoolChain, files::Export, frames::Frames};
use crate::{Blocks, backup::SHARES, open::log_options};

pub use files::ExportOwner;
pub(crate) use files::write as write_export;

/// A replay cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The folder is no export.
    #[error("{} is no export: {reason}", folder.display())]
    NoExport {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file is not as it was when the export was made.
    #[error("{} is not as it was when the export was made", file.display())]
    File {
        /// Which.
        file: PathBuf,
    },
    /// The file of events ends within one.
    #[error("{} ends within event {event}", file.display())]
    Cut {
        /// The file.
        file: PathBuf,
        /// The event.
        event: LogNumber,
    },
    /// A file cannot be read.
    #[error("{}: {error}", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The shares cannot be opened.
    #[error("shares: {0}")]
    Shares(#[from] bq_segments::OpenError),
    /// Shares were dropped before the export was made: what the oldest blocks credited cannot be computed.
    #[error("shares before {0} were dropped before the export was made: a replay needs all of them")]
    Pruned(ShareSequence),
    /// The chain is another one.
    #[error("the export is of a chain that begins with {expected}, this one begins with {got}")]
    OtherChain {
        /// First block of the chain.
        got: String,
        /// By the export.
        expected: String,
    },
    /// The chain cannot be read.
    #[error("chain: {0}")]
    Chain(#[from] NodeError),
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Where the log ends.
    pub head: LogHead,
    /// Digest of the state there.
    pub state: String,
    /// Frames whose shares were read and hashed again.
    pub frames: u64,
    /// Shares in them.
    pub shares: u64,
    /// Lines that credit a block's reward to a miner.
    pub credits: u64,
    /// What those sum to, in atoms.
    pub credited: u64,
    /// Checkpoints and statements in the log that were computed again.
    pub checked: u64,
    /// Where the log says the chain ended.
    pub height: Height,
    /// Where it ends.
    pub tip: Height,
    /// Blocks of the pool on the chain up to there.
    pub blocks: u64,
    /// Coinbases that name an event of the log, with its hash.
    pub commitments: u64,
    /// Coinbases that pay miners as the books gave.
    pub coinbases: u64,
    /// Such that leave older balances to a later block.
    pub without_balances: u64,
    /// What a reader should know, and is no fault.
    pub notes: Vec<String>,
    /// The first thing that is not as it should be; nothing if all is.
    pub difference: Option<String>,
}

/// What was reached so far, for people who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStep {
    /// The chain was read up to a height.
    Chain(Height),
    /// The log was applied up to an event.
    Log(LogNumber),
}

/// Computes a pool anew from an export and a chain: the log from its first event, each credit from the shares, what the coinbases of the
/// chain say of the log and whom they pay. Writes nothing.
///
/// # Errors
/// [`ReplayError`]: it could not be made. What is not as it should be is [`Replayed::difference`].
pub fn replay_export(
    folder: &Path,
    blocks: &dyn Blocks,
    mut each: impl FnMut(ReplayStep),
) -> Result<Replayed, ReplayError> {
    let export = Export::open(folder)?;
    let first = blocks.id_at(Height::GENESIS)?;
    if first != Some(export.owner.genesis) {
        let got = first.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
        return Err(ReplayError::OtherChain { got, expected: export.owner.genesis.to_string() });
    }
    let keys = keys_of(&export)?;
    let chain = PoolChain::read(blocks, &keys, &export.owner.tag, |height| each(ReplayStep::Chain(height)))?;
    let log = Arc::new(open_shares(&export)?);
    let mut books = Books::new(&chain, export.owner.front_end, Arc::clone(&log));
    let front_end = export.owner.front_end;
    std::thread::scope(|scope| -> Result<(), ReplayError> {
        let frames = Frames::start(scope, &log, front_end);
        for bytes in export.events()? {
            let Some(head) = books.apply(&bytes?, &frames) else { break };
            each(ReplayStep::Log(head.number));
        }
        books.note_frames(frames.finish());
        Ok(())
    })?;
    let mut replayed = books.finish();
    let (got, expected) = (replayed.head, export.newest);
    let is_end = got.number == expected && got.hash.to_string() == export.hash;
    if replayed.difference.is_none() && !is_end {
        let (number, hash, told) = (got.number, got.hash, &export.hash);
        let what = format!("events end with event {number} and hash {hash}, export.json says {expected} and {told}");
        replayed.difference = Some(what);
    }
    Ok(replayed)
}

/// Every key that the pool's coinbases ever paid, as its events tell. What they are worth is found when they are applied.
fn keys_of(export: &Export) -> Result<BTreeSet<KeyHash>, ReplayError> {
    let mut keys = BTreeSet::new();
    let owner = &export.owner;
    let opened_as = |opened: &Opened| {
        let reason =
            || format!("its log is of {} and genesis {}, export.json says otherwise", opened.network, opened.genesis);
        let is_it = (opened.network, opened.genesis) == (owner.network, owner.genesis);
        if is_it {
            Ok(opened.key)
        } else {
            Err(ReplayError::NoExport { folder: export.folder.clone(), reason: reason() })
        }
    };
    for bytes in export.events()? {
        match Event::from_bytes(&bytes?) {
            Ok(Event::Opened(opened)) => keys.insert(opened_as(&opened)?),
            Ok(Event::Imported(import)) => keys.insert(opened_as(&import.opened)?),
            Ok(Event::Operator(Operator { act: Act::NewKey { key }, .. })) => keys.insert(key),
            Ok(Event::Cold(ColdEvent::Key(Some(key)))) => keys.insert(key),
            _ => continue,
        };
    }
    Ok(keys)
}

fn open_shares(export: &Export) -> Result<ShareLog, ReplayError> {
    let identity = LogIdentity { genesis: export.owner.genesis, front_end: export.owner.front_end };
    // Nothing of the export is changed, whatever its files look like.
    let disk = Arc::new(TrialDisk::over(Arc::new(RealDisk)));
    let folder = export.folder.join(SHARES);
    let log = ShareLog::open(disk, &folder, identity, ShareSequence::FIRST, log_options())?;
    let pruned = log.status().pruned_before;
    if pruned > ShareSequence::FIRST { Err(ReplayError::Pruned(pruned)) } else { Ok(log) }
}

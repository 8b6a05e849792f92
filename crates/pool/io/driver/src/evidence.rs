//! What a miner is given to check the pool with, put together from books, shares and chain (SPEC 8.10).

use std::collections::BTreeMap;

use bq_books::{BookStore, RowKind};
use bq_chain_api::{NodeApi, NodeError};
use bq_mining_message::{FrameHeader, Share, ShareSequence};
use bq_pool_machine::{Event, LogHash, LogHead, LogNumber};
use bq_pool_proof::{
    AccountExport, Bytes, CoinbaseProof, CreditProof, CreditReceipt, Document, Evidence, FrameShares, LiabilityEpoch,
    LogProof, OwedReceipt, PoolIdentity, Receipt, Run, ShareProof, SignedStatement, StatedOnChain,
};
use bq_primitives::{Address, Block, BlockId, Height, KeyHash};
use bq_segments::ShareLog;
use bq_views::{EvidenceWanted, LiabilitiesView, StatementView};

use crate::{
    PoolError,
    keeper::Keeper,
    stated::{KeptCredits, KeptLiabilities, inconsistent},
};

/// Blocks of the best chain, wherever they are kept.
pub trait Blocks {
    /// Height of its end.
    ///
    /// # Errors
    /// It cannot be read.
    fn tip_height(&self) -> Result<Height, NodeError>;

    /// The id of its block at a height.
    ///
    /// # Errors
    /// It cannot be read.
    fn id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError>;

    /// A block.
    ///
    /// # Errors
    /// It cannot be read.
    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError>;
}

/// The chain of a node, in this process or over RPC.
pub struct NodeBlocks<'a>(pub &'a dyn NodeApi);

impl Blocks for NodeBlocks<'_> {
    fn tip_height(&self) -> Result<Height, NodeError> {
        Ok(self.0.tip().height)
    }

    fn id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        self.0.block_id_at(height)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        self.0.block(id)
    }
}

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All shares that are on the chain up to an event, as far back as the bounds allow.
    Shares {
        /// The newest event; nothing: the newest that a block names.
        upto: Option<LogNumber>,
    },
    /// One share.
    Share {
        /// Its number; nothing: the account's newest that a block covers.
        share: Option<ShareSequence>,
    },
    /// What a block credited.
    Credit {
        /// The block.
        block: BlockId,
    },
    /// What is owed.
    Owed {
        /// The statement; nothing: the newest.
        epoch: Option<u64>,
    },
}

/// How much one answer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Events in it at most.
    pub(crate) events_max: u64,
    /// Shares looked through for it at most.
    pub(crate) shares_max: u64,
}

impl Bounds {
    /// For who has the files.
    pub(crate) const NONE: Self = Self { events_max: u64::MAX, shares_max: u64::MAX };
}

/// Blocks of the pool that are asked for at a time.
const CANDIDATES_READ: usize = 64;
/// Blocks that are tried for the one that names an event: more in a row do not leave the chain.
const CANDIDATES_TRIED: usize = 1024;
const EVENTS_READ: usize = 4096;

/// Where evidence is taken from.
pub(crate) struct Sources<'a> {
    pub(crate) store: &'a dyn BookStore,
    pub(crate) log: &'a ShareLog,
    pub(crate) blocks: &'a dyn Blocks,
    pub(crate) pool: PoolIdentity,
    pub(crate) bounds: Bounds,
}

/// A block of the best chain and the head that it names.
struct Named {
    head: LogHead,
    block: Block,
}

impl Sources<'_> {
    /// Shares of an account.
    pub(crate) fn shares(&self, account: KeyHash, upto: Option<LogNumber>) -> Result<Option<Evidence>, PoolError> {
        let newest = match upto {
            Some(upto) => self.newest_named(LogNumber(upto.0.saturating_add(1)))?,
            None => self.newest_named(LogNumber(u64::MAX))?,
        };
        let Some(newest) = newest else { return Ok(None) };
        let last = newest.head.number;
        let first = LogNumber(last.0.saturating_sub(self.bounds.events_max.saturating_sub(1)).max(1));
        let (frames, first) = self.frames_of(&account, first, last)?;
        let heads = self.named_from(first, last)?;
        let numbers: Vec<LogNumber> = frames.keys().copied().collect();
        let (mut runs, mut next) = (Vec::new(), first);
        // Each run begins where the one before ended, also where that holds no share: so nothing is left out between.
        for (_, last) in Run::ranges(&numbers, &heads.keys().copied().collect::<Vec<_>>()) {
            let Some(named) = heads.get(&last) else { continue };
            let frames = frames.range(next..=last);
            let frames = frames.map(|(event, shares)| FrameShares { event: *event, shares: shares.clone() }).collect();
            let (log, coinbase) = (self.log_proof(next, last)?, CoinbaseProof::of(&named.block));
            runs.push(Run { log, coinbase, frames });
            next = last.next();
        }
        let terms = runs.iter().rev().find_map(|run| newest_terms(&run.log));
        let export = AccountExport { pool: self.pool.clone(), account, terms, runs };
        Ok((!export.runs.is_empty()).then_some(Evidence::Account(export)))
    }

    /// One share, by the block after it.
    pub(crate) fn share(&self, account: KeyHash, share: Option<ShareSequence>) -> Result<Option<Evidence>, PoolError> {
        let at = match share {
            Some(share) => Some(share),
            None => self.newest_share(&account)?,
        };
        let Some((number, frame)) = at.map(|share| self.frame_of(share)).transpose()?.flatten() else {
            return Ok(None);
        };
        let Some(named) = self.first_named(number)? else { return Ok(None) };
        let index = at.map_or(0, |at| at.0.saturating_sub(frame.first.0));
        let shares = self.read_frame(&frame)?;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if shares.get(index).is_none_or(|share| share.payee != account) {
            return Ok(None);
        }
        let Some(proof) = ShareProof::all_of(&shares).into_iter().nth(index) else { return Ok(None) };
        let log = self.log_proof(number, named.head.number)?;
        let receipt = Receipt { share: proof, log, coinbase: CoinbaseProof::of(&named.block) };
        Ok(Some(Evidence::Share { pool: self.pool.clone(), receipt }))
    }

    /// What a block credited to an account.
    pub(crate) fn credit(&self, account: KeyHash, block: &BlockId) -> Result<Option<Evidence>, PoolError> {
        let Some(row) = self.store.row(RowKind::Credits, &block.to_string())? else { return Ok(None) };
        let kept = KeptCredits::from_bytes(&row).map_err(inconsistent)?;
        let index = kept.credits.iter().position(|credit| credit.payee == account);
        let Some(proof) = index.and_then(|index| CreditProof::of(&kept.credits, index)) else { return Ok(None) };
        let Some(named) = self.first_named(kept.event)? else { return Ok(None) };
        let log = self.log_proof(kept.event, named.head.number)?;
        let receipt = CreditReceipt { proof, log, coinbase: CoinbaseProof::of(&named.block) };
        Ok(Some(Evidence::Credit { pool: self.pool.clone(), receipt }))
    }

    /// The way of an event onto the chain; nothing while no block names it.
    pub(crate) fn on_chain(&self, event: LogNumber) -> Result<Option<StatedOnChain>, PoolError> {
        let Some(named) = self.first_named(event)? else { return Ok(None) };
        let log = self.log_proof(event, named.head.number)?;
        Ok(Some(StatedOnChain { log, coinbase: CoinbaseProof::of(&named.block) }))
    }

    /// The frames with shares of an account, with the proofs of those, and the event from which on they were looked for.
    fn frames_of(
        &self,
        account: &KeyHash,
        first: LogNumber,
        last: LogNumber,
    ) -> Result<(BTreeMap<LogNumber, Vec<ShareProof>>, LogNumber), PoolError> {
        let mut first = first;
        let mut frames: Vec<(LogNumber, FrameHeader)> = Vec::new();
        let (mut before, mut shares) = (LogNumber(last.0.saturating_add(1)), 0_u64);
        // From the newest backwards, so that a bound cuts off the oldest.
        'all: loop {
            let stored = self.store.newest("frame", before, EVENTS_READ)?;
            let Some(oldest) = stored.last().map(|stored| stored.head.number) else { break };
            for stored in stored.iter().take_while(|stored| stored.head.number >= first) {
                let Ok(Event::Frame(frame)) = Event::from_bytes(&stored.bytes) else { continue };
                shares = shares.saturating_add(frame.count.into());
                if shares > self.bounds.shares_max {
                    first = stored.head.number.next();
                    break 'all;
                }
                frames.push((stored.head.number, frame));
            }
            if oldest < first {
                break;
            }
            before = oldest;
        }
        let status = self.log.status();
        let mut found = BTreeMap::new();
        for (number, frame) in frames.into_iter().rev() {
            let is_gone = frame.first < status.pruned_before
                || status.holes.iter().any(|hole| hole.start < frame.end() && frame.first < hole.end);
            if is_gone {
                continue;
            }
            let shares = self.read_frame(&frame)?;
            if shares.iter().any(|share| share.payee == *account) {
                let mine = ShareProof::all_of(&shares).into_iter().zip(&shares);
                let mine = mine.filter(|(_, share)| share.payee == *account).map(|(proof, _)| proof).collect();
                found.insert(number, mine);
            }
        }
        Ok((found, first))
    }

    fn read_frame(&self, frame: &FrameHeader) -> Result<Vec<Share>, PoolError> {
        let shares: Result<Vec<Share>, _> =
            self.log.read(frame.first..frame.end()).map(|share| share.map(|(_, share)| share)).collect();
        Ok(shares?)
    }

    /// The account's newest share that a block covers.
    fn newest_share(&self, account: &KeyHash) -> Result<Option<ShareSequence>, PoolError> {
        let Some(newest) = self.newest_named(LogNumber(u64::MAX))? else { return Ok(None) };
        let frame = self.store.newest("frame", newest.head.number.next(), 1)?;
        let Some(Ok(Event::Frame(frame))) = frame.first().map(|frame| Event::from_bytes(&frame.bytes)) else {
            return Ok(None);
        };
        let most = usize::try_from(self.bounds.shares_max).unwrap_or(usize::MAX);
        for piece in self.log.backwards(frame.end(), |payee| payee == account).take(most) {
            match piece {
                Ok(piece) if piece.payee => return Ok(Some(piece.sequence)),
                Ok(_) => {}
                Err(bq_segments::ReadError::Pruned { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The frame that holds a share, with its event. Frames rise with their events, so it is found by halving.
    fn frame_of(&self, share: ShareSequence) -> Result<Option<(LogNumber, FrameHeader)>, PoolError> {
        // Up to `low` no frame begins behind the share, after `high` every one does.
        let (mut low, mut high) = (0_u64, self.store.head()?.number.0);
        while low < high {
            let middle = high.saturating_sub(high.saturating_sub(low) / 2);
            match self.frame_before(LogNumber(middle.saturating_add(1)))? {
                Some((_, frame)) if frame.first > share => high = middle.saturating_sub(1),
                _ => low = middle,
            }
        }
        let found = self.frame_before(LogNumber(low.saturating_add(1)))?;
        Ok(found.filter(|(_, frame)| frame.first <= share && share < frame.end()))
    }

    fn frame_before(&self, before: LogNumber) -> Result<Option<(LogNumber, FrameHeader)>, PoolError> {
        let stored = self.store.newest("frame", before, 1)?;
        let Some(stored) = stored.first() else { return Ok(None) };
        match Event::from_bytes(&stored.bytes) {
            Ok(Event::Frame(frame)) => Ok(Some((stored.head.number, frame))),
            _ => Err(inconsistent("an event that is called a frame is none")),
        }
    }

    /// The block of the best chain that names the earliest head from an event on.
    fn first_named(&self, event: LogNumber) -> Result<Option<Named>, PoolError> {
        let (mut from, mut tried) = (event, 0_usize);
        while tried < CANDIDATES_TRIED {
            let stored = self.store.oldest("candidate", from, CANDIDATES_READ)?;
            let Some(newest) = stored.last().map(|stored| stored.head.number) else { break };
            for stored in &stored {
                if let Some(named) = self.named_by(&stored.bytes)?
                    && named.head.number >= event
                {
                    let events = named.head.number.0.saturating_sub(event.0).saturating_add(1);
                    return Ok((events <= self.bounds.events_max).then_some(named));
                }
            }
            tried = tried.saturating_add(stored.len());
            from = newest.next();
        }
        Ok(None)
    }

    /// The block of the best chain that names the newest head before an event.
    fn newest_named(&self, before: LogNumber) -> Result<Option<Named>, PoolError> {
        let (mut at, mut tried) = (LogNumber(u64::MAX), 0_usize);
        while tried < CANDIDATES_TRIED || self.bounds == Bounds::NONE {
            let stored = self.store.newest("candidate", at, CANDIDATES_READ)?;
            let Some(oldest) = stored.last().map(|stored| stored.head.number) else { break };
            for stored in &stored {
                if let Some(named) = self.named_by(&stored.bytes)?
                    && named.head.number < before
                {
                    return Ok(Some(named));
                }
            }
            tried = tried.saturating_add(stored.len());
            at = oldest;
        }
        Ok(None)
    }

    /// Every head between two events that a block names, with the first block that does.
    fn named_from(&self, first: LogNumber, last: LogNumber) -> Result<BTreeMap<LogNumber, Named>, PoolError> {
        let mut all = BTreeMap::new();
        let mut from = first;
        loop {
            let stored = self.store.oldest("candidate", from, CANDIDATES_READ)?;
            let Some(newest) = stored.last().map(|stored| stored.head.number) else { return Ok(all) };
            for stored in &stored {
                if let Some(named) = self.named_by(&stored.bytes)?
                    && (first..=last).contains(&named.head.number)
                {
                    all.entry(named.head.number).or_insert(named);
                }
            }
            // A block is told after the event that it names; once one names a later event than the last, few are left that do not.
            if all.contains_key(&last) && newest.0 > last.0.saturating_add(u64::try_from(EVENTS_READ).unwrap_or(0)) {
                return Ok(all);
            }
            from = newest.next();
        }
    }

    /// The head that a block names, if it is on the best chain and the head is one of this log.
    fn named_by(&self, candidate: &[u8]) -> Result<Option<Named>, PoolError> {
        let Ok(Event::Candidate(candidate)) = Event::from_bytes(candidate) else { return Ok(None) };
        if self.blocks.id_at(candidate.height)? != Some(candidate.id) {
            return Ok(None);
        }
        let Some(block) = self.blocks.block(&candidate.id)? else { return Ok(None) };
        let Ok(anchor) = CoinbaseProof::of(&block).verify(&self.pool) else { return Ok(None) };
        let is_ours = self.store.hash_at(anchor.head.number)? == Some(anchor.head.hash);
        Ok(is_ours.then_some(Named { head: anchor.head, block }))
    }

    fn log_proof(&self, first: LogNumber, last: LogNumber) -> Result<LogProof, PoolError> {
        let before = self.store.hash_at(LogNumber(first.0.saturating_sub(1)))?.unwrap_or(LogHash::default());
        let (mut events, mut next) = (Vec::new(), first);
        while next <= last {
            let stored = self.store.read(next, EVENTS_READ)?;
            let taken = stored.into_iter().take_while(|stored| stored.head.number <= last);
            let length = events.len();
            events.extend(taken.map(|stored| Bytes(stored.bytes)));
            let read = u64::try_from(events.len().saturating_sub(length)).unwrap_or(0);
            if read == 0 {
                return Err(inconsistent(format!("event {next} is not in the log")));
            }
            next = LogNumber(next.0.saturating_add(read));
        }
        Ok(LogProof { first, before, events })
    }
}

fn newest_terms(log: &LogProof) -> Option<bq_pool_machine::Terms> {
    log.events.iter().rev().find_map(|bytes| match Event::from_bytes(&bytes.0) {
        Ok(Event::Terms(terms)) => Some(terms),
        Ok(Event::Imported(import)) => Some(import.terms),
        _ => None,
    })
}

impl Keeper {
    /// The bytes of a proof that is asked for over HTTP.
    pub(crate) fn evidence_view(&self, address: &str, wanted: &EvidenceWanted) -> Result<Option<Vec<u8>>, PoolError> {
        let Ok(address) = Address::parse(address, self.config.network) else { return Ok(None) };
        let wanted = match wanted {
            EvidenceWanted::Shares(upto) => Wanted::Shares { upto: upto.map(LogNumber) },
            EvidenceWanted::Share(share) => Wanted::Share { share: share.map(ShareSequence) },
            EvidenceWanted::Credit(block) => Wanted::Credit { block: *block },
            EvidenceWanted::Owed(epoch) => Wanted::Owed { epoch: *epoch },
        };
        let evidence = self.evidence(address.key_hash, &wanted)?;
        evidence.map(|evidence| evidence.to_bytes().map_err(inconsistent)).transpose()
    }

    /// What was said to be owed, newest first.
    pub(crate) fn liabilities_view(&self) -> Result<LiabilitiesView, PoolError> {
        let blocks = NodeBlocks(self.node.as_ref());
        let bounds = Bounds { events_max: self.config.proof_events_max.into(), shares_max: 0 };
        let (store, log, pool) = (self.store.as_ref(), self.log.as_ref(), self.identity());
        let sources = Sources { store, log, blocks: &blocks, pool, bounds };
        let statement = |kept: KeptLiabilities| {
            let named = sources.first_named(kept.event.number)?;
            let of_signed = |bytes: fn(&SignedStatement) -> &Bytes| {
                kept.signed.as_ref().map(|signed| hex::encode(&bytes(signed).0)).unwrap_or_default()
            };
            Ok(StatementView {
                epoch: kept.epoch.0,
                event: kept.event.number.0,
                event_hash: kept.event.hash.to_string(),
                depth: kept.depth,
                root: hex::encode(kept.root),
                sum: kept.sum.into(),
                accounts: kept.accounts,
                public_key: of_signed(|signed| &signed.public_key),
                signature: of_signed(|signed| &signed.signature),
                block: named.map(|named| named.block.id().to_string()),
            })
        };
        let statements = self.kept_liabilities()?.into_iter().map(statement).collect::<Result<_, PoolError>>()?;
        Ok(LiabilitiesView { statements })
    }

    /// What an account is given to check the pool with; nothing if there is no such thing, or not yet.
    pub(crate) fn evidence(&self, account: KeyHash, wanted: &Wanted) -> Result<Option<Evidence>, PoolError> {
        let blocks = NodeBlocks(self.node.as_ref());
        let bounds =
            Bounds { events_max: self.config.proof_events_max.into(), shares_max: self.config.proof_shares_max.into() };
        let (store, log, pool) = (self.store.as_ref(), self.log.as_ref(), self.identity());
        let sources = Sources { store, log, blocks: &blocks, pool, bounds };
        match wanted {
            Wanted::Shares { upto } => sources.shares(account, *upto),
            Wanted::Share { share } => sources.share(account, *share),
            Wanted::Credit { block } => sources.credit(account, block),
            Wanted::Owed { epoch } => self.owed(&sources, account, *epoch),
        }
    }

    fn owed(&self, sources: &Sources<'_>, account: KeyHash, epoch: Option<u64>) -> Result<Option<Evidence>, PoolError> {
        let wanted = |of: &LiabilityEpoch| epoch.is_none_or(|epoch| of.0 == epoch);
        for kept in self.kept_liabilities()? {
            let Some(statement) = kept.signed.clone().filter(|_| wanted(&kept.epoch)) else { continue };
            let Some(proof) = self.liability_tree(&kept)?.proof(&account) else { return Ok(None) };
            let on_chain = sources.on_chain(kept.event.number)?;
            let receipt = Box::new(OwedReceipt { account, statement, proof, on_chain });
            return Ok(Some(Evidence::Owed { pool: sources.pool.clone(), receipt }));
        }
        Ok(None)
    }
}

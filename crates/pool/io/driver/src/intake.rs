use std::collections::{BTreeMap, HashSet, VecDeque};

use bq_chain_api::SubmitBlockError;
use bq_fault_point::{FaultPoint, hold, reach};
use bq_mining_message::{AuthorizeError, RecordShareError, Share, SharePosition, ShareSequence};
use bq_pool_machine::{Candidate, Commitment, LogHead, Winning};
use bq_primitives::{Address, Amount, Block, BlockId, KeyHash, Transaction};
use bq_segments::AppendError;

use crate::{keeper::Keeper, submitter::Submission};

/// What came in since the books were last told.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// Keys that have an account, or will have one with the next frames.
    known: HashSet<KeyHash>,
    /// Keys without an account, in the order of their first shares.
    new_keys: Vec<(ShareSequence, KeyHash)>,
    /// Blocks that were found and are not told yet.
    found: BTreeMap<BlockId, Found>,
    /// Blocks that were told, and where their own shares lie; the newest ones, oldest first.
    told: VecDeque<(BlockId, ShareSequence)>,
}

/// A miner may hand the share of a block in again until its job is forgotten, which a few blocks later is the case.
const TOLD_BLOCKS_KEPT: usize = 1024;

/// A found block on its way into the books.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// As it will be told, but for its own share and what its coinbase pays miners.
    pub(crate) candidate: Candidate,
    /// The event that its coinbase names.
    pub(crate) named: Option<LogHead>,
    /// That coinbase.
    pub(crate) coinbase: Option<Transaction>,
    /// To be submitted again after a crash.
    pub(crate) bytes: Vec<u8>,
    /// Its own share while that could not be written, for want of room.
    pub(crate) unwritten: Option<Share>,
    /// Where its own share lies.
    pub(crate) sequence: Option<ShareSequence>,
}

impl Intake {
    pub(crate) fn with_known(known: impl IntoIterator<Item = KeyHash>) -> Self {
        Self { known: known.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn note(&mut self, sequence: ShareSequence, key: KeyHash) {
        if self.known.insert(key) {
            self.new_keys.push((sequence, key));
        }
    }

    /// New keys of shares before `end`, in the order of their first shares.
    pub(crate) fn take_keys(&mut self, end: ShareSequence) -> Vec<KeyHash> {
        let (taken, kept): (Vec<_>, Vec<_>) = self.new_keys.drain(..).partition(|(sequence, _)| *sequence < end);
        self.new_keys = kept;
        taken.into_iter().map(|(_, key)| key).collect()
    }

    pub(crate) fn found(&self, id: &BlockId) -> Option<&Found> {
        self.found.get(id)
    }

    /// Blocks whose own share is written before `end`; they are forgotten here once they are told.
    pub(crate) fn tellable(&self, end: ShareSequence) -> Vec<Found> {
        let is_written = |found: &&Found| found.sequence.is_some_and(|sequence| sequence < end);
        self.found.values().filter(is_written).cloned().collect()
    }

    pub(crate) fn told(&mut self, id: &BlockId) {
        let sequence = self.found.remove(id).and_then(|found| found.sequence);
        self.told.extend(sequence.map(|sequence| (*id, sequence)));
        while self.told.len() > TOLD_BLOCKS_KEPT {
            self.told.pop_front();
        }
    }

    /// Where the own share of a block lies, once it is written.
    fn written(&self, id: &BlockId) -> Option<ShareSequence> {
        let told = || self.told.iter().find(|(told, _)| told == id).map(|(_, sequence)| *sequence);
        self.found.get(id).and_then(|found| found.sequence).or_else(told)
    }

    fn wrote(&mut self, id: &BlockId, position: SharePosition) {
        if let Some(found) = self.found.get_mut(id) {
            found.unwritten = None;
            found.sequence = Some(position.sequence);
            found.candidate.winning = Winning::Share(position);
        }
    }
}

impl Keeper {
    /// Who a miner is, by the address it logs in with. The pool's own address earns nothing.
    pub(crate) fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError> {
        let address =
            Address::parse(address, self.config.network).map_err(|error| AuthorizeError::Address(error.to_string()))?;
        if self.owns(&address.key_hash) {
            return Err(AuthorizeError::OwnAddress);
        }
        Ok(address.key_hash)
    }

    /// Hands the block to the node, whatever else is full or failing, and writes the share. Returns when both are done, so that
    /// nothing that a miner is told of is lost by a crash; a node that takes too long is not waited for.
    pub(crate) fn record(&self, share: &Share, block: Option<Block>) -> Result<(), RecordShareError> {
        let mut submission = None;
        if let Some(block) = block {
            if self.intake.lock().written(&block.id()).is_some() {
                // Its miner was told that there is no room, and then there was: it is booked, and sent again.
                return Ok(());
            }
            submission = Some(self.found(block, share));
            hold(FaultPoint::BlockNotWritten);
        }
        let written = self.append(share);
        if let Some(submission) = submission {
            self.submitter.wait(&submission, self.config.block_wait);
        }
        match written {
            Ok(_) => {
                self.look_now.notify_one();
                Ok(())
            }
            Err(error) => {
                self.metrics.share_log_error();
                Err(RecordShareError::Log(error.to_string()))
            }
        }
    }

    /// As [`Keeper::record`] for shares that are no blocks, with one write for all.
    pub(crate) fn record_all(&self, shares: &[Share]) -> Vec<Result<(), RecordShareError>> {
        // One lock over both, as for a share alone.
        let mut intake = self.intake.lock();
        reach(FaultPoint::ShareNotWritten);
        let (written, end) = self.log.append_many(shares);
        let count = usize::try_from(written.end.0.saturating_sub(written.start.0)).unwrap_or(usize::MAX);
        let (taken, refused) = shares.split_at(count.min(shares.len()));
        let (mut stats, now) = (self.stats.lock(), self.moment());
        for (offset, share) in (0..).zip(taken) {
            let sequence = written.start.after(offset);
            intake.note(sequence, share.payee);
            stats.accept(now, sequence, share);
        }
        drop(stats);
        drop(intake);
        if !taken.is_empty() {
            self.look_now.notify_one();
        }
        let why = end.err().map_or(RecordShareError::Closed, |error| RecordShareError::Log(error.to_string()));
        refused.iter().for_each(|_| self.metrics.share_log_error());
        taken.iter().map(|_| Ok(())).chain(refused.iter().map(|_| Err(why.clone()))).collect()
    }

    /// Writes a share, that of a block once only.
    fn append(&self, share: &Share) -> Result<ShareSequence, AppendError> {
        // One lock over all: the books must not be told of a share before its key is known here, whoever finds room for the
        // share of a block first is the only one, and the statistics count shares in the order of the log.
        let mut intake = self.intake.lock();
        let written = share.block_id.and_then(|id| intake.written(&id));
        if let Some(sequence) = written {
            return Ok(sequence);
        }
        reach(FaultPoint::ShareNotWritten);
        let sequence = self.log.append(share)?;
        intake.note(sequence, share.payee);
        self.stats.lock().accept(self.moment(), sequence, share);
        if let Some(id) = share.block_id {
            intake.wrote(&id, SharePosition { front_end: self.config.front_end, sequence });
        }
        Ok(sequence)
    }

    fn found(&self, block: Block, share: &Share) -> Submission {
        let id = block.id();
        let candidate = Self::candidate(&block, Winning::NoShares, |key| self.owns(key));
        let bytes = block.to_bytes();
        let named = self.commitment_of(&block).map(|(Commitment(head), _)| head);
        let coinbase = block.transactions.first().cloned();
        let found = Found { candidate, named, coinbase, bytes, unwritten: Some(share.clone()), sequence: None };
        self.intake.lock().found.entry(id).or_insert(found);
        self.submitter.submit(block)
    }

    /// Shares of blocks that could not be written when they were found: there may be room now.
    pub(crate) fn write_owed_shares(&self) -> Result<(), AppendError> {
        let owed: Vec<Share> = self.intake.lock().found.values().filter_map(|found| found.unwritten.clone()).collect();
        owed.iter().try_for_each(|share| self.append(share).map(drop))
    }

    /// A block as the log is told of it; `is_ours` says of a key whether it is the pool's.
    pub(crate) fn candidate(block: &Block, winning: Winning, is_ours: impl Fn(&KeyHash) -> bool) -> Candidate {
        let outputs = block.transactions.first().map_or([].as_slice(), |coinbase| coinbase.outputs.as_slice());
        let ours = (0_u32..).zip(outputs).filter(|(_, output)| is_ours(&output.key_hash));
        Candidate {
            id: block.id(),
            height: block.header.height,
            algorithm: block.header.algorithm,
            coinbase: block.transactions.first().map(Transaction::txid).unwrap_or_default(),
            outputs: ours
                .map(|(index, output)| (index, output.amount))
                .filter(|(_, amount)| *amount > Amount::ZERO)
                .collect(),
            winning,
            time: block.header.time.0,
        }
    }
}

/// What the node said of a block of the pool.
pub(crate) fn note_verdict(id: &BlockId, verdict: &Result<BlockId, SubmitBlockError>) {
    match verdict {
        Ok(_) | Err(SubmitBlockError::Duplicate) => tracing::info!(block = %id, "block found"),
        Err(SubmitBlockError::Invalid(reason)) => {
            tracing::error!(block = %id, %reason, "the node refused a block of the pool");
        }
        Err(error) => tracing::warn!(block = %id, %error, "a block is submitted again"),
    }
}

//! What a block of the chain means to the pool.

use std::collections::BTreeSet;

use bq_mining_message::{SharePosition, ShareSequence};
use bq_pool_machine::{CoinbaseOf, Commitment, CommitmentCheck, LogHead, LogNumber, Received, Spent, State, Winning};
use bq_primitives::{Amount, Block, BlockId, Height, OutPoint};

use crate::{PoolError, keeper::Keeper};

/// What the blocks of a way do to the pool.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) joined: Vec<BlockId>,
    pub(crate) received: Vec<Received>,
    pub(crate) spent: Vec<(OutPoint, Spent)>,
    /// Coins of the pool that are unspent after the blocks seen so far.
    coins: BTreeSet<OutPoint>,
}

impl Scan {
    /// Starts with the coins that the state knows to be unspent below the fork.
    pub(crate) fn new(state: &State, fork: Height) -> Self {
        let is_unspent = |coin: &bq_pool_machine::PoolCoin| {
            coin.height <= fork && coin.spent.is_none_or(|spent| spent.height > fork)
        };
        let coins = state.coins().filter(|(_, coin)| is_unspent(coin)).map(|(outpoint, _)| outpoint).collect();
        Self { coins, ..Self::default() }
    }
}

impl Keeper {
    /// Reads one connected block into a scan. Nothing if the pool is just booking it: the way ends before it then.
    pub(crate) fn scan(&self, scan: &mut Scan, height: Height, block: &Block) -> Result<Option<()>, PoolError> {
        let id = block.id();
        if self.intake.lock().found(&id).is_some() {
            return Ok(None);
        }
        let key = self.books_key();
        let is_ours = self.state.read().block(&id).is_some() || self.adopt_block(block)?;
        if is_ours {
            scan.joined.push(id);
        }
        for (position, transaction) in block.transactions.iter().enumerate() {
            let coinbase = position == 0;
            let spends = transaction.inputs.iter().filter(|input| scan.coins.contains(input)).copied();
            let spends: Vec<OutPoint> = spends.filter(|_| !coinbase).collect();
            let pays = transaction.outputs.iter().any(|output| output.key_hash == key);
            if spends.is_empty() && !pays {
                continue;
            }
            let by = transaction.txid();
            for outpoint in spends {
                scan.coins.remove(&outpoint);
                scan.spent.push((outpoint, Spent { by, height, explained: false }));
            }
            for (index, output) in (0_u32..).zip(&transaction.outputs).filter(|(_, output)| output.key_hash == key) {
                let outpoint = OutPoint { txid: by, index };
                let is_block_coin = coinbase && is_ours;
                if !is_block_coin && !self.is_worth_keeping(&outpoint, output.amount) {
                    continue;
                }
                scan.coins.insert(outpoint);
                if !is_block_coin {
                    scan.received.push(Received { outpoint, amount: output.amount, height, coinbase });
                }
            }
        }
        Ok(Some(()))
    }

    /// A block that pays the pool and that the log was not told of: told now, if it is one of the pool's own. Its finder's share
    /// is looked for; a block without one pays the newest window. One so old that the log may have forgotten it pays nobody.
    pub(crate) fn adopt_block(&self, block: &Block) -> Result<bool, PoolError> {
        let Some(coinbase) = block.transactions.first() else { return Ok(false) };
        let (key, commitment) = (self.books_key(), self.commitment_of(block));
        // The coinbase that pays miners may leave the pool nothing; then what it says of the log tells whose it is.
        let pays_pool = coinbase.outputs.iter().any(|output| output.key_hash == key);
        if !pays_pool && commitment.is_none() {
            return Ok(false);
        }
        let pays_others = coinbase.outputs.iter().any(|output| output.key_hash != key);
        let id = block.id();
        if block.header.height < self.state.read().kept_from() {
            return Ok(false);
        }
        let share = self.find_share(&id)?;
        let told = self.state.read().front_end(self.config.front_end).map_or(ShareSequence::FIRST, |head| head.next);
        let at = |sequence| SharePosition { front_end: self.config.front_end, sequence };
        let share = share.filter(|share| *share < told);
        let is_of_this_log = commitment.map(|(Commitment(seen), _)| self.has_event(&seen)).transpose()?;
        // Whose work it was is not known without its share: no window earned it.
        let is_of_others = share.is_none() && matches!(commitment, Some((_, CoinbaseOf::Others)));
        let direct = match commitment {
            Some((Commitment(seen), _)) if is_of_this_log == Some(true) && !is_of_others => {
                self.direct_block((block.header.algorithm, seen.number), coinbase, share.map(at))?
            }
            _ => None,
        };
        let winning = match (direct, share, is_of_this_log) {
            (Some(direct), _, _) => Winning::Coinbase(direct),
            // Its coinbase paid a window that ended at an event which is lost, though its own share is not.
            (None, _, Some(false)) if pays_others => Winning::Lost,
            (None, Some(sequence), _) => Winning::Share(at(sequence)),
            // The log was longer when that block was made, or another one: whose work it was is not known here.
            (None, None, Some(false)) => Winning::Lost,
            (None, None, Some(true)) if is_of_others => Winning::Lost,
            (None, None, Some(true)) if told > ShareSequence::FIRST => {
                Winning::After(at(ShareSequence(told.0.saturating_sub(1))))
            }
            (None, None, Some(true)) => Winning::NoShares,
            (None, None, None) => return Ok(false),
        };
        let candidate = Self::candidate(block, winning, key);
        if candidate.reward().map_err(bq_pool_machine::Fault::from)? == Amount::ZERO {
            return Ok(false);
        }
        let winning = &candidate.winning;
        tracing::warn!(block = %id, height = candidate.height.0, ?winning, "adopted a block of the pool that was not in the log");
        self.tell(&bq_pool_machine::Event::Candidate(candidate), Vec::new())?;
        Ok(true)
    }

    /// What the coinbase of a block says of the log, if that is sealed with the pool's key.
    pub(crate) fn commitment_of(&self, block: &Block) -> Option<(Commitment, CoinbaseOf)> {
        let Block { header, transactions, .. } = block;
        let coinbase = transactions.first()?;
        let key = self.books_key();
        Commitment::read(coinbase, &self.config.pool_tag, &self.commitment_key, &header.parent_id, &key)
    }

    fn has_event(&self, seen: &LogHead) -> Result<bool, PoolError> {
        Ok(seen.number == LogNumber(0) || self.store.hash_at(seen.number)? == Some(seen.hash))
    }

    fn find_share(&self, id: &BlockId) -> Result<Option<ShareSequence>, PoolError> {
        // The share of a block was written when the block was found: as far back as anything is kept.
        match self.log.find_block(id, self.log.status().pruned_before.max(ShareSequence::FIRST)) {
            Ok(found) => Ok(found),
            Err(bq_segments::ReadError::Pruned { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the pool's blocks say of the log, also those that it was told of before it was started: an alarm must not end with
    /// the process.
    pub(crate) fn read_commitments(&self) -> Result<(), PoolError> {
        if self.outside.lock().commitments_read {
            return Ok(());
        }
        let ids: Vec<BlockId> = self.state.read().blocks().map(|block| block.candidate.id).collect();
        for id in ids {
            if let Some(block) = self.node.block(&id)? {
                self.check_commitment(&block)?;
            }
        }
        self.read_unspent_commitments()?;
        self.outside.lock().commitments_read = true;
        Ok(())
    }

    /// Compares what a block of the pool says of the log with the log. True if it names an event of it.
    pub(crate) fn check_commitment(&self, block: &Block) -> Result<bool, PoolError> {
        let Some((commitment, _)) = self.commitment_of(block) else { return Ok(false) };
        let recovery = self.state.read().recovery().copied();
        let stored = self.store.hash_at(commitment.0.number)?;
        let check = commitment.check(block.header.height, recovery.as_ref(), |_| stored);
        if check != CommitmentCheck::Fine {
            let mut outside = self.outside.lock();
            outside.commitment = worse(outside.commitment, check);
        }
        Ok(stored == Some(commitment.0.hash))
    }

    pub(crate) fn is_worth_keeping(&self, outpoint: &OutPoint, amount: Amount) -> bool {
        // Change of a payout, and the gift that one spends, are kept whatever they are worth; the machine tells them apart.
        let is_needed = |payout: &bq_pool_machine::Payout| {
            payout.planned.change == amount || payout.planned.inputs.iter().any(|input| input.outpoint == *outpoint)
        };
        amount >= self.config.gift_min || self.state.read().payouts().any(is_needed)
    }
}

/// The commitment that says the log was longer.
fn worse(one: CommitmentCheck, other: CommitmentCheck) -> CommitmentCheck {
    let number = |check: &CommitmentCheck| match check {
        CommitmentCheck::Fine => None,
        CommitmentCheck::Behind { seen } | CommitmentCheck::Differs { seen } => Some(seen.number),
    };
    if number(&other) > number(&one) { other } else { one }
}

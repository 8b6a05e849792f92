//! What a block of the chain means to the pool.

use std::collections::BTreeSet;

use bq_mining_message::{SharePosition, ShareSequence};
use bq_pool_machine::{
    CoinbaseOf, ColdEvent, Commitment, CommitmentCheck, Event, Fill, LogHead, LogNumber, Received, Spent, State,
    Winning,
};
use bq_primitives::{Amount, Block, BlockId, Height, KeyHash, OutPoint, Transaction, TxOut};

use crate::{PoolError, keeper::Keeper};

/// What the blocks of a way do to the pool.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) joined: Vec<BlockId>,
    pub(crate) received: Vec<Received>,
    pub(crate) spent: Vec<(OutPoint, Spent)>,
    /// Coins of cold keys that the log is to be told of first.
    pub(crate) cold: Vec<OutPoint>,
    /// Fills of the float that it is to be told of first.
    pub(crate) fills: Vec<Fill>,
    /// Coins of the pool that are unspent after the blocks seen so far.
    coins: BTreeSet<OutPoint>,
    /// Those of cold keys among them.
    cold_coins: BTreeSet<OutPoint>,
}

impl Scan {
    /// Starts with the coins that the state knows to be unspent below the fork.
    pub(crate) fn new(state: &State, fork: Height) -> Self {
        let is_unspent = |coin: &bq_pool_machine::PoolCoin| {
            coin.height <= fork && coin.spent.is_none_or(|spent| spent.height > fork)
        };
        let coins: BTreeSet<OutPoint> =
            state.coins().filter(|(_, coin)| is_unspent(coin)).map(|(outpoint, _)| outpoint).collect();
        let cold_coins = coins.iter().copied().filter(|outpoint| state.is_cold(outpoint)).collect();
        Self { coins, cold_coins, ..Self::default() }
    }

    /// What the log is told before the way or the chain as a whole.
    pub(crate) fn take_cold(&mut self) -> Vec<Event> {
        let coins = std::mem::take(&mut self.cold);
        let coins = (!coins.is_empty()).then_some(ColdEvent::Coins(coins));
        coins.into_iter().chain(self.fills.drain(..).map(ColdEvent::Fill)).map(Event::Cold).collect()
    }
}

/// The pool's own key and the cold ones.
pub(crate) struct Keys {
    own: KeyHash,
    cold: BTreeSet<KeyHash>,
}

impl Keys {
    fn has(&self, key: &KeyHash) -> bool {
        *key == self.own || self.cold.contains(key)
    }
}

impl Scan {
    /// Whether a transaction moves coins of cold keys and pays nobody else.
    fn is_fill(&self, transaction: &Transaction, keys: &Keys) -> bool {
        let is_cold = transaction.inputs.iter().all(|input| self.cold_coins.contains(input));
        is_cold && transaction.outputs.iter().all(|output| keys.has(&output.key_hash))
    }
}

impl Keeper {
    /// Reads one connected block into a scan. Nothing if the pool is just booking it: the way ends before it then.
    pub(crate) fn scan(&self, scan: &mut Scan, height: Height, block: &Block) -> Result<Option<()>, PoolError> {
        let id = block.id();
        if self.intake.lock().found(&id).is_some() {
            return Ok(None);
        }
        let keys = self.keys();
        let is_ours = self.state.read().block(&id).is_some() || self.adopt_block(block)?;
        if is_ours {
            scan.joined.push(id);
        }
        for (position, transaction) in block.transactions.iter().enumerate() {
            let coinbase = position == 0;
            let spends = transaction.inputs.iter().filter(|input| scan.coins.contains(input)).copied();
            let spends: Vec<OutPoint> = spends.filter(|_| !coinbase).collect();
            let pays = transaction.outputs.iter().any(|output| keys.has(&output.key_hash));
            if spends.is_empty() && !pays {
                continue;
            }
            let by = transaction.txid();
            let is_fill = spends.len() == transaction.inputs.len() && scan.is_fill(transaction, &keys);
            if is_fill && !self.state.read().knows_fill(&by) {
                scan.fills.push(Fill::of(transaction));
            }
            for outpoint in spends {
                scan.cold_coins.remove(&outpoint);
                scan.coins.remove(&outpoint);
                scan.spent.push((outpoint, Spent { by, height, explained: false }));
            }
            let ours = (0_u32..).zip(&transaction.outputs).filter(|(_, output)| keys.has(&output.key_hash));
            for (index, output) in ours {
                let outpoint = OutPoint { txid: by, index };
                let is_block_coin = coinbase && is_ours;
                if !is_block_coin && !is_fill && !self.is_worth_keeping(&outpoint, output.amount) {
                    continue;
                }
                scan.coins.insert(outpoint);
                if keys.cold.contains(&output.key_hash) {
                    scan.cold_coins.insert(outpoint);
                    let is_told = is_block_coin || is_fill || self.is_cold_already(&outpoint);
                    scan.cold.extend((!is_told).then_some(outpoint));
                }
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
        let (keys, commitment) = (self.keys(), self.commitment_of(block));
        // The coinbase that pays miners may leave the pool nothing; then what it says of the log tells whose it is.
        let pays_pool = coinbase.outputs.iter().any(|output| keys.has(&output.key_hash));
        if !pays_pool && commitment.is_none() {
            return Ok(false);
        }
        let pays_others = coinbase.outputs.iter().any(|output| !keys.has(&output.key_hash));
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
        let candidate = Self::candidate(block, winning, |key| keys.has(key));
        if candidate.reward().map_err(bq_pool_machine::Fault::from)? == Amount::ZERO {
            return Ok(false);
        }
        let winning = &candidate.winning;
        tracing::warn!(block = %id, height = candidate.height.0, ?winning, "adopted a block of the pool that was not in the log");
        let events: Vec<Event> = self.cold_coins(coinbase).into_iter().chain([Event::Candidate(candidate)]).collect();
        self.tell_all(&events, Vec::new())?;
        Ok(true)
    }

    /// Keys whose coins the books hold.
    fn keys(&self) -> Keys {
        Keys { own: self.books_key(), cold: self.state.read().cold_keys().clone() }
    }

    /// Tells which outputs of a coinbase are a cold key's, if some are and the log does not know.
    pub(crate) fn cold_coins(&self, coinbase: &Transaction) -> Option<Event> {
        let (keys, txid) = (self.keys(), coinbase.txid());
        let is_cold = |output: &TxOut| keys.cold.contains(&output.key_hash) && output.amount > Amount::ZERO;
        let outputs = (0_u32..).zip(&coinbase.outputs).filter(|(_, output)| is_cold(output));
        let coins = outputs.map(|(index, _)| OutPoint { txid, index });
        let coins: Vec<OutPoint> = coins.filter(|outpoint| !self.is_cold_already(outpoint)).collect();
        (!coins.is_empty()).then_some(Event::Cold(ColdEvent::Coins(coins)))
    }

    fn is_cold_already(&self, outpoint: &OutPoint) -> bool {
        let state = self.state.read();
        state.is_cold(outpoint) || state.coin(outpoint).is_some()
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

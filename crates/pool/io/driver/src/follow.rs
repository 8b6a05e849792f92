//! The log follows the node's chain, block by block, and waits where the node cannot say what happened.

use std::collections::BTreeSet;

use bq_chain_api::{Coin, NodeError, Route, TransactionStatus};
use bq_pool_machine::{ChainBase, ChainEvent, ChainWay, ColdEvent, Event, Fault, PayoutState, Received, Spent, Tip};
use bq_primitives::{BlockId, Height, KeyHash, OutPoint};

use crate::{PoolError, keeper::Keeper, scan::Scan};

/// Blocks that one event connects at most: bounds an event's size. Cut elsewhere it comes to the same (SPEC 8.6.8), so nobody needs to
/// choose.
const BLOCKS_TOGETHER: usize = 500;

/// How the log stands to the node's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// They end at the same block.
    InStep,
    /// More is to be told at once.
    More,
    /// The node cannot say yet, or a block is just being booked.
    Waiting,
}

impl Keeper {
    /// Tells the log how the chain changed, as far as that is decided.
    pub(crate) fn follow(&self) -> Result<Progress, PoolError> {
        let Some(from) = self.state.read().tip() else {
            let progress = self.first_look()?;
            self.outside.lock().note_step(false, self.clock.running());
            return Ok(progress);
        };
        self.read_commitments()?;
        let progress = match self.node.route(&from.id, BLOCKS_TOGETHER)? {
            Route::Unknown => self.outgrown(from)?,
            Route::HeadersAhead { .. } => Progress::Waiting,
            Route::Steps(steps) if steps.connected.is_empty() && steps.fork == from.id => Progress::InStep,
            Route::Steps(steps) => {
                let fork = Tip { id: steps.fork, height: steps.fork_height };
                self.tell_way(fork, &steps.connected)?
            }
        };
        self.outside.lock().note_step(progress == Progress::InStep, self.clock.running());
        Ok(progress)
    }

    /// The first look at the chain. A log that begins is told of all of it: it may be a new one in the place of one that was lost, and
    /// the chain knows whose the coins are. Books that were taken over know blocks of it, and the node may have lost its store
    /// along with the older books, or be syncing: what it lacks only then would be booked as orphaned.
    fn first_look(&self) -> Result<Progress, PoolError> {
        let (newest, is_new) = {
            let state = self.state.read();
            let on_chain = state.blocks().filter(|block| block.is_on_chain());
            let newest = on_chain.max_by_key(|block| block.candidate.height);
            let newest = newest.map(|block| Tip { id: block.candidate.id, height: block.candidate.height });
            (newest, state.blocks().next().is_none() && state.coins().next().is_none())
        };
        if is_new {
            let tip = Tip { id: self.node.genesis_id(), height: Height::GENESIS };
            let base = ChainBase { tip, joined: Vec::new(), received: Vec::new(), spent: Vec::new() };
            self.tell(&Event::Chain(ChainEvent::Base(base)), Vec::new())?;
            return Ok(Progress::More);
        }
        let Some(newest) = newest else { return self.tell_base() };
        match self.node.route(&newest.id, 1)? {
            Route::Unknown => self.outgrown(newest),
            Route::HeadersAhead { .. } => Ok(Progress::Waiting),
            // On the best chain, or off it and known: the node has seen what came of it.
            Route::Steps(_) => self.tell_base(),
        }
    }

    fn tell_way(&self, fork: Tip, connected: &[(Height, BlockId)]) -> Result<Progress, PoolError> {
        let mut scan = Scan::new(&self.state.read(), fork.height);
        let mut tip = fork;
        let mut pool_blocks = Vec::new();
        for (height, id) in connected {
            let Some(block) = self.node.block(id)? else { break };
            if self.scan(&mut scan, *height, &block)?.is_none() {
                break;
            }
            tip = Tip { id: *id, height: *height };
            if scan.joined.last() == Some(id) {
                pool_blocks.push(block);
            }
        }
        let is_old = self.state.read().tip() == Some(tip);
        if is_old {
            return Ok(Progress::Waiting);
        }
        let mut events = scan.take_cold();
        let Scan { joined, received, spent, .. } = scan;
        events.push(Event::Chain(ChainEvent::Way(ChainWay { fork, tip, joined, received, spent })));
        match self.tell_all(&events, Vec::new()) {
            Ok(applied) => applied.iter().for_each(|applied| self.show_changes(applied)),
            Err(PoolError::Fault(Fault::WayTooDeep { .. })) => return self.tell_base(),
            Err(error) => return Err(error),
        }
        for block in &pool_blocks {
            self.check_commitment(block)?;
        }
        Ok(Progress::More)
    }

    /// The node does not know the block where the log stands. It may be syncing again after its store was lost; once its chain
    /// has outgrown that block by more than maturity, that block is not coming back.
    fn outgrown(&self, from: Tip) -> Result<Progress, PoolError> {
        let node = self.node.tip();
        let maturity = self.node.coinbase_maturity();
        let is_past = node.height.above(from.height).is_some_and(|above| above > maturity);
        if is_past { self.tell_base() } else { Ok(Progress::Waiting) }
    }

    /// Tells the log of the chain as a whole, at one tip.
    pub(crate) fn tell_base(&self) -> Result<Progress, PoolError> {
        for _ in 0..10 {
            let tip = self.node.tip();
            let Some(mut scan) = self.scan_kept(tip.height)? else { return Ok(Progress::Waiting) };
            let mut events = scan.take_cold();
            let (base, cold) = self.base(Tip { id: tip.id, height: tip.height }, scan)?;
            events.extend((!cold.is_empty()).then_some(Event::Cold(ColdEvent::Coins(cold))));
            events.push(Event::Chain(ChainEvent::Base(base)));
            if self.node.tip().id == tip.id {
                let applied = self.tell_all(&events, Vec::new())?;
                applied.iter().for_each(|applied| self.show_changes(applied));
                return Ok(Progress::More);
            }
        }
        Err(NodeError::Request("the tip moves too fast to be read as a whole".to_owned()).into())
    }

    /// What a way would have shown of the heights that the state still knows: blocks of the pool, told if they are not, and what
    /// they say of the log; coins that came and went. Books that were taken over take the chain as it is. Nothing if a block is
    /// just being booked.
    fn scan_kept(&self, tip: Height) -> Result<Option<Scan>, PoolError> {
        let (from, mut scan) = {
            let state = self.state.read();
            let from = state.tip().map_or(tip.0, |_| state.kept_from().0.saturating_sub(1));
            (from, Scan::new(&state, Height(from)))
        };
        for height in (from.saturating_add(1)..=tip.0).map(Height) {
            let Some(id) = self.node.block_id_at(height)? else { break };
            let Some(block) = self.node.block(&id)? else { break };
            if self.scan(&mut scan, height, &block)?.is_none() {
                return Ok(None);
            }
            if scan.joined.last() == Some(&id) {
                self.check_commitment(&block)?;
            }
        }
        Ok(Some(scan))
    }

    /// What the blocks say of the log whose rewards lie there still: it may be a new one in the place of one that was lost. Those
    /// that name an event of this log are its own.
    pub(crate) fn read_unspent_commitments(&self) -> Result<(), PoolError> {
        let coins = self.unspent(|_| false)?;
        let heights: BTreeSet<Height> = coins.iter().filter(|coin| coin.is_coinbase).map(|coin| coin.height).collect();
        for height in heights {
            // Those that the log knows are looked at by name, and one that is just being booked is told with its share.
            if let Some(id) = self.node.block_id_at(height)?
                && self.intake.lock().found(&id).is_none()
                && self.state.read().block(&id).is_none()
                && let Some(block) = self.node.block(&id)?
                && self.check_commitment(&block)?
            {
                self.adopt_block(&block)?;
            }
        }
        Ok(())
    }

    /// That, and older coins of cold keys of which the log was not told.
    fn base(&self, tip: Tip, scan: Scan) -> Result<(ChainBase, Vec<OutPoint>), PoolError> {
        let (blocks, coins, known, cold_keys) = {
            let state = self.state.read();
            let blocks: Vec<(Height, BlockId)> =
                state.blocks().map(|block| (block.candidate.height, block.candidate.id)).collect();
            // Also those that are spent already: the block that made one may be another now, with the same coinbase.
            let mut coins: BTreeSet<OutPoint> = state.coins().map(|(outpoint, _)| outpoint).collect();
            let of_blocks = state.blocks().flat_map(|block| block.candidate.coins()).map(|(outpoint, _)| outpoint);
            let known: BTreeSet<OutPoint> = of_blocks.chain(coins.iter().copied()).collect();
            // Final ones too: should they leave the chain, the coins that they spent must be known.
            let sent = state.payouts().filter(|payout| payout.state != PayoutState::Void);
            coins.extend(sent.flat_map(|payout| &payout.planned.inputs).map(|input| input.outpoint));
            (blocks, coins, known, state.cold_keys().clone())
        };
        let mut joined = Vec::new();
        for (height, id) in blocks {
            let is_on_chain = self.node.block_summary(&id)?.is_some_and(|summary| summary.confirmations.is_some());
            if is_on_chain {
                joined.push((height, id));
            }
        }
        joined.sort_unstable();
        let unspent = self.unspent(|outpoint| known.contains(outpoint))?;
        let Scan { mut received, mut spent, .. } = scan;
        let arrived: BTreeSet<OutPoint> = received.iter().map(|received| received.outpoint).collect();
        let is_told =
            |coin: &&Coin| known.contains(&coin.outpoint) || self.is_worth_keeping(&coin.outpoint, coin.output.amount);
        let older = unspent.iter().filter(|coin| !arrived.contains(&coin.outpoint)).filter(is_told);
        let older: Vec<&Coin> = older.collect();
        received.extend(older.iter().map(|coin| as_received(coin)));
        let is_new = |coin: &&&Coin| !known.contains(&coin.outpoint);
        let cold = older.iter().filter(|coin| cold_keys.contains(&coin.output.key_hash)).filter(is_new);
        let cold: Vec<OutPoint> = cold.map(|coin| coin.outpoint).collect();
        let named: BTreeSet<OutPoint> =
            spent.iter().map(|(outpoint, _)| *outpoint).chain(unspent.iter().map(|coin| coin.outpoint)).collect();
        for outpoint in coins.difference(&named) {
            if let Some(by) = self.node.spender_of(outpoint)?
                && let TransactionStatus::Confirmed { height, .. } = self.node.transaction_status(&by)?
            {
                spent.push((*outpoint, Spent { by, height, explained: false }));
            }
        }
        let joined = joined.into_iter().map(|(_, id)| id).collect();
        Ok((ChainBase { tip, joined, received, spent }, cold))
    }

    /// Coins of the pool's key and of cold ones, and what the books still know of keys that were given up.
    fn unspent(&self, is_known: impl Fn(&OutPoint) -> bool) -> Result<Vec<Coin>, PoolError> {
        let given_up: Vec<KeyHash> = self.state.read().keys_given_up().iter().map(|given_up| given_up.key).collect();
        let cold = self.state.read().cold_keys().clone();
        let mut unspent = self.node.coins_of(&self.books_key())?;
        for key in cold {
            unspent.extend(self.node.coins_of(&key)?);
        }
        for key in given_up {
            unspent.extend(self.node.coins_of(&key)?.into_iter().filter(|coin| is_known(&coin.outpoint)));
        }
        Ok(unspent)
    }

    /// Compares the books' coins with the node's, at the tip where the log stands.
    pub(crate) fn compare_coins(&self) -> Result<(), PoolError> {
        let Some(tip) = self.state.read().tip() else { return Ok(()) };
        let coins = self.unspent(|outpoint| self.state.read().coin(outpoint).is_some())?;
        let state = self.state.read();
        if self.node.tip().id != tip.id || state.tip() != Some(tip) {
            return Ok(());
        }
        let min = state.gift_floor();
        let mut theirs: Vec<OutPoint> =
            coins.iter().filter(|coin| coin.output.amount >= min).map(|coin| coin.outpoint).collect();
        theirs.sort_unstable();
        let unspent = state.coins().filter(|(_, coin)| coin.spent.is_none() && coin.amount >= min);
        let ours: Vec<OutPoint> = unspent.map(|(outpoint, _)| outpoint).collect();
        drop(state);
        let coins_match = ours == theirs;
        if !coins_match {
            let first =
                ours.iter().find(|coin| !theirs.contains(coin)).or(theirs.iter().find(|coin| !ours.contains(coin)));
            tracing::error!(tip = %tip.id, coin = ?first, "the node's coins are not those of the books: payouts stop");
        }
        self.outside.lock().coins_match = coins_match;
        Ok(())
    }
}

fn as_received(coin: &Coin) -> Received {
    Received { outpoint: coin.outpoint, amount: coin.output.amount, height: coin.height, coinbase: coin.is_coinbase }
}

//! The log follows the node's chain, block by block, and waits where the node cannot say what happened.

use std::collections::BTreeSet;

use bq_chain_api::{Coin, NodeError, Route, TransactionStatus};
use bq_pool_machine::{ChainBase, ChainEvent, ChainWay, Event, Fault, PayoutState, Received, Spent, Tip};
use bq_primitives::{BlockId, Height, KeyHash, OutPoint};

use crate::{PoolError, keeper::Keeper, scan::Scan};

/// Blocks that one event connects at most.
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
            self.tell_base()?;
            return Ok(Progress::More);
        };
        let progress = match self.node.route(&from.id, BLOCKS_TOGETHER)? {
            Route::Unknown => self.outgrown(from)?,
            Route::HeadersAhead { .. } => Progress::Waiting,
            Route::Steps(steps) if steps.connected.is_empty() && steps.fork == from.id => Progress::InStep,
            Route::Steps(steps) => {
                let fork = Tip { id: steps.fork, height: steps.fork_height };
                self.tell_way(fork, &steps.connected)?
            }
        };
        self.outside.lock().note_step(progress == Progress::InStep);
        Ok(progress)
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
        let Scan { joined, received, spent, .. } = scan;
        let way = ChainWay { fork, tip, joined, received, spent };
        match self.tell(&Event::Chain(ChainEvent::Way(way)), Vec::new()) {
            Ok(applied) => self.show_changes(&applied),
            Err(PoolError::Fault(Fault::WayTooDeep { .. })) => self.tell_base()?,
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
        if is_past {
            self.tell_base()?;
            return Ok(Progress::More);
        }
        Ok(Progress::Waiting)
    }

    /// Tells the log of the chain as a whole, at one tip.
    fn tell_base(&self) -> Result<(), PoolError> {
        for _ in 0..10 {
            let tip = self.node.tip();
            let base = self.base(Tip { id: tip.id, height: tip.height })?;
            if self.node.tip().id == tip.id {
                let applied = self.tell(&Event::Chain(ChainEvent::Base(base)), Vec::new())?;
                self.show_changes(&applied);
                return Ok(());
            }
        }
        Err(NodeError::Request("the tip moves too fast to be read as a whole".to_owned()).into())
    }

    fn base(&self, tip: Tip) -> Result<ChainBase, PoolError> {
        let (blocks, coins, known, inputs) = {
            let state = self.state.read();
            let blocks: Vec<(Height, BlockId)> =
                state.blocks().map(|block| (block.candidate.height, block.candidate.id)).collect();
            // Also those that are spent already: the block that made one may be another now, with the same coinbase.
            let coins: Vec<OutPoint> = state.coins().map(|(outpoint, _)| outpoint).collect();
            let of_blocks = state.blocks().flat_map(|block| block.candidate.coins()).map(|(outpoint, _)| outpoint);
            let known: BTreeSet<OutPoint> = of_blocks.chain(coins.iter().copied()).collect();
            // Final ones too: should they leave the chain, the coins that they spent must be known.
            let sent = state.payouts().filter(|payout| payout.state != PayoutState::Void);
            let inputs: Vec<OutPoint> =
                sent.flat_map(|payout| &payout.planned.inputs).map(|input| input.outpoint).collect();
            (blocks, coins, known, inputs)
        };
        let mut joined = Vec::new();
        for (height, id) in blocks {
            let is_on_chain = self.node.block_summary(&id)?.is_some_and(|summary| summary.confirmations.is_some());
            if is_on_chain {
                joined.push((height, id));
            }
        }
        joined.sort_unstable();
        let unspent = self.unspent(&known)?;
        let is_unspent = |outpoint: &OutPoint| unspent.iter().any(|coin| coin.outpoint == *outpoint);
        let mut spent = Vec::new();
        let mut gone: Vec<OutPoint> =
            coins.into_iter().chain(inputs).filter(|outpoint| !is_unspent(outpoint)).collect();
        gone.sort_unstable();
        gone.dedup();
        for outpoint in gone {
            if let Some(by) = self.node.spender_of(&outpoint)?
                && let TransactionStatus::Confirmed { height, .. } = self.node.transaction_status(&by)?
            {
                spent.push((outpoint, Spent { by, height, explained: false }));
            }
        }
        let received = unspent
            .iter()
            .filter(|coin| known.contains(&coin.outpoint) || self.is_worth_keeping(coin.output.amount))
            .map(received)
            .collect();
        Ok(ChainBase { tip, joined: joined.into_iter().map(|(_, id)| id).collect(), received, spent })
    }

    /// Coins of the pool's key, and what the books still know of keys that were given up.
    fn unspent(&self, known: &BTreeSet<OutPoint>) -> Result<Vec<Coin>, PoolError> {
        let given_up: Vec<KeyHash> = self.state.read().keys_given_up().iter().map(|given_up| given_up.key).collect();
        let mut unspent = self.node.coins_of(&self.books_key())?;
        for key in given_up {
            unspent.extend(self.node.coins_of(&key)?.into_iter().filter(|coin| known.contains(&coin.outpoint)));
        }
        Ok(unspent)
    }

    /// Compares the books' coins with the node's, at the tip where the log stands.
    pub(crate) fn compare_coins(&self) -> Result<(), PoolError> {
        let Some(tip) = self.state.read().tip() else { return Ok(()) };
        let known: BTreeSet<OutPoint> = self.state.read().coins().map(|(outpoint, _)| outpoint).collect();
        let coins = self.unspent(&known)?;
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

fn received(coin: &Coin) -> Received {
    Received { outpoint: coin.outpoint, amount: coin.output.amount, height: coin.height, coinbase: coin.is_coinbase }
}

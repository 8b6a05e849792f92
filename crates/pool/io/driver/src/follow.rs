//! The log follows the node's chain, block by block, and waits where the node cannot say what happened.

use std::collections::{BTreeMap, BTreeSet};

use bq_chain_api::{Coin, NodeError, Route, TransactionStatus};
use bq_pool_machine::{
    ChainBase, ChainEvent, ChainWay, Event, Fault, Origin, PayoutState, PoolBlock, Received, Spent, State, Tip,
};
use bq_primitives::{Amount, BlockId, Height, KeyHash, OutPoint, Transaction};

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
        let Some(from) = self.state.read().tip() else { return self.tell_base() };
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
    fn tell_base(&self) -> Result<Progress, PoolError> {
        for _ in 0..10 {
            let tip = self.node.tip();
            let base = self.base(Tip { id: tip.id, height: tip.height })?;
            if self.node.tip().id == tip.id {
                let applied = self.tell(&Event::Chain(ChainEvent::Base(base)), Vec::new())?;
                self.show_changes(&applied);
                return Ok(Progress::More);
            }
        }
        Err(NodeError::Request("the tip moves too fast to be read as a whole".to_owned()).into())
    }

    fn base(&self, tip: Tip) -> Result<ChainBase, PoolError> {
        let Asked { blocks, coins, known, made } = Asked::of(&self.state.read());
        let mut joined = Vec::new();
        for (height, id) in blocks {
            let is_on_chain = self.node.block_summary(&id)?.is_some_and(|summary| summary.confirmations.is_some());
            if is_on_chain {
                joined.push((height, id));
            }
        }
        joined.sort_unstable();
        let unspent = self.unspent(&known)?;
        let names: BTreeSet<OutPoint> = unspent.iter().map(|coin| coin.outpoint).collect();
        let worth = unspent
            .iter()
            .filter(|coin| known.contains(&coin.outpoint) || self.is_worth_keeping(&coin.outpoint, coin.output.amount));
        let mut received: Vec<Received> = worth.map(received).collect();
        let mut spent = Vec::new();
        for outpoint in coins.difference(&names) {
            let Some(by) = self.node.spender_of(outpoint)? else { continue };
            let TransactionStatus::Confirmed { height, .. } = self.node.transaction_status(&by)? else { continue };
            spent.push((*outpoint, Spent { by, height, explained: false }));
            if let Some(amount) = made.get(outpoint) {
                received.extend(self.received_and_spent(*outpoint, *amount)?);
            }
        }
        Ok(ChainBase { tip, joined: joined.into_iter().map(|(_, id)| id).collect(), received, spent })
    }

    /// A coin that is spent already, as it arrived.
    fn received_and_spent(&self, outpoint: OutPoint, amount: Amount) -> Result<Option<Received>, PoolError> {
        let TransactionStatus::Confirmed { block_id, height, .. } = self.node.transaction_status(&outpoint.txid)?
        else {
            return Ok(None);
        };
        let block = self.node.block(&block_id)?;
        let coinbase = block.and_then(|block| block.transactions.first().map(Transaction::txid)) == Some(outpoint.txid);
        Ok(Some(Received { outpoint, amount, height, coinbase }))
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

/// What the node is asked about for a base.
struct Asked {
    /// Blocks of the pool that may be on the chain.
    blocks: Vec<(Height, BlockId)>,
    /// Coins that may be spent.
    coins: BTreeSet<OutPoint>,
    /// Coins that are told whatever they are worth.
    known: BTreeSet<OutPoint>,
    /// Coins that no block of the pool makes, and what they are worth: where they came from is told also when they are spent.
    /// Those of open payouts are among them that the state does not have now; they may have come back and been spent at once.
    made: BTreeMap<OutPoint, Amount>,
}

impl Asked {
    fn of(state: &State) -> Self {
        let of = |block: &PoolBlock| block.candidate.coins().map(|(outpoint, _)| outpoint).collect::<Vec<_>>();
        let open = state.payouts().filter(|payout| payout.is_open()).flat_map(|payout| {
            let change = payout.planned.change_outpoint().map(|outpoint| (outpoint, payout.planned.change));
            payout.planned.inputs.iter().map(|input| (input.outpoint, input.amount)).chain(change)
        });
        let unknown = open.filter(|(outpoint, _)| state.coin(outpoint).is_none());
        let others = state.coins().filter(|(_, coin)| !matches!(coin.origin, Origin::Block(_)));
        let made: BTreeMap<OutPoint, Amount> =
            others.map(|(outpoint, coin)| (outpoint, coin.amount)).chain(unknown).collect();
        // Coins that are spent already too: the block that made one may be another now, with the same coinbase. And those of
        // blocks that may join now: something that the log does not know may have spent them.
        let joining = state.blocks().filter(|block| !block.is_on_chain()).flat_map(of);
        let mut coins: BTreeSet<OutPoint> = state.coins().map(|(outpoint, _)| outpoint).chain(joining).collect();
        let known = state.blocks().flat_map(of).chain(coins.iter().copied()).collect();
        // Inputs of final payouts too: should those leave the chain, the coins that they spent must be known.
        let sent = state.payouts().filter(|payout| payout.state != PayoutState::Void);
        coins.extend(sent.flat_map(|payout| &payout.planned.inputs).map(|input| input.outpoint));
        coins.extend(made.keys());
        let blocks = state.blocks().map(|block| (block.candidate.height, block.candidate.id)).collect();
        Self { blocks, coins, known, made }
    }
}

fn received(coin: &Coin) -> Received {
    Received { outpoint: coin.outpoint, amount: coin.output.amount, height: coin.height, coinbase: coin.is_coinbase }
}

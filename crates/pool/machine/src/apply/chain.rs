//! The best chain has a new end: what joined, left, matured, arrived, was spent or buried follows from it, one height after
//! the other. Cutting a way into several events changes nothing of what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_mining_message::AccountScheme;
use bq_primitives::{AccountId, Amount, BlockId, Height, OutPoint, TxId};

use super::Step;
use crate::{
    BlockState, ChainBase, ChainEvent, ChainWay, Fault, Origin, PayoutId, PayoutState, PlannedPayout, PoolBlock,
    PoolCoin, Received, Spent, State, Tip,
};

impl State {
    pub(super) fn chain(&mut self, step: &mut Step<'_>, event: &ChainEvent) -> Result<(), Fault> {
        match event {
            ChainEvent::Way(way) => self.follow(step, way)?,
            ChainEvent::Base(base) => self.rebase(step, base)?,
        }
        self.give_up(step);
        self.end_recovery();
        self.forget();
        Ok(())
    }

    fn follow(&mut self, step: &mut Step<'_>, way: &ChainWay) -> Result<(), Fault> {
        let old = self.tip.ok_or(Fault::WayStart { got: way.fork.id, expected: None })?;
        self.check_way(old, way)?;
        self.take_back(step, way.fork.height)?;
        self.revive(step, &way.spent)?;
        for height in (way.fork.height.0.saturating_add(1)..=way.tip.height.0).map(Height) {
            self.mature_blocks(step, height)?;
            let fills = self.fills_among(&way.spent, |at| at == height);
            let received = || way.received.iter().filter(|received| received.height == height);
            let is_filled = |received: &&Received| fills.iter().any(|(_, fill)| *fill == received.outpoint.txid);
            for received in received().filter(|received| !is_filled(received)) {
                self.receive(step, received, &way.joined)?;
            }
            for (height, fill) in &fills {
                self.join_fill(step, *height, *fill)?;
            }
            // One that is none after all came from a stranger.
            for received in received().filter(is_filled) {
                self.receive(step, received, &way.joined)?;
            }
            for (outpoint, spent) in way.spent.iter().filter(|(_, spent)| spent.height == height) {
                let is_dust = || way.received.iter().any(|received| received.outpoint == *outpoint);
                // What was left alone when it arrived may be spent by whoever shares the key.
                if self.coins.contains_key(outpoint) || !is_dust() {
                    self.spend(step, *outpoint, *spent)?;
                }
            }
            for id in self.at_height(&way.joined, height) {
                self.join(step, &id)?;
            }
            self.bury(step, height)?;
            self.hold_settings(step, height);
            self.move_balances(step)?;
        }
        self.tip = Some(way.tip);
        Ok(())
    }

    fn check_way(&self, old: Tip, way: &ChainWay) -> Result<(), Fault> {
        let is_forward = way.fork.height == old.height;
        if way.fork.height > old.height || (is_forward && way.fork.id != old.id) {
            return Err(Fault::WayStart { got: way.fork.id, expected: Some(old.id) });
        }
        if way.tip.height < way.fork.height {
            return Err(Fault::Way("it ends below its fork"));
        }
        let kept = self.kept_from();
        if way.fork.height < kept {
            return Err(Fault::WayTooDeep { fork: way.fork.height, kept });
        }
        let is_new = |height: Height| height > way.fork.height && height <= way.tip.height;
        for id in &way.joined {
            let block = self.blocks.get(id).ok_or(Fault::UnknownBlock(*id))?;
            if !is_new(block.candidate.height) {
                let (block, height) = (*id, block.candidate.height);
                return Err(Fault::BlockPlace { block, height, reason: "it does not lie on the new part" });
            }
        }
        let heights = way.received.iter().map(|received| received.height);
        let mut heights = heights.chain(way.spent.iter().map(|(_, spent)| spent.height));
        if heights.all(is_new) { Ok(()) } else { Err(Fault::Way("a coin does not lie on the new part")) }
    }

    /// Undoes everything above `fork`: spends first, so that every coin is there when its block goes.
    fn take_back(&mut self, step: &mut Step<'_>, fork: Height) -> Result<(), Fault> {
        for (outpoint, _) in self.spends_in_order(|height| height > fork).into_iter().rev() {
            self.unspend(step, outpoint)?;
        }
        let mut leaving: Vec<(Height, BlockId)> = self.on_chain().filter(|(height, _)| *height > fork).collect();
        leaving.sort_unstable();
        for (_, id) in leaving.into_iter().rev() {
            self.leave(step, &id)?;
        }
        for outpoint in self.coins_where(|coin| coin.height > fork) {
            self.vanish(step, outpoint)?;
        }
        Ok(())
    }

    /// The chain as a whole: what differs from the books is moved, and nothing else.
    fn rebase(&mut self, step: &mut Step<'_>, base: &ChainBase) -> Result<(), Fault> {
        for id in &base.joined {
            let block = self.blocks.get(id).ok_or(Fault::UnknownBlock(*id))?;
            if block.candidate.height > base.tip.height {
                let (block, height) = (*id, block.candidate.height);
                return Err(Fault::BlockPlace { block, height, reason: "it lies above the tip" });
            }
        }
        let joined: BTreeSet<BlockId> = base.joined.iter().copied().collect();
        let spent: BTreeMap<OutPoint, Spent> = base.spent.iter().copied().collect();
        let unspent: BTreeMap<OutPoint, &Received> = base
            .received
            .iter()
            .filter(|received| !spent.contains_key(&received.outpoint))
            .map(|received| (received.outpoint, received))
            .collect();
        self.take_back_differences(step, &joined, &spent, &unspent)?;
        self.revive(step, &base.spent)?;
        // A gift that was the coin of a block which the log did not know is that of one that it knows now.
        let strangers = self.coins_where(|coin| matches!(coin.origin, Origin::Stranger { .. }) && coin.spent.is_none());
        for outpoint in strangers.into_iter().filter(|outpoint| self.makes(&base.joined, outpoint)).collect::<Vec<_>>()
        {
            self.vanish(step, outpoint)?;
        }
        let fills = self.fills_among(&base.spent, |_| true);
        let is_filled = |received: &&Received| fills.iter().any(|(_, fill)| *fill == received.outpoint.txid);
        for received in base.received.iter().filter(|received| !is_filled(received)) {
            self.receive(step, received, &base.joined)?;
        }
        let mut rising: Vec<(Height, BlockId)> = joined
            .iter()
            .filter_map(|id| self.blocks.get(id))
            .map(|block| (block.candidate.height, block.candidate.id))
            .collect();
        rising.sort_unstable();
        for (_, id) in rising {
            if !self.blocks.get(&id).is_some_and(PoolBlock::is_on_chain) {
                self.join(step, &id)?;
            }
            self.find_coins(&id, &unspent, &spent);
        }
        self.mature_blocks(step, base.tip.height)?;
        let gone = self.coins_gone(&joined, &unspent, &spent);
        for outpoint in gone {
            self.vanish(step, outpoint)?;
        }
        for (height, fill) in &fills {
            self.join_fill(step, *height, *fill)?;
        }
        for received in base.received.iter().filter(is_filled) {
            self.receive(step, received, &base.joined)?;
        }
        for (outpoint, spent) in &base.spent {
            if self.coins.get(outpoint).is_some_and(|coin| coin.spent.is_none()) {
                self.spend(step, *outpoint, *spent)?;
            }
        }
        self.bury(step, base.tip.height)?;
        self.hold_settings(step, base.tip.height);
        self.move_balances(step)?;
        self.tip = Some(base.tip);
        Ok(())
    }

    fn take_back_differences(
        &mut self,
        step: &mut Step<'_>,
        joined: &BTreeSet<BlockId>,
        spent: &BTreeMap<OutPoint, Spent>,
        unspent: &BTreeMap<OutPoint, &Received>,
    ) -> Result<(), Fault> {
        for outpoint in self.spends_undone(joined, spent, unspent).into_iter().rev() {
            self.unspend(step, outpoint)?;
        }
        let mut leaving: Vec<(Height, BlockId)> = self.on_chain().filter(|(_, id)| !joined.contains(id)).collect();
        leaving.sort_unstable();
        for (_, id) in leaving.into_iter().rev() {
            self.leave(step, &id)?;
        }
        let is_there = |outpoint: &OutPoint| unspent.contains_key(outpoint) || spent.contains_key(outpoint);
        let gone: Vec<OutPoint> = self
            .coins
            .iter()
            .filter(|(outpoint, coin)| coin.spent.is_none() && !is_there(outpoint))
            .filter(|(_, coin)| !matches!(coin.origin, Origin::Block(_)))
            .map(|(outpoint, _)| *outpoint)
            .collect();
        for outpoint in gone {
            self.vanish(step, outpoint)?;
        }
        Ok(())
    }

    /// Coins whose spend is not on the chain of the base, oldest spend first. One that the base does not name is kept, for it may
    /// be long buried, unless the coin is shown unspent or cannot be there: its block left, or the payout that made it.
    fn spends_undone(
        &self,
        joined: &BTreeSet<BlockId>,
        spent: &BTreeMap<OutPoint, Spent>,
        unspent: &BTreeMap<OutPoint, &Received>,
    ) -> Vec<OutPoint> {
        let known = self.spends_in_order(|_| true);
        let mut undone: BTreeSet<TxId> = BTreeSet::new();
        for (outpoint, coin) in &known {
            let Some(old) = coin.spent else { continue };
            let has_left = match coin.origin {
                Origin::Block(id) => self.blocks.contains_key(&id) && !joined.contains(&id),
                // So is what came back of a transaction that spent the pool's coins.
                Origin::Change(_) | Origin::Stranger { .. } => undone.contains(&outpoint.txid),
            };
            let is_other = spent.get(outpoint).is_some_and(|new| (new.by, new.height) != (old.by, old.height));
            if unspent.contains_key(outpoint) || is_other || has_left {
                undone.insert(old.by);
            }
        }
        // A transaction is on the chain with all its inputs or with none.
        let is_undone = |coin: &PoolCoin| coin.spent.is_some_and(|spent| undone.contains(&spent.by));
        known.into_iter().filter(|(_, coin)| is_undone(coin)).map(|(outpoint, _)| outpoint).collect()
    }

    /// Spent coins of some heights, oldest spend first. In one block a coin comes after all that the transaction that made it
    /// spent: its account depends on what becomes of that one.
    fn spends_in_order(&self, wanted: impl Fn(Height) -> bool) -> Vec<(OutPoint, PoolCoin)> {
        let spends = self.coins.iter().filter_map(|(outpoint, coin)| Some((coin.spent?, *outpoint, *coin)));
        let mut left: Vec<(Spent, OutPoint, PoolCoin)> = spends.filter(|(spent, ..)| wanted(spent.height)).collect();
        let mut ordered: Vec<(Height, usize, OutPoint, PoolCoin)> = Vec::with_capacity(left.len());
        for generation in 0.. {
            let waiting: BTreeSet<(Height, TxId)> = left.iter().map(|(spent, ..)| (spent.height, spent.by)).collect();
            let (later, now): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(spent, outpoint, _)| waiting.contains(&(spent.height, outpoint.txid)));
            // A transaction that spends what it makes is on no chain; if one were told, it must not hold this up.
            let (later, now) = if now.is_empty() { (Vec::new(), later) } else { (later, now) };
            ordered.extend(now.into_iter().map(|(spent, outpoint, coin)| (spent.height, generation, outpoint, coin)));
            if later.is_empty() {
                break;
            }
            left = later;
        }
        ordered.sort_unstable_by_key(|(height, generation, outpoint, _)| (*height, *generation, *outpoint));
        ordered.into_iter().map(|(_, _, outpoint, coin)| (outpoint, coin)).collect()
    }

    /// Coins of a block that the base has and the state had forgotten.
    fn find_coins(&mut self, id: &BlockId, unspent: &BTreeMap<OutPoint, &Received>, spent: &BTreeMap<OutPoint, Spent>) {
        let Some(block) = self.blocks.get(id) else { return };
        let coins: Vec<_> = block.candidate.coins().collect();
        for (outpoint, amount) in coins {
            let is_known = unspent.contains_key(&outpoint) || spent.contains_key(&outpoint);
            if is_known && !self.coins.contains_key(&outpoint) {
                self.add_block_coin(id, outpoint, amount);
            }
        }
    }

    /// Coins of joined blocks that the base has neither unspent nor spent: something spent them long ago. Immature ones
    /// cannot have been.
    fn coins_gone(
        &self,
        joined: &BTreeSet<BlockId>,
        unspent: &BTreeMap<OutPoint, &Received>,
        spent: &BTreeMap<OutPoint, Spent>,
    ) -> Vec<OutPoint> {
        let matured =
            joined.iter().filter_map(|id| self.blocks.get(id)).filter(|block| block.state == BlockState::Matured);
        let coins = matured.flat_map(|block| block.candidate.coins()).map(|(outpoint, _)| outpoint);
        let is_named = |outpoint: &OutPoint| unspent.contains_key(outpoint) || spent.contains_key(outpoint);
        let is_free = |outpoint: &OutPoint| self.coins.get(outpoint).is_some_and(|coin| coin.spent.is_none());
        coins.filter(|outpoint| !is_named(outpoint) && is_free(outpoint)).collect()
    }

    /// Ids of `joined` at a height.
    fn at_height(&self, joined: &[BlockId], height: Height) -> Vec<BlockId> {
        let is_there = |id: &&BlockId| self.blocks.get(id).is_some_and(|block| block.candidate.height == height);
        joined.iter().filter(is_there).copied().collect()
    }

    fn on_chain(&self) -> impl Iterator<Item = (Height, BlockId)> + '_ {
        let blocks = self.blocks.values().filter(|block| block.is_on_chain());
        blocks.map(|block| (block.candidate.height, block.candidate.id))
    }

    fn coins_where(&self, wanted: impl Fn(&PoolCoin) -> bool) -> Vec<OutPoint> {
        self.coins.iter().filter(|(_, coin)| wanted(coin)).map(|(outpoint, _)| *outpoint).collect()
    }

    /// T16 (SPEC 8.8.6): a balance is paid by payouts or by coinbases, never by both.
    fn move_balances(&mut self, step: &mut Step<'_>) -> Result<(), Fault> {
        let Some(terms) = self.terms() else { return Ok(()) };
        let is_direct = terms.is_direct();
        if !is_direct && self.may_yet_pay_carried() {
            return Ok(());
        }
        let by_payout: fn(AccountId) -> LedgerAccount = LedgerAccount::MinerPayable;
        let by_coinbase: fn(AccountId) -> LedgerAccount = LedgerAccount::MinerCarried;
        let (from, to) = if is_direct { (by_payout, by_coinbase) } else { (by_coinbase, by_payout) };
        // What reserve and own blocks pay is not in what a window shares, and must not take its place there.
        let is_of_windows = |miner| {
            let key = self.accounts.key(miner);
            key.is_some_and(|key| self.scheme_of(&key) == AccountScheme::Pplns)
        };
        let is_moved = |(miner, balance): &(AccountId, u64)| {
            !is_direct || (*balance < self.payout_min(*miner) && is_of_windows(*miner))
        };
        let moved = self.books.of_miners(from).filter(is_moved);
        let cause = Cause::BalanceMoved { event: step.number.0 };
        let line = |(miner, balance)| {
            Ok::<_, Fault>(Transfer {
                cause,
                debit: from(miner),
                credit: to(miner),
                amount: Amount::from_atoms(balance)?,
            })
        };
        let lines = moved.map(line).collect::<Result<Vec<_>, _>>()?;
        step.book(self, lines)
    }

    /// Some coinbase that was made while one paid miners may yet join, or leave with what it paid.
    fn may_yet_pay_carried(&self) -> bool {
        let is_open = |block: &PoolBlock| block.state == BlockState::Immature && block.candidate.direct().is_some();
        let above = self.direct.ended.and_then(|ended| self.tip?.height.above(ended));
        let is_buried = self.direct.ended.is_none() || above > self.opened.map(|opened| opened.maturity);
        !is_buried || self.blocks.values().any(is_open)
    }

    /// Found blocks that the chain has moved past by more than maturity: nothing was booked, and they are not submitted again. One
    /// that joins all the same is credited.
    fn give_up(&mut self, step: &mut Step<'_>) {
        let (Some(opened), Some(tip)) = (self.opened, self.tip) else { return };
        let is_past = |height: Height| tip.height.above(height).is_some_and(|above| above > opened.maturity);
        for block in self.blocks.values_mut() {
            if block.state == BlockState::Found && is_past(block.candidate.height) {
                block.state = BlockState::Orphaned;
                step.applied.blocks.insert(block.candidate.id);
            }
        }
    }

    /// Drops what no way within the horizon can move any more: the state must not grow with the pool's age.
    fn forget(&mut self) {
        let (Some(opened), Some(tip)) = (self.opened, self.tip) else { return };
        let is_old = |height: Height| tip.height.above(height).is_some_and(|above| above > opened.horizon);
        // What may prove that an open payout is void is kept until the payout is closed: without it that could never be proved.
        let open = self.payouts.values().filter(|payout| payout.is_open());
        let needed: BTreeSet<OutPoint> =
            open.flat_map(|payout| &payout.planned.inputs).map(|input| input.outpoint).collect();
        let makers: BTreeSet<TxId> = needed.iter().map(|outpoint| outpoint.txid).collect();
        self.lost_gifts.retain(|outpoint, _| needed.contains(outpoint));
        self.blocks.retain(|_, block| {
            let is_kept = block.state == BlockState::Immature || makers.contains(&block.candidate.coinbase);
            is_kept || !is_old(block.candidate.height)
        });
        let is_buried = |height: Option<Height>| height.is_some_and(is_old);
        // While coins are missing somebody may yet say what spent them, and a recovery looks for it.
        let is_missing = self.books.balance(LedgerAccount::Missing) > 0;
        let is_asked_for =
            |coin: &PoolCoin| is_missing && coin.payout.is_none() && coin.spent.is_some_and(|spent| !spent.explained);
        self.coins.retain(|outpoint, coin| {
            needed.contains(outpoint) || is_asked_for(coin) || !is_buried(coin.spent.map(|spent| spent.height))
        });
        let others = |id: &PayoutId| self.attempts.get(id).into_iter().flat_map(|attempts| &attempts.others);
        let is_maker = |planned: &PlannedPayout| {
            let mut others = others(&planned.id).map(|attempt| attempt.planned.txid);
            makers.contains(&planned.txid) || others.any(|txid| makers.contains(&txid))
        };
        self.payouts.retain(|_, payout| {
            let is_gone = match payout.state {
                PayoutState::Final => is_buried(payout.confirmed),
                PayoutState::Void => is_buried(payout.voided),
                PayoutState::Planned | PayoutState::Signed => false,
            };
            !is_gone || is_maker(&payout.planned)
        });
        self.attempts.retain(|id, _| self.payouts.contains_key(id));
        self.forget_cold(is_old);
    }
}

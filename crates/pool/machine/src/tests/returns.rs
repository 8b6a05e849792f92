//! What left the chain and came back otherwise, or never: coins that payouts of the books spend, and blocks that were
//! forgotten.

use bq_ledger::LedgerAccount;
use bq_primitives::{BlockId, Height, OutPoint};

use super::{
    chain::ToyBlock,
    world::{FINAL_DEPTH, MATURITY, POOL, REWARD, STRANGER, World, atoms},
};
use crate::{
    Act, BlockState, Candidate, ChainEvent, Event, Fault, PayoutEvent, PayoutId, PayoutKind, PayoutState,
    plan_withdrawal,
};

impl World {
    fn mine_strangers(&mut self, count: u32) {
        for _ in 0..count {
            self.mine(false);
        }
    }

    fn withdraw(&mut self, amount: u64) -> PayoutId {
        let planned = plan_withdrawal(&self.state, STRANGER, atoms(amount), self.now_ms).expect("earned, and free");
        let id = planned.id;
        self.append(Event::Payout(PayoutEvent::Planned(planned)));
        self.settle();
        id
    }

    fn payout_state(&self, id: PayoutId) -> PayoutState {
        self.state.payout(id).expect("kept").state
    }

    fn inputs(&self, id: PayoutId) -> Vec<OutPoint> {
        self.state.payout(id).expect("kept").planned.inputs.iter().map(|input| input.outpoint).collect()
    }

    fn change(&self, id: PayoutId) -> OutPoint {
        self.state.payout(id).expect("kept").planned.change_outpoint().expect("it has change")
    }
}

/// A payout of a block, final, in the block before `FINAL_DEPTH - 1` others; its change is the only free coin. `before` blocks
/// of strangers lie below, so that names differ.
fn final_payout(before: u32) -> (World, PayoutId) {
    let mut world = World::new();
    world.mine_strangers(before);
    world.share(1, 1);
    world.mine(true);
    world.mine_strangers(MATURITY - 1);
    world.settle();
    world.mine_strangers(FINAL_DEPTH);
    world.settle();
    assert_eq!(world.payout_state(PayoutId(1)), PayoutState::Final);
    (world, PayoutId(1))
}

#[test]
fn change_that_a_thief_took_while_its_payout_was_open_again_is_missing_for_the_payout_that_has_it() {
    let (mut world, parent) = final_payout(0);
    let child = world.withdraw(10_000_000);
    assert_eq!(world.inputs(child), [world.change(parent)]);
    world.chain.mempool.clear();
    world.reorg(7, |_| false, false);
    let inputs = world.inputs(child);
    world.chain.mempool.retain(|transaction| transaction.inputs != inputs);
    world.mine(false);
    world.follow();
    world.steal(&[world.change(parent)], 0);
    world.mine(false);
    world.follow();
    assert_eq!(world.payout_state(parent), PayoutState::Signed, "its change is stolen before it is final again");
    world.mine_strangers(FINAL_DEPTH);
    world.settle();
    assert_eq!(world.payout_state(parent), PayoutState::Final);
    assert_eq!(world.payout_state(child), PayoutState::Void);
    let stolen = world.state.coin(&world.change(parent)).expect("kept").amount.atoms();
    assert_eq!(world.balance(LedgerAccount::Missing), stolen);
}

#[test]
fn a_payout_and_the_theft_of_its_change_leave_together_in_whatever_order_their_names_sort() {
    for before in 0..8 {
        let (mut world, parent) = final_payout(before);
        world.steal(&[world.change(parent)], 0);
        world.mine(false);
        world.settle();
        let missing = world.balance(LedgerAccount::Missing);
        assert!(missing > 0);
        // Both are in one block then.
        world.reorg(8, |_| false, false);
        world.mine(false);
        world.mine_strangers(FINAL_DEPTH);
        world.settle();
        assert_eq!(world.balance(LedgerAccount::Missing), missing);
        world.reorg(8, |_| false, false);
        let change = world.change(parent);
        world.chain.mempool.retain(|transaction| !transaction.inputs.contains(&change));
        world.settle();
        assert_eq!(world.payout_state(parent), PayoutState::Signed);
        assert_eq!(world.balance(LedgerAccount::Missing), 0);
        world.calm_down();
        assert_eq!(world.payout_state(parent), PayoutState::Final);
    }
}

/// A pool that was sent `gifts` coins, the first in the block above height 12, none of them paid out; of its own it has the
/// reward of `own` block at height 12.
fn gifted(gifts: &[u64], own: bool) -> World {
    let mut world = World::new();
    world.decide(Act::Pause).expect("not paused");
    world.mine_strangers(MATURITY + 1);
    world.share(1, 1);
    world.mine(own);
    for gift in gifts {
        world.gift(*gift).expect("strangers have coins");
        world.mine(false);
    }
    world.mine_strangers(MATURITY);
    world.settle();
    world
}

#[test]
fn a_gift_that_comes_back_is_booked_before_the_payout_that_spends_it_is_in_a_block() {
    let mut world = gifted(&[3_000_000_000], false);
    let payout = world.withdraw(1_000_000_000);
    world.mine(false);
    world.settle();
    let depth = world.chain.best().len() - 13;
    world.reorg(depth, |_| false, false);
    world.follow();
    assert_eq!(world.balance(LedgerAccount::ChainInFlight), 0);
    assert_eq!(world.chain.mempool.len(), 2, "the gift, and what spends it");
    world.mine(false);
    world.mine_strangers(FINAL_DEPTH);
    world.settle();
    assert_eq!(world.payout_state(payout), PayoutState::Final);
    world.calm_down();
    assert_eq!(world.balance(LedgerAccount::ChainSpendable), 2_000_000_000);
}

#[test]
fn a_payout_of_gifts_that_never_come_back_is_void_once_that_is_long_ago() {
    let mut world = gifted(&[3_000_000_000], false);
    let payout = world.withdraw(1_000_000_000);
    world.chain.mempool.clear();
    let depth = world.chain.best().len() - 13;
    world.reorg(depth, |_| false, false);
    world.chain.mempool.clear();
    world.settle();
    world.mine_strangers(MATURITY - 3);
    world.settle();
    assert_eq!(world.payout_state(payout), PayoutState::Signed, "the gift may still come back");
    world.mine_strangers(2);
    world.settle();
    assert_eq!(world.payout_state(payout), PayoutState::Void);
    assert_eq!(world.balance(LedgerAccount::WithdrawalInFlight), 0);
}

/// A withdrawal of a block's coin and a gift, which left the chain for as long as a reward matures. The transaction of the
/// gift.
fn half_lost() -> (World, PayoutId, Vec<bq_primitives::Transaction>) {
    let mut world = gifted(&[4_000_000_000, 4_000_000_000], true);
    let payout = world.withdraw(6_000_000_000);
    assert_eq!(world.inputs(payout).len(), 2, "the block's and one gift");
    world.chain.mempool.clear();
    let depth = world.chain.best().len() - 13;
    world.reorg(depth, |_| false, false);
    let gifts = std::mem::take(&mut world.chain.mempool);
    world.settle();
    world.mine_strangers(MATURITY - 3);
    world.settle();
    assert_eq!(world.state.payouts().count(), 1);
    world.mine_strangers(2);
    world.chain.mempool.clear();
    world.settle();
    (world, payout, gifts)
}

#[test]
fn a_payout_that_lost_a_gift_is_fenced_and_void_once_the_fence_is_final() {
    let (mut world, payout, gifts) = half_lost();
    let fence = world.state.payouts().last().expect("a fence").planned.clone();
    assert_eq!(fence.kind, PayoutKind::Fence);
    assert_eq!(fence.inputs.len(), 1, "what is left of the payout's inputs");
    world.mine(false);
    world.settle();
    assert_eq!(world.payout_state(payout), PayoutState::Signed, "a reorganisation may still prefer it");
    world.chain.mempool.extend(gifts);
    world.calm_down();
    assert_eq!(world.payout_state(payout), PayoutState::Void);
    assert_eq!(world.payout_state(fence.id), PayoutState::Final);
    assert_eq!(world.state.payouts().count(), 2, "one fence is enough");
    assert_eq!(world.balance(LedgerAccount::WithdrawalInFlight), 0);
}

#[test]
fn a_fence_is_void_when_the_gift_comes_back_and_the_payout_is_first() {
    let (mut world, payout, gifts) = half_lost();
    let fence = world.state.payouts().last().expect("a fence").planned.id;
    world.chain.mempool.clear();
    world.chain.mempool.extend(gifts);
    world.mine(false);
    world.follow();
    let sent = world.signed[&payout].clone();
    world.chain.mempool.insert(0, sent);
    world.mine(false);
    world.follow();
    // It leaves once more, and comes again.
    world.reorg(2, |_| false, false);
    world.follow();
    assert_eq!(world.balance(LedgerAccount::Missing), 0);
    let fences = world.signed[&fence].txid();
    world.chain.mempool.retain(|transaction| transaction.txid() != fences);
    world.mine(false);
    world.mine(false);
    world.calm_down();
    assert_eq!(world.payout_state(payout), PayoutState::Final);
    assert_eq!(world.payout_state(fence), PayoutState::Void);
    assert_eq!(world.balance(LedgerAccount::Missing), 0);
}

#[test]
fn a_block_as_old_as_what_is_forgotten_is_not_told_again() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    let block = world.candidates.values().next().expect("one").clone();
    world.mine_strangers(30);
    world.settle();
    world.reorg(31, |_| false, false);
    world.settle();
    assert_eq!(world.state.block(&block.id).map(|block| block.state), Some(BlockState::Lost));
    world.mine_strangers(200);
    world.calm_down();
    assert!(world.state.block(&block.id).is_none(), "forgotten");
    let credited = world.payable(1) + world.received_by(1);
    let again = world.try_append(Event::Candidate(block.clone()));
    assert!(matches!(again, Err(Fault::BlockPlace { .. })), "{again:?}");
    assert_eq!(world.payable(1) + world.received_by(1), credited);
    let kept = world.state.kept_from();
    let young = Candidate { height: kept, ..block.clone() };
    world.append(Event::Candidate(young));
    let old = Candidate { id: BlockId([4; 32]), height: Height(kept.0 - 1), ..block };
    assert!(world.try_append(Event::Candidate(old)).is_err());
}

/// The chain as a whole does not name a spend that is on another chain: neither the coin of the block that left, nor the change
/// of the payout that spent it.
#[test]
fn a_base_undoes_the_spends_of_coins_that_are_not_there_any_more() {
    for (spends_change, is_named) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut world, parent) = final_payout(0);
        if spends_change {
            world.withdraw(10_000_000);
            world.mine_strangers(FINAL_DEPTH);
            world.settle();
        }
        let depth = world.chain.best().len() - 1;
        world.reorg(depth, |_| false, false);
        world.chain.mempool.clear();
        let (joined, known) = world.known();
        let known = if is_named { known } else { Vec::new() };
        let base = world.chain.base(&[POOL], &joined, &known);
        assert!(base.spent.is_empty() && base.joined.is_empty());
        world.append(Event::Chain(ChainEvent::Base(base)));
        world.compare();
        assert_eq!(world.payout_state(parent), PayoutState::Signed, "it is on no chain");
        assert_eq!(world.balance(LedgerAccount::ChainInFlight), 0);
        assert_eq!(world.balance(LedgerAccount::Missing), 0);
        world.calm_down();
        assert!(world.state.payouts().all(|payout| payout.state == PayoutState::Void));
    }
}

/// While the chain was not followed, a payout and what spends its change left and came back: the whole shows neither change nor
/// input, for both are spent.
#[test]
fn a_base_finds_the_change_that_came_back_and_was_spent_at_once() {
    let (mut world, parent) = final_payout(0);
    let child = world.withdraw(10_000_000);
    world.mine(false);
    world.settle();
    world.reorg(9, |_| false, false);
    world.follow();
    assert!(world.state.coin(&world.change(parent)).is_none());
    world.mine(false);
    world.mine_strangers(FINAL_DEPTH);
    let base = world.base();
    world.append(Event::Chain(ChainEvent::Base(base)));
    world.compare();
    assert_eq!([parent, child].map(|id| world.payout_state(id)), [PayoutState::Final; 2]);
    // They are known to lie where they lie now.
    world.reorg(FINAL_DEPTH as usize + 1, |_| false, false);
    world.follow();
    assert!(world.state.coin(&world.change(parent)).is_none());
}

#[test]
fn a_base_moves_coins_and_spends_to_the_heights_that_it_names() {
    let (mut world, parent) = final_payout(0);
    world.reorg(8, |_| false, false);
    world.mine(false);
    world.mine(false);
    let base = world.base();
    world.append(Event::Chain(ChainEvent::Base(base)));
    assert_eq!(world.payout_state(parent), PayoutState::Signed, "it lies two blocks deep now");
    world.reorg(2, |_| false, false);
    world.follow();
}

/// A block that the log does not know makes the coin of one that it knows: both were sealed from one template.
#[test]
fn a_coin_of_an_unknown_block_is_a_gift_although_a_sibling_of_it_is_known() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    let known = world.candidates.values().next().expect("one").clone();
    let ToyBlock { parent, transactions, .. } = world.chain.blocks[&known.id].clone();
    let id = BlockId([0x33; 32]);
    world.chain.blocks.insert(id, ToyBlock { id, height: known.height, parent, transactions });
    world.chain.tip = id;
    world.mine_strangers(1);
    world.follow();
    world.mine_strangers(MATURITY);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), REWARD);
    // The chain comes back with the one that is known: it pays its miner.
    world.chain.tip = known.id;
    world.mine_strangers(2 * MATURITY);
    let base = world.base();
    world.append(Event::Chain(ChainEvent::Base(base)));
    world.compare();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 0);
    assert!(world.payable(1) > 0);
}

/// Away from the branch of a payout for so long that it is void and paid anew, and back.
#[test]
fn a_payout_that_was_void_and_is_on_the_chain_after_all_is_a_payout_again() {
    for (confirmations, paid_again, whole) in
        [(1, false, false), (FINAL_DEPTH + 2, false, false), (1, true, false), (1, false, true)]
    {
        let mut world = World::new();
        world.share(1, 1);
        world.mine(true);
        world.mine_strangers(MATURITY - 1);
        world.settle();
        world.mine_strangers(confirmations);
        world.settle();
        let (branch, payout) = (world.chain.tip, PayoutId(1));
        let received = world.received_by(1);
        assert!(received > 0);
        let depth = world.chain.best().len() - 1;
        world.reorg(depth, |_| false, false);
        world.chain.mempool.clear();
        for _ in 0..(2 * MATURITY) {
            if paid_again {
                world.share(2, 1);
            }
            world.mine(paid_again);
        }
        world.settle();
        assert_eq!(world.payout_state(payout), PayoutState::Void);
        if paid_again {
            world.calm_down(); // coins of the other branch pay for it
            assert_eq!(world.payable(1), 0);
        }
        world.chain.mempool.clear();
        world.chain.tip = branch;
        let longer = world.state.tip().expect("a tip").height.0 - world.chain.tip().height.0 + 1;
        world.mine_strangers(longer);
        if whole {
            let (joined, known) = world.known();
            let base = world.chain.base(&[POOL], &joined, &known);
            world.append(Event::Chain(ChainEvent::Base(base)));
        }
        world.settle();
        assert_eq!(world.payout_state(payout), PayoutState::Final, "{confirmations} {paid_again} {whole}");
        assert_eq!(world.received_by(1), received, "the other branch paid, and is gone");
        assert_eq!(world.balance(LedgerAccount::Missing), 0);
        world.calm_down();
        world.compare();
        assert!(
            world.state.payouts().all(|payout| !payout.is_open()),
            "{:?}",
            world.state.payouts().collect::<Vec<_>>()
        );
    }
}

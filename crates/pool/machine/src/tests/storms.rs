//! Random days: whatever happens, the books say what the chain says, and in the end everybody is paid.

use bq_ledger::LedgerAccount;

use super::world::{FINAL_DEPTH, MATURITY, STRANGER, World, atoms, miner};
use crate::{Act, ChainEvent, ChainWay, Event, PayoutEvent, PayoutKind, PayoutState, Tip, plan_withdrawal};

/// A small generator: the tests must draw the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(super) fn one_in(&mut self, parts: u64) -> bool {
        self.below(parts) == 0
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

/// One thing that happens to a pool.
pub(super) fn happen(world: &mut World, draw: &mut Draw) {
    match draw.below(20) {
        0..=5 => {
            for _ in 0..=draw.below(5) {
                let number = u8::try_from(1 + draw.below(6)).expect("small");
                world.share(number, 1 + draw.below(8));
            }
        }
        6..=9 => world.mine(true),
        10..=13 => world.mine(false),
        14 => {
            let depth = size(1 + draw.below(3));
            let (ours, takes) = (draw.below(4), !draw.one_in(3));
            world.reorg(depth, |position| position as u64 % 4 < ours, takes);
        }
        15 if draw.one_in(3) => {
            let depth = size(1 + draw.below(3 * u64::from(MATURITY)));
            let takes = !draw.one_in(3);
            world.reorg(depth, |_| false, takes);
        }
        16 => {
            world.gift(1 + draw.below(200_000));
            if world.cold.is_some() {
                world.fill(1 + draw.below(6_000_000_000));
            }
        }
        17 if draw.one_in(3) => world.chain.mempool.clear(),
        18 => world.signs = !draw.one_in(3),
        _ => world.now_ms += draw.below(20_000),
    }
}

pub(super) fn storm(seed: u64, steps: usize) -> World {
    storm_over(World::new(), seed, steps)
}

/// Every other one over a pool that pays in the coinbase, some with a cold key.
fn either_storm(seed: u64, steps: usize) -> World {
    let mut world = if seed % 3 == 0 { World::with_cold_key() } else { World::new() };
    if seed % 2 == 1 {
        world.set_scheme(super::direct::direct());
    }
    storm_over(world, seed, steps)
}

fn storm_over(mut world: World, seed: u64, steps: usize) -> World {
    let mut draw = Draw::new(seed);
    for _ in 0..steps {
        happen(&mut world, &mut draw);
        if !draw.one_in(3) {
            world.settle();
        }
    }
    world.signs = true;
    world.frame();
    world
}

#[test]
fn books_say_what_the_chain_says_and_everybody_is_paid_in_the_end() {
    for seed in 1..=60 {
        let mut world = storm(seed, 300);
        world.calm_down();
        world.compare();
        for payout in world.state.payouts() {
            let state = payout.state;
            assert!(
                matches!(state, PayoutState::Final | PayoutState::Void),
                "seed {seed}: payout {} {state:?}",
                payout.planned.id
            );
        }
        let loss = world.balance(LedgerAccount::OrphanLoss);
        let accounts: Vec<_> = world.state.accounts().iter().collect();
        for (account, key) in accounts {
            let number = key.0[0];
            assert_eq!(key, miner(number));
            let (due, got) = (world.payable(number), world.received_by(number));
            assert!(due < 100_000_000 || loss > 0, "seed {seed}: miner {number} is still owed {due}");
            // Every atom that the books say was sent lies on the chain, and none twice.
            assert_eq!(world.state.paid(account), got, "seed {seed}: miner {number}");
        }
        assert_eq!(world.balance(LedgerAccount::Missing), 0, "seed {seed}");
    }
}

#[test]
fn the_same_log_gives_the_same_state_and_the_state_survives_its_encoding() {
    for seed in 100..=110 {
        let world = either_storm(seed, 200);
        let mut replayed = crate::State::default();
        for event in &world.log {
            let bytes = event.to_bytes().expect("encodes");
            let event = Event::from_bytes(&bytes).expect("decodes");
            replayed.apply(&event, &world.shares).expect("taken before");
        }
        assert_eq!(replayed, world.state);
        let digest = world.state.digest().expect("encodes");
        let bytes = world.state.to_bytes().expect("encodes");
        let read = crate::State::from_bytes(&bytes).expect("decodes");
        assert_eq!(read.digest().expect("encodes"), digest);
        assert_eq!(read, world.state);
    }
}

/// Cuts a way into one event per block.
fn cut(world: &World, way: &ChainWay) -> Vec<ChainWay> {
    let mut pieces = Vec::new();
    let mut fork = way.fork;
    for block in world.chain.best().iter().filter(|block| block.height > way.fork.height) {
        if block.height > way.tip.height {
            break;
        }
        let tip = Tip { id: block.id, height: block.height };
        pieces.push(ChainWay {
            fork,
            tip,
            joined: way.joined.iter().copied().filter(|id| *id == block.id).collect(),
            received: way.received.iter().copied().filter(|received| received.height == block.height).collect(),
            spent: way.spent.iter().copied().filter(|(_, spent)| spent.height == block.height).collect(),
        });
        fork = tip;
    }
    pieces
}

#[test]
fn a_way_comes_to_the_same_however_it_is_cut() {
    for seed in 200..=230 {
        let mut world = either_storm(seed, 120);
        world.settle();
        world.frame();
        let mut draw = Draw::new(seed);
        world.mine(true);
        world.reorg(size(1 + draw.below(12)), |position| position % 3 == 0, true);
        for _ in 0..draw.below(20) {
            world.mine(draw.one_in(2));
        }
        let from = world.state.tip().expect("based");
        world.tell_cold();
        let (joined, known) = world.known();
        let way = world.chain.way(from.id, &world.keys(), &joined, &known);
        let mut whole = world.state.clone();
        whole.apply(&Event::Chain(ChainEvent::Way(way.clone())), &world.shares).expect("a way");
        let mut stepwise = world.state.clone();
        for piece in cut(&world, &way) {
            stepwise.apply(&Event::Chain(ChainEvent::Way(piece)), &world.shares).expect("a piece of it");
        }
        assert_eq!(whole.books(), stepwise.books(), "seed {seed}");
        let blocks = |state: &crate::State| state.blocks().cloned().collect::<Vec<_>>();
        assert_eq!(blocks(&whole), blocks(&stepwise), "seed {seed}");
        let coins = |state: &crate::State| state.coins().map(|(outpoint, coin)| (outpoint, *coin)).collect::<Vec<_>>();
        assert_eq!(coins(&whole), coins(&stepwise), "seed {seed}");
        let payouts = |state: &crate::State| state.payouts().cloned().collect::<Vec<_>>();
        assert_eq!(payouts(&whole), payouts(&stepwise), "seed {seed}");
    }
}

#[test]
fn a_base_comes_to_the_same_as_the_way() {
    for seed in 300..=330 {
        let mut world = either_storm(seed, 150);
        world.settle();
        for _ in 0..FINAL_DEPTH {
            world.mine(seed % 2 == 0);
        }
        world.tell_cold();
        let base = world.base();
        let mut based = world.clone();
        based.append(Event::Chain(ChainEvent::Base(base)));
        based.compare();
        world.follow();
        let balance = |world: &World, account| world.balance(account);
        for account in [
            LedgerAccount::ChainSpendable,
            LedgerAccount::ChainInFlight,
            LedgerAccount::ChainCold,
            LedgerAccount::ChainArriving,
            LedgerAccount::Missing,
        ] {
            assert_eq!(balance(&based, account), balance(&world, account), "seed {seed} {account}");
        }
        based.calm_down();
        based.compare();
    }
}

#[test]
fn a_pause_stops_payouts_and_nothing_else() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    world.decide(Act::Pause).expect("not paused");
    world.calm_down();
    assert_eq!(world.received_by(1), 0);
    assert!(world.payable(1) > 0);
    assert!(world.decide(Act::Pause).is_err());
    world.decide(Act::Resume).expect("paused");
    assert!(world.decide(Act::Resume).is_err());
    world.calm_down();
    assert!(world.received_by(1) > 0);
    assert_eq!(atoms(world.payable(1)), atoms(0));
}

/// Gifts as large as rewards, withdrawals that spend them, and reorganisations that take them away for a while or for ever.
#[test]
fn gifts_come_and_go_under_the_payouts_that_spend_them() {
    let (mut fences, mut void) = (0, 0);
    for seed in 500..=560 {
        let mut world = World::new();
        let mut draw = Draw::new(seed);
        for _ in 0..250 {
            match draw.below(16) {
                0 | 1 => {
                    world.gift(1 + draw.below(4_000_000_000));
                }
                2 | 3 => {
                    let amount = atoms(1 + draw.below(9_000_000_000));
                    if let Ok(planned) = plan_withdrawal(&world.state, STRANGER, amount, world.now_ms) {
                        // More than was earned is refused.
                        let _ = world.try_append(Event::Payout(PayoutEvent::Planned(planned)));
                    }
                }
                4 if draw.one_in(2) => {
                    let depth = size(1 + draw.below(3 * u64::from(MATURITY)));
                    world.reorg(depth, |_| false, false);
                    if draw.one_in(2) {
                        world.chain.mempool.clear();
                    }
                }
                _ => happen(&mut world, &mut draw),
            }
            if !draw.one_in(3) {
                world.settle();
            }
        }
        world.signs = true;
        world.frame();
        world.calm_down();
        world.compare();
        for payout in world.state.payouts() {
            let (id, state) = (payout.planned.id, payout.state);
            assert!(matches!(state, PayoutState::Final | PayoutState::Void), "seed {seed}: payout {id} {state:?}");
            fences += u32::from(payout.planned.kind == PayoutKind::Fence);
            void += u32::from(state == PayoutState::Void);
        }
        for (account, key) in world.state.accounts().iter() {
            let number = key.0[0];
            assert_eq!(world.state.paid(account), world.received_by(number), "seed {seed}: miner {number}");
        }
    }
    assert!(fences > 0 && void > 0, "{fences} fences, {void} void payouts");
}

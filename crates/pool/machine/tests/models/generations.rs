//! Blocks of the pool leave the best chain and come back, twice each, on two branches, before and after they matured.
//!
//! What is real: [`State::apply`] of every event, and [`State::check`]. The chain is two branches from one fork, each with blocks of the pool and of
//! strangers; the longer one is the best, and it is told whole, in two pieces cut anywhere, or as a base.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    ops::{ControlFlow, Range},
    sync::Arc,
};

use bq_ledger::{Cause, FeeBasisPoints, LedgerAccount, ShareWeight, TransferKey, WindowUnits};
use bq_pool_machine::{
    Accounts, Candidate, ChainBase, ChainEvent, ChainWay, EarnedShare, Event, LaneTerms, NewAccount, Opened,
    PayoutTerms, Received, Scheme, Shares, SharesError, State, Terms, Tip, Winning,
};
use bq_primitives::{
    AccountId, Algorithm, Amount, BlockId, Height, KeyHash, Network, NetworkDifficulty, OutPoint, ShareDifficulty, TxId,
};
use bq_share_record::{BootEpoch, FrameDigest, FrameHeader, FrontEndId, SharePay, SharePosition, ShareSequence};
use stateright::{Model, Property};

use super::{exhaust, finds};

const MATURITY: u32 = 3;
/// Blocks that leave twice need four changes of branch.
const CHANGES: u8 = 4;
const LENGTH_MAX: u32 = 12;
const REWARD: u64 = 4_000_000_000;
const LANE: Algorithm = Algorithm::Sha256d;
const POOL: KeyHash = KeyHash([0xee; 32]);
const FRONT_END: FrontEndId = FrontEndId(0);
/// Heights of the pool's blocks on each branch.
const OURS: [&[u32]; 2] = [&[1, 2], &[1]];
/// Whose shares there are, each worth a whole block, oldest first.
const MINERS: [u32; 4] = [1, 2, 1, 2];

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// A line's key does not say how often its block came back.
    NoGeneration,
    /// Of a way in two pieces, the second is told without the blocks that join.
    ForgottenJoin,
}

#[derive(Clone, Debug)]
struct World {
    state: Arc<State>,
    branch: usize,
    length: u32,
    changes: u8,
    /// Keys of all lines, as a journal with a unique index would hold them.
    keys: Arc<BTreeSet<TransferKey>>,
    doubled: bool,
    matured_and_left: bool,
}

/// How a change of branch is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Whole,
    /// Up to a height, then the rest.
    Cut(u32),
    /// The chain as a whole.
    Base,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Longer,
    Change(Told),
}

impl World {
    /// What decides all that follows: not the number of events so far.
    fn seen(&self) -> impl Hash + '_ {
        let blocks: Vec<_> = self
            .state
            .blocks()
            .map(|block| (block.candidate.id, block.state, block.generation, format!("{:?}", block.lines)))
            .collect();
        let coins: Vec<_> = self.state.coins().map(|(outpoint, coin)| (outpoint, coin.height)).collect();
        let balances: Vec<_> = self.state.books().balances().collect();
        (
            self.branch,
            self.length,
            self.changes,
            blocks,
            coins,
            balances,
            &self.keys,
            self.doubled,
            self.matured_and_left,
        )
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.seen().hash(hasher);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.branch == other.branch
            && self.length == other.length
            && self.changes == other.changes
            && self.state == other.state
            && self.keys == other.keys
            && self.doubled == other.doubled
    }
}

struct Generations {
    wrong: Wrong,
    /// What every account is owed by a block, by branch and height; the window is the same for all.
    credits: Vec<(AccountId, u64)>,
}

impl Generations {
    fn new(wrong: Wrong) -> Self {
        // A unit each, the head half, the oldest as far as it fits: of two units the newest and third have 1, the others as much.
        let net = REWARD - REWARD / 100;
        let quarter = net / 4;
        Self { wrong, credits: vec![(AccountId(1), 2 * quarter), (AccountId(2), 2 * quarter)] }
    }

    fn apply(&self, world: &mut World, event: &Event) {
        let mut state = State::clone(&world.state);
        let applied = state.apply(event, &FourShares).expect("the machine takes what the chain tells");
        let mut keys = BTreeSet::clone(&world.keys);
        for line in applied.lines {
            let key = TransferKey { cause: self.named(line.cause), ..line.key() };
            world.doubled |= !keys.insert(key);
        }
        (world.state, world.keys) = (Arc::new(state), Arc::new(keys));
    }

    fn named(&self, cause: Cause) -> Cause {
        match cause {
            Cause::BlockCredited { block, .. } if self.wrong == Wrong::NoGeneration => {
                Cause::BlockCredited { block, generation: 0 }
            }
            cause => cause,
        }
    }

    fn tell(&self, world: &mut World, fork: u32, told: Told) {
        let (branch, length) = (world.branch, world.length);
        match told {
            Told::Base => {
                let received = coins(branch, 0..length + 1);
                let base = ChainBase {
                    tip: tip(branch, length),
                    joined: ours(branch, 0..length + 1),
                    received,
                    spent: Vec::new(),
                };
                self.apply(world, &Event::Chain(ChainEvent::Base(base)));
            }
            Told::Whole => self.way(world, fork, length, true),
            Told::Cut(height) => {
                self.way(world, fork, height, true);
                self.way(world, height, length, self.wrong != Wrong::ForgottenJoin);
            }
        }
    }

    fn way(&self, world: &mut World, fork: u32, to: u32, joins: bool) {
        let branch = world.branch;
        let joined = if joins { ours(branch, fork + 1..to + 1) } else { Vec::new() };
        let (fork, tip) = (tip(branch, fork), tip(branch, to));
        let way = ChainWay { fork, tip, joined, received: Vec::new(), spent: Vec::new() };
        self.apply(world, &Event::Chain(ChainEvent::Way(way)));
    }

    /// Whether accounts are owed what the blocks on the chain, and those that matured before they left, credit them.
    fn is_owed(&self, world: &World) -> bool {
        let on_chain: BTreeSet<BlockId> = ours(world.branch, 0..world.length + 1).into_iter().collect();
        let mut blocks = 0;
        for block in world.state.blocks() {
            if block.is_on_chain() != on_chain.contains(&block.candidate.id) {
                return false;
            }
            blocks += u64::from(block.is_on_chain() || block.state == bq_pool_machine::BlockState::Lost);
        }
        self.credits.iter().all(|(account, credit)| {
            let books = world.state.books();
            let owed = books.balance(LedgerAccount::MinerImmature(*account))
                + books.balance(LedgerAccount::MinerPayable(*account));
            owed == blocks * credit
        })
    }

    /// The books of a pool that was told of this chain at once.
    fn told_at_once(&self, world: &World) -> State {
        let mut fresh = World { changes: 0, ..self.init_states().remove(0) };
        (fresh.branch, fresh.length) = (world.branch, world.length);
        self.tell(&mut fresh, 0, Told::Whole);
        State::clone(&fresh.state)
    }
}

impl Model for Generations {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            state: Arc::new(State::default()),
            branch: 0,
            length: 0,
            changes: 0,
            keys: Arc::new(BTreeSet::new()),
            doubled: false,
            matured_and_left: false,
        };
        for event in beginning() {
            self.apply(&mut world, &event);
        }
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.length >= LENGTH_MAX {
            return;
        }
        actions.push(Action::Longer);
        if world.changes < CHANGES && world.length > 0 {
            let cuts = (1..=world.length).map(|height| Action::Change(Told::Cut(height)));
            actions.extend(cuts);
            actions.extend([Told::Whole, Told::Base].map(Action::Change));
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        world.length += 1;
        match action {
            Action::Longer => self.tell(&mut world, last.length, Told::Whole),
            Action::Change(told) => {
                world.branch = 1 - last.branch;
                world.changes += 1;
                self.tell(&mut world, 0, told);
            }
        }
        world.matured_and_left |= world.state.blocks().any(|block| block.state == bq_pool_machine::BlockState::Lost);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the books are in order", |_, world: &World| world.state.check().is_ok()),
            Property::always(OWED, |model: &Self, world: &World| model.is_owed(world)),
            Property::always("they are those of a pool that was told at once", |model: &Self, world: &World| {
                world.matured_and_left || world.length == 0 || {
                    let fresh = model.told_at_once(world);
                    fresh.books() == world.state.books() && fresh.coins().eq(world.state.coins())
                }
            }),
            Property::always(UNIQUE, |_, world: &World| !world.doubled),
            Property::sometimes("a block left twice and is there again", |_, world: &World| {
                let is_back = |block: &bq_pool_machine::PoolBlock| block.is_on_chain() && block.generation == 2;
                world.state.blocks().any(is_back)
            }),
            Property::sometimes("a matured block left and came back", |_, world: &World| {
                world.keys.iter().any(|key| matches!(key.cause, Cause::BlockRegained { .. }))
            }),
        ]
    }
}

const OWED: &str = "accounts are owed what blocks on the chain credit, and matured ones that left";
const UNIQUE: &str = "no line has the key of another";

fn beginning() -> Vec<Event> {
    let opened =
        Opened { network: Network::Regtest, genesis: BlockId([0; 32]), key: POOL, maturity: MATURITY, horizon: 200 };
    let lane = LaneTerms {
        scheme: Scheme::Pplns { window: WindowUnits::DEFAULT },
        fee: FeeBasisPoints::new(100).expect("1 %"),
    };
    let payouts = PayoutTerms {
        payout_min: Amount::MAX,
        payees_max: 1,
        inputs_max: 1,
        round_payouts_max: 1,
        interval_ms: 1,
        fee_rate: 1,
        final_depth: 2,
        gift_min: Amount::MAX,
    };
    let frame = FrameHeader {
        front_end: FRONT_END,
        epoch: BootEpoch(1),
        first: ShareSequence::FIRST,
        count: 4,
        digest: FrameDigest::of_leaves(vec![[1; 32]; 4]),
    };
    let base = ChainBase { tip: tip(0, 0), joined: Vec::new(), received: Vec::new(), spent: Vec::new() };
    let mut events = vec![Event::Opened(opened), Event::Terms(Terms { lanes: [lane; Algorithm::COUNT], payouts })];
    events.extend([1, 2].map(|number| {
        Event::Account(NewAccount {
            account: AccountId(number),
            key: KeyHash([u8::try_from(number).expect("few"); 32]),
        })
    }));
    events.push(Event::Frame(frame));
    events.push(Event::Chain(ChainEvent::Base(base)));
    for (branch, heights) in OURS.iter().enumerate() {
        events.extend(heights.iter().map(|height| Event::Candidate(candidate(branch, *height))));
    }
    events
}

fn candidate(branch: usize, height: u32) -> Candidate {
    Candidate {
        id: block(branch, height),
        height: Height(height),
        algorithm: LANE,
        coinbase: coinbase(branch, height),
        outputs: vec![(0, Amount::from_atoms(REWARD).expect("small"))],
        winning: Winning::Share(SharePosition { front_end: FRONT_END, sequence: ShareSequence(4) }),
        time: 0,
    }
}

/// The fork is the same on both branches.
fn block(branch: usize, height: u32) -> BlockId {
    let mut id = [0; 32];
    if height > 0 {
        id[0] = u8::try_from(branch + 1).expect("two");
        id[1] = u8::try_from(height).expect("few");
    }
    BlockId(id)
}

fn coinbase(branch: usize, height: u32) -> TxId {
    TxId(block(branch, height).0)
}

fn tip(branch: usize, height: u32) -> Tip {
    Tip { id: block(branch, height), height: Height(height) }
}

fn ours(branch: usize, heights: Range<u32>) -> Vec<BlockId> {
    OURS[branch].iter().filter(|height| heights.contains(height)).map(|height| block(branch, *height)).collect()
}

/// The pool's coins on a branch, as a base tells them.
fn coins(branch: usize, heights: Range<u32>) -> Vec<Received> {
    let coin = |height: &u32| Received {
        outpoint: OutPoint { txid: coinbase(branch, *height), index: 0 },
        amount: Amount::from_atoms(REWARD).expect("small"),
        height: Height(*height),
        coinbase: true,
    };
    OURS[branch].iter().filter(|height| heights.contains(height)).map(coin).collect()
}

/// The shares of [`MINERS`].
struct FourShares;

impl Shares for FourShares {
    fn walk_back(
        &self,
        _: Algorithm,
        from: SharePosition,
        _: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        let count = usize::try_from(from.sequence.0).expect("small");
        for miner in MINERS[..count].iter().rev() {
            let share = EarnedShare {
                algorithm: LANE,
                account: AccountId(*miner),
                weight: ShareWeight::ONE,
                difficulty: ShareDifficulty::from_hashes(1000),
                network_difficulty: NetworkDifficulty::from_hashes(1000),
                pay: SharePay::Window,
            };
            if each(&share).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        _: FrontEndId,
        _: Range<ShareSequence>,
        _: &Accounts,
        _: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        Ok(())
    }
}

#[test]
fn balances_are_those_of_the_chain_however_it_came_about() {
    let states = exhaust("generations", Generations::new(Wrong::Nothing).checker());
    assert!(states > 150, "{states}: the model has lost something");
}

#[test]
fn a_key_without_a_generation_is_found() {
    finds(Generations::new(Wrong::NoGeneration).checker(), UNIQUE);
}

#[test]
fn a_block_that_is_not_told_when_it_joins_is_found() {
    finds(Generations::new(Wrong::ForgottenJoin).checker(), OWED);
}

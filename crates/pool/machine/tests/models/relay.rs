//! Shares of two front ends reach the log once each, whatever is lost, doubled, overtaken or killed on the way.
//!
//! What is real: the log's rule of frames ([`State::apply`] of [`Event::Frame`]). What stands for the rest: `Log::sync()` and `tell_frames()` of the
//! driver, which tells only what is synced and begins at the head that the log names; a wire that loses, doubles and reorders.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    sync::Arc,
};

use bq_pool_machine::{Accounts, EarnedShare, Event, Opened, Shares, SharesError, State};
use bq_primitives::{Algorithm, BlockId, KeyHash, Network};
use bq_share_record::{BootEpoch, FrameDigest, FrameHeader, FrontEndId, ShareSequence};
use stateright::{Model, Property};

use super::{exhaust, finds};

const CRASHES: u8 = 2;

/// How much there is.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Of each front end.
    shares: &'static [usize],
    /// Messages on their way at a time.
    wire: usize,
}

const TWO_FRONT_ENDS: Size = Size { shares: &[2, 1], wire: 2 };
const ONE_FRONT_END: Size = Size { shares: &[3], wire: 2 };

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// The log says that it has a frame before it has it.
    AckedBeforeWritten,
    /// Shares and the mark up to which they are known are written apart.
    MarkApart,
    /// Whatever comes is taken.
    NoMark,
    /// Shares are told before they are synced, so that a power cut takes some that the log has, and others get their places.
    UnsyncedTold,
}

/// A front end: its log on disk, and what it remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct FrontEnd {
    /// Shares by name, each once in the world.
    log: Vec<u8>,
    synced: usize,
    epoch: u32,
    /// How many the pool has, as far as it was told since it started.
    known: usize,
    /// How many it was ever told of.
    acked: usize,
    taken: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message {
    Frame { front_end: u16, epoch: u32, first: usize, shares: Vec<u8> },
    Ack { front_end: u16, next: usize },
}

#[derive(Clone, Debug)]
struct World {
    front_ends: Vec<FrontEnd>,
    pool: Arc<State>,
    /// What the pool did with shares: front end, place, share. Written with the event, in one transaction.
    effects: Vec<(u16, usize, u8)>,
    wire: BTreeSet<Message>,
    crashes: u8,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Take(u16),
    Sync(u16),
    Send {
        front_end: u16,
        count: usize,
    },
    Deliver {
        message: Message,
        again: bool,
    },
    /// The pool dies between what it writes and its answer.
    DeliverAndDie(Message),
    Lose(Message),
    PowerCut(u16),
}

impl World {
    fn heads(&self) -> Vec<(u32, u64)> {
        let ids = 0..u16::try_from(self.front_ends.len()).expect("few");
        let head = |id| self.pool.front_end(FrontEndId(id)).map_or((0, 0), |head| (head.epoch.0, head.next.0));
        ids.map(head).collect()
    }

    fn head(&self, front_end: u16) -> usize {
        let head = self.pool.front_end(FrontEndId(front_end));
        head.map_or(0, |head| usize::try_from(head.next.0 - 1).expect("few"))
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.front_ends, self.heads(), &self.effects, &self.wire, self.crashes).hash(hasher);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.front_ends == other.front_ends
            && self.heads() == other.heads()
            && self.effects == other.effects
            && self.wire == other.wire
            && self.crashes == other.crashes
    }
}

struct Relay(Wrong, Size);

impl Relay {
    fn ids(&self) -> impl Iterator<Item = u16> + use<> {
        0..u16::try_from(self.1.shares.len()).expect("few")
    }

    /// What the pool does with a frame; nothing if it is out of turn. Returns whether it is to be answered.
    fn receive(&self, world: &mut World, message: &Message, dies: bool) -> bool {
        let Message::Frame { front_end, epoch, first, shares } = message else { return false };
        let head = world.head(*front_end);
        if self.0 == Wrong::AckedBeforeWritten && dies {
            return true;
        }
        if self.0 != Wrong::NoMark && *first != head {
            return *first < head;
        }
        let effects = (*first..).zip(shares).map(|(place, share)| (*front_end, place, *share));
        let effects: Vec<_> = effects.collect();
        if self.0 == Wrong::MarkApart && dies {
            world.effects.extend(effects);
            return false;
        }
        let event = Event::Frame(FrameHeader {
            front_end: FrontEndId(*front_end),
            epoch: BootEpoch(*epoch),
            first: ShareSequence(u64::try_from(*first + 1).expect("few")),
            count: u16::try_from(shares.len()).expect("few"),
            digest: FrameDigest::of_leaves(shares.iter().map(|share| [*share; 32]).collect()),
        });
        let mut state = State::clone(&world.pool);
        let is_taken = state.apply(&event, &NoShares).is_ok();
        if is_taken {
            world.pool = Arc::new(state);
        }
        if is_taken || self.0 == Wrong::NoMark {
            world.effects.extend(effects);
            world.effects.sort_unstable();
        }
        is_taken
    }

    fn deliver(&self, world: &mut World, message: &Message, dies: bool) {
        if let Message::Ack { front_end, next } = message {
            let front_end = &mut world.front_ends[usize::from(*front_end)];
            front_end.known = front_end.known.max(*next);
            front_end.acked = front_end.acked.max(*next);
            return;
        }
        let Message::Frame { front_end, first, shares, .. } = message else { return };
        let answers = self.receive(world, message, dies);
        let says = match self.0 {
            Wrong::AckedBeforeWritten => first + shares.len(),
            _ => world.head(*front_end),
        };
        if answers && (!dies || self.0 == Wrong::AckedBeforeWritten) {
            world.wire.insert(Message::Ack { front_end: *front_end, next: says });
        }
    }
}

impl Model for Relay {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut state = State::default();
        let genesis = BlockId([0; 32]);
        let opened =
            Opened { network: Network::Regtest, genesis, key: KeyHash([0xee; 32]), maturity: 10, horizon: 200 };
        state.apply(&Event::Opened(opened), &NoShares).expect("opens");
        let front_ends = vec![FrontEnd { epoch: 1, ..FrontEnd::default() }; self.1.shares.len()];
        let (effects, wire) = (Vec::new(), BTreeSet::new());
        vec![World { front_ends, pool: Arc::new(state), effects, wire, crashes: 0 }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for id in self.ids() {
            let front_end = &world.front_ends[usize::from(id)];
            if front_end.taken < self.1.shares[usize::from(id)] {
                actions.push(Action::Take(id));
            }
            if front_end.synced < front_end.log.len() {
                actions.push(Action::Sync(id));
            }
            let told = if self.0 == Wrong::UnsyncedTold { front_end.log.len() } else { front_end.synced };
            let waiting = told.saturating_sub(front_end.known);
            // One share a frame, or all there are.
            for count in BTreeSet::from([1, waiting]) {
                if waiting > 0 && world.wire.len() < self.1.wire {
                    actions.push(Action::Send { front_end: id, count });
                }
            }
            if world.crashes < CRASHES {
                actions.push(Action::PowerCut(id));
            }
        }
        for message in &world.wire {
            actions.push(Action::Lose(message.clone()));
            for again in [false, true] {
                actions.push(Action::Deliver { message: message.clone(), again });
            }
            if world.crashes < CRASHES && matches!(message, Message::Frame { .. }) {
                actions.push(Action::DeliverAndDie(message.clone()));
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Take(id) => {
                let front_end = &mut world.front_ends[usize::from(id)];
                front_end.taken += 1;
                front_end.log.push(u8::try_from(usize::from(id) * 10 + front_end.taken).expect("few"));
            }
            Action::Sync(id) => {
                let front_end = &mut world.front_ends[usize::from(id)];
                front_end.synced = front_end.log.len();
            }
            Action::Send { front_end: id, count } => {
                let front_end = &world.front_ends[usize::from(id)];
                let (first, epoch) = (front_end.known, front_end.epoch);
                let shares = front_end.log[first..first + count].to_vec();
                world.wire.insert(Message::Frame { front_end: id, epoch, first, shares });
            }
            Action::Deliver { message, again } => {
                if !again {
                    world.wire.remove(&message);
                }
                self.deliver(&mut world, &message, false);
            }
            Action::DeliverAndDie(message) => {
                world.crashes += 1;
                world.wire.remove(&message);
                self.deliver(&mut world, &message, true);
            }
            Action::Lose(message) => {
                world.wire.remove(&message);
            }
            Action::PowerCut(id) => {
                world.crashes += 1;
                let front_end = &mut world.front_ends[usize::from(id)];
                front_end.log.truncate(front_end.synced);
                front_end.epoch += 1;
                // It asks the log again from the first share it still has.
                front_end.known = 0;
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, world: &World| {
                let places: BTreeSet<_> =
                    world.effects.iter().map(|(front_end, place, _)| (front_end, place)).collect();
                let shares: BTreeSet<_> = world.effects.iter().map(|(.., share)| share).collect();
                places.len() == world.effects.len() && shares.len() == world.effects.len()
            }),
            Property::always(KEPT, |_, world: &World| {
                (0..).zip(&world.front_ends).all(|(id, front_end)| {
                    let is_there = |place: usize| {
                        front_end.log.get(place).is_some_and(|share| world.effects.contains(&(id, place, *share)))
                    };
                    (0..front_end.acked).all(is_there)
                })
            }),
            Property::sometimes("all shares are counted after every crash", |model: &Self, world: &World| {
                let all =
                    world.front_ends.iter().zip(model.1.shares).all(|(front_end, count)| front_end.acked == *count);
                world.crashes == CRASHES && all
            }),
        ]
    }
}

const ONCE: &str = "no share is counted twice";
const KEPT: &str = "what a front end may forget is counted, under its own place";

#[test]
fn every_acknowledged_share_is_counted_once() {
    exhaust("relay of two front ends", Relay(Wrong::Nothing, TWO_FRONT_ENDS).checker());
    exhaust("relay of one front end", Relay(Wrong::Nothing, ONE_FRONT_END).checker());
}

#[test]
fn an_acknowledgement_before_the_write_is_found() {
    finds(Relay(Wrong::AckedBeforeWritten, TWO_FRONT_ENDS).checker(), KEPT);
}

#[test]
fn a_mark_that_is_written_apart_from_what_it_marks_is_found() {
    finds(Relay(Wrong::MarkApart, TWO_FRONT_ENDS).checker(), ONCE);
}

#[test]
fn a_log_without_a_mark_is_found() {
    finds(Relay(Wrong::NoMark, TWO_FRONT_ENDS).checker(), ONCE);
}

#[test]
fn shares_that_are_told_before_they_are_synced_are_found() {
    finds(Relay(Wrong::UnsyncedTold, TWO_FRONT_ENDS).checker(), KEPT);
}

/// A log that is not asked for shares.
pub(crate) struct NoShares;

impl Shares for NoShares {
    fn walk_back(
        &self,
        _: Algorithm,
        _: bq_share_record::SharePosition,
        _: &Accounts,
        _: &mut dyn FnMut(&EarnedShare) -> std::ops::ControlFlow<()>,
    ) -> Result<(), SharesError> {
        Ok(())
    }

    fn walk(
        &self,
        _: FrontEndId,
        _: std::ops::Range<ShareSequence>,
        _: &Accounts,
        _: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        Ok(())
    }
}

//! Payouts: a ledger, a signer that counts, and a node whose chain goes back three blocks, with death at every step.
//!
//! A small machine that stands for the real parts:
//!
//! | here | stands for |
//! | --- | --- |
//! | `plan` | `next()` and `reserve()`, T30: amounts are set aside and the first input is named, in one durable step |
//! | `ask`, the signer | the signer (SPEC 8.12), which keeps what it signed; a replacement with a higher fee spends the same coins (8.5.12) |
//! | `store` | the event that the bytes are signed, and the bytes beside it; what differs from the plan is refused (`the signer changed payout`) |
//! | `send` | `Command::Send`: the stored bytes, as often as it takes |
//! | `settle` | `finalize()`, T31, and `void()`, T32, with `is_void()`: another spend of the first input is buried |
//! | `import` | after a restore: `recognise()` and `AdoptPayout`; here from the signer's own copy |
//! | an epoch | whoever wrote last with a younger one keeps older processes from writing and signing |

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

use super::{exhaust, finds};

const BATCHES: usize = 2;
/// What the payee earned: a batch pays him 1.
const CREDITED: u8 = 2;
const COINS: u8 = 2;
/// A payment is final, and nothing in a block as old comes back: reorganisations are shallower.
const FINAL: u8 = 4;
const REORG_MAX: u8 = 3;

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// What was sent and is in no block is credited back.
    CreditBackOnTimeout,
    /// What replaces a payment spends another coin.
    NewInputsOnRetry,
    /// A process that was replaced still writes.
    NoFencing,
    /// The signer keeps nothing: whatever is asked for is signed.
    ForgetfulSigner,
    /// Asked again, the signer signs something else, and nobody compares.
    SignerChangesBytes,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Deaths of the process, takeovers and restores among them.
    crashes: u8,
    takeovers: u8,
    restores: u8,
    reorgs: u8,
    bumps: u8,
    thefts: u8,
    lost_bytes: u8,
}

/// A transaction: of which batch, spending which coin, and whether it is the replacement. Batch 0 is a thief's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Tx {
    batch: u8,
    coin: u8,
    bumped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Planned,
    Signed,
    Final,
    Void,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Batch {
    coin: u8,
    stage: Stage,
    /// What was signed; more than one after a replacement.
    stored: BTreeSet<Tx>,
}

/// What is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Ledger {
    batches: Vec<Batch>,
    payable: u8,
    in_flight: u8,
    paid: u8,
}

/// What the signer has on its own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Signer {
    signed: Vec<BTreeSet<Tx>>,
    epoch: u8,
}

/// Somebody who reads the ledger and writes to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    epoch: u8,
    /// The signer's last answer; it may be used more than once.
    reply: Option<Tx>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    ledger: Ledger,
    epoch: u8,
    leader: Process,
    /// One that was replaced and does not know it, with the ledger as it saw it last.
    stale: Option<(Process, Ledger)>,
    backup: Option<Ledger>,
    restored: bool,
    signer: Signer,
    mempool: BTreeSet<Tx>,
    /// Depth of what is in blocks, [`FINAL`] at most.
    chain: BTreeMap<Tx, u8>,
    left: [u8; 7],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Plan { coin: u8 },
    Ask { batch: u8, bumped: bool, is_lost: bool },
    Store,
    Send(Tx),
    Settle { batch: u8 },
    Import,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Leader(Step),
    Stale(Step),
    Crash,
    TakeOver,
    Backup,
    Restore,
    LoseBytes(u8),
    Mine(Option<Tx>),
    Reorg { depth: u8, is_sent_again: bool },
    Evict(Tx),
    Steal { coin: u8 },
}

const CRASHES: usize = 0;
const TAKEOVERS: usize = 1;
const RESTORES: usize = 2;
const REORGS: usize = 3;
const BUMPS: usize = 4;
const THEFTS: usize = 5;
const LOST_BYTES: usize = 6;

struct Payouts {
    wrong: Wrong,
    limits: Limits,
}

impl World {
    fn spends(&self, coin: u8) -> Option<(Tx, u8)> {
        self.chain.iter().find(|(tx, _)| tx.coin == coin).map(|(tx, depth)| (*tx, *depth))
    }

    fn confirmed(&self, batch: u8) -> usize {
        self.chain.keys().filter(|tx| tx.batch == batch).count()
    }

    /// What the chain and the signer know must be in the ledger before anything is planned.
    fn is_behind(&self, ledger: &Ledger, counts: bool) -> bool {
        let known = |batch: u8| usize::from(batch) <= ledger.batches.len();
        (counts && self.signer.signed.len() > ledger.batches.len()) || !self.chain.keys().all(|tx| known(tx.batch))
    }

    fn take(&mut self, what: usize) -> bool {
        let is_left = self.left[what] > 0;
        self.left[what] = self.left[what].saturating_sub(1);
        is_left
    }
}

impl Payouts {
    /// One step of a process that sees the ledger so; nothing if it may not or changes nothing.
    fn step(
        &self,
        world: &mut World,
        mut process: Process,
        mut ledger: Ledger,
        step: Step,
    ) -> Option<(Process, Ledger)> {
        let writes = !matches!(step, Step::Ask { .. } | Step::Send(_));
        if writes && process.epoch != world.epoch && self.wrong != Wrong::NoFencing {
            return None;
        }
        match step {
            Step::Plan { coin } => self.plan(world, &mut ledger, coin)?,
            Step::Ask { batch, bumped, is_lost } => {
                let reply = self.ask(world, &process, &ledger, batch, bumped)?;
                if !is_lost {
                    process.reply = Some(reply);
                }
            }
            Step::Store => self.store(&mut ledger, process.reply?)?,
            Step::Send(tx) => {
                let batch = &ledger.batches[usize::from(tx.batch) - 1];
                if batch.stage != Stage::Signed || !batch.stored.contains(&tx) || !send(world, tx) {
                    return None;
                }
            }
            Step::Settle { batch } => self.settle(world, &mut ledger, batch)?,
            Step::Import => import(world, &mut ledger)?,
        }
        Some((process, ledger))
    }

    fn plan(&self, world: &World, ledger: &mut Ledger, coin: u8) -> Option<()> {
        let is_taken = ledger.batches.iter().any(|batch| batch.coin == coin && batch.stage != Stage::Void);
        let is_stopped = world.is_behind(ledger, self.wrong != Wrong::ForgetfulSigner);
        if ledger.payable == 0
            || ledger.batches.len() == BATCHES
            || is_taken
            || is_stopped
            || world.spends(coin).is_some()
        {
            return None;
        }
        ledger.batches.push(Batch { coin, stage: Stage::Planned, stored: BTreeSet::new() });
        ledger.payable -= 1;
        ledger.in_flight += 1;
        Some(())
    }

    /// The signer's answer: what it signed before, the next batch, or a replacement that spends the same coin.
    fn ask(&self, world: &mut World, process: &Process, ledger: &Ledger, batch: u8, bumped: bool) -> Option<Tx> {
        if process.epoch < world.signer.epoch && self.wrong != Wrong::NoFencing {
            return None;
        }
        let index = usize::from(batch) - 1;
        let planned = ledger.batches.get(index)?;
        if !matches!(planned.stage, Stage::Planned | Stage::Signed) || (bumped && planned.stored.is_empty()) {
            return None;
        }
        world.signer.epoch = world.signer.epoch.max(process.epoch);
        let other = || (0..COINS).rev().find(|coin| *coin != planned.coin && world.spends(*coin).is_none());
        let mut wanted = Tx { batch, coin: planned.coin, bumped };
        if bumped && self.wrong == Wrong::NewInputsOnRetry {
            wanted.coin = other()?;
        }
        let signed = &mut world.signer.signed;
        if signed.len() < index {
            return None;
        }
        if signed.len() == index {
            signed.push(BTreeSet::new());
        }
        let known = &mut signed[index];
        if let Some(first) = known.first().copied() {
            let again = known.iter().find(|tx| tx.bumped == bumped).copied();
            match (again, self.wrong) {
                (_, Wrong::ForgetfulSigner | Wrong::NewInputsOnRetry) => {}
                (Some(_), Wrong::SignerChangesBytes) => {
                    wanted.coin = (0..COINS).rev().find(|coin| *coin != first.coin)?;
                }
                (Some(again), _) => return Some(again),
                (None, _) if first.coin != wanted.coin => return None,
                (None, _) => {}
            }
        }
        known.insert(wanted);
        Some(wanted)
    }

    fn store(&self, ledger: &mut Ledger, reply: Tx) -> Option<()> {
        let batch = ledger.batches.get_mut(usize::from(reply.batch) - 1)?;
        let compares = !matches!(self.wrong, Wrong::NewInputsOnRetry | Wrong::SignerChangesBytes);
        if !matches!(batch.stage, Stage::Planned | Stage::Signed) || (compares && batch.coin != reply.coin) {
            return None;
        }
        batch.stage = Stage::Signed;
        batch.stored.insert(reply).then_some(())
    }

    fn settle(&self, world: &World, ledger: &mut Ledger, number: u8) -> Option<()> {
        let batch = ledger.batches.get_mut(usize::from(number) - 1)?;
        if !matches!(batch.stage, Stage::Planned | Stage::Signed) {
            return None;
        }
        let spent = world.spends(batch.coin);
        let buried = spent.filter(|(_, depth)| *depth >= FINAL).map(|(tx, _)| tx);
        let timed_out = self.wrong == Wrong::CreditBackOnTimeout && batch.stage == Stage::Signed && spent.is_none();
        match buried {
            Some(tx) if tx.batch == number => {
                batch.stage = Stage::Final;
                ledger.paid += 1;
            }
            Some(_) => {
                batch.stage = Stage::Void;
                ledger.payable += 1;
            }
            None if timed_out => {
                batch.stage = Stage::Void;
                ledger.payable += 1;
            }
            None => return None,
        }
        ledger.in_flight -= 1;
        Some(())
    }

    fn steps(&self, world: &World, ledger: &Ledger, steps: &mut Vec<Step>) {
        steps.extend((0..COINS).map(|coin| Step::Plan { coin }));
        steps.extend([Step::Store, Step::Import]);
        for (number, batch) in (1..).zip(&ledger.batches) {
            steps.push(Step::Settle { batch: number });
            if batch.stored.is_empty() {
                steps.extend([false, true].map(|is_lost| Step::Ask { batch: number, bumped: false, is_lost }));
            } else if world.left[BUMPS] > 0 && batch.stage == Stage::Signed {
                steps.push(Step::Ask { batch: number, bumped: true, is_lost: false });
            }
            steps.extend(batch.stored.iter().map(|tx| Step::Send(*tx)));
        }
    }
}

/// What the node takes: a first spend of a coin, or one that pays more for the same batch.
fn send(world: &mut World, tx: Tx) -> bool {
    let is_spent = world.spends(tx.coin).is_some();
    let others: Vec<Tx> = world.mempool.iter().filter(|other| other.coin == tx.coin).copied().collect();
    let is_better = others.iter().all(|other| tx.bumped && !other.bumped && other.batch == tx.batch);
    if is_spent || !is_better || world.mempool.contains(&tx) {
        return false;
    }
    world.mempool.retain(|other| other.coin != tx.coin);
    world.mempool.insert(tx)
}

/// A batch that the signer knows and the ledger forgot: set aside again, with the very bytes.
fn import(world: &World, ledger: &mut Ledger) -> Option<()> {
    let stored = world.signer.signed.get(ledger.batches.len())?;
    let coin = stored.first()?.coin;
    if ledger.payable == 0 {
        return None;
    }
    ledger.batches.push(Batch { coin, stage: Stage::Signed, stored: stored.clone() });
    ledger.payable -= 1;
    ledger.in_flight += 1;
    Some(())
}

impl Model for Payouts {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let Limits { crashes, takeovers, restores, reorgs, bumps, thefts, lost_bytes } = self.limits;
        vec![World {
            ledger: Ledger { payable: CREDITED, ..Ledger::default() },
            epoch: 0,
            leader: Process::default(),
            stale: None,
            backup: None,
            restored: false,
            signer: Signer::default(),
            mempool: BTreeSet::new(),
            chain: BTreeMap::new(),
            left: [crashes, takeovers, restores, reorgs, bumps, thefts, lost_bytes],
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let mut steps = Vec::new();
        self.steps(world, &world.ledger, &mut steps);
        actions.extend(steps.drain(..).map(Action::Leader));
        if let Some((_, ledger)) = &world.stale {
            self.steps(world, ledger, &mut steps);
            actions.extend(steps.into_iter().map(Action::Stale));
        }
        actions.extend([Action::Crash, Action::TakeOver, Action::Backup, Action::Restore, Action::Mine(None)]);
        actions.extend(world.mempool.iter().map(|tx| Action::Mine(Some(*tx))));
        actions.extend(world.mempool.iter().map(|tx| Action::Evict(*tx)));
        actions.extend(
            (1..=REORG_MAX).flat_map(|depth| [false, true].map(|is_sent_again| Action::Reorg { depth, is_sent_again })),
        );
        actions.push(Action::Steal { coin: 0 });
        actions
            .extend((1..=world.ledger.batches.len()).map(|batch| Action::LoseBytes(u8::try_from(batch).unwrap_or(0))));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Leader(step) => {
                let (process, ledger) = (world.leader.clone(), world.ledger.clone());
                (world.leader, world.ledger) = self.step(&mut world, process, ledger, step)?;
                if matches!(step, Step::Ask { bumped: true, .. }) && !world.take(BUMPS) {
                    return None;
                }
            }
            Action::Stale(step) => {
                let (process, ledger) = world.stale.clone()?;
                let (process, seen) = self.step(&mut world, process, ledger.clone(), step)?;
                // It writes over whatever is there.
                if seen != ledger {
                    world.ledger = seen.clone();
                }
                world.stale = Some((process, seen));
            }
            Action::Crash | Action::TakeOver | Action::Restore if !world.take(CRASHES) => return None,
            Action::Crash => world.leader.reply = None,
            Action::TakeOver => {
                if !world.take(TAKEOVERS) {
                    return None;
                }
                world.stale = Some((world.leader.clone(), world.ledger.clone()));
                world.epoch += 1;
                world.leader = Process { epoch: world.epoch, reply: None };
            }
            Action::Backup => {
                if world.backup.is_some() || world.left[RESTORES] == 0 {
                    return None;
                }
                world.backup = Some(world.ledger.clone());
            }
            Action::Restore => {
                if !world.take(RESTORES) {
                    return None;
                }
                world.ledger = world.backup.take()?;
                world.epoch = world.epoch.max(world.signer.epoch) + 1;
                world.leader = Process { epoch: world.epoch, reply: None };
                world.restored = true;
            }
            Action::LoseBytes(batch) => {
                if !world.take(LOST_BYTES) {
                    return None;
                }
                world.ledger.batches[usize::from(batch) - 1].stored.clear();
            }
            Action::Mine(tx) => {
                deeper(&mut world);
                if let Some(tx) = tx {
                    world.mempool.retain(|other| other.coin != tx.coin);
                    world.chain.insert(tx, 1);
                }
            }
            Action::Reorg { depth, is_sent_again } => {
                if !world.take(REORGS) {
                    return None;
                }
                let gone: Vec<Tx> = world.chain.iter().filter(|(_, old)| **old <= depth).map(|(tx, _)| *tx).collect();
                world.chain.retain(|_, old| *old > depth);
                // One more block than were taken back.
                deeper(&mut world);
                if is_sent_again {
                    world.mempool.extend(gone);
                }
            }
            Action::Evict(tx) => {
                world.mempool.remove(&tx);
            }
            Action::Steal { coin } => {
                if !world.take(THEFTS) || world.spends(coin).is_some() {
                    return None;
                }
                world.mempool.retain(|other| other.coin != coin);
                deeper(&mut world);
                world.chain.insert(Tx { batch: 0, coin, bumped: false }, 1);
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_OUTPUT, |_, world: &World| (1..=2).all(|batch| world.confirmed(batch) <= 1)),
            Property::always(NO_MORE, |_, world: &World| {
                let sent = world.confirmed(1) + world.confirmed(2);
                // A ledger that is behind its signer plans nothing before it caught up.
                let is_open = world.is_behind(&world.ledger, true);
                is_open || sent + usize::from(world.ledger.payable) <= usize::from(CREDITED)
            }),
            Property::always(SUM, |_, world: &World| {
                let Ledger { payable, in_flight, paid, .. } = &world.ledger;
                payable + in_flight + paid == CREDITED
            }),
            Property::always(VOID, |_, world: &World| {
                let is_over = |number: u8, batch: &Batch| {
                    let thiefs = world.spends(batch.coin).filter(|(tx, depth)| tx.batch != number && *depth >= FINAL);
                    world.confirmed(number) == 0 && thiefs.is_some()
                };
                (1..)
                    .zip(&world.ledger.batches)
                    .all(|(number, batch)| batch.stage != Stage::Void || is_over(number, batch))
            }),
            Property::always(KNOWN, |_, world: &World| {
                let of_pool = world.chain.keys().chain(&world.mempool).filter(|tx| tx.batch > 0);
                let is_planned = |tx: &Tx| {
                    let batch = world.ledger.batches.get(usize::from(tx.batch) - 1);
                    batch.is_some_and(|batch| batch.coin == tx.coin && batch.stage != Stage::Planned)
                };
                world.restored || of_pool.into_iter().all(is_planned)
            }),
            Property::sometimes("everything is paid, after every crash", |_, world: &World| {
                world.ledger.paid == CREDITED && world.left[CRASHES] == 0
            }),
        ]
    }
}

fn deeper(world: &mut World) {
    for depth in world.chain.values_mut() {
        *depth = (*depth + 1).min(FINAL);
    }
}

const ONE_OUTPUT: &str = "a batch has one confirmed output at most";
const NO_MORE: &str = "what was sent and what is still payable is no more than was earned";
const SUM: &str = "paid, payable and in flight are what was credited";
const VOID: &str = "what is void never confirms";
const KNOWN: &str = "what is on its way is what the ledger planned";

const CALM: Limits = Limits { crashes: 3, takeovers: 0, restores: 0, reorgs: 1, bumps: 1, thefts: 1, lost_bytes: 1 };

fn model(wrong: Wrong, limits: Limits) -> stateright::CheckerBuilder<Payouts> {
    Payouts { wrong, limits }.checker()
}

#[test]
fn no_payment_is_made_twice_whenever_the_pool_dies() {
    exhaust("payouts, three crashes", model(Wrong::Nothing, CALM));
}

#[test]
fn no_payment_is_made_twice_by_a_process_that_was_replaced() {
    let limits = Limits { crashes: 2, takeovers: 1, lost_bytes: 0, ..CALM };
    exhaust("payouts, takeover", model(Wrong::Nothing, limits));
}

#[test]
fn no_payment_is_made_twice_after_an_old_copy_was_put_back() {
    let limits = Limits { crashes: 2, restores: 1, bumps: 0, lost_bytes: 0, ..CALM };
    exhaust("payouts, restore", model(Wrong::Nothing, limits));
}

#[test]
fn a_credit_that_comes_back_because_it_took_long_is_found() {
    finds(model(Wrong::CreditBackOnTimeout, CALM), VOID);
    finds(model(Wrong::CreditBackOnTimeout, CALM), NO_MORE);
}

#[test]
fn a_replacement_that_spends_another_coin_is_found() {
    finds(model(Wrong::NewInputsOnRetry, CALM), ONE_OUTPUT);
}

#[test]
fn a_process_that_writes_although_it_was_replaced_is_found() {
    finds(model(Wrong::NoFencing, Limits { takeovers: 1, crashes: 1, ..CALM }), KNOWN);
}

#[test]
fn a_signer_that_keeps_nothing_is_found_after_a_restore() {
    let limits = Limits { crashes: 1, restores: 1, reorgs: 0, thefts: 0, bumps: 0, lost_bytes: 0, ..CALM };
    finds(model(Wrong::ForgetfulSigner, limits), ONE_OUTPUT);
}

#[test]
fn a_signer_that_signs_other_bytes_is_found() {
    finds(model(Wrong::SignerChangesBytes, CALM), ONE_OUTPUT);
}

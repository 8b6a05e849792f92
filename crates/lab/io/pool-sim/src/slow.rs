//! What each event must book where accounts are paid by many schemes, said slowly by the text of SPEC 8.1 to 8.3 and 8.9, out of the
//! shares themselves and none of the pool's arithmetic.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::{ControlFlow, Range},
};

use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_mining_message::{FrontEndId, SharePay, SharePosition, SharePrice, ShareSequence};
use bq_pool_machine::{Applied, Candidate, EarnedShare, Event, Fault, PerShareEvent, Shares, State, Winning};
use bq_primitives::{AccountId, Algorithm};

use crate::node::SUBSIDY;

/// Half of what windows earn is the pool's, so that it soon has a reserve.
pub(crate) const FEE: u16 = 5_000;
pub(crate) const WINDOW: u32 = 2;
pub(crate) const PPS_FEE: u16 = 8_000;
pub(crate) const FPPS_FEE: u16 = 7_000;
pub(crate) const SOLO_FEE: u16 = 150;
pub(crate) const TIDES_FEE: u16 = 300;
pub(crate) const TIDES_WINDOW: u32 = 3;
/// Blocks that are lost and withheld, as the reserve is reckoned.
pub(crate) const ORPHAN: u16 = 50;
pub(crate) const WITHHELD: u16 = 100;

const ONE: u128 = 1 << 60;
/// What floating point may be off.
const NEARLY: f64 = 1e-6;

thread_local! {
    /// What the slow model said first: the books can only stop.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

type Sums = BTreeMap<LedgerAccount, u128>;
type Accruals = BTreeMap<(AccountId, Algorithm), u128>;

/// What was wrong since somebody asked last.
pub(crate) fn said() -> Option<String> {
    SAID.take()
}

/// Applies an event to the books with the shares that they are given, and compares what they did with what true shares say.
pub(crate) fn apply(
    state: &mut State,
    event: &Event,
    (given, truth): (&dyn Shares, &dyn Shares),
) -> Result<Applied, Fault> {
    let before = Before::of(state, event);
    let applied = state.apply(event, given)?;
    let outcome = state.check().map_err(|fault| fault.to_string());
    match outcome.and_then(|()| before.check(event, state, &applied.lines, truth)) {
        Ok(()) => Ok(applied),
        Err(what) => {
            SAID.with_borrow_mut(|said| _ = said.get_or_insert(what));
            Err(Fault::PerShare("the slow model says otherwise"))
        }
    }
}

/// What an event finds.
struct Before {
    reserve: u64,
    unsettled: Option<ShareSequence>,
    accruals: Accruals,
}

impl Before {
    fn of(state: &State, event: &Event) -> Self {
        let Event::PerShare(event) = event else {
            return Self { reserve: 0, unsettled: None, accruals: Accruals::new() };
        };
        let unsettled = match event {
            PerShareEvent::Settled { front_end, .. } => state.unsettled_from(*front_end),
            _ => None,
        };
        Self { reserve: state.pps_reserve().atoms(), unsettled, accruals: accruals(state) }
    }

    fn check(&self, event: &Event, state: &State, lines: &[Transfer], truth: &dyn Shares) -> Result<(), String> {
        match event {
            Event::Chain(_) => check_blocks(state, lines, truth),
            Event::PerShare(PerShareEvent::Settled { front_end, end }) => {
                let from = self.unsettled.unwrap_or(ShareSequence::FIRST);
                self.check_settled((*front_end, from..*end), state, lines, truth)
            }
            Event::PerShare(PerShareEvent::Begun) if (self.reserve as f64) < need(state, 1e-3) * (1.0 - NEARLY) => {
                Err(format!("shares are paid for themselves out of {} atoms", self.reserve))
            }
            Event::PerShare(PerShareEvent::Ended) if state.offer().pays_per_share() && !is_below(state) => {
                Err(format!("{} atoms are enough to pay shares for themselves", self.reserve))
            }
            _ => Ok(()),
        }
    }

    /// T20 (SPEC 8.9.1, 7, 14).
    fn check_settled(
        &self,
        (front_end, range): (FrontEndId, Range<ShareSequence>),
        state: &State,
        lines: &[Transfer],
        truth: &dyn Shares,
    ) -> Result<(), String> {
        let mut owed = self.accruals.clone();
        let mut each = |share: &EarnedShare| {
            if let SharePay::PerShare(price) = share.pay {
                *owed.entry((share.account, share.algorithm)).or_default() += weight(share) * paid(price);
            }
        };
        truth.walk(front_end, range, state.accounts(), &mut each).map_err(|error| error.to_string())?;
        let (mut reserve, mut credits) = (u128::from(self.reserve), BTreeMap::new());
        for lane in Algorithm::ALL {
            for ((account, _), parts) in owed.iter_mut().filter(|((_, of), _)| *of == lane) {
                let credit = (*parts / ONE).min(reserve);
                reserve -= credit;
                *parts -= credit * ONE;
                if credit > 0 {
                    credits.insert((lane, LedgerAccount::MinerPayable(*account)), credit);
                }
            }
        }
        let booked: BTreeMap<_, _> = lines
            .iter()
            .filter_map(|line| match line.cause {
                Cause::PpsCredited { algorithm, .. } => {
                    Some(((algorithm, line.credit), u128::from(line.amount.atoms())))
                }
                _ => None,
            })
            .collect();
        if booked != credits {
            return Err(format!("the slow model says that shares earn {credits:?}, the books say {booked:?}"));
        }
        owed.retain(|_, parts| *parts > 0);
        let left = accruals(state);
        if left != owed {
            return Err(format!("the slow model says that {owed:?} are owed, the books say {left:?}"));
        }
        Ok(())
    }
}

/// Whether what the reserve holds is less than what keeps shares paid for themselves.
pub(crate) fn is_below(state: &State) -> bool {
    (state.pps_reserve().atoms() as f64) < need(state, 1e-2) * (1.0 + NEARLY)
}

/// SPEC 8.9.7 to 11.
fn need(state: &State, ruin: f64) -> f64 {
    let maturing = state.blocks().filter(|block| block.state == bq_pool_machine::BlockState::Immature).count() as f64;
    let subsidy = state.subsidy().atoms();
    let offer = state.offer();
    let of = |fee: Option<bq_ledger::FeeBasisPoints>, most: u64| match fee {
        None => 0.0,
        Some(_) if subsidy == 0 => f64::INFINITY,
        Some(fee) if fee.get() == 10_000 => 0.0,
        Some(fee) => {
            let most = most as f64;
            let fee = f64::from(fee.get()) / 1e4 - 2.0 / most;
            let part = |bp: u16| 1.0 - f64::from(bp) / 1e4;
            let left = (1.0 - fee) / (part(ORPHAN) * part(WITHHELD));
            most * -ruin.ln() / root(left) + (1.0 - fee) * most * maturing
        }
    };
    of(offer.pps, subsidy).max(of(offer.fpps, subsidy + subsidy / 10))
}

/// x > 0 with left * x = 1 - e^-x.
fn root(left: f64) -> f64 {
    if left >= 1.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0_f64, 1.0 / left);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if left * middle < 1.0 - (-middle).exp() { low = middle } else { high = middle }
    }
    low
}

fn accruals(state: &State) -> Accruals {
    let all = state.accounts().iter().flat_map(|(account, _)| Algorithm::ALL.map(|lane| (account, lane)));
    all.map(|(account, lane)| ((account, lane), state.accrual(account, lane).parts()))
        .filter(|(_, parts)| *parts > 0)
        .collect()
}

fn weight(share: &EarnedShare) -> u128 {
    (u128::from(share.difficulty.hashes()) * ONE / share.network_difficulty.hashes()).min(ONE)
}

/// What a whole block pays.
pub(crate) fn paid(price: SharePrice) -> u128 {
    let block = u128::from(price.subsidy.atoms() + price.fees.map_or(0, |fees| fees.atoms()));
    block - block * u128::from(price.fee_bp) / 10_000
}

/// T10 and T21 of every block that an event joins.
fn check_blocks(state: &State, lines: &[Transfer], truth: &dyn Shares) -> Result<(), String> {
    let mut of: BTreeMap<_, Vec<Transfer>> = BTreeMap::new();
    for line in lines {
        match (line.cause, line.credit) {
            (Cause::BlockCredited { block, generation }, _) => {
                of.entry((block, generation)).or_default().push(*line);
            }
            (Cause::PpsIncome { block, generation }, LedgerAccount::PpsImmature | LedgerAccount::FeeIncome(_)) => {
                of.entry((block, generation)).or_default().push(*line);
            }
            _ => {}
        }
    }
    for ((block, _), lines) in of {
        let Some(candidate) = state.block(&block).map(|block| block.candidate.clone()) else { continue };
        let (mut debits, mut credits) = (Sums::new(), Sums::new());
        for line in &lines {
            *debits.entry(line.debit).or_default() += u128::from(line.amount.atoms());
            *credits.entry(line.credit).or_default() += u128::from(line.amount.atoms());
        }
        let carry = debits.get(&LedgerAccount::Carry(candidate.algorithm)).copied().unwrap_or(0);
        let expected = credits_of(state, &candidate, carry, truth)?;
        if credits != expected {
            return Err(format!("the slow model says {expected:?} of block {block}, the books {credits:?}"));
        }
    }
    Ok(())
}

fn credits_of(state: &State, candidate: &Candidate, carry: u128, truth: &dyn Shares) -> Result<Sums, String> {
    let lane = candidate.algorithm;
    let reward = u128::from(candidate.reward().map_err(|error| error.to_string())?.atoms());
    let shares = |from: SharePosition| -> Result<Vec<EarnedShare>, String> {
        let mut all = Vec::new();
        let mut each = |share: &EarnedShare| {
            all.push(*share);
            ControlFlow::Continue(())
        };
        truth.walk_back(lane, from, state.accounts(), &mut each).map_err(|error| error.to_string())?;
        Ok(all)
    };
    let of_lane = |all: Vec<EarnedShare>, halves: bool, pay: SharePay| {
        let all = all.into_iter().enumerate().filter(move |(_, share)| share.algorithm == lane && share.pay == pay);
        all.map(move |(at, share)| (share, halves && at == 0))
    };
    let window = |all: Vec<EarnedShare>, halves| {
        let parts = of_lane(all, halves, SharePay::Window).map(|(share, half)| {
            let whole = weight(&share);
            (share.account, if half { whole / 2 } else { whole })
        });
        split((lane, candidate), (reward, FEE, carry), (u128::from(WINDOW) * ONE, parts))
    };
    Ok(match &candidate.winning {
        Winning::Lost => one(LedgerAccount::Suspense, reward),
        Winning::NoShares => window(Vec::new(), false),
        Winning::After(from) => window(shares(*from)?, false),
        Winning::Coinbase(direct) => window(direct.newest.map_or(Ok(Vec::new()), shares)?, false),
        Winning::Share(from) => {
            let all = shares(*from)?;
            let own = *all.first().ok_or("a block without its share")?;
            match own.pay {
                SharePay::Window => window(all, true),
                SharePay::Solo => {
                    let fee = reward * u128::from(SOLO_FEE) / 10_000;
                    let finder = LedgerAccount::MinerImmature(own.account);
                    Sums::from([(LedgerAccount::FeeIncome(lane), fee), (finder, reward - fee)])
                }
                SharePay::Tides => {
                    let parts = of_lane(all, true, SharePay::Tides).map(|(share, half)| {
                        let whole = u128::from(share.difficulty.hashes());
                        (share.account, if half { whole / 2 } else { whole })
                    });
                    let length = u128::from(TIDES_WINDOW) * own.network_difficulty.hashes();
                    split((lane, candidate), (reward, TIDES_FEE, carry), (length, parts))
                }
                SharePay::PerShare(price) => {
                    let subsidy = u128::from(price.subsidy.atoms());
                    let most = subsidy + price.fees.map_or(0, |_| subsidy / 10);
                    let fees = (LedgerAccount::FeeIncome(lane), reward.saturating_sub(most));
                    let all = [(LedgerAccount::PpsImmature, reward.min(most)), fees];
                    all.into_iter().filter(|(_, sum)| *sum > 0).collect()
                }
            }
        }
    })
}

fn one(account: LedgerAccount, amount: u128) -> Sums {
    Sums::from([(account, amount)])
}

/// SPEC 8.2, 8.3: parts of a window, newest first.
fn split(
    (lane, candidate): (Algorithm, &Candidate),
    (reward, fee, carry): (u128, u16, u128),
    (length, parts): (u128, impl Iterator<Item = (AccountId, u128)>),
) -> Sums {
    let fee = reward * u128::from(fee) / 10_000;
    let net = reward - fee + carry;
    let (mut needed, mut of) = (length, Sums::new());
    for (account, part) in parts {
        let counted = part.min(needed);
        needed -= counted;
        *of.entry(LedgerAccount::MinerImmature(account)).or_default() += counted;
    }
    of.insert(LedgerAccount::Seed(lane), needed);
    let mut credits: Sums = of.into_iter().map(|(account, part)| (account, net * part / length)).collect();
    let left = net - credits.values().sum::<u128>();
    credits.insert(LedgerAccount::FeeIncome(lane), fee);
    credits.insert(LedgerAccount::CarryPending(candidate.id), left);
    credits.retain(|_, amount| *amount > 0);
    credits
}

/// Whether a share was promised what this pool pays.
pub(crate) fn is_promised(pay: SharePay) -> bool {
    let SharePay::PerShare(price) = pay else { return true };
    let fee = if price.fees.is_some() { FPPS_FEE } else { PPS_FEE };
    price.fee_bp == fee
        && price.subsidy.atoms() == SUBSIDY
        && price.fees.is_none_or(|fees| fees.atoms() <= SUBSIDY / 10)
}

//! The log of a pool (SPEC 8): events from bytes, their hash chain, every balance after each, and frames of shares.

use std::{
    collections::BTreeMap,
    ops::{ControlFlow, Range},
};

use bq_ledger::{Head, WindowFold, WindowUnits};
use bq_mining_message::{FrameDigest, FrontEndId, Share, SharePay, SharePosition, ShareSequence};
use bq_pool_machine::{Accounts, EarnedShare, Event, Shares, SharesError, State};
use bq_primitives::{AccountId, Algorithm, Amount, Decoder};
use serde::Deserialize;

use crate::{
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    tables::Tables,
    values::Array,
};

/// SPEC 8.6.5.
#[derive(Deserialize)]
pub(super) struct Frame {
    shares: Vec<String>,
    digest: Array<32>,
}

impl Case for Frame {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let shares = decode(&self.shares)?;
        same_bytes("digest", &FrameDigest::of(&shares).0, &self.digest.0)?;
        Ok(Outcome::Ran)
    }
}

/// A log from its first event on.
#[derive(Deserialize)]
pub(super) struct Log {
    name: String,
    /// Of front end 0, oldest first.
    shares: Vec<String>,
    events: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    event: String,
    hash: Array<32>,
    /// Every balance that is not zero.
    balances: BTreeMap<String, u64>,
    /// What a coinbase pays that is made where the log stands before this event.
    coinbase: Option<Coinbase>,
}

/// SPEC 8.8.3.
#[derive(Deserialize)]
struct Coinbase {
    lane: String,
    /// The newest share of its window; 0 if there is none.
    newest: u64,
    reward: Amount,
    /// Accounts and amounts, in order.
    outputs: Vec<(AccountId, Amount)>,
    /// The pool's.
    own: Amount,
}

impl Coinbase {
    fn check(&self, place: &str, state: &State, shares: &Written) -> Result<(), Fault> {
        let at = SharePosition { front_end: FrontEndId(0), sequence: ShareSequence(self.newest) };
        let newest = (self.newest > 0).then_some(at);
        let lane: Algorithm = self.lane.parse().map_err(malformed)?;
        let terms = state.direct_terms(lane, newest).ok_or_else(|| malformed(format!("{place}: not direct")))?;
        let units = newest.map_or_else(|| state.terms(), |share| state.terms_of(share)).map(|terms| terms.window(lane));
        let mut fold = WindowFold::new(units.unwrap_or(WindowUnits::DEFAULT), Head::Whole);
        if let Some(newest) = newest {
            let mut each = |share: &EarnedShare| match share.pay {
                SharePay::Window => fold.add(share.account, share.weight),
                SharePay::PerShare(_) | SharePay::Solo | SharePay::Tides => ControlFlow::Continue(()),
            };
            shares.walk_back(lane, newest, state.accounts(), &mut each).map_err(malformed)?;
        }
        let basis = state.coinbase_basis(lane, terms, fold.finish(), true).map_err(malformed)?;
        let plan = basis.plan(self.reward).map_err(malformed)?;
        same(format!("{place}: outputs"), format!("{:?}", plan.outputs), format!("{:?}", self.outputs))?;
        same(format!("{place}: own"), plan.own, self.own)
    }
}

impl Case for Log {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let shares = Written(decode(&self.shares)?);
        let mut state = State::default();
        for (number, step) in (1_u64..).zip(&self.events) {
            let place = format!("{}: event {number}", self.name);
            let bytes = hex::decode(&step.event).map_err(malformed)?;
            let event = Event::from_bytes(&bytes).map_err(|error| malformed(format!("{place}: {error}")))?;
            step.coinbase.iter().try_for_each(|coinbase| coinbase.check(&place, &state, &shares))?;
            let applied = state.apply(&event, &shares).map_err(|fault| malformed(format!("{place}: {fault}")))?;
            same_bytes(format!("{place}: hash"), &applied.head.hash.0, &step.hash.0)?;
            let balances = state.books().balances().filter(|(_, amount)| *amount > 0);
            let balances: BTreeMap<String, u64> =
                balances.map(|(account, amount)| (account.to_string(), amount)).collect();
            same(format!("{place}: balances"), format!("{balances:?}"), format!("{:?}", step.balances))?;
            state.check().map_err(|fault| malformed(format!("{place}: {fault}")))?;
        }
        Ok(Outcome::Ran)
    }
}

/// The shares of a case, in the order of its log.
struct Written(Vec<Share>);

impl Shares for Written {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        let count = usize::try_from(from.sequence.0).unwrap_or(usize::MAX);
        let newest_first = self.0.iter().take(count).rev().filter(|share| share.algorithm == algorithm);
        for share in newest_first {
            let account = accounts.find(&share.payee).ok_or(SharesError::UnknownKey(share.payee))?;
            if each(&EarnedShare::of(share, account)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        _: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        for (_, share) in (1..).zip(&self.0).filter(|(number, _)| range.contains(&ShareSequence(*number))) {
            let account = accounts.find(&share.payee).ok_or(SharesError::UnknownKey(share.payee))?;
            each(&EarnedShare::of(share, account));
        }
        Ok(())
    }
}

fn decode(shares: &[String]) -> Result<Vec<Share>, Fault> {
    let one = |text: &String| {
        let bytes = hex::decode(text).map_err(malformed)?;
        let mut decoder = Decoder::new(&bytes);
        let share = Share::decode(&mut decoder).map_err(malformed)?;
        let mut again = Vec::new();
        share.encode(&mut again);
        same_bytes("share", &again, &bytes)?;
        Ok(share)
    };
    shares.iter().map(one).collect()
}

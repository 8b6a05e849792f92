//! What the coinbases of the next block pay (SPEC 8.8), and what those of a found one paid.

use std::{ops::ControlFlow, sync::Arc};

use bq_ledger::{LedgerAccount, ShareWeight, SlidingWindow, WindowUnits};
use bq_mining_message::{SharePay, SharePosition, ShareSequence};
use bq_pool_machine::{
    CoinbaseBasis, CoinbasePlan, DirectBlock, DirectOutput, EarnedShare, Event, Fault, LogHead, LogNumber, Outside,
    Shares as _, State, Tip, pays_balances,
};
use bq_primitives::{Algorithm, Amount, BlockId, KeyHash, Transaction, TxOut};

use crate::{PoolError, keeper::Keeper};

/// The windows that end with the newest share of the log, kept while frames are told.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// The log as far as it counts here.
    head: LogHead,
    /// After the newest share.
    next: ShareSequence,
    /// By [`Algorithm::index`]; nothing until they were read.
    lanes: Option<[SlidingWindow; Algorithm::COUNT]>,
}

/// All that the coinbases of a template follow from, taken at one moment.
pub(crate) struct Bases {
    /// What they say of the log.
    pub(crate) head: LogHead,
    /// Where the books stand: balances are paid in a block on this one only.
    tip: Option<Tip>,
    /// By [`Algorithm::index`]; nothing for a lane that is paid by payouts.
    lanes: [Option<CoinbaseBasis>; Algorithm::COUNT],
}

/// What the coinbases of the newest template pay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coinbases {
    /// By [`Algorithm::index`]; nothing for a lane that is paid by payouts.
    pub(crate) lanes: [Option<Arc<CoinbasePlan>>; Algorithm::COUNT],
    /// The books were not yet at the parent: nobody is paid an older balance, though there are some.
    pub(crate) is_blind: bool,
}

impl Windows {
    /// Reads on to the end of the log, and from the beginning where lengths have changed.
    fn catch_up(
        &mut self,
        keeper: &Keeper,
        (written, state): (LogHead, &State),
        units: [WindowUnits; 3],
    ) -> Result<(), PoolError> {
        // Only what is on disk counts; while the disk is full, what was there before.
        if state.head() == written {
            let next = newest(keeper, state).map_or(ShareSequence::FIRST, |share| share.sequence.next());
            match &mut self.lanes {
                Some(lanes) if same(lanes, units) => read_on(keeper, state, lanes, self.next, next)?,
                lanes => *lanes = Some(read_back(keeper, state, units)?),
            }
            (self.head, self.next) = (written, next);
        } else if self.lanes.is_none() {
            return Err(PoolError::Inconsistent("the books are not written since the start".to_owned()));
        }
        Ok(())
    }

    fn newest(&self, keeper: &Keeper) -> Option<SharePosition> {
        before(keeper, self.next)
    }
}

impl Bases {
    /// How many outputs a coinbase may come to have.
    pub(crate) fn outputs_max(&self) -> u32 {
        self.lanes.iter().flatten().map(CoinbaseBasis::outputs_max).max().unwrap_or(1)
    }

    /// Whether the coinbases of a block on `parent` pay older balances.
    pub(crate) fn is_blind(&self, parent: &BlockId) -> bool {
        self.tip.is_none_or(|tip| tip.id != *parent)
    }

    /// For a block on `parent`: elsewhere than where the books stand nobody is paid an older balance or residue.
    pub(crate) fn on(mut self, parent: &BlockId) -> Self {
        if self.is_blind(parent) {
            self.lanes.iter_mut().flatten().for_each(CoinbaseBasis::leave_older);
        }
        self
    }

    /// Whom the coinbase of a lane's block pays, out of `reward`; nothing if payouts do.
    pub(crate) fn plan(&self, lane: Algorithm, reward: Amount) -> Result<Option<CoinbasePlan>, PoolError> {
        let basis = self.lanes.get(lane.index()).and_then(Option::as_ref);
        Ok(basis.map(|basis| basis.plan(reward)).transpose().map_err(Fault::from)?)
    }
}

impl Keeper {
    /// What the next coinbases follow from.
    pub(crate) fn bases(&self) -> Result<Bases, PoolError> {
        let outside = self.outside_now();
        let mut windows = self.windows.lock();
        self.at_written(|written, state| self.bases_at(&mut windows, &outside, (written, state)))
    }

    fn bases_at(
        &self,
        windows: &mut Windows,
        outside: &Outside,
        (written, state): (LogHead, &State),
    ) -> Result<Bases, PoolError> {
        let newest = newest(self, state);
        let is_direct = |lane| state.direct_terms(lane, newest).is_some();
        if !Algorithm::ALL.into_iter().any(is_direct) {
            return Ok(Bases { head: written, tip: state.tip(), lanes: [None, None, None] });
        }
        let terms = newest.map_or_else(|| state.terms(), |share| state.terms_of(share));
        let units = |lane| terms.map_or(WindowUnits::DEFAULT, |terms| terms.window(lane));
        windows.catch_up(self, (written, state), Algorithm::ALL.map(units))?;
        let (newest, pays) = (windows.newest(self), pays_balances(state, outside));
        let mut lanes = [None, None, None];
        for ((lane, basis), window) in Algorithm::ALL.into_iter().zip(&mut lanes).zip(windows.lanes.iter().flatten()) {
            if let Some(terms) = state.direct_terms(lane, newest) {
                *basis = Some(state.coinbase_basis(lane, terms, window.window(), pays).map_err(Fault::from)?);
            }
        }
        Ok(Bases { head: windows.head, tip: state.tip(), lanes })
    }

    /// The outputs of a coinbase that pays as planned.
    pub(crate) fn outputs_of(&self, plan: &CoinbasePlan) -> Result<Vec<TxOut>, PoolError> {
        let state = self.state.read();
        let output = |(account, amount): &(_, Amount)| {
            let key = state.accounts().key(*account);
            let key = key.ok_or_else(|| PoolError::Inconsistent(format!("account {account} has no key")))?;
            Ok(TxOut { amount: *amount, key_hash: key })
        };
        let mut outputs = plan.outputs.iter().map(output).collect::<Result<Vec<_>, PoolError>>()?;
        if plan.own > Amount::ZERO {
            let key_hash = state.cold_key().unwrap_or_else(|| self.key_hash());
            outputs.push(TxOut { amount: plan.own, key_hash });
        }
        Ok(outputs)
    }

    /// What the coinbase of a block of the pool paid miners, which names an event of the log; nothing if that block is paid by payouts, or
    /// its own share is not paid by the window.
    pub(crate) fn direct_block(
        &self,
        (lane, named): (Algorithm, LogNumber),
        coinbase: &Transaction,
        share: Option<SharePosition>,
    ) -> Result<Option<DirectBlock>, PoolError> {
        if let Some(share) = share
            && !self.is_of_window(share)?
        {
            return Ok(None);
        }
        let newest = self.newest_share_at(named)?;
        let state = self.state.read();
        if state.direct_terms(lane, newest).is_none() {
            return Ok(None);
        }
        let account_of = |key: &KeyHash| if state.owns(key) { None } else { state.accounts().find(key) };
        let paid: Vec<DirectOutput> = (0_u32..)
            .zip(&coinbase.outputs)
            .filter_map(|(index, output)| {
                Some(DirectOutput { index, account: account_of(&output.key_hash)?, amount: output.amount })
            })
            .collect();
        let total = Amount::sum(paid.iter().map(|output| output.amount)).map_err(Fault::from)?;
        Ok(Some(DirectBlock { share, newest, total, paid }))
    }

    fn is_of_window(&self, share: SharePosition) -> Result<bool, PoolError> {
        let read = self.log.read(share.sequence..share.sequence.next()).next().transpose()?;
        Ok(read.is_none_or(|(_, share)| share.pay == SharePay::Window))
    }

    /// The newest share in a frame up to an event.
    fn newest_share_at(&self, named: LogNumber) -> Result<Option<SharePosition>, PoolError> {
        let frames = self.store.newest("frame", LogNumber(named.0.saturating_add(1)), 1)?;
        let Some(frame) = frames.first() else { return Ok(None) };
        let event = Event::from_bytes(&frame.bytes).map_err(|error| PoolError::Inconsistent(error.to_string()))?;
        let Event::Frame(frame) = event else {
            return Err(PoolError::Inconsistent("an event that is called a frame is none".to_owned()));
        };
        let sequence = ShareSequence(frame.end().0.saturating_sub(1));
        Ok(Some(SharePosition { front_end: frame.front_end, sequence }))
    }

    /// A template was made before the books had followed to its parent, and there is more to pay than it does.
    pub(crate) fn owes_a_template(&self) -> bool {
        let (is_blind, node) = (self.coinbases.read().is_blind, self.node.tip().id);
        let state = self.state.read();
        let mut carried = state.books().of_miners(LedgerAccount::MinerCarried);
        is_blind && carried.next().is_some() && state.tip().is_some_and(|tip| tip.id == node)
    }
}

fn newest(keeper: &Keeper, state: &State) -> Option<SharePosition> {
    before(keeper, state.front_end(keeper.config.front_end)?.next)
}

/// The share before the next one; nothing before the first.
fn before(keeper: &Keeper, next: ShareSequence) -> Option<SharePosition> {
    let sequence = next.0.checked_sub(1).filter(|newest| *newest >= ShareSequence::FIRST.0)?;
    Some(SharePosition { front_end: keeper.config.front_end, sequence: ShareSequence(sequence) })
}

fn same(lanes: &[SlidingWindow; 3], units: [WindowUnits; 3]) -> bool {
    lanes.iter().zip(units).all(|(lane, units)| lane.units() == units)
}

fn read_back(keeper: &Keeper, state: &State, units: [WindowUnits; 3]) -> Result<[SlidingWindow; 3], PoolError> {
    let mut lanes = units.map(SlidingWindow::new);
    if let Some(newest) = newest(keeper, state) {
        for (algorithm, lane) in Algorithm::ALL.into_iter().zip(&mut lanes) {
            let mut each = |share: &EarnedShare| match share.pay {
                SharePay::Window => lane.push_older(share.account, share.weight),
                SharePay::PerShare(_) | SharePay::Solo | SharePay::Tides => ControlFlow::Continue(()),
            };
            keeper.shares.walk_back(algorithm, newest, state.accounts(), &mut each).map_err(Fault::from)?;
        }
    }
    Ok(lanes)
}

fn read_on(
    keeper: &Keeper,
    state: &State,
    lanes: &mut [SlidingWindow; 3],
    from: ShareSequence,
    to: ShareSequence,
) -> Result<(), PoolError> {
    for share in keeper.log.read(from..to) {
        let (_, share) = share?;
        let account = state.accounts().find(&share.payee);
        let account = account.ok_or_else(|| PoolError::Inconsistent(format!("key {} has no account", share.payee)))?;
        if let Some(lane) = lanes.get_mut(share.algorithm.index()).filter(|_| share.pay == SharePay::Window) {
            lane.push_newer(account, ShareWeight::of(share.difficulty, share.network_difficulty));
        }
    }
    Ok(())
}

//! What each event does. Every function here says what it refuses before it changes anything, so that a refused decision of
//! a person leaves the state as it was; what the chain does cannot be refused halfway, see [`Fault`].

mod award;
mod block;
mod chain;
mod coin;
mod cold;
mod frame;
mod operator;
mod payout;
mod per_share;
mod recovery;
mod replace;
mod setting;
mod void;

use std::collections::{BTreeMap, BTreeSet};

use bq_ledger::Transfer;
use bq_mining_message::{FrontEndId, ShareSequence};
use bq_primitives::{AccountId, BlockId, Height};

use crate::{
    Event, Fault, LogHead, LogNumber, NewAccount, Opened, PayoutId, Shares, State, StateDigest, Terms, TermsFrom,
    Webhook,
};

/// What an event did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Number and hash of the event.
    pub head: LogHead,
    /// Its bytes, as they are appended.
    pub bytes: Vec<u8>,
    /// The lines that it books, in order.
    pub lines: Vec<Transfer>,
    /// Blocks that it changed.
    pub blocks: BTreeSet<BlockId>,
    /// Payouts that it changed.
    pub payouts: BTreeSet<PayoutId>,
    /// The account that it made.
    pub account: Option<NewAccount>,
    /// Accounts whose settings it changed, and the webhook that each had before.
    pub settings: BTreeMap<AccountId, Option<Webhook>>,
}

/// One event while it is applied: what it has booked so far.
pub(crate) struct Step<'a> {
    number: LogNumber,
    shares: &'a dyn Shares,
    applied: Applied,
}

impl State {
    /// Applies the next event: the only way to change a state.
    ///
    /// # Errors
    /// [`Fault`]. A refused [`Event::Operator`], [`Event::Payout`], [`Event::Account`], [`Event::Terms`],
    /// [`Event::Candidate`], [`Event::Offer`], [`Event::PerShare`], [`Event::Setting`], [`Event::Stated`] or [`Event::Cold`] leaves the state as it was; after any
    /// other fault it must be read anew.
    pub fn apply(&mut self, event: &Event, shares: &dyn Shares) -> Result<Applied, Fault> {
        let bytes = event.to_bytes()?;
        let head = self.head.after(&bytes);
        let mut step = Step { number: head.number, shares, applied: Applied { head, bytes, ..Applied::default() } };
        self.dispatch(&mut step, event)?;
        self.head = head;
        Ok(step.applied)
    }

    fn dispatch(&mut self, step: &mut Step<'_>, event: &Event) -> Result<(), Fault> {
        match event {
            Event::Opened(opened) => self.open(opened),
            Event::Imported(import) => self.import(step, import),
            _ if self.opened.is_none() => Err(Fault::NotOpened),
            Event::Terms(terms) => self.set_terms(step.number, terms),
            Event::Account(account) => self.add_account(step, account),
            Event::Frame(frame) => self.frame(frame),
            Event::Candidate(candidate) => self.candidate(step, candidate),
            Event::Chain(event) => self.chain(step, event),
            Event::Payout(event) => self.payout_event(step, event),
            Event::Operator(operator) => self.operator(step, operator),
            Event::Checkpoint { layout, digest } => self.checkpoint(*layout, *digest),
            Event::Offer(offer) => self.set_offer(offer),
            Event::PerShare(event) => self.per_share(step, event),
            Event::Setting(event) => self.setting(step, event),
            Event::Stated(stated) => self.check_stated(step.number, stated),
            Event::Cold(event) => self.cold_event(event),
        }
    }

    fn open(&mut self, opened: &Opened) -> Result<(), Fault> {
        if self.opened.is_some() {
            return Err(Fault::OpenedAgain);
        }
        self.opened = Some(*opened);
        Ok(())
    }

    fn import(&mut self, step: &mut Step<'_>, import: &crate::Import) -> Result<(), Fault> {
        self.open(&import.opened)?;
        for account in &import.accounts {
            if !self.accounts.add(account.account, account.key) {
                return Err(Fault::AccountTaken { account: account.account, key: account.key });
            }
        }
        self.books = bq_ledger::Books::from_balances(import.balances.iter().copied())?;
        self.paid = import.paid.iter().copied().collect();
        for block in &import.blocks {
            self.blocks.insert(block.candidate.id, block.clone());
            step.applied.blocks.insert(block.candidate.id);
        }
        for payout in &import.payouts {
            self.payouts.insert(payout.planned.id, payout.clone());
            step.applied.payouts.insert(payout.planned.id);
        }
        self.coins = import.coins.iter().copied().collect();
        self.newest_payout = import.newest_payout;
        for (front_end, epoch, next) in &import.shares {
            self.front_ends.insert(*front_end, crate::FrontEndHead { epoch: *epoch, next: *next });
        }
        self.terms.push(TermsFrom { event: step.number, shares: Vec::new(), terms: import.terms.clone() });
        self.queue_due(step.number);
        Ok(())
    }

    fn set_terms(&mut self, number: LogNumber, terms: &Terms) -> Result<(), Fault> {
        if let Some((field, reason)) = terms.fault() {
            return Err(Fault::Terms { field, reason });
        }
        let was_direct = self.terms().is_some_and(Terms::is_direct);
        self.terms.push(TermsFrom { event: number, shares: self.next_shares(), terms: terms.clone() });
        self.direct.ended = match (was_direct, terms.is_direct()) {
            (_, true) => None,
            (true, false) => Some(self.tip.map_or(Height(0), |tip| tip.height)),
            (false, false) => self.direct.ended,
        };
        self.queue_due(number);
        Ok(())
    }

    /// Those that what is said now holds for.
    fn next_shares(&self) -> Vec<(FrontEndId, ShareSequence)> {
        self.front_ends.iter().map(|(id, head)| (*id, head.next)).collect()
    }

    /// The minimum may have changed: everybody's place in the queue is looked at again.
    fn queue_due(&mut self, number: LogNumber) {
        let accounts: Vec<AccountId> = self.accounts.iter().map(|(account, _)| account).collect();
        for account in accounts {
            self.note_due(number, account);
            self.note_carried(number, account, false);
        }
    }

    fn add_account(&mut self, step: &mut Step<'_>, new: &NewAccount) -> Result<(), Fault> {
        if self.owns(&new.key) {
            return Err(Fault::OwnKey(new.key));
        }
        match self.accounts.next() {
            Some(expected) if expected == new.account => {}
            expected => {
                let expected = expected.unwrap_or(AccountId(u32::MAX));
                return Err(Fault::AccountOrder { got: new.account, expected });
            }
        }
        if !self.accounts.add(new.account, new.key) {
            return Err(Fault::AccountTaken { account: new.account, key: new.key });
        }
        step.applied.account = Some(*new);
        Ok(())
    }

    fn checkpoint(&self, layout: u8, digest: StateDigest) -> Result<(), Fault> {
        if layout != self.layout() {
            return Ok(());
        }
        let ours = self.digest()?;
        if ours == digest { Ok(()) } else { Err(Fault::Checkpoint(digest, ours)) }
    }
}

impl Step<'_> {
    /// Books lines of this event.
    fn book(&mut self, state: &mut State, lines: Vec<Transfer>) -> Result<(), Fault> {
        state.post(self.number, &lines)?;
        self.applied.lines.extend(lines);
        Ok(())
    }
}

use std::collections::{BTreeMap, VecDeque};

use bq_pool_machine::{Act, Event, Fault, LogHead, Operator, State, Stated};
use bq_primitives::{Amount, KeyHash};
use serde::{Deserialize, Serialize};

use crate::{Refusal, Told, shares::CopiedShares};

/// The signer's own copy of what the log comes to (SPEC 8.12.3).
#[derive(Clone, Debug, Default)]
pub struct LogCopy {
    state: State,
    shares: CopiedShares,
    /// The newest event told. Below the state's head while events are told again for their shares.
    told: LogHead,
    /// How many frames were kept when old ones were dropped last.
    kept_frames: usize,
    /// What the log stated of what is owed, newest last.
    stated: VecDeque<CopiedStatement>,
}

/// What the log stated of what is owed, and what the copy's own books say there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedStatement {
    /// The event that says so.
    pub head: LogHead,
    /// What it says.
    pub stated: Stated,
    /// What each key is owed in the books of the copy.
    pub owed: BTreeMap<KeyHash, Amount>,
}

/// Statements that are kept: the pool asks for the newest, and for the one before it where that was not signed. Each holds all balances.
const STATEMENTS_KEPT: usize = 4;

/// What of it is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCopy {
    /// The log before the oldest frame whose shares are wanted.
    pub from: LogHead,
    /// The state in bytes.
    pub state: Vec<u8>,
}

/// Frames that come before is looked again which may go: a look walks over all that are kept.
const FRAMES_BETWEEN_LOOKS: usize = 1024;

impl LogCopy {
    /// The copy that was kept; events from `from` on are to be told again.
    ///
    /// # Errors
    /// The bytes are no state, or that of another software.
    pub fn read(kept: &KeptCopy) -> Result<Self, Fault> {
        let state = State::from_bytes(&kept.state)?;
        Ok(Self { state, shares: CopiedShares::default(), told: kept.from, kept_frames: 0, stated: VecDeque::new() })
    }

    /// What is to be kept.
    ///
    /// # Errors
    /// None in practice: every state can be written.
    pub fn keep(&self) -> Result<KeptCopy, Fault> {
        Ok(KeptCopy { from: self.shares.from().unwrap_or(self.told), state: self.state.to_bytes()? })
    }

    /// The state, up to its head.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The newest event told.
    #[must_use]
    pub const fn told(&self) -> LogHead {
        self.told
    }

    /// All that the state holds was told, and nothing more.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.told == self.state.head()
    }

    /// The next event of the log. After a refusal the copy must be read anew.
    ///
    /// # Errors
    /// [`Refusal::EventRefused`], [`Refusal::OtherShares`], [`Refusal::SharesMissing`]; [`Refusal::OtherLog`] when it does not lead to
    /// the state that is held.
    pub fn tell(&mut self, told: &Told) -> Result<(), Refusal> {
        let (before, head) = (self.told, self.told.after(&told.event));
        let number = head.number;
        let refused = |fault| Refusal::EventRefused { number, fault };
        let event = Event::from_bytes(&told.event).map_err(|error| refused(error.into()))?;
        let held = self.state.head();
        if number > held.number {
            self.state.apply(&event, &self.shares).map_err(|fault| match fault {
                Fault::Shares(_) => Refusal::SharesMissing(number),
                fault => refused(fault),
            })?;
            self.note_stated(head, &event)?;
        } else if number == held.number && head != held {
            return Err(Refusal::OtherLog(number));
        }
        self.told = head;
        self.take_shares(&event, before, told.shares.as_deref())
    }

    /// What an event of the log stated of what is owed, if it did so lately.
    #[must_use]
    pub fn stated_at(&self, head: LogHead) -> Option<&CopiedStatement> {
        self.stated.iter().find(|stated| stated.head == head)
    }

    fn note_stated(&mut self, head: LogHead, event: &Event) -> Result<(), Refusal> {
        let Event::Stated(stated @ Stated::Liabilities { .. }) = event else { return Ok(()) };
        let refused = |fault: Fault| Refusal::EventRefused { number: head.number, fault };
        let owed = self.state.owed().map_err(|error| refused(error.into()))?;
        while self.stated.len() >= STATEMENTS_KEPT {
            self.stated.pop_front();
        }
        self.stated.push_back(CopiedStatement { head, stated: *stated, owed });
        Ok(())
    }

    /// Drops shares that no window can want any more.
    pub(crate) fn drop_old_shares(&mut self) {
        // Told again, they are wanted for what comes after the state.
        if self.told.number >= self.state.head().number {
            self.shares.drop_old(&self.state);
        }
        self.kept_frames = self.shares.len();
    }

    fn take_shares(&mut self, event: &Event, before: LogHead, told: Option<&[u8]>) -> Result<(), Refusal> {
        match event {
            Event::Frame(frame) => {
                let added = self.shares.add(before, *frame, told, self.state.accounts());
                added.map_err(|_| Refusal::OtherShares(self.told.number))?;
                if self.shares.len() > self.kept_frames.saturating_add(FRAMES_BETWEEN_LOOKS) {
                    self.drop_old_shares();
                }
            }
            Event::Operator(Operator { act: Act::Forfeit { front_end, first, end }, .. }) => {
                self.shares.forfeit(*front_end, &(*first..*end));
            }
            _ => {}
        }
        Ok(())
    }
}

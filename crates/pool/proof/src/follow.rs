use std::collections::BTreeMap;

use bq_mining_message::{BootEpoch, FrameHeader, FrontEndId, ShareSequence};
use bq_pool_machine::{Act, Event, LogNumber, Opened, Terms};
use bq_primitives::{AccountId, KeyHash};

use crate::{PoolIdentity, error::OrderFault};

/// What events say of those after them, so that one which is missing or out of place is found where it is and not only at the end
/// of its run. It demands nothing that `State::apply` does not demand (SPEC 8.6.11); across a gap between runs it only knows what
/// cannot come back.
#[derive(Default)]
pub(crate) struct Follow {
    /// Every event since event 1 was told.
    is_whole: bool,
    front_ends: BTreeMap<FrontEndId, FrontEndPlace>,
    newest_account: Option<(AccountId, Exact)>,
    /// The pool's key, once an event told it.
    pub(crate) key: Option<KeyHash>,
    /// The newest terms that were told.
    pub(crate) terms: Option<Terms>,
}

#[derive(Clone, Copy)]
struct FrontEndPlace {
    epoch: BootEpoch,
    next: ShareSequence,
    exact: Exact,
}

/// Whether nothing can have happened since.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exact {
    Yes,
    AtLeast,
}

impl Follow {
    /// Events were left out.
    pub(crate) fn gap(&mut self) {
        self.is_whole = false;
        for place in self.front_ends.values_mut() {
            place.exact = Exact::AtLeast;
        }
        if let Some((_, exact)) = &mut self.newest_account {
            *exact = Exact::AtLeast;
        }
    }

    pub(crate) fn event(&mut self, number: LogNumber, event: &Event, pool: &PoolIdentity) -> Result<(), OrderFault> {
        let begins = matches!(event, Event::Opened(_) | Event::Imported(_));
        match (number == LogNumber(1), begins) {
            (true, false) => return Err(OrderFault::NotOpened),
            (false, true) => return Err(OrderFault::OpenedAgain),
            _ => {}
        }
        match event {
            Event::Opened(opened) => self.open(opened, pool),
            Event::Imported(import) => {
                self.open(&import.opened, pool)?;
                for &(front_end, epoch, next) in &import.shares {
                    self.front_ends.insert(front_end, FrontEndPlace { epoch, next, exact: Exact::Yes });
                }
                self.newest_account =
                    import.accounts.iter().map(|new| (new.account, Exact::Yes)).max_by_key(|(id, _)| *id);
                self.terms = Some(import.terms.clone());
                Ok(())
            }
            Event::Terms(terms) => {
                self.terms = Some(terms.clone());
                Ok(())
            }
            Event::Account(new) => self.account(new.account),
            Event::Frame(frame) => self.frame(frame),
            Event::Operator(operator) => {
                self.decision(&operator.act);
                Ok(())
            }
            Event::Candidate(_)
            | Event::Chain(_)
            | Event::Payout(_)
            | Event::Checkpoint { .. }
            | Event::Offer(_)
            | Event::PerShare(_)
            | Event::Setting(_)
            | Event::Stated(_)
            | Event::Cold(_) => Ok(()),
        }
    }

    fn open(&mut self, opened: &Opened, pool: &PoolIdentity) -> Result<(), OrderFault> {
        if (opened.network, opened.genesis) != (pool.network, pool.genesis) {
            return Err(OrderFault::OtherChain { got: opened.network, genesis: opened.genesis });
        }
        self.key = Some(opened.key);
        self.is_whole = true;
        Ok(())
    }

    fn decision(&mut self, act: &Act) {
        match act {
            Act::NewKey { key } => self.key = Some(*key),
            // Of a damaged segment nobody may know how far it went: frames go on behind what was given up.
            Act::Forfeit { front_end, end, .. } => {
                if let Some(place) = self.front_ends.get_mut(front_end) {
                    place.next = place.next.max(*end);
                }
            }
            _ => {}
        }
    }

    fn account(&mut self, got: AccountId) -> Result<(), OrderFault> {
        let expected = match self.newest_account {
            Some((newest, exact)) => Some((AccountId(newest.0.saturating_add(1)), exact)),
            None => self.is_whole.then_some((AccountId(1), Exact::Yes)),
        };
        match expected {
            Some((expected, Exact::Yes)) if got != expected => Err(OrderFault::Account { got, expected }),
            Some((expected, Exact::AtLeast)) if got < expected => Err(OrderFault::Account { got, expected }),
            _ => {
                self.newest_account = Some((got, Exact::Yes));
                Ok(())
            }
        }
    }

    fn frame(&mut self, frame: &FrameHeader) -> Result<(), OrderFault> {
        let (front_end, got) = (frame.front_end, frame.first);
        let start = FrontEndPlace { epoch: BootEpoch(0), next: ShareSequence::FIRST, exact: Exact::Yes };
        let before = match self.front_ends.get(&front_end) {
            Some(place) => *place,
            None if self.is_whole => start,
            None => FrontEndPlace { exact: Exact::AtLeast, ..start },
        };
        let follows = match before.exact {
            Exact::Yes => got == before.next,
            Exact::AtLeast => got >= before.next,
        };
        if !follows {
            return Err(OrderFault::Frame { front_end, got, expected: before.next });
        }
        if frame.epoch < before.epoch {
            return Err(OrderFault::Epoch { front_end, got: frame.epoch, newest: before.epoch });
        }
        self.front_ends.insert(front_end, FrontEndPlace { epoch: frame.epoch, next: frame.end(), exact: Exact::Yes });
        Ok(())
    }
}

use std::ops::{ControlFlow, Range};

use bq_mining_message::{BootEpoch, FrameHeader, FrontEndId, SharePosition, ShareSequence};
use bq_pool_machine::{
    Accounts, Act, EarnedShare, Event, Import, LogNumber, NewAccount, Opened, Operator, PayoutId, Shares, SharesError,
    State,
};
use bq_primitives::{AccountId, Algorithm, BlockId, Network};
use proptest::prelude::*;

use super::world::{GENESIS, Pool, frame, miner, share, terms};
use crate::{error::OrderFault, follow::Follow};

struct Told {
    follow: Follow,
    number: LogNumber,
}

impl Told {
    fn from(first: u64) -> Self {
        Self { follow: Follow::default(), number: LogNumber(first) }
    }

    fn tell(&mut self, event: &Event) -> Result<(), OrderFault> {
        let identity = Pool::new(miner(0xee), b"/bq/").identity;
        let result = self.follow.event(self.number, event, &identity);
        self.number = self.number.next();
        result
    }
}

fn opened() -> Opened {
    Opened { network: Network::Regtest, genesis: GENESIS, key: miner(0xee), maturity: 10, horizon: 200 }
}

fn frame_from(first: u64, epoch: u32, count: usize) -> Event {
    let shares: Vec<_> = (0..count).map(|_| share(1, 5)).collect();
    Event::Frame(FrameHeader { epoch: BootEpoch(epoch), ..frame(first, &shares) })
}

fn account(number: u32) -> Event {
    Event::Account(NewAccount { account: AccountId(number), key: miner(u8::try_from(number).expect("small")) })
}

fn frame_fault(got: u64, expected: u64) -> OrderFault {
    OrderFault::Frame { front_end: FrontEndId(0), got: ShareSequence(got), expected: ShareSequence(expected) }
}

#[test]
fn a_log_begins_once_and_with_its_own_chain() {
    assert_eq!(Told::from(1).tell(&account(1)), Err(OrderFault::NotOpened));
    assert_eq!(Told::from(2).tell(&Event::Opened(opened())), Err(OrderFault::OpenedAgain));
    assert_eq!(Told::from(1).tell(&Event::Opened(opened())), Ok(()));
    let genesis = BlockId([1; 32]);
    let other = Event::Opened(Opened { genesis, ..opened() });
    assert_eq!(Told::from(1).tell(&other), Err(OrderFault::OtherChain { got: Network::Regtest, genesis }));
    let other = Event::Opened(Opened { network: Network::Devnet, ..opened() });
    let fault = OrderFault::OtherChain { got: Network::Devnet, genesis: GENESIS };
    assert_eq!(Told::from(1).tell(&other), Err(fault));
}

#[test]
fn frames_of_a_front_end_follow_on_each_other() {
    let mut told = Told::from(1);
    told.tell(&Event::Opened(opened())).expect("first");
    assert_eq!(told.tell(&frame_from(2, 1, 3)), Err(frame_fault(2, 1)));
    told.tell(&frame_from(1, 2, 3)).expect("the first");
    assert_eq!(told.tell(&frame_from(5, 2, 3)), Err(frame_fault(5, 4)));

    let mut told = Told::from(20);
    told.tell(&frame_from(400, 2, 3)).expect("any place, after events that nobody told");
    told.tell(&frame_from(403, 3, 3)).expect("the next, after a start");
    let old = OrderFault::Epoch { front_end: FrontEndId(0), got: BootEpoch(2), newest: BootEpoch(3) };
    assert_eq!(told.tell(&frame_from(406, 2, 1)), Err(old));

    let mut told = Told::from(20);
    told.tell(&frame_from(400, 2, 3)).expect("any place");
    told.follow.gap();
    assert_eq!(told.tell(&frame_from(402, 2, 3)), Err(frame_fault(402, 403)));
    let mut told = Told::from(20);
    told.tell(&frame_from(400, 2, 3)).expect("any place");
    told.follow.gap();
    told.tell(&frame_from(500, 2, 3)).expect("after a gap");
    assert_eq!(told.tell(&frame_from(504, 2, 3)), Err(frame_fault(504, 503)));
}

#[test]
fn shares_that_were_given_up_leave_a_hole() {
    let mut told = Told::from(1);
    told.tell(&Event::Opened(opened())).expect("first");
    told.tell(&frame_from(1, 1, 3)).expect("the first");
    let mut pool = Pool::new(miner(0xee), b"/bq/");
    pool.decide(Act::Forfeit { front_end: FrontEndId(0), first: ShareSequence(2), end: ShareSequence(9) });
    told.tell(pool.log.last().expect("told")).expect("a decision");
    told.tell(&frame_from(9, 1, 3)).expect("behind what was given up");
    assert_eq!(told.tell(&frame_from(9, 1, 3)), Err(frame_fault(9, 12)));
}

#[test]
fn accounts_are_numbered_without_gaps() {
    let fault = |got, expected| OrderFault::Account { got: AccountId(got), expected: AccountId(expected) };
    let mut told = Told::from(1);
    told.tell(&Event::Opened(opened())).expect("first");
    assert_eq!(told.tell(&account(2)), Err(fault(2, 1)));
    told.tell(&account(1)).expect("the first");
    assert_eq!(told.tell(&account(3)), Err(fault(3, 2)));
    told.follow.gap();
    assert_eq!(told.tell(&account(1)), Err(fault(1, 2)));
    told.tell(&account(7)).expect("after a gap");
    assert_eq!(told.tell(&account(9)), Err(fault(9, 8)));
}

#[test]
fn what_was_imported_goes_on_where_it_ended() {
    let import = Import {
        opened: opened(),
        journal: [0; 32],
        terms: terms(70),
        accounts: vec![NewAccount { account: AccountId(4), key: miner(4) }],
        balances: Vec::new(),
        paid: Vec::new(),
        blocks: Vec::new(),
        payouts: Vec::new(),
        coins: Vec::new(),
        newest_payout: PayoutId(0),
        shares: vec![(FrontEndId(0), BootEpoch(3), ShareSequence(90))],
    };
    let imported = || {
        let mut told = Told::from(1);
        told.tell(&Event::Imported(Box::new(import.clone()))).expect("first");
        told
    };
    let mut told = imported();
    assert_eq!(told.follow.terms, Some(terms(70)));
    assert_eq!(told.follow.key, Some(miner(0xee)));
    told.tell(&frame_from(90, 3, 2)).expect("the next");
    told.tell(&account(5)).expect("the next");
    assert_eq!(imported().tell(&frame_from(1, 4, 2)), Err(frame_fault(1, 90)));
    assert!(imported().tell(&account(4)).is_err());
}

#[test]
fn a_new_key_holds_at_once() {
    let mut told = Told::from(5);
    assert_eq!(told.follow.key, None);
    let mut pool = Pool::new(miner(0xee), b"/bq/");
    pool.decide(Act::NewKey { key: miner(0xdd) });
    told.tell(pool.log.last().expect("told")).expect("a decision");
    assert_eq!(told.follow.key, Some(miner(0xdd)));
}

struct NoShares;

impl Shares for NoShares {
    fn walk_back(
        &self,
        _: Algorithm,
        _: SharePosition,
        _: &Accounts,
        _: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
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

fn any_event() -> impl Strategy<Value = Event> {
    let frame = (0_u16..2, 1_u64..9, 0_u32..3, 1_usize..3).prop_map(|(front_end, first, epoch, count)| {
        let Event::Frame(header) = frame_from(first, epoch, count) else { unreachable!() };
        Event::Frame(FrameHeader { front_end: FrontEndId(front_end), ..header })
    });
    let forfeit = (0_u16..2, 1_u64..5, 1_u64..9).prop_map(|(front_end, first, end)| {
        let (front_end, first, end) = (FrontEndId(front_end), ShareSequence(first), ShareSequence(end));
        let act = Act::Forfeit { front_end, first, end };
        Event::Operator(Operator { act, who: "op".to_owned(), reason: String::new(), time_ms: 0 })
    });
    prop_oneof![4 => frame, 2 => (1_u32..5).prop_map(account), 1 => forfeit]
}

proptest! {
    /// The books say which events may follow on which. Nothing that they take is refused; of frames and accounts nothing that they
    /// refuse is taken.
    #[test]
    fn it_demands_what_the_books_demand(events in prop::collection::vec(any_event(), 1..60), gap in 0_usize..200) {
        let identity = Pool::new(miner(0xee), b"/bq/").identity;
        let (mut state, mut follow, mut is_whole) = (State::default(), Follow::default(), true);
        state.apply(&Event::Opened(opened()), &NoShares).expect("the first event");
        follow.event(LogNumber(1), &Event::Opened(opened()), &identity).expect("the first event");
        for (at, event) in events.iter().enumerate() {
            if at == gap {
                follow.gap();
                is_whole = false;
            }
            let mut next = state.clone();
            let is_taken = next.apply(event, &NoShares).is_ok();
            if is_taken || !matches!(event, Event::Operator(_)) {
                let number = state.head().number.next();
                let verdict = follow.event(number, event, &identity);
                if is_taken {
                    prop_assert_eq!(verdict, Ok(()));
                } else if is_whole {
                    prop_assert!(verdict.is_err(), "{:?}", event);
                } else {
                    // Across a gap it may take what the books do not; what it believes from then on is no longer compared.
                    break;
                }
            }
            if is_taken {
                state = next;
            }
        }
    }
}

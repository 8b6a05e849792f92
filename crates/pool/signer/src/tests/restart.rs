use bq_pool_machine::{Event, LogHead};
use proptest::prelude::*;

use super::log::{Log, signer};
use crate::{Adoption, LogCopy, Record, Refusal, Told, Verdict};

const NOW: u64 = 1_800_000_000;

#[test]
fn a_start_reads_on_where_the_copy_ends() {
    let (mut log, planned) = Log::with_payout();
    let mut signer = signer(false);
    signer.follow(&log.after(LogHead::default())).unwrap();
    let asked = log.asked(&planned);
    let verdict = signer.judge(&asked, NOW).unwrap();
    signer.note_signed(&asked, &verdict, [7; 32], NOW);
    let record = Record::from_bytes(&signer.record().to_bytes()).unwrap();
    assert_eq!(&record, signer.record());
    let kept = signer.copy().keep().unwrap();
    assert!(kept.from.number < log.state.head().number, "shares are told again");
    signer.replace_copy(LogCopy::read(&kept).unwrap());
    // Not before all that it holds was told again.
    assert_eq!(signer.judge(&asked, NOW).unwrap_err().name(), "not_followed");
    log.share(4, 1000);
    log.block();
    signer.follow(&log.after(signer.standing().told)).unwrap();
    assert_eq!(signer.copy().state(), &log.state);
    assert!(matches!(signer.judge(&log.asked(&planned), NOW), Ok(Verdict::Again(_))));
}

#[test]
fn a_record_that_is_damaged_is_no_record() {
    let bytes = Record::default().to_bytes();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        assert!(Record::from_bytes(&damaged).is_err());
        assert!(Record::from_bytes(&bytes[..position]).is_err());
    }
}

#[test]
fn shares_are_those_of_the_frame_or_none() {
    let mut log = Log::new();
    log.share(1, 1000);
    log.share(2, 500);
    log.block();
    let frame = log.told.iter().position(|told| told.shares.is_some()).unwrap();
    let number = log.heads[frame + 1].number;
    for change in [0, 1, 2] {
        let mut follow = log.after(LogHead::default());
        let shares = follow.events[frame].shares.as_mut().unwrap();
        match change {
            0 => shares[40] ^= 1,
            1 => shares.push(0),
            _ => shares.truncate(shares.len() - 1),
        }
        assert_eq!(signer(false).follow(&follow), Err(Refusal::OtherShares(number)));
    }
    // Without them it follows as far as nobody needs them: to the block that they pay.
    let mut follow = log.after(LogHead::default());
    follow.events[frame].shares = None;
    let joins = log.heads.last().unwrap().number;
    assert_eq!(signer(false).follow(&follow), Err(Refusal::SharesMissing(joins)));
}

#[test]
fn an_event_that_the_state_refuses_tears_the_copy_and_is_told() {
    let (log, _) = Log::with_payout();
    let mut signer = signer(false);
    let mut follow = log.after(LogHead::default());
    let planned = follow.events.pop().unwrap();
    signer.follow(&follow).unwrap();
    let after = signer.standing().told;
    let Ok(Event::Payout(bq_pool_machine::PayoutEvent::Planned(mut plan))) = Event::from_bytes(&planned.event) else {
        panic!("a plan")
    };
    plan.change = bq_primitives::Amount::ZERO;
    let event = Event::Payout(bq_pool_machine::PayoutEvent::Planned(plan)).to_bytes().unwrap();
    let forged = crate::Follow { after, events: vec![Told { event, shares: None }] };
    let refusal = signer.follow(&forged).unwrap_err();
    assert_eq!((refusal.name(), refusal.tears_copy()), ("event_refused", true));
}

#[test]
fn a_state_is_adopted_only_where_a_person_said_so_and_the_day_goes_on() {
    let (log, planned) = Log::with_payout();
    let state = log.state.to_bytes().unwrap();
    let adoption = Adoption { from: log.state.head(), state };
    assert_eq!(signer(false).adopt(&adoption), Err(Refusal::NotAllowed));
    let mut new = signer(true);
    assert!(new.standing().adopts);
    let standing = new.adopt(&adoption).unwrap();
    assert_eq!((standing.told, standing.adopts), (log.state.head(), false));
    assert_eq!(new.adopt(&adoption), Err(Refusal::NotAllowed), "once");
    // Open in the adopted state: it may be signed.
    let asked = log.asked(&planned);
    let verdict = new.judge(&asked, NOW).unwrap();
    new.note_signed(&asked, &verdict, [7; 32], NOW);
    let left = new.record().left_within_a_day(NOW);
    assert!(left > 0);
    // The same log again: what was signed stays signed. Another one, where the number is free: closed.
    let mut record = new.record().clone();
    record.adopt(&log.state);
    assert_eq!(record.signed(planned.id), new.record().signed(planned.id));
    let mut empty = Log::new();
    empty.mature();
    record.adopt(&empty.state);
    assert_eq!(record.signed(planned.id), []);
    assert_eq!(record.left_within_a_day(NOW), left);
    assert!(!record.is_closed(planned.id), "the adopted log has not come so far");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Shares that are dropped, and states that are kept and read again at any place, change nothing of what blocks pay.
    #[test]
    fn a_copy_comes_to_what_the_log_comes_to(
        steps in prop::collection::vec((1_u8..=10, 1_u64..=1500, 0_u8..12), 1..400),
        cut in 0_usize..400,
    ) {
        let mut log = Log::new();
        let mut signer = signer(false);
        for (position, (miner, difficulty, what)) in steps.iter().enumerate() {
            log.share(*miner, *difficulty);
            match what {
                0 => log.block(),
                1 => log.mature(),
                2..=6 => log.frame(),
                _ => {}
            }
            let follow = log.after(signer.standing().told);
            signer.follow(&follow).unwrap();
            signer.drop_old_shares();
            if position % 50 == cut % 50 {
                let kept = signer.copy().keep().unwrap();
                signer.replace_copy(LogCopy::read(&kept).unwrap());
            }
        }
        signer.follow(&log.after(signer.standing().told)).unwrap();
        prop_assert_eq!(signer.copy().state(), &log.state);
    }
}

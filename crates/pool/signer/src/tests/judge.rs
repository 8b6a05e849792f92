use bq_mining_message::BootEpoch;
use bq_pool_machine::{LogNumber, PayoutId};
use bq_primitives::Amount;

use super::log::{Log, atoms, limited, signer, spent_input};
use crate::{Hello, Limits, Refusal, Signer, Verdict};

const NOW: u64 = 1_800_000_000;

/// A signer that heard all of a log.
fn told(log: &Log, mut signer: Signer) -> Signer {
    let follow = log.after(signer.standing().told);
    signer.follow(&follow).unwrap();
    assert_eq!(signer.copy().state(), &log.state);
    signer
}

#[test]
fn what_the_log_explains_is_signed_once() {
    let (log, planned) = Log::with_payout();
    let mut signer = told(&log, signer(false));
    let asked = log.asked(&planned);
    let verdict = signer.judge(&asked, NOW).unwrap();
    let Verdict::Sign(to_sign) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(to_sign.unsigned.txid(), planned.txid);
    assert_eq!(to_sign.unsigned.inputs[0], spent_input(&planned));
    assert_eq!(to_sign.leaves, planned.spent().unwrap().checked_sub(planned.change).unwrap());
    signer.note_signed(&asked, &verdict, [7; 32], NOW);
    assert!(matches!(signer.judge(&asked, NOW), Ok(Verdict::Again(_))));
    assert_eq!(signer.record().signed(planned.id)[0].digest, [7; 32]);
    assert_eq!(signer.record().left_within_a_day(NOW), to_sign.leaves.atoms());
}

#[test]
fn what_differs_from_the_log_in_anything_is_refused_by_name() {
    let (log, planned) = Log::with_payout();
    let signer = told(&log, signer(false));
    let good = log.asked(&planned);
    let check = |change: &dyn Fn(&mut crate::Asked), expected: &str| {
        let mut asked = good.clone();
        change(&mut asked);
        assert_eq!(signer.judge(&asked, NOW).unwrap_err().name(), expected);
    };
    check(&|asked| asked.planned.id = PayoutId(2), "not_planned");
    check(&|asked| asked.outputs[0].amount = atoms(1), "other_content");
    check(&|asked| asked.outputs.swap(0, 1), "other_content");
    check(&|asked| asked.outputs[0].key_hash.0 = [0x66; 32], "other_content");
    check(&|asked| asked.planned.change = Amount::ZERO, "other_content");
    check(&|asked| asked.planned.network_fee = atoms(1), "other_content");
    check(&|asked| asked.planned.inputs[0].amount = atoms(1), "other_content");
    check(&|asked| asked.planned.txid.0 = [1; 32], "other_content");
    check(&|asked| asked.head.hash.0[0] ^= 1, "other_log");
    check(&|asked| asked.head.number = LogNumber(asked.head.number.0 + 1), "not_followed");
    assert!(signer.judge(&good, NOW).is_ok());
}

#[test]
fn an_older_start_and_a_log_that_lost_its_end_are_refused() {
    let (mut log, planned) = Log::with_payout();
    let mut signer = told(&log, signer(false));
    let shorter = log.clone();
    let mut asked = log.asked(&planned);
    asked.epoch = BootEpoch(5);
    let verdict = signer.judge(&asked, NOW).unwrap();
    signer.note_signed(&asked, &verdict, [7; 32], NOW);
    asked.epoch = BootEpoch(4);
    let stale = Refusal::StaleEpoch { got: BootEpoch(4), newest: BootEpoch(5) };
    assert_eq!(signer.judge(&asked, NOW), Err(stale));
    // The log goes on, is signed at, and comes back without that.
    let second = log.plan().expect("another is due");
    let mut signer = told(&log, signer);
    let mut asked = log.asked(&second);
    asked.epoch = BootEpoch(5);
    let verdict = signer.judge(&asked, NOW).unwrap();
    signer.note_signed(&asked, &verdict, [8; 32], NOW);
    let mut behind = shorter.asked(&planned);
    behind.epoch = BootEpoch(6);
    assert_eq!(signer.judge(&behind, NOW).unwrap_err().name(), "log_behind");
    // And grown otherwise.
    let mut other = shorter.clone();
    other.mature();
    assert_eq!(signer.follow(&other.after(other.heads[other.heads.len() - 1])).unwrap_err().name(), "other_log");
    let kept = signer.copy().keep().unwrap();
    signer.replace_copy(crate::LogCopy::read(&kept).unwrap());
    assert_eq!(signer.follow(&other.after(signer.standing().told)).unwrap_err().name(), "other_log");
}

#[test]
fn no_more_leaves_than_may() {
    let (mut log, planned) = Log::with_payout();
    let leaves = planned.spent().unwrap().checked_sub(planned.change).unwrap();
    let less = atoms(leaves.atoms() - 1);
    let one = limited(Limits { payout_max: less, day_max: Amount::MAX, statements_hour_max: 100 }, false);
    let refusal = told(&log, one).judge(&log.asked(&planned), NOW).unwrap_err();
    assert_eq!(refusal.name(), "payout_cap");
    let id = planned.id;
    assert_eq!(refusal.to_string(), format!("{leaves} coins would leave with payout {id}, at most {less} may"));
    let next = log.clone().plan().expect("another is due");
    let day_max = leaves.max(next.spent().unwrap().checked_sub(next.change).unwrap());
    let mut signer = told(&log, limited(Limits { payout_max: day_max, day_max, statements_hour_max: 100 }, false));
    let verdict = signer.judge(&log.asked(&planned), NOW).unwrap();
    signer.note_signed(&log.asked(&planned), &verdict, [7; 32], NOW);
    let second = log.plan().expect("another is due");
    let mut signer = told(&log, signer);
    let asked = log.asked(&second);
    let refusal = signer.judge(&asked, NOW).unwrap_err();
    assert_eq!(refusal.name(), "day_cap");
    // One unit: every amount has eight digits of a coin.
    let text = refusal.to_string();
    assert!(
        text.contains(&format!(" coins would leave with payout {}, and {leaves} left within 24 hours", second.id)),
        "{text}"
    );
    assert!(text.ends_with(&format!("at most {day_max} may")), "{text}");
    // A clock that goes back makes no room, the end of the day does.
    assert_eq!(signer.judge(&asked, 0).unwrap_err().name(), "day_cap");
    let tomorrow = NOW + 24 * 3600;
    let verdict = signer.judge(&asked, tomorrow).unwrap();
    signer.note_signed(&asked, &verdict, [8; 32], tomorrow);
    assert!(signer.record().left_within_a_day(tomorrow) <= day_max.atoms());
}

#[test]
fn a_replacement_is_signed_beside_the_first_and_leaves_no_more() {
    let (mut log, planned) = Log::with_payout();
    let mut signer = told(&log, signer(false));
    let asked = log.asked(&planned);
    let verdict = signer.judge(&asked, NOW).unwrap();
    signer.note_signed(&asked, &verdict, [7; 32], NOW);
    let left = signer.record().left_within_a_day(NOW);
    let event = |event| bq_pool_machine::Event::Payout(event);
    log.append(&event(bq_pool_machine::PayoutEvent::Signed { payout: planned.id, digest: [7; 32] }));
    log.mature();
    let payout = log.state.payout(planned.id).unwrap().clone();
    let upkeep =
        bq_pool_machine::Upkeep { coins_max: 9, replace_after: 1, fees_max: 9, ..bq_pool_machine::Upkeep::LEAST };
    let newer = bq_pool_machine::plan_replacement(&log.state, &payout, &upkeep).unwrap().unwrap();
    // Not before the log says so.
    assert_eq!(signer.judge(&log.asked(&newer), NOW).unwrap_err().name(), "not_followed");
    log.append(&event(bq_pool_machine::PayoutEvent::Replaced(newer.clone())));
    let mut signer = told(&log, signer);
    let asked = log.asked(&newer);
    let verdict = signer.judge(&asked, NOW).unwrap();
    assert!(matches!(&verdict, Verdict::Sign(to_sign) if to_sign.unsigned.txid() == newer.txid));
    signer.note_signed(&asked, &verdict, [8; 32], NOW);
    assert_eq!(signer.record().left_within_a_day(NOW), left);
    assert_eq!(signer.record().signed(planned.id).len(), 2);
    assert_eq!(signer.judge(&log.asked(&planned), NOW).unwrap_err().name(), "other_content");
}

#[test]
fn another_chain_and_another_key_are_told() {
    let (log, planned) = Log::with_payout();
    let signer = told(&log, signer(false));
    let hello = Hello { network: bq_primitives::Network::Testnet, genesis: super::log::GENESIS };
    assert_eq!(signer.hello(&hello), Err(Refusal::OtherChain));
    let identity = crate::Identity {
        network: bq_primitives::Network::Regtest,
        genesis: super::log::GENESIS,
        key: bq_primitives::KeyHash([1; 32]),
        commitment_key: [0; 32],
    };
    let limits = Limits { payout_max: Amount::MAX, day_max: Amount::MAX, statements_hour_max: 100 };
    let other = Signer::new(identity, limits, false, signer.copy().clone(), crate::Record::default());
    assert_eq!(other.judge(&log.asked(&planned), NOW).unwrap_err().name(), "other_key");
}

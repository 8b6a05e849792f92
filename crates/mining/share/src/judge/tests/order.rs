//! Each reason, and that the first of two is told.

use super::*;

const TIP: Option<BlockId> = Some(BlockId([1; 32]));
const NEWER: Option<BlockId> = Some(BlockId([2; 32]));
/// Little-endian results at difficulty 1,000 of 1,000,000.
const BLOCK: [u8; 32] = [0; 32];
const SHARE: [u8; 32] = {
    let mut result = [0xff; 32];
    result[31] = 0;
    result[30] = 0x20;
    result
};
const NOTHING: [u8; 32] = [0xff; 32];

fn judge(policy: JudgePolicy, algorithm: Algorithm) -> Judge {
    let mut judge = Judge::new(policy);
    judge.open(job(&template(algorithm, 1, 0, 1_000_000), 0, 1_000));
    judge
}

#[track_caller]
fn check(
    judge: &mut Judge,
    tip: Option<BlockId>,
    ticket: u64,
    submit: Submit,
    expected: Result<Option<Reject>, Reject>,
) {
    let admitted = judge.admit(tip, ShareTicket(ticket), submit);
    assert_eq!(admitted.map(|candidate| candidate.unless_block), expected);
}

#[test]
fn reasons_come_in_order() {
    let judge = &mut judge(JudgePolicy::default(), Algorithm::RandomX);
    check(judge, TIP, 1, randomx(99, 1, NOTHING), Err(Reject::UnknownJob));
    check(judge, TIP, 2, sha256d(100, 1), Err(Reject::UnknownJob));
    check(judge, TIP, 3, randomx(100, 1, SHARE), Ok(None));
    check(judge, NEWER, 4, randomx(100, 1, NOTHING), Err(Reject::Duplicate));
    check(judge, NEWER, 5, randomx(100, 2, NOTHING), Err(Reject::Stale));
    check(judge, NEWER, 6, randomx(100, 2, SHARE), Err(Reject::Stale));
    check(judge, NEWER, 7, randomx(100, 2, BLOCK), Ok(Some(Reject::Stale)));
    check(judge, TIP, 8, randomx(100, 3, NOTHING), Err(Reject::LowDifficulty));
    assert!(judge.finish(ShareTicket(3), Verdict::Accepted { block: false }).is_some());
    check(judge, TIP, 9, randomx(100, 1, SHARE), Err(Reject::Duplicate));
    assert!(judge.finish(ShareTicket(3), Verdict::Accepted { block: false }).is_none(), "one verdict per ticket");
}

#[test]
fn time_may_be_rolled_ahead_and_not_back() {
    let judge = &mut judge(JudgePolicy::default(), Algorithm::Sha256d);
    let at = |ntime| Submit {
        rolled: Rolled::Sha256d { extranonce2: [0; 8], version: 0, ntime, nonce: ntime },
        ..sha256d(100, 0)
    };
    check(judge, TIP, 1, at(999), Err(Reject::Malformed("ntime out of range")));
    check(judge, TIP, 2, at(8_201), Err(Reject::Malformed("ntime out of range")));
    check(judge, TIP, 3, at(1_000), Ok(None));
    check(judge, TIP, 4, at(8_200), Ok(None));
    check(judge, NEWER, 5, sha256d(100, 7), Ok(Some(Reject::Stale)));
}

#[test]
fn a_refused_share_may_come_again() {
    let judge = &mut judge(JudgePolicy::default(), Algorithm::Sha256d);
    for ticket in 0..3 {
        check(judge, TIP, ticket, sha256d(100, 1), Ok(None));
        judge.finish(ShareTicket(ticket), Verdict::Rejected(Reject::Busy));
    }
}

#[test]
fn a_job_that_earned_enough_is_full_for_all_but_blocks() {
    let judge = &mut judge(JudgePolicy { shares_per_job_max: 2, ..JudgePolicy::default() }, Algorithm::RandomX);
    check(judge, TIP, 1, randomx(100, 1, SHARE), Ok(None));
    check(judge, TIP, 2, randomx(100, 2, SHARE), Ok(None));
    check(judge, TIP, 3, randomx(100, 3, SHARE), Err(Reject::Busy));
    check(judge, TIP, 4, randomx(100, 3, BLOCK), Ok(Some(Reject::Busy)));
    let accepted = Verdict::Accepted { block: false };
    for ticket in [1, 2] {
        judge.finish(ShareTicket(ticket), accepted);
    }
    judge.open(job(&template(Algorithm::RandomX, 1, 0, 1_000_000), 1, 1_000));
    check(judge, TIP, 5, randomx(101, 1, SHARE), Ok(None));
}

#[test]
fn a_job_is_worked_out_at_half_of_what_it_may_earn_and_only_the_newest_is_replaced() {
    let judge = &mut judge(JudgePolicy { shares_per_job_max: 4, ..JudgePolicy::default() }, Algorithm::RandomX);
    let mut earn = |ticket: u32, job: u32| {
        check(judge, TIP, u64::from(ticket), randomx(job, ticket, SHARE), Ok(None));
        let judged = judge.finish(ShareTicket(u64::from(ticket)), Verdict::Accepted { block: false }).unwrap();
        if judged.job_is_worked_out {
            judge.open(self::job(&template(Algorithm::RandomX, 1, 0, 1_000_000), 1, 1_000));
        }
        judged.job_is_worked_out
    };
    assert_eq!([earn(1, 100), earn(2, 100)], [false, true]);
    assert_eq!([earn(3, 100), earn(4, 100)], [false, false], "what was found meanwhile still earns");
    assert_eq!([earn(5, 101), earn(6, 101)], [false, true]);
}

#[test]
fn forged_claims_end_a_connection_and_accepted_shares_forgive() {
    let forge = |judge: &mut Judge, ticket: u64| {
        check(judge, TIP, ticket, randomx(100, u32::try_from(ticket).unwrap(), BLOCK), Ok(None));
        judge.finish(ShareTicket(ticket), Verdict::Rejected(Reject::BadProof)).unwrap()
    };
    let stranger = &mut judge(JudgePolicy::default(), Algorithm::RandomX);
    let ends: Vec<bool> = (1..=3).map(|ticket| forge(stranger, ticket).is_forger).collect();
    assert_eq!(ends, [false, false, true]);
    let known = &mut judge(JudgePolicy::default(), Algorithm::RandomX);
    for ticket in 1_000..1_064 {
        check(known, TIP, ticket, randomx(100, u32::try_from(ticket).unwrap(), SHARE), Ok(None));
        known.finish(ShareTicket(ticket), Verdict::Accepted { block: false });
    }
    let ends: Vec<bool> = (1..=4).map(|ticket| forge(known, ticket).is_forger).collect();
    assert_eq!(ends, [false, false, false, true]);
}

#[test]
fn an_ethash_miss_without_a_mix_costs_as_a_forged_one() {
    let mixless = &mut judge(JudgePolicy::default(), Algorithm::Ethash);
    let submit = |nonce, claim| Submit { rolled: Rolled::Ethash { nonce }, claim, ..sha256d(100, 0) };
    check(mixless, TIP, 1, submit(1, Claim::None), Ok(None));
    let judged = mixless.finish(ShareTicket(1), Verdict::Rejected(Reject::LowDifficulty)).unwrap();
    assert_eq!(judged.strike, Some(Strike::ForgedShare));
    let sha = &mut judge(JudgePolicy::default(), Algorithm::Sha256d);
    check(sha, TIP, 1, sha256d(100, 1), Ok(None));
    assert_eq!(sha.finish(ShareTicket(1), Verdict::Rejected(Reject::LowDifficulty)).unwrap().strike, None);
}

#[test]
fn trust_takes_twenty_shares_and_no_strike() {
    let judge = &mut judge(JudgePolicy::default(), Algorithm::RandomX);
    let mut trusted = |ticket: u64, result, verdict| {
        let submit = randomx(100, u32::try_from(ticket).unwrap(), result);
        let is_trusted = judge.admit(TIP, ShareTicket(ticket), submit).unwrap().is_trusted;
        judge.finish(ShareTicket(ticket), verdict);
        is_trusted
    };
    let accepted = Verdict::Accepted { block: false };
    let first: Vec<bool> = (0..21).map(|ticket| trusted(ticket, SHARE, accepted)).collect();
    assert_eq!(first.iter().position(|trusted| *trusted), Some(20));
    assert!(trusted(21, BLOCK, Verdict::Rejected(Reject::BadProof)));
    assert!(!trusted(22, SHARE, accepted));
}

#[test]
fn a_block_may_come_for_a_job_that_earns_no_more() {
    let policy = JudgePolicy { jobs_kept: 2, jobs_remembered: 3, ..JudgePolicy::default() };
    let judge = &mut judge(policy, Algorithm::RandomX);
    for number in 1..=4 {
        judge.open(job(&template(Algorithm::RandomX, 1, 0, 1_000_000), number, 1_000));
    }
    let expected = |number| if number < 3 { Err(Reject::UnknownJob) } else { Ok(None) };
    for number in 0..=4 {
        check(judge, TIP, u64::from(number), randomx(100 + number, 1, SHARE), expected(number));
        check(judge, TIP, 10, randomx(100 + number, 2, BLOCK), Ok((number < 3).then_some(Reject::UnknownJob)));
        judge.finish(ShareTicket(10), Verdict::Accepted { block: true });
    }
    // As many as are allowed, and on the newest tip alone.
    judge.open(job(&template(Algorithm::RandomX, 1, 0, 1_000_000), 5, 1_000));
    check(judge, TIP, 20, randomx(100, 3, BLOCK), Err(Reject::UnknownJob));
    check(judge, TIP, 21, randomx(101, 3, BLOCK), Ok(Some(Reject::UnknownJob)));
    judge.open(job(&template(Algorithm::RandomX, 2, 0, 1_000_000), 6, 1_000));
    check(judge, NEWER, 22, randomx(101, 4, BLOCK), Err(Reject::UnknownJob));
    check(judge, NEWER, 23, randomx(105, 4, BLOCK), Ok(Some(Reject::Stale)));
}

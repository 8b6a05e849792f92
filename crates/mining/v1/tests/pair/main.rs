//! Our server's dialects and our client's, driven against each other in memory.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should say so")]

mod pair;

use bq_primitives::{Algorithm, Target, U256};
use bq_share::{Reject, Verdict};
use bq_stratum_client::{DialectError, EthashDialect};
use bq_stratum_v1::CloseReason;
use ruint::Uint;

use crate::pair::{DIALECTS, Pair, assert_same_work, find, template};

/// Far above what any dialect here is told, and not so far that the precision of a share's weight would raise the floor.
const NETWORK: u128 = 1 << 44;

/// Shares that a client can find without work; what the one dialect needs that cannot say so is never searched for.
const fn start_of(dialect: EthashDialect) -> u64 {
    match dialect {
        EthashDialect::Version1 => 1 << 24,
        EthashDialect::Stratum | EthashDialect::EthProxy | EthashDialect::Version2 => 64,
    }
}

/// A client that is logged in and has its first job.
fn connected((algorithm, dialect): (Algorithm, EthashDialect)) -> Pair {
    let mut pair = Pair::new(algorithm, dialect, start_of(dialect));
    pair.template(&template(algorithm, 1, NETWORK));
    pair.drive();
    assert_eq!(pair.jobs.len(), 1, "{dialect:?}: {:?}", pair.heard);
    pair
}

/// What a client hashes for a share is what it is credited: never less, and less than one part in 10,000 more.
#[track_caller]
fn assert_fair(target: Target, credited: u64, what: &str) {
    type Wide = Uint<384, 6>;
    let earned = (Wide::from(target.0) + Wide::from(1)) * Wide::from(credited);
    let whole = Wide::from(1) << 256;
    // One value above the last that is a share may be told; nobody ever finds it.
    assert!(earned <= whole + Wide::from(credited), "{what}: earns more than it hashes");
    assert!(earned > whole - whole / Wide::from(10_000), "{what}: hashes more than it earns");
}

#[test]
fn a_share_goes_there_and_its_answer_back() {
    for dialect in DIALECTS {
        let mut pair = connected(dialect);
        let job = pair.newest().clone();
        let found = find(&job, 1);
        let id = pair.submit(&job, &found);
        let candidate = pair.candidates[0].clone();
        assert_same_work(&candidate, &job, &found);
        assert_eq!(candidate.difficulty.hashes(), start_of(dialect.1));
        assert_fair(job.target, candidate.difficulty.hashes(), &format!("{dialect:?}"));
        assert_eq!(candidate.worker.as_str(), "rig1");
        pair.verdict(Verdict::Accepted { block: false });
        assert_eq!(pair.answers, [(id, None)], "{dialect:?}");
        let again = pair.submit(&job, &found);
        let (answered, refused) = pair.answers.last().unwrap();
        assert_eq!((*answered, refused.as_deref()), (again, Some("Duplicate share")), "{dialect:?}");
        let other = find(&job, 100_000);
        pair.submit(&job, &other);
        pair.verdict(Verdict::Rejected(Reject::BadProof));
        assert!(pair.answers[2].1.is_some() && pair.closed.is_none() && pair.client_gave_up.is_none());
    }
}

#[test]
fn a_new_difficulty_comes_with_a_new_job_and_old_jobs_keep_theirs() {
    for dialect in DIALECTS {
        let mut pair = connected(dialect);
        let first = pair.newest().clone();
        // Silence while the speed is sought makes shares easier.
        while pair.jobs.len() == 1 {
            pair.pass(500);
        }
        let second = pair.newest().clone();
        assert!(second.target > first.target && second.id != first.id, "{dialect:?}");
        for job in [&second, &first] {
            let found = find(job, 1);
            pair.submit(job, &found);
            let candidate = pair.candidates[0].clone();
            assert_same_work(&candidate, job, &found);
            assert_fair(job.target, candidate.difficulty.hashes(), &format!("{dialect:?}"));
            pair.verdict(Verdict::Accepted { block: false });
        }
        assert!(pair.answers.iter().all(|(_, refused)| refused.is_none()), "{dialect:?}: {:?}", pair.answers);
    }
}

#[test]
fn a_new_tip_reaches_the_client_and_late_shares_are_told_so() {
    for dialect in DIALECTS {
        let mut pair = connected(dialect);
        let old = pair.newest().clone();
        pair.template(&template(dialect.0, 2, NETWORK));
        assert_eq!(pair.jobs.len(), 2, "{dialect:?}");
        // EthProxy has no word for it.
        assert!(pair.newest().is_clean || dialect.1 == EthashDialect::EthProxy, "{dialect:?}");
        let id = pair.submit(&old, &find(&old, 1));
        if let Some(candidate) = pair.candidates.first() {
            assert_eq!(candidate.unless_block, Some(Reject::Stale), "{dialect:?}: it could be a block");
            pair.verdict(Verdict::Rejected(Reject::Stale));
        }
        let (answered, refused) = pair.answers.last().unwrap();
        assert!(*answered == id && refused.is_some(), "{dialect:?}");
        let now = pair.newest().clone();
        pair.submit(&now, &find(&now, 1));
        pair.verdict(Verdict::Accepted { block: true });
        assert_eq!(pair.answers.last().unwrap().1, None, "{dialect:?}");
    }
}

/// Whatever vardiff wants and the chain allows: what a dialect is told, its client reads as what it is credited; and where it
/// cannot be told, the login is refused with the reason.
#[test]
fn no_dialect_is_sent_a_difficulty_that_it_cannot_express() {
    for (algorithm, dialect) in DIALECTS {
        for network in [1, 40, 1 << 16, 3_000_000, 5_000_000, 1 << 33, (1 << 60) + 12_345] {
            for start in (0..62).step_by(3).flat_map(|shift| [1_u64 << shift, (1 << shift) + 1]) {
                let what = format!("{algorithm} {dialect:?}, network {network}, start {start}");
                let mut pair = Pair::new(algorithm, dialect, start);
                pair.template(&template(algorithm, 1, network));
                if pair.jobs.is_empty() {
                    assert!(dialect == EthashDialect::Version1 && network / 10 < 429_497, "{what}");
                    assert_eq!(pair.closed, Some(CloseReason::Inexpressible), "{what}");
                    let Some(DialectError::Refused(text)) = &pair.client_gave_up else { panic!("{what}") };
                    assert!(text.contains("easier than EthereumStratum/1.0.0 can say"), "{text}");
                    continue;
                }
                let difficulty = pair.session.newest_difficulty().unwrap();
                assert!(u128::from(difficulty.hashes()) <= (network / 10).max(1), "{what}");
                assert_fair(pair.newest().target, difficulty.hashes(), &what);
                if dialect == EthashDialect::Version1 {
                    // ethminer works on 0.0001 where less is told, and keeps the old value above 10000.
                    let line = pair.heard.iter().find(|line| line.contains("set_difficulty")).unwrap();
                    let told: f64 = line.split(['[', ']']).nth(1).unwrap().parse().unwrap();
                    assert!((0.0001..=10_000.0).contains(&told), "{what}: {told}");
                }
            }
        }
    }
}

/// Where a client would read its target from a float of its own, what it takes for a share is one.
#[test]
fn targets_told_are_never_harder_than_judged() {
    for dialect in DIALECTS {
        let pair = connected(dialect);
        let judged = bq_share::share_target(dialect.0, pair.session.newest_difficulty().unwrap());
        assert!(pair.newest().target.0 <= judged.0 + U256::from(1), "{dialect:?}");
    }
}

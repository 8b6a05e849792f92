use bq_pool_machine::{LogHash, LogNumber};

use super::world::{Pool, miner};
use crate::{Bytes, LogFault, LogProof};

fn whole(pool: &Pool) -> LogProof {
    LogProof::of(LogNumber(1), LogHash::default(), &pool.log).expect("encodes")
}

#[test]
fn from_any_event_the_rest_of_the_log_leads_to_its_head() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 3);
    for at in 0..pool.log.len() {
        let first = LogNumber(u64::try_from(at).unwrap() + 1);
        let proof = LogProof::of(first, pool.heads[at].hash, &pool.log[at..]).expect("encodes");
        assert_eq!(proof.verify(), Ok(pool.head()));
        assert_eq!(proof.events().expect("some").count(), pool.log.len() - at);
    }
}

#[test]
fn every_bit_of_every_event_counts() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 1);
    let proof = whole(&pool);
    for event in 0..proof.events.len() {
        for bit in 0..proof.events[event].0.len() * 8 {
            let mut other = proof.clone();
            other.events[event].0[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(other.verify(), Ok(pool.head()));
            assert_ne!(other.head(), pool.head());
        }
    }
}

#[test]
fn a_hole_or_a_swap_leads_elsewhere() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 2);
    let proof = whole(&pool);
    for at in 0..proof.events.len() - 1 {
        let mut hole = proof.clone();
        hole.events.remove(at);
        assert_ne!(hole.head(), pool.head());
        let mut swapped = proof.clone();
        swapped.events.swap(at, at + 1);
        assert_ne!(swapped.head(), pool.head());
        // Bytes that move from one event to the next: the chain is over events, not over their sum.
        let mut moved = proof.clone();
        let byte = moved.events[at].0.pop().expect("bytes");
        moved.events[at + 1].0.insert(0, byte);
        assert_ne!(moved.head(), pool.head());
    }
}

#[test]
fn what_cannot_be_a_part_of_a_log_is_refused() {
    let pool = Pool::new(miner(0xee), b"/bq/");
    let proof = whole(&pool);
    let with = |change: fn(&mut LogProof)| {
        let mut other = proof.clone();
        change(&mut other);
        other.verify().expect_err("changed")
    };
    assert_eq!(with(|proof| proof.events.clear()), LogFault::Empty);
    assert_eq!(with(|proof| proof.first = LogNumber(0)), LogFault::Numbers { first: LogNumber(0), count: 3 });
    let end = LogNumber(u64::MAX - 2);
    assert_eq!(with(|proof| proof.first = LogNumber(u64::MAX - 2)), LogFault::Numbers { first: end, count: 3 });
    assert_eq!(with(|proof| proof.before = LogHash([1; 32])), LogFault::BeforeFirst);
    let unread = with(|proof| proof.events[1] = Bytes(vec![1, 99]));
    assert!(matches!(unread, LogFault::Event { number: LogNumber(2), .. }), "{unread}");
}

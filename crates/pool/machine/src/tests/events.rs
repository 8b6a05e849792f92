//! Events as bytes, and what the chain says of the log.

use bq_primitives::{BlockId, Height, KeyHash, Transaction, TxOut};

use super::{
    storms::storm,
    world::{POOL, World, atoms},
};
use crate::{CoinbaseOf, Commitment, CommitmentCheck, Event, EventError, LogHash, LogHead, LogNumber, Recovery, State};

#[test]
fn every_byte_of_an_event_counts() {
    let world = storm(7, 80);
    let mut flips = 0;
    for event in &world.log {
        let bytes = event.to_bytes().expect("encodes");
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            match Event::from_bytes(&flipped) {
                Ok(other) => assert_ne!(other, *event),
                Err(EventError::Version(version)) => assert_ne!(version, 1),
                Err(_) => {}
            }
            flips += 1;
        }
        for length in 0..bytes.len() {
            assert!(Event::from_bytes(&bytes[..length]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Event::from_bytes(&longer).is_err(), "{}", event.name());
    }
    assert!(flips > 5000);
}

#[test]
fn a_log_with_a_hole_a_swap_or_another_event_ends_elsewhere() {
    let world = storm(8, 60);
    let head = |events: &[Event]| {
        events.iter().fold(LogHead::default(), |head, event| head.after(&event.to_bytes().expect("encodes")))
    };
    let whole = head(&world.log);
    assert_eq!(whole, world.state.head());
    for index in 1..world.log.len() - 1 {
        let mut hole = world.log.clone();
        hole.remove(index);
        assert_ne!(head(&hole), whole);
        let mut swapped = world.log.clone();
        swapped.swap(index, index + 1);
        assert_eq!(head(&swapped) == whole, swapped == world.log);
    }
}

#[test]
fn a_checkpoint_of_another_state_is_refused() {
    let mut world = World::new();
    let right = world.state.checkpoint_event().expect("encodes");
    let Event::Checkpoint { layout, .. } = right else { panic!("{right:?}") };
    let digest = crate::StateDigest([1; 32]);
    let wrong = world.try_append(Event::Checkpoint { layout, digest });
    assert!(matches!(wrong, Err(crate::Fault::Checkpoint(..))), "{wrong:?}");
    world.append(right);
    // Another software's layout cannot be made again, so it is not compared.
    world.append(Event::Checkpoint { layout: layout + 1, digest });
    let mut bytes = world.state.to_bytes().expect("encodes");
    assert!(State::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    bytes[0] = u8::MAX;
    let refused = State::from_bytes(&bytes).expect_err("another layout").to_string();
    assert!(refused.contains("layout"), "{refused}");
    assert!(State::from_bytes(&[]).is_err());
}

#[test]
fn a_commitment_is_read_only_with_its_key_and_says_how_far_the_log_had_come() {
    let (key, parent) = ([7; 32], BlockId([5; 32]));
    let head = LogHead { number: LogNumber(41), hash: LogHash([9; 32]) };
    let output = |amount, to| TxOut { amount: atoms(amount), key_hash: KeyHash([to; 32]) };
    let outputs = vec![output(30, 1), output(20, 2)];
    let bytes = Commitment(head).to_bytes(&key, &parent, &outputs, CoinbaseOf::Window);
    let data = [b"/bq/".as_slice(), &bytes].concat();
    let read = |data: &[u8], outputs: &[TxOut], key: &[u8; 32], parent: &BlockId| {
        let coinbase = Transaction::coinbase(Height(7), outputs.to_vec(), data.to_vec());
        Commitment::read(&coinbase, b"/bq/", key, parent, &KeyHash([2; 32]))
    };
    assert_eq!(read(&data, &outputs, &key, &parent), Some((Commitment(head), CoinbaseOf::Window)));
    let of_others = Commitment(head).to_bytes(&key, &parent, &outputs, CoinbaseOf::Others);
    let of_others = [b"/bq/".as_slice(), &of_others].concat();
    assert_ne!(data, of_others);
    assert_eq!(read(&of_others, &outputs, &key, &parent), Some((Commitment(head), CoinbaseOf::Others)));
    assert_eq!(read(&of_others, &outputs[..1], &key, &parent), None);
    for index in 0..data.len() {
        let mut forged = data.clone();
        forged[index] ^= 1;
        assert_eq!(read(&forged, &outputs, &key, &parent), None, "byte {index}");
    }
    assert_eq!(read(&data, &outputs, &key, &BlockId([6; 32])), None, "copied into another block");
    assert_eq!(read(&data, &outputs, &[8; 32], &parent), None);
    assert_eq!(read(&data[..50], &outputs, &key, &parent), None);
    // Templates are public: whoever copies the seal under outputs of his own is not believed.
    for stolen in [vec![output(50, 1)], vec![output(20, 2), output(30, 1)], vec![output(30, 1), output(20, 3)], vec![]]
    {
        assert_eq!(read(&data, &stolen, &key, &parent), None, "{stolen:?}");
    }
    let (same, other) = (Some(head.hash), Some(LogHash([1; 32])));
    let recovery = |number| {
        let seen = LogHead { number: LogNumber(number), ..head };
        Recovery { event: LogNumber(3), seen, height: Height(7), open: false }
    };
    let at =
        |height, ours, recovery: Option<Recovery>| Commitment(head).check(Height(height), recovery.as_ref(), |_| ours);
    let check = |ours, recovery| at(7, ours, recovery);
    assert_eq!(check(same, None), CommitmentCheck::Fine);
    assert_eq!(check(None, None), CommitmentCheck::Behind { seen: head });
    assert_eq!(check(other, None), CommitmentCheck::Differs { seen: head });
    assert_eq!(check(other, Some(recovery(41))), CommitmentCheck::Fine);
    assert_eq!(check(other, Some(recovery(40))), CommitmentCheck::Differs { seen: head });
    // The log that went on after the recovery made that block, and was lost as well.
    assert_eq!(at(8, None, Some(recovery(50))), CommitmentCheck::Behind { seen: head });
    assert_eq!(POOL, World::new().state.opened().expect("opened").key);
    assert_eq!(BlockId([0; 32]), World::new().state.opened().expect("opened").genesis);
}

/// A checkpoint that was written before accounts could choose anything.
#[test]
fn an_older_state_is_one_in_which_nothing_is_chosen() {
    let world = World::new();
    let bytes = world.state.to_bytes().expect("encodes");
    let state = &world.state;
    let since = (&state.per_share, &state.direct, &state.settings, &state.attempts);
    let added = postcard::to_stdvec(&since).expect("encodes").len();
    let mut older = bytes[..bytes.len() - added].to_vec();
    older[0] -= 1;
    assert_eq!(State::from_bytes(&older), Ok(world.state));
    assert!(State::from_bytes(&older[..older.len() / 2]).is_err());
}

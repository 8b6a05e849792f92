//! Shares that no window wants any more.

use bq_ledger::{ShareWeight, WindowUnits};
use bq_mining_message::{FrontEndId, SharePay, SharePosition, ShareSequence};
use bq_primitives::{Algorithm, KeyHash};

use super::{
    storms::{Draw, happen},
    world::{MATURITY, World, terms},
};
use crate::{Event, LaneTerms, Reach, Scheme};

const FRONT_END: FrontEndId = FrontEndId(0);
/// Nobody's.
const UNKNOWN: KeyHash = KeyHash([0x99; 32]);

fn units(units: u8) -> WindowUnits {
    WindowUnits::new(units).expect("1 to 64")
}

fn part(parts: u64) -> ShareWeight {
    ShareWeight::from_parts(ShareWeight::ONE.parts() / parts).expect("at most one block")
}

#[test]
fn a_window_reaches_back_until_it_is_full_and_its_first_share_counts_half() {
    let mut reach = Reach::new([units(1), units(2), units(1)], false);
    let shares = [
        // Half, and the rest of a block: full at 8.
        (Algorithm::Sha256d, 10, part(1)),
        (Algorithm::RandomX, 9, part(1)),
        (Algorithm::Sha256d, 8, part(2)),
        (Algorithm::Sha256d, 7, part(1)),
        (Algorithm::RandomX, 6, part(1)),
    ];
    for (lane, share, weight) in shares {
        assert!(reach.add(lane, ShareSequence(share), (weight, SharePay::Window)).is_continue(), "{share}");
    }
    assert_eq!(reach.oldest(), Some(ShareSequence(6)));
    assert_eq!(Algorithm::ALL.map(|lane| reach.is_full(lane)), [true, false, false]);
    // A lane that is full wants nothing older; the last of the others ends it.
    assert!(reach.add(Algorithm::Sha256d, ShareSequence(5), (part(1), SharePay::Window)).is_continue());
    assert_eq!(reach.oldest(), Some(ShareSequence(6)));
    assert!(reach.add(Algorithm::RandomX, ShareSequence(4), (part(2), SharePay::Window)).is_continue());
    assert!(reach.add(Algorithm::Ethash, ShareSequence(3), (part(1), SharePay::Window)).is_continue());
    assert!(reach.add(Algorithm::Ethash, ShareSequence(2), (part(2), SharePay::Window)).is_break());
    assert_eq!(reach.oldest(), Some(ShareSequence(2)));
}

#[test]
fn windows_may_begin_with_the_share_of_a_block_until_it_matured() {
    let mut world = World::new();
    assert_eq!(world.state.windows_from(FRONT_END), ShareSequence::FIRST);
    world.share(1, 10);
    world.mine(true);
    world.share(1, 10);
    world.frame();
    let from = |world: &World| world.state.windows_from(FRONT_END).0;
    assert_eq!(from(&world), 1, "found");
    world.follow();
    assert_eq!(from(&world), 1, "immature");
    world.reorg(1, |_| false, false);
    world.follow();
    assert_eq!(from(&world), 1, "it may come back");
    assert_eq!(world.state.windows_from(FrontEndId(7)), ShareSequence::FIRST, "another front end");
    for _ in 0..250 {
        world.mine(false);
        world.follow();
    }
    assert_eq!(from(&world), 3, "forgotten");
    world.share(1, 10);
    world.mine(true);
    world.follow();
    assert_eq!(from(&world), 3);
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.follow();
    assert_eq!(from(&world), 4, "matured");
}

#[test]
fn the_longest_window_is_that_of_the_terms_that_still_hold_for_a_share() {
    let mut world = World::new();
    let set = |world: &mut World, length: u8| {
        let mut terms = terms();
        terms.lanes[0] = LaneTerms { scheme: Scheme::Pplns { window: units(length) }, ..terms.lanes[0] };
        world.append(Event::Terms(terms));
    };
    let longest = |world: &World, share: u64| {
        let from = SharePosition { front_end: FRONT_END, sequence: ShareSequence(share) };
        Algorithm::ALL.map(|lane| world.state.longest_window(lane, from).map(WindowUnits::units))
    };
    assert_eq!(longest(&world, 1), [Some(2); 3]);
    for length in [9, 4, 5] {
        world.share(1, 10);
        world.frame();
        set(&mut world, length);
    }
    // 2 before share 2, then 9, then 4 from share 3, then 5 from share 4.
    assert_eq!([1, 2, 3, 4, 9].map(|share| longest(&world, share)[0]), [9, 9, 5, 5, 5].map(Some));
    assert_eq!(longest(&world, 1)[1], Some(2));
}

/// The oldest share that may still be read.
fn floor(world: &World) -> u64 {
    let from = world.state.windows_from(FRONT_END);
    let position = SharePosition { front_end: FRONT_END, sequence: from };
    let windows = Algorithm::ALL.map(|lane| world.state.longest_window(lane, position).expect("terms"));
    let mut reach = Reach::new(windows, false);
    for sequence in (1..=from.0).rev() {
        let Some(share) = world.shares.0.get(usize::try_from(sequence - 1).expect("small")) else { continue };
        let weight = ShareWeight::of(share.difficulty, share.network_difficulty);
        if reach.add(share.algorithm, ShareSequence(sequence), (weight, share.pay)).is_break() {
            break;
        }
    }
    reach.oldest().map_or(from.0, |share| share.0)
}

/// Makes the shares that the rule gives up unreadable: a share of an unknown key is refused by whoever reads it.
fn give_up(world: &mut World) {
    let count = usize::try_from(floor(world) - 1).expect("small");
    world.shares.0.iter_mut().take(count).for_each(|share| share.payee = UNKNOWN);
}

#[test]
fn whatever_the_chain_does_what_was_given_up_is_never_read_again() {
    let mut given_up = 0;
    for seed in 1..=40 {
        let (mut whole, mut draw) = (World::new(), Draw::new(seed));
        let (mut pruned, mut same_draw) = (World::new(), Draw::new(seed));
        let mut when = Draw::new(seed + 1000);
        for _ in 0..300 {
            happen(&mut whole, &mut draw);
            happen(&mut pruned, &mut same_draw);
            if !when.one_in(3) {
                whole.settle();
                pruned.settle();
            }
            if when.one_in(5) {
                give_up(&mut pruned);
            }
        }
        assert_eq!(whole.state, pruned.state, "seed {seed}");
        given_up += pruned.shares.0.iter().filter(|share| share.payee == UNKNOWN).count();
    }
    assert!(given_up > 100, "{given_up} shares");
}

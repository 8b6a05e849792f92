//! What the pool states of its books is what they say, or it is refused.

use bq_ledger::LedgerAccount;
use bq_primitives::Amount;

use super::world::{MATURITY, World, atoms, miner};
use crate::{BlockState, Credit, CreditsDigest, Event, Fault, Stated};

fn world_with_a_block() -> (World, bq_primitives::BlockId) {
    let mut world = World::new();
    for number in [1, 2, 3, 2, 1] {
        world.share(number, 16);
    }
    world.mine(true);
    world.settle();
    let block = world.state.blocks().find(|block| block.state == BlockState::Immature).expect("on the chain");
    let id = block.candidate.id;
    (world, id)
}

#[test]
fn credits_are_those_of_the_block_in_rising_account() {
    let (world, id) = world_with_a_block();
    let credits = world.state.credits_of(&id).expect("in range").expect("immature");
    let expected: Vec<Credit> = (1..=3)
        .map(|number| {
            let account = world.state.accounts().find(&miner(number)).expect("known");
            let amount = atoms(world.balance(LedgerAccount::MinerImmature(account)));
            Credit { payee: miner(number), amount }
        })
        .collect();
    assert_eq!(credits, expected);
}

#[test]
fn other_credits_than_the_blocks_are_refused() {
    let (mut world, id) = world_with_a_block();
    let right = world.state.credits_event(&id).expect("in range").expect("credits");
    let Stated::Credits { block, generation, count, digest } = right else { panic!("{right:?}") };
    let mut other = digest;
    other.0[0] ^= 1;
    let wrong = [
        Stated::Credits { block, generation, count, digest: other },
        Stated::Credits { block, generation, count: count + 1, digest },
        Stated::Credits { block, generation: generation + 1, count, digest },
        Stated::Credits { block: bq_primitives::BlockId([1; 32]), generation, count, digest },
    ];
    for stated in wrong {
        let before = world.state.clone();
        let refused = world.state.apply(&Event::Stated(stated), &world.shares.clone());
        assert!(matches!(refused, Err(Fault::Stated(_))), "{stated:?}: {refused:?}");
        assert_eq!(world.state, before);
    }
    let books = world.state.books().clone();
    world.append(Event::Stated(right));
    assert_eq!(*world.state.books(), books, "it changes nothing");
    for _ in 0..MATURITY {
        world.mine(false);
        world.settle();
    }
    let late = world.state.apply(&Event::Stated(right), &world.shares.clone());
    assert!(matches!(late, Err(Fault::Stated(_))), "{late:?}");
}

#[test]
fn what_is_owed_comes_to_the_sum_of_all_balances_of_miners() {
    let (mut world, _) = world_with_a_block();
    let sum = Amount::sum(world.state.owed().expect("in range").into_values()).expect("in range");
    let of_miners: u64 = world
        .state
        .books()
        .balances()
        .filter(|(account, _)| account.miner().is_some())
        .map(|(_, balance)| balance)
        .sum();
    assert_eq!(sum.atoms(), of_miners);
    let epoch = world.state.head().number.0;
    let stated = |epoch, sum| Event::Stated(Stated::Liabilities { epoch, depth: 2, root: [7; 32], sum });
    for wrong in [stated(epoch, atoms(sum.atoms() - 1)), stated(epoch, atoms(sum.atoms() + 1)), stated(epoch + 1, sum)]
    {
        let refused = world.state.apply(&wrong, &world.shares.clone());
        assert!(matches!(refused, Err(Fault::Stated(_))), "{refused:?}");
    }
    world.append(stated(epoch, sum));
}

/// The tree once more, by the words of SPEC 8.10.5.
#[test]
fn the_digest_is_that_of_a_frames_tree_over_credits() {
    use bq_primitives::tagged_hash;
    let credits: Vec<Credit> =
        (1..=5).map(|number| Credit { payee: miner(number), amount: atoms(u64::from(number) * 100) }).collect();
    let leaf =
        |credit: &Credit| tagged_hash("BQIP0002/credit", &[&credit.payee.0, &credit.amount.atoms().to_le_bytes()]);
    let node = |left: &[u8; 32], right: &[u8; 32]| tagged_hash("BQIP0002/credit-node", &[left, right]);
    let leaves: Vec<[u8; 32]> = credits.iter().map(leaf).collect();
    let pairs = node(&node(&leaves[0], &leaves[1]), &node(&leaves[2], &leaves[3]));
    let top = node(&pairs, &leaves[4]);
    let block = bq_primitives::BlockId([9; 32]);
    let parts: [&[u8]; 4] = [&block.0, &2_u32.to_le_bytes(), &5_u32.to_le_bytes(), &top];
    assert_eq!(CreditsDigest::of(&block, 2, &credits).0, tagged_hash("BQIP0002/credits", &parts));
}

//! The signed bytes of an open payout are lost or changed.

use bq_books::RowKind;
use bq_pool_machine::PayoutId;

use super::{
    fake_node::MATURITY,
    world::{Death, World},
};

const CHANGED: &str = "UPDATE rows SET value = CAST(x'00' || substr(value, 2) AS BLOB) WHERE kind = 'signed'";
const GONE: &str = "DELETE FROM rows WHERE kind = 'signed'";

/// A pool with a payout that the node forgot, closed.
fn sent(is_hedged: bool) -> World {
    let mut world = World::new();
    world.is_hedged = is_hedged;
    world.try_open(&Death::default()).expect("opens");
    world.find_block(1, 1000);
    world.settle();
    world.node.mine_many(MATURITY + 2);
    world.settle();
    let state = world.keeper().state.read();
    assert!(state.payout(PayoutId(1)).is_some_and(|payout| payout.signed.is_some() && !payout.is_confirmed()));
    drop(state);
    world.node.forget_mempool();
    world.close();
    world
}

#[test]
fn a_payout_whose_bytes_were_lost_is_signed_again_and_holds_nothing_up() {
    for is_hedged in [false, true] {
        for sql in [CHANGED, GONE] {
            let mut world = sent(is_hedged);
            let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
            books.execute_batch(sql).expect("runs");
            drop(books);
            world.try_open(&Death::default()).expect("opens");
            let before = world.keeper().written().number.0;
            world.settle();
            let after = world.keeper().written().number.0;
            assert_eq!(after - before, u64::from(is_hedged), "told where the bytes are others");
            assert_eq!(world.names(), Vec::<&str>::new());
            assert!(world.keeper().store.row(RowKind::Signed, "1").expect("readable").is_some());
            world.node.mine_many(4);
            world.settle();
            world.check_books(&[1]);
            assert!(world.paid(1) > 0);
        }
    }
}

#[test]
fn a_payout_that_nobody_can_sign_again_is_told_and_holds_nothing_up() {
    let mut world = sent(false);
    let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
    books.execute_batch(GONE).expect("runs");
    drop(books);
    world.key = super::world::key(9);
    world.config.accept_new_key = true;
    world.try_open(&Death::default()).expect("opens");
    world.settle();
    let conditions = world.keeper().conditions();
    let told = conditions.iter().find(|condition| condition.name == "payouts_not_signed").expect("told");
    assert!(told.reason.contains("payout 1 are missing, and the key that could sign it again is given up"), "{told:?}");
    world.mine_share(2, 500);
    world.settle();
    assert!(!world.names().contains(&"books_stopped"), "{:?}", world.names());
}

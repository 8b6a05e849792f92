//! Books that lost their end.

use bq_pool_machine::{Decision, Reason};

use super::world::World;

#[test]
fn the_alarm_that_the_books_lost_their_end_does_not_end_with_the_process() {
    let mut world = World::new();
    world.mine_share(1, 500);
    world.settle();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    for _ in 0..3 {
        world.mine_share(2, 500);
        world.settle();
        world.find_block(1, 500);
    }
    world.settle();
    world.close();
    for end in ["-wal", "-shm"] {
        // There may be none.
        let _ = std::fs::remove_file(world.folder.path().join(format!("books.sqlite{end}")));
    }
    std::fs::copy(&copy, world.folder.path().join("books.sqlite")).expect("put back");
    for _ in 0..2 {
        world.restart();
        world.settle();
        assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
    }
    let reason = Reason { who: "a person".to_owned(), why: "there is no newer copy".to_owned() };
    world.keeper().decide(&Decision::Recover, &reason, false).expect("behind");
    for _ in 0..2 {
        world.settle();
        assert!(!world.names().contains(&"log_behind_chain"), "{:?}", world.names());
        world.restart();
    }
}

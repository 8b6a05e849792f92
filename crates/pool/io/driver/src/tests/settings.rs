//! Accounts' own settings as the driver takes and shows them. What they do to money is tested beside the machine.

use std::{cell::Cell, time::Duration};

use bq_mining_message::{AccessError, SettingsTaken, SignedRequest};
use bq_pool_machine::{SchemeWish, SettingChange, SettingWish, Wishes};
use bq_primitives::{Address, account_request_hash};
use bq_request::Request;
use bq_signature::KeyPair;

use super::{
    NETWORK, atoms,
    world::{Death, POOL_KEY, World, share_to},
};
use crate::{Clock as _, PoolConfig, keeper::Keeper};

fn owner() -> KeyPair {
    KeyPair::from_seed(&[5; 32]).expect("a key")
}

fn address() -> String {
    Address { network: NETWORK, key_hash: owner().key_hash() }.to_string()
}

/// A pool in whose books the owner is.
fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut PoolConfig)) -> World {
    let world = World::with(change);
    world.keeper().record(&share_to(owner().key_hash(), 100), None).expect("booked");
    world.settle();
    world
}

fn request(world: &World, time_ms: u64, wish: String) -> SignedRequest {
    let genesis = world.keeper().node.genesis_id();
    let address = Address { network: NETWORK, key_hash: owner().key_hash() };
    let request = Request { genesis, address, time_ms, wish }.to_string();
    SignedRequest {
        public_key: hex::encode(owner().public_key()),
        signature: hex::encode(owner().sign(&account_request_hash(&request)).expect("signs").as_slice()),
        request,
    }
}

fn wish(sequence: u64, change: SettingChange) -> String {
    SettingWish { pool: Address { network: NETWORK, key_hash: POOL_KEY }, sequence, change }.to_string()
}

fn locked() -> Wishes {
    Wishes { minimum: Some(atoms(50_000_000)), scheme: SchemeWish::Pplns, locked: true, webhook: None }
}

fn set(world: &World, sequence: u64, wishes: Wishes) -> Result<SettingsTaken, AccessError> {
    let signed = request(world, world.clock.unix_ms(), wish(sequence, SettingChange::all(wishes)));
    world.keeper().change_settings(&signed, &|_| true).expect("it is about settings")
}

#[track_caller]
fn name(result: Result<SettingsTaken, AccessError>) -> &'static str {
    match result {
        Err(AccessError::Setting { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

fn view(keeper: &Keeper) -> bq_views::SettingsView {
    keeper.settings_view(keeper.find_miner(&address()).expect("it mined"))
}

#[test]
fn a_setting_is_shown_kept_over_a_restart_and_audited() {
    let mut world = world();
    assert_eq!((view(world.keeper()).next_number, view(world.keeper()).changed), (1, None));
    let taken = set(&world, 1, locked()).expect("taken");
    assert_eq!(taken, SettingsTaken { address: address(), number: 1, locked: true, pending_from: None });
    assert!(world.keeper().is_locked(&owner().key_hash()));
    world.clock.pass(Duration::from_secs(60));
    let lower = set(&world, 2, Wishes::default()).expect("taken");
    let from = world.keeper().state.read().tip().expect("based").height.0 + world.config.settings_delay_blocks;
    assert_eq!((lower.pending_from, lower.locked), (Some(from), true));
    for checkpoint in [false, true] {
        if checkpoint {
            world.keeper().checkpoint(true).expect("written");
        }
        world.restart();
        let view = view(world.keeper());
        assert_eq!(
            (view.next_number, view.current.locked, view.current.minimum),
            (3, true, Some(atoms(50_000_000).into()))
        );
        let pending = view.pending.expect("waits");
        assert_eq!((pending.from_height, pending.wishes.locked), (from, false));
        assert_eq!(view.schemes, ["default", "pplns"]);
    }
    world.close();
    let findings = world.stopped().audit().expect("audited");
    assert_eq!(findings.faults, Vec::<String>::new());
    world.restart();
    world.node.mine_many(world.config.settings_delay_blocks);
    world.settle();
    assert!(!world.keeper().is_locked(&owner().key_hash()));
    assert_eq!(view(world.keeper()).pending, None);
}

#[test]
fn what_needs_a_clock_is_refused_by_name() {
    let world = world();
    let (now, day) = (world.clock.unix_ms(), 86_400_000);
    for (time, is_fine) in [(now - day - 60_000, false), (now + day + 60_000, false), (now - day + 60_000, true)] {
        let signed = request(&world, time, wish(1, SettingChange::all(locked())));
        let result = world.keeper().change_settings(&signed, &|_| true).expect("about settings");
        assert!(is_fine && result.is_ok() || name(result) == "time", "{time}");
    }
    assert_eq!(name(set(&world, 2, locked())), "too_fast");
    assert_eq!(name(set(&world, 1, locked())), "replayed");
    world.clock.pass(Duration::from_secs(61));
    set(&world, 2, locked()).expect("after a while");
}

#[test]
fn other_requests_are_somebody_elses_and_bad_ones_change_nothing() {
    let world = world();
    let now = world.clock.unix_ms();
    for other in ["lock", "token rig", "", "settingsx"] {
        assert_eq!(world.keeper().change_settings(&request(&world, now, other.to_owned()), &|_| true), None, "{other}");
    }
    let before = world.keeper().written();
    let good = request(&world, now, wish(1, SettingChange::all(locked())));
    for (expected, bad) in [
        ("malformed", SignedRequest { signature: "00".to_owned(), ..good.clone() }),
        ("malformed", SignedRequest { public_key: good.public_key.replace('a', "g"), ..good.clone() }),
        ("other_key", SignedRequest { signature: "00".repeat(3309), ..good.clone() }),
        ("malformed", request(&world, now, "settings".to_owned())),
        ("nothing_to_cancel", request(&world, now, wish(1, SettingChange::Cancel))),
    ] {
        assert_eq!(name(world.keeper().change_settings(&bad, &|_| true).expect("about settings")), expected);
    }
    assert_eq!(world.keeper().written(), before, "what is refused costs the log nothing");
    let asked = Cell::new(0);
    let count = |key| {
        assert_eq!(key, owner().key_hash());
        asked.set(asked.get() + 1);
        false
    };
    let stranger = KeyPair::from_seed(&[6; 32]).expect("a key");
    let old = request(&world, now - 2 * 86_400_000, wish(1, SettingChange::all(locked())));
    for (verified, signed) in [
        (0, SignedRequest { signature: "00".to_owned(), ..good.clone() }),
        (0, SignedRequest { public_key: hex::encode(stranger.public_key()), ..good.clone() }),
        (0, request(&world, now, "settings".to_owned())),
        (0, request(&world, now, wish(1, SettingChange::Cancel))),
        (0, old),
        (1, SignedRequest { signature: "00".repeat(3309), ..good.clone() }),
        (2, good.clone()),
    ] {
        let refused = world.keeper().change_settings(&signed, &count).expect("about settings");
        assert_eq!((asked.get(), refused == Err(AccessError::TooFast)), (verified, verified > 0), "{refused:?}");
    }
    let off = World::with(|config| config.settings = false);
    off.keeper().record(&share_to(owner().key_hash(), 100), None).expect("booked");
    off.settle();
    assert_eq!(name(set(&off, 1, locked())), "settings_off");
    assert!(!view(off.keeper()).is_taken);
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    let death = Death::default();
    let world = World::dying(|_| {}, &death);
    world.keeper().record(&share_to(owner().key_hash(), 100), None).expect("booked");
    world.settle();
    death.set_full(true);
    assert!(matches!(set(&world, 1, locked()), Err(AccessError::Disk(_))));
    death.set_full(false);
    world.settle();
    assert_eq!(view(world.keeper()).next_number, 2, "the books had it, and the disk has it now");
}

#[test]
fn the_log_takes_so_many_settings_and_cancelling_is_never_refused() {
    let world = world_with(|config| (config.settings_hour_max, config.settings_interval) = (2, Duration::ZERO));
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    for _ in 0..9 {
        set(&world, next(), locked()).expect("taken");
    }
    set(&world, next(), Wishes::default()).expect("the tenth of ten");
    let refused = next();
    assert_eq!(name(set(&world, refused, locked())), "too_many");
    let cancel = request(&world, world.clock.unix_ms(), wish(refused, SettingChange::Cancel));
    world.keeper().change_settings(&cancel, &|_| true).expect("about settings").expect("cancelled");
    assert_eq!(name(set(&world, refused + 1, locked())), "too_many");
    world.clock.pass(Duration::from_secs(1_801));
    set(&world, refused + 1, locked()).expect("half an hour is one");
}

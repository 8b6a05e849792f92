//! Accounts' own settings (SPEC 8.11): what is taken, what waits, and what it does to payouts and coinbases.

use bq_ledger::{FeeBasisPoints, LedgerAccount};
use bq_mining_message::AccountScheme;
use bq_primitives::{AccountId, Address, Amount, BlockId, Height, KeyHash, Network, account_request_hash};
use bq_request::{Request, RequestError};
use bq_signature::KeyPair;

use super::{
    storms::{Draw, happen},
    world::{LANE, POOL, World, atoms},
};
use crate::{
    Event, Fault, Offer, SchemeWish, SettingBounds, SettingChange, SettingEvent, SettingRefusal, SettingWish,
    SignedSetting, State, Webhook, WishChanges, Wishes,
};

const DELAY: u32 = 5;
const MINIMUM_MAX: u64 = 9_000_000_000;

fn owner(n: u8) -> KeyPair {
    KeyPair::from_seed(&[n; 32]).expect("a key")
}

fn address(key_hash: KeyHash) -> Address {
    Address { network: Network::Regtest, key_hash }
}

fn wish(sequence: u64, change: SettingChange) -> SettingWish {
    SettingWish { pool: address(POOL), sequence, change }
}

fn request_of(owner: &KeyPair, wish: String) -> Request {
    Request { genesis: BlockId([0; 32]), address: address(owner.key_hash()), time_ms: 7, wish }
}

fn signed_by(owner: &KeyPair, request: &Request) -> SignedSetting {
    let text = request.to_string();
    SignedSetting {
        public_key: owner.public_key().to_vec(),
        signature: owner.sign(&account_request_hash(&text)).expect("signs").to_vec(),
        request: text,
        time_ms: 9,
    }
}

fn setting(owner: &KeyPair, sequence: u64, change: SettingChange) -> Event {
    let request = request_of(owner, wish(sequence, change).to_string());
    Event::Setting(Box::new(SettingEvent::Signed(signed_by(owner, &request))))
}

fn hook(text: &str) -> Option<Webhook> {
    Some(Webhook::new(text).expect("a webhook"))
}

fn minimum(amount: u64) -> Wishes {
    Wishes { minimum: Some(atoms(amount)), ..Wishes::default() }
}

fn bounds() -> Event {
    let bounds = SettingBounds { minimum_max: atoms(MINIMUM_MAX), delay_blocks: DELAY };
    Event::Setting(Box::new(SettingEvent::Bounds(bounds)))
}

/// A pool that takes settings, in whose books this owner is.
fn world_of(owners: &[&KeyPair]) -> World {
    let mut world = World::new();
    for owner in owners {
        world.share_of(LANE, owner.key_hash(), 10);
    }
    world.frame();
    world.append(bounds());
    world
}

fn account(world: &World, owner: &KeyPair) -> AccountId {
    world.state.accounts().find(&owner.key_hash()).expect("mined")
}

fn current(world: &World, owner: &KeyPair) -> Wishes {
    world.state.settings_of(account(world, owner)).map(|settings| settings.current.clone()).unwrap_or_default()
}

fn pending(world: &World, owner: &KeyPair) -> Option<(Height, Wishes)> {
    let settings = world.state.settings_of(account(world, owner))?;
    settings.pending.as_ref().map(|pending| (pending.from, pending.wishes.clone()))
}

/// Refused, and nothing changed.
#[track_caller]
fn refusal(world: &mut World, event: &Event) -> SettingRefusal {
    let before = world.state.clone();
    let fault = world.state.apply(event, &world.shares).expect_err("it must not be taken");
    assert_eq!(world.state, before);
    assert!(event.is_refused_whole());
    match fault {
        Fault::Setting(refusal) => refusal,
        fault => panic!("{fault}"),
    }
}

#[test]
fn a_setting_is_written_in_one_way() {
    let all = Wishes {
        minimum: Some(atoms(12)),
        scheme: SchemeWish::Tides,
        locked: true,
        webhook: hook("https://miner.example:8443/in?key=1"),
    };
    let one = WishChanges { locked: Some(true), ..WishChanges::default() };
    let kept = SettingChange::Set(WishChanges::default());
    for change in [
        SettingChange::all(all),
        SettingChange::all(Wishes::default()),
        SettingChange::Set(one),
        kept,
        SettingChange::Cancel,
    ] {
        let wish = wish(18_446_744_073_709_551_615, change);
        assert_eq!(wish.to_string().parse(), Ok(wish));
    }
    let good = wish(3, SettingChange::all(minimum(500))).to_string();
    for bad in [
        String::new(),
        "settings".to_owned(),
        format!("{good} "),
        format!("{good}\n"),
        good.replace(" 3 ", " +3 "),
        good.replace(" 3 ", " 03 "),
        good.replace(" 3 ", " 18446744073709551616 "),
        good.replace("500", "0500"),
        good.replace("500", "-500"),
        good.replace("500", "9007199254740992"),
        good.replace("lock off", "lock maybe"),
        good.replace("minimum 500", "minimum"),
        good.replace("settings", "cancel"),
        good.replace("webhook none", "webhook"),
        good.to_uppercase(),
    ] {
        let refused = bad.parse::<SettingWish>();
        assert!(matches!(refused, Err(SettingRefusal::Wish(_) | SettingRefusal::Webhook(_))), "{bad}");
    }
    let unknown = good.replace("scheme default", "scheme prop").parse::<SettingWish>();
    assert_eq!(unknown, Err(SettingRefusal::UnknownScheme("prop".to_owned())));
}

#[test]
fn a_webhook_is_a_place_on_the_web_and_nothing_else() {
    let place = |text: &str| Webhook::new(text).expect("good").place().expect("parts");
    let parts = place("https://miner.example/a?b=c");
    assert_eq!((parts.host.as_str(), parts.port, parts.path.as_str()), ("miner.example", 443, "/a?b=c"));
    assert_eq!((place("http://192.0.2.7").port, place("http://192.0.2.7").path.as_str()), (80, "/"));
    assert_eq!(
        (place("http://[2001:db8::1]:81/").host.as_str(), place("http://[2001:db8::1]:81/").port),
        ("2001:db8::1", 81)
    );
    assert_eq!(place("https://miner.example?b=c").path, "/?b=c");
    let longest = format!("https://miner.example/{}", "x".repeat(Webhook::BYTES_MAX - 22));
    assert!(Webhook::new(&longest).is_ok());
    for bad in [
        "",
        "none",
        "/in",
        "miner.example",
        "miner.example:443",
        "ftp://miner.example/",
        "file:///etc/passwd",
        "https://",
        "https:///in",
        "https://:443/",
        "https://user@miner.example/",
        "https://user:word@miner.example/",
        "https://miner.example:0/",
        "https://miner.example:65536/",
        "https://miner.example:/",
        "https://miner.example/#part",
        "https://miner.example/a b",
        "https://miner.example/\u{fc}",
        "https://miner.example/\r\nHost: other",
        &format!("{longest}x"),
    ] {
        assert!(matches!(Webhook::new(bad), Err(SettingRefusal::Webhook(_))), "{bad}");
    }
}

#[test]
fn bad_input_is_refused_by_name() {
    let (miner, other) = (owner(1), owner(2));
    let mut world = world_of(&[&miner]);
    let set = |wishes| SettingChange::all(wishes);
    let good = request_of(&miner, wish(1, set(Wishes::default())).to_string());
    let event = |signed| Event::Setting(Box::new(SettingEvent::Signed(signed)));
    let with = |change: &dyn Fn(&mut Request)| {
        let mut request = good.clone();
        change(&mut request);
        event(signed_by(&miner, &request))
    };
    let of_wish = |wish: SettingWish| with(&|request| request.wish = wish.to_string());
    let text = |replace: &dyn Fn(&str) -> String| {
        let mut signed = signed_by(&miner, &good);
        signed.request = replace(&signed.request);
        event(signed)
    };
    let short = SignedSetting { signature: vec![1; 3308], ..signed_by(&miner, &good) };
    let cases = [
        ("other_key", event(SignedSetting { request: good.to_string(), ..signed_by(&other, &good) })),
        ("other_key", event(short)),
        ("other_key", text(&|text| text.replace("lock off", "lock on"))),
        ("unknown_account", event(signed_by(&other, &request_of(&other, good.wish.clone())))),
        ("other_chain", with(&|request| request.genesis = BlockId([1; 32]))),
        ("other_chain", with(&|request| request.address.network = Network::Mainnet)),
        ("other_pool", of_wish(SettingWish { pool: address(KeyHash([1; 32])), ..wish(1, set(Wishes::default())) })),
        ("malformed", with(&|request| request.wish = "settings".to_owned())),
        ("malformed", with(&|request| request.wish = "lock".to_owned())),
        ("malformed", text(&|text| text.replace('\n', "\r\n"))),
        ("not_an_address", text(&|text| text.replace("address ", "address x"))),
        ("oversized", text(&|text| format!("{text}{}", "x".repeat(Request::TEXT_BYTES_MAX)))),
        ("unknown_scheme", with(&|request| request.wish = good.wish.replace("default lock", "prop lock"))),
        ("scheme_not_offered", of_wish(wish(1, set(Wishes { scheme: SchemeWish::Solo, ..Wishes::default() })))),
        ("bad_webhook", with(&|request| request.wish = good.wish.replace("none", "ftp://miner.example/"))),
        ("minimum_too_low", of_wish(wish(1, set(minimum(99_999_999))))),
        ("minimum_too_high", of_wish(wish(1, set(minimum(MINIMUM_MAX + 1))))),
        ("nothing_to_cancel", of_wish(wish(1, SettingChange::Cancel))),
        ("replayed", of_wish(wish(0, set(Wishes::default())))),
    ];
    for (name, event) in cases {
        assert_eq!(refusal(&mut world, &event).name(), name);
    }
    let good = event(signed_by(&miner, &good));
    world.append(good.clone());
    assert_eq!(refusal(&mut world, &good), SettingRefusal::Replayed { got: 1 });
    world.append(setting(&miner, 2, set(Wishes::default())));
    let older = setting(&miner, 1, set(minimum(200_000_000)));
    assert_eq!(refusal(&mut world, &older), SettingRefusal::Older { got: 1, newest: 2 });
    for got in [4, u64::MAX - 1, u64::MAX] {
        let skipped = setting(&miner, got, set(minimum(200_000_000)));
        assert_eq!(refusal(&mut world, &skipped), SettingRefusal::Skipped { got, next: 3 });
    }
    // Signed earlier and sent later: the number is its place.
    let mut early = request_of(&miner, wish(3, set(Wishes::default())).to_string());
    early.time_ms = 6;
    world.append(event(signed_by(&miner, &early)));
}

#[test]
fn what_is_not_told_stays_as_it_holds() {
    let miner = owner(1);
    let mut world = world_of(&[&miner]);
    let strict = Wishes { locked: true, webhook: hook("https://miner.example/"), ..minimum(500_000_000) };
    world.append(setting(&miner, 1, SettingChange::all(strict.clone())));
    // Somebody with the key lowers everything; the owner says something else meanwhile.
    world.append(setting(&miner, 2, SettingChange::all(Wishes::default())));
    assert!(pending(&world, &miner).is_some());
    let one = WishChanges { scheme: Some(SchemeWish::Pplns), ..WishChanges::default() };
    world.append(setting(&miner, 3, SettingChange::Set(one)));
    let expected = Wishes { scheme: SchemeWish::Pplns, ..strict };
    assert_eq!(
        (current(&world, &miner), pending(&world, &miner)),
        (expected, None),
        "kept is what holds, not what waits"
    );
}

/// The name that a stranger's request gets says nothing of a signature that nobody checked: it is checked last.
#[test]
fn a_pool_without_bounds_takes_no_settings() {
    let miner = owner(1);
    let mut world = World::new();
    world.share_of(LANE, miner.key_hash(), 10);
    world.frame();
    let event = setting(&miner, 1, SettingChange::all(Wishes::default()));
    assert_eq!(refusal(&mut world, &event), SettingRefusal::NotTaken);
    for wrong in [
        SettingBounds { minimum_max: Amount::ZERO, delay_blocks: 1 },
        SettingBounds { minimum_max: atoms(1), delay_blocks: 0 },
    ] {
        let event = Event::Setting(Box::new(SettingEvent::Bounds(wrong)));
        assert_eq!(refusal(&mut world, &event).name(), "bad_bounds");
    }
    world.append(bounds());
    world.append(event);
}

#[test]
fn what_protects_holds_at_once_and_what_does_not_waits() {
    let miner = owner(1);
    let mut world = world_of(&[&miner]);
    let strict = Wishes {
        minimum: Some(atoms(500_000_000)),
        scheme: SchemeWish::Pplns,
        locked: true,
        webhook: hook("https://miner.example/"),
    };
    world.append(setting(&miner, 1, SettingChange::all(strict.clone())));
    assert_eq!((current(&world, &miner), pending(&world, &miner)), (strict.clone(), None));
    // One of each that lowers, beside one that does not.
    for (sequence, lower) in [
        (2, Wishes { minimum: Some(atoms(499_999_999)), ..strict.clone() }),
        (3, Wishes { minimum: None, ..strict.clone() }),
        (4, Wishes { locked: false, ..strict.clone() }),
        (5, Wishes { webhook: None, ..strict.clone() }),
        (6, Wishes { webhook: hook("https://thief.example/"), ..strict.clone() }),
    ] {
        let wishes = Wishes { scheme: SchemeWish::Pool, ..lower };
        let height = world.state.tip().expect("based").height.0;
        world.append(setting(&miner, sequence, SettingChange::all(wishes.clone())));
        assert_eq!(current(&world, &miner), Wishes { scheme: SchemeWish::Pool, ..strict.clone() });
        assert_eq!(pending(&world, &miner), Some((Height(height + DELAY), wishes)));
        world.mine(false);
        world.follow();
    }
    let (from, wishes) = pending(&world, &miner).expect("waits");
    while world.state.tip().expect("based").height.0 + 1 < from.0 {
        world.mine(false);
        world.follow();
        assert_ne!(current(&world, &miner), wishes, "one block before its height it does not hold");
    }
    world.mine(false);
    world.follow();
    assert_eq!((current(&world, &miner), pending(&world, &miner)), (wishes.clone(), None));
    // A chain that goes back takes nothing back.
    world.reorg(3, |_| false, true);
    world.follow();
    assert_eq!(current(&world, &miner), wishes);
}

#[test]
fn what_waits_can_be_cancelled_once() {
    let miner = owner(1);
    let mut world = world_of(&[&miner]);
    let locked = Wishes { locked: true, ..Wishes::default() };
    world.append(setting(&miner, 1, SettingChange::all(locked.clone())));
    world.append(setting(&miner, 2, SettingChange::all(Wishes::default())));
    assert!(pending(&world, &miner).is_some());
    let thief = setting(&owner(2), 3, SettingChange::Cancel);
    assert_eq!(refusal(&mut world, &thief).name(), "unknown_account");
    world.append(setting(&miner, 3, SettingChange::Cancel));
    assert_eq!((current(&world, &miner), pending(&world, &miner)), (locked.clone(), None));
    assert_eq!(refusal(&mut world, &setting(&miner, 4, SettingChange::Cancel)).name(), "nothing_to_cancel");
    for _ in 0..=DELAY {
        world.mine(false);
        world.follow();
    }
    assert_eq!(current(&world, &miner), locked);
}

#[test]
fn a_payout_waits_for_the_accounts_own_minimum() {
    let (patient, other) = (owner(1), owner(2));
    let mut world = world_of(&[&patient, &other]);
    world.append(setting(&patient, 1, SettingChange::all(minimum(4_000_000_000))));
    let mine = |world: &mut World| {
        for key in [&patient, &other] {
            world.share_of(LANE, key.key_hash(), 1);
        }
        world.mine(true);
        world.calm_down();
    };
    mine(&mut world);
    let payable = |world: &World| world.balance(LedgerAccount::MinerPayable(account(world, &patient)));
    assert!((100_000_000..4_000_000_000).contains(&payable(&world)), "{}", payable(&world));
    assert_eq!(world.state.paid(account(&world, &patient)), 0);
    assert!(world.state.paid(account(&world, &other)) > 0);
    // The pool's own minimum again, once the wait is over.
    world.append(setting(&patient, 2, SettingChange::all(Wishes::default())));
    world.settle();
    assert_eq!(world.state.paid(account(&world, &patient)), 0, "not before");
    world.calm_down();
    assert!(world.state.paid(account(&world, &patient)) > 0);
    // What the pool allows became less than what was chosen: nobody is stuck.
    world.append(setting(&patient, 3, SettingChange::all(minimum(MINIMUM_MAX))));
    let paid = world.state.paid(account(&world, &patient));
    mine(&mut world);
    assert_eq!(world.state.paid(account(&world, &patient)), paid);
    let lower = SettingBounds { minimum_max: atoms(200_000_000), delay_blocks: DELAY };
    world.append(Event::Setting(Box::new(SettingEvent::Bounds(lower))));
    world.calm_down();
    assert!(world.state.paid(account(&world, &patient)) > paid);
}

#[test]
fn a_coinbase_pays_from_the_accounts_own_minimum_on() {
    let (patient, other) = (owner(1), owner(2));
    let mut world = world_of(&[&patient, &other]);
    world.set_scheme(super::direct::direct());
    world.append(setting(&patient, 1, SettingChange::all(minimum(8_000_000_000))));
    let got = |world: &World, key: &KeyPair| {
        let outputs = world.chain.best().into_iter().flat_map(|block| &block.transactions).flat_map(|tx| &tx.outputs);
        outputs.filter(|output| output.key_hash == key.key_hash()).map(|output| output.amount.atoms()).sum::<u64>()
    };
    let mut paid_in = None;
    for block in 0..60 {
        for key in [&patient, &other] {
            world.share_of(LANE, key.key_hash(), 1);
        }
        world.mine(true);
        world.settle();
        if got(&world, &patient) > 0 && paid_in.is_none() {
            paid_in = Some((block, got(&world, &patient)));
        }
    }
    let (block, amount) = paid_in.expect("a minimum above every reward is paid too");
    assert!(block > 3, "it was carried first");
    assert!(amount >= 4_000_000_000, "what is left of a reward: {amount}");
    assert!(got(&world, &other) > 0);
    world.calm_down();
}

/// What an account has, said slowly: from the newest message backwards, wish by wish.
fn holds(history: &[(u32, SettingChange)], heights: &[(usize, u32)], at: usize) -> Wishes {
    let Some(newest) = history[..at].last() else { return Wishes::default() };
    let before = holds(history, heights, at - 1);
    let (tip, change) = newest;
    // Heights that the log saw after this message, up to the next one.
    let is_over = |height: &u32| *height >= tip + DELAY;
    let reached = |messages: usize| heights.iter().filter(|(after, _)| *after == messages).any(|(_, h)| is_over(h));
    match change {
        SettingChange::Cancel => before,
        SettingChange::Set(changes) if reached(at) => changes.of(&before),
        SettingChange::Set(changes) => {
            let wishes = changes.of(&before);
            Wishes {
                minimum: if wishes.minimum < before.minimum { before.minimum } else { wishes.minimum },
                scheme: wishes.scheme,
                locked: before.locked || wishes.locked,
                webhook: if before.webhook.is_some() { before.webhook } else { wishes.webhook },
            }
        }
    }
}

fn drawn(draw: &mut Draw) -> SettingChange {
    if draw.one_in(4) {
        return SettingChange::Cancel;
    }
    let minimums = [None, Some(atoms(150_000_000)), Some(atoms(600_000_000)), Some(atoms(MINIMUM_MAX))];
    let hooks = [None, hook("https://a.example/"), hook("http://b.example/")];
    let pick = |count: usize, draw: &mut Draw| usize::try_from(draw.below(count as u64)).expect("small");
    let told = |draw: &mut Draw| !draw.one_in(3);
    SettingChange::Set(WishChanges {
        minimum: told(draw).then(|| minimums[pick(4, draw)]),
        scheme: told(draw).then(|| [SchemeWish::Pool, SchemeWish::Pplns][pick(2, draw)]),
        locked: told(draw).then(|| draw.one_in(2)),
        webhook: told(draw).then(|| hooks[pick(3, draw)].clone()),
    })
}

#[test]
fn settings_come_to_what_a_slow_model_says_whatever_the_chain_does() {
    let owners = [owner(1), owner(2), owner(3)];
    let (mut waited, mut cancelled, mut refused) = (0, 0, 0);
    for seed in 900..=915 {
        let mut world = world_of(&owners.iter().collect::<Vec<_>>());
        if seed % 2 == 0 {
            world.set_scheme(super::direct::direct());
        }
        let mut draw = Draw::new(seed);
        let next = |history: &Vec<(u32, SettingChange)>| history.len() as u64 + 1;
        let mut histories = vec![Vec::new(); owners.len()];
        let mut heights = vec![Vec::new(); owners.len()];
        for step in 1..=150_u64 {
            let who = usize::try_from(draw.below(3)).expect("small");
            if draw.one_in(4) {
                let change = drawn(&mut draw);
                let tip = world.state.tip().expect("based").height.0;
                match world.try_append(setting(&owners[who], next(&histories[who]), change.clone())) {
                    Ok(_) => {
                        cancelled += u32::from(change == SettingChange::Cancel);
                        histories[who].push((tip, change));
                    }
                    Err(fault) => {
                        assert!(matches!(fault, Fault::Setting(SettingRefusal::NothingToCancel(_))), "{fault}");
                        refused += 1;
                    }
                }
            } else {
                world.share_of(LANE, owners[who].key_hash(), 3);
                happen(&mut world, &mut draw);
                world.settle();
                let tip = world.state.tip().expect("based").height.0;
                for (heights, history) in heights.iter_mut().zip(&histories) {
                    heights.push((history.len(), tip));
                }
            }
            for ((owner, history), heights) in owners.iter().zip(&histories).zip(&heights) {
                let expected = holds(history, heights, history.len());
                assert_eq!(current(&world, owner), expected, "seed {seed} step {step}");
                waited += u32::from(pending(&world, owner).is_some());
            }
        }
        let mut replayed = State::default();
        for event in &world.log {
            let bytes = event.to_bytes().expect("encodes");
            replayed.apply(&Event::from_bytes(&bytes).expect("decodes"), &world.shares).expect("taken before");
        }
        assert_eq!(replayed, world.state, "seed {seed}");
        assert_eq!(State::from_bytes(&world.state.to_bytes().expect("encodes")).expect("decodes"), world.state);
    }
    assert!(
        waited > 100 && cancelled > 10 && refused > 10,
        "{waited} waited, {cancelled} cancelled, {refused} refused"
    );
}

#[test]
fn a_replay_finds_a_setting_that_nobody_signed() {
    let miner = owner(1);
    let mut world = world_of(&[&miner]);
    world.append(setting(&miner, 1, SettingChange::all(minimum(500_000_000))));
    let forged = |event: &Event| match event {
        Event::Setting(setting) => match setting.as_ref() {
            SettingEvent::Signed(signed) => {
                let request = signed.request.replace("500000000", "100000000");
                Event::Setting(Box::new(SettingEvent::Signed(SignedSetting { request, ..signed.clone() })))
            }
            SettingEvent::Bounds(_) => event.clone(),
        },
        event => event.clone(),
    };
    let mut replayed = State::default();
    let replay: Result<Vec<_>, Fault> =
        world.log.iter().map(|event| replayed.apply(&forged(event), &world.shares)).collect();
    let text = address(miner.key_hash()).to_string();
    assert_eq!(replay, Err(Fault::Setting(SettingRefusal::Request(RequestError::Signature(text)))));
}

#[test]
fn an_account_is_paid_as_it_chose_while_that_is_offered() {
    let (miner, other) = (owner(1), owner(2));
    let mut world = world_of(&[&miner, &other]);
    let of = |world: &World| [&miner, &other].map(|owner| world.state.scheme_of(&owner.key_hash()));
    world.offer(Offer { solo: Some(FeeBasisPoints::new(75).expect("less than all")), ..Offer::default() });
    world.append(setting(&miner, 1, SettingChange::all(Wishes { scheme: SchemeWish::Solo, ..Wishes::default() })));
    assert_eq!(of(&world), [AccountScheme::Solo, AccountScheme::Pplns]);
    // What is usual holds for whoever said nothing, and for nobody else.
    let offer = world.state.offer();
    world.offer(Offer { usual: AccountScheme::Solo, ..offer });
    world.append(setting(&other, 1, SettingChange::all(Wishes { scheme: SchemeWish::Pplns, ..Wishes::default() })));
    assert_eq!(of(&world), [AccountScheme::Solo, AccountScheme::Pplns]);
    assert_eq!(world.state.scheme_of(&owner(3).key_hash()), AccountScheme::Solo);
    world.offer(Offer::default());
    assert_eq!(of(&world), [AccountScheme::Pplns; 2]);
}

use bq_request::Request;
use bq_signature::KeyPair;
use proptest::prelude::*;

use super::*;

const GENESIS: BlockId = BlockId([7; 32]);
const NOW: UnixMs = UnixMs(1_764_000_000_000);
const POLICY: RegistryPolicy = RegistryPolicy {
    mode: AuthMode::Address,
    signed_requests: true,
    request_window_ms: 600_000,
    tokens_max: 8,
    tokens_per_address_max: 3,
};

fn fresh(policy: RegistryPolicy) -> Registry {
    Registry::new(policy, Network::Devnet, GENESIS, TokenKey([9; 32]))
}

fn key(n: u8) -> KeyPair {
    KeyPair::from_seed(&[n; 32]).unwrap()
}

fn address(n: u8) -> Address {
    Address { network: Network::Devnet, key_hash: key(n).key_hash() }
}

fn wish(n: u8) -> TokenWish {
    TokenWish { address: address(n).to_string(), ..TokenWish::default() }
}

fn random(n: u8) -> [u8; 24] {
    [n; 24]
}

fn rig() -> WorkerName {
    WorkerName::new("rig").unwrap()
}

fn signed(n: u8, time: UnixMs, action: &Action) -> SignedRequest {
    let text = Request { genesis: GENESIS, address: address(n), time_ms: time.0, wish: action.to_string() }.to_string();
    let signature = key(n).sign(&bq_primitives::account_request_hash(&text)).unwrap();
    SignedRequest {
        request: text,
        public_key: hex::encode(key(n).public_key()),
        signature: hex::encode(signature.as_slice()),
    }
}

#[test]
fn with_tokens_nobody_else_gets_in() {
    let mut registry = fresh(RegistryPolicy { mode: AuthMode::Token, ..POLICY });
    let named = TokenWish { username: Some("alice".to_owned()), worker: Some("rig".to_owned()), ..wish(1) };
    let (token, _) = registry.make(NOW, &named, random(1)).unwrap();
    let (text, payee) = (token.to_string(), address(1).to_string());
    let mut admit = |name: &str, worker: &WorkerName, token: Option<&str>| registry.admit(NOW, name, worker, token);
    let entry = Entry { address: payee.clone(), token: Some(token.id) };
    assert_eq!(admit("alice", &rig(), Some(&text)), Ok(entry.clone()));
    assert_eq!(admit(&payee, &rig(), Some(&text)), Ok(entry));
    assert_eq!(admit("alice", &rig(), None), Err(LoginRefusal::TokenNeeded));
    assert_eq!(admit("alice", &WorkerName::default(), Some(&text)), Err(LoginRefusal::OtherWorker(rig())));
    assert_eq!(admit("bob", &rig(), Some(&text)), Err(LoginRefusal::OtherAccount));
    assert_eq!(admit(&address(2).to_string(), &rig(), Some(&text)), Err(LoginRefusal::OtherAccount));
    assert_eq!(admit("alice", &rig(), Some("bqt_12")), Err(LoginRefusal::NotAToken));
    let mut guess = random(1);
    guess[23] ^= 1;
    let guess = Token::new(guess).to_string();
    assert_eq!(admit("alice", &rig(), Some(&guess)), Err(LoginRefusal::UnknownToken));
    registry.revoke(token.id).unwrap();
    assert_eq!(registry.admit(NOW, "alice", &rig(), Some(&text)), Err(LoginRefusal::UnknownToken));
}

#[test]
fn a_username_is_one_addresss_as_long_as_a_token_has_it() {
    let mut registry = fresh(POLICY);
    let alice = |n| TokenWish { username: Some("alice".to_owned()), ..wish(n) };
    let (first, _) = registry.make(NOW, &alice(1), random(1)).unwrap();
    let (second, _) = registry.make(NOW, &alice(1), random(2)).unwrap();
    let taken = AccessError::UsernameTaken("alice".to_owned());
    assert_eq!(registry.make(NOW, &alice(2), random(3)).unwrap_err(), taken);
    registry.revoke(first.id).unwrap();
    assert_eq!(registry.make(NOW, &alice(2), random(3)).unwrap_err(), taken);
    registry.revoke(second.id).unwrap();
    registry.make(NOW, &alice(2), random(3)).unwrap();
    for name in ["", "a b", "a.b", &address(1).to_string()] {
        let wish = TokenWish { username: Some(name.to_owned()), ..wish(3) };
        assert_eq!(registry.make(NOW, &wish, random(4)).unwrap_err(), AccessError::Username, "{name}");
    }
}

#[test]
fn an_owner_locks_his_address_by_signature() {
    let mut registry = fresh(POLICY);
    let at = |ms| UnixMs(NOW.0 + ms);
    let name = address(1).to_string();
    let lock = signed(1, at(0), &Action::Lock);
    assert_eq!(registry.carry_out(NOW, &lock, random(0)).unwrap_err(), AccessError::NoTokenYet);
    let made = registry.carry_out(NOW, &signed(1, at(1), &Action::Token(None)), random(1)).unwrap();
    let Done::Token(token, record) = made else { panic!("{made:?}") };
    assert_eq!(record.made_by, MadeBy::Owner);
    assert!(registry.admit(NOW, &name, &rig(), None).is_ok());
    registry.carry_out(NOW, &signed(1, at(2), &Action::Lock), random(0)).unwrap();
    assert_eq!(registry.admit(NOW, &name, &rig(), None), Err(LoginRefusal::Locked));
    assert!(registry.admit(NOW, &name, &rig(), Some(&token.to_string())).is_ok());
    assert!(registry.admit(NOW, &address(2).to_string(), &rig(), None).is_ok(), "others are as they were");
    let stranger = registry.carry_out(NOW, &signed(2, at(3), &Action::Revoke(token.id)), random(0));
    assert_eq!(stranger.unwrap_err(), AccessError::NoSuchToken(token.id.to_string()), "not his");
    registry.carry_out(NOW, &signed(1, at(4), &Action::Unlock), random(0)).unwrap();
    assert!(registry.admit(NOW, &name, &rig(), None).is_ok());
}

#[test]
fn a_request_counts_once_and_only_for_a_while() {
    let mut registry = fresh(POLICY);
    let request = signed(1, NOW, &Action::Token(None));
    for now in [UnixMs(NOW.0 - 600_001), UnixMs(NOW.0 + 600_001)] {
        assert!(matches!(registry.carry_out(now, &request, random(1)), Err(AccessError::Time { .. })));
    }
    let made = registry.carry_out(NOW, &request, random(1)).unwrap();
    let Done::Token(token, _) = made else { panic!("{made:?}") };
    registry.carry_out(NOW, &signed(1, UnixMs(NOW.0 + 1), &Action::Revoke(token.id)), random(0)).unwrap();
    let mut restarted = fresh(POLICY);
    restarted.restore(&registry.to_text()).unwrap();
    for registry in [&mut registry, &mut restarted] {
        let again = registry.carry_out(UnixMs(NOW.0 + 2), &request, random(2));
        assert!(matches!(again, Err(AccessError::Time { .. })), "also after a restart");
    }
    let mut off = fresh(RegistryPolicy { signed_requests: false, ..POLICY });
    assert_eq!(off.carry_out(NOW, &request, random(1)).unwrap_err(), AccessError::Off);
}

#[test]
fn whoever_makes_keys_by_the_dozen_keeps_nobody_out() {
    let mut registry = fresh(POLICY);
    let (of_operator, _) = registry.make(NOW, &wish(1), random(1)).unwrap();
    let used = registry.carry_out(NOW, &signed(2, NOW, &Action::Token(None)), random(2)).unwrap();
    let Done::Token(used, _) = used else { panic!("{used:?}") };
    registry.admit(NOW, &address(2).to_string(), &rig(), Some(&used.to_string())).unwrap();
    for n in 10..30 {
        let at = UnixMs(NOW.0 + u64::from(n));
        let made = registry.carry_out(at, &signed(n, at, &Action::Token(None)), random(n));
        assert!(made.is_ok() || made.as_ref().unwrap_err() == &AccessError::Full, "{made:?}");
        assert!(registry.tokens.len() <= 8 && registry.owners.len() <= 16);
    }
    assert!(registry.tokens.contains_key(&of_operator.id) && registry.tokens.contains_key(&used.id));
    let later = UnixMs(NOW.0 + 1_300_000);
    registry.carry_out(later, &signed(3, later, &Action::Token(None)), random(3)).unwrap();
    for n in 0..3 {
        let made = registry.make(later, &wish(4), random(40 + n));
        assert_eq!(made.is_ok(), n < 3);
    }
    assert_eq!(registry.make(later, &wish(4), random(50)).unwrap_err(), AccessError::TooManyTokens(3));
}

#[test]
fn what_is_written_is_read_and_a_torn_file_is_an_error() {
    let mut before = fresh(POLICY);
    let named = TokenWish { username: Some("alice".to_owned()), worker: Some("rig".to_owned()), ..wish(1) };
    let (token, _) = before.make(NOW, &named, random(1)).unwrap();
    assert_eq!(before.uses(), None);
    before.admit(NOW, "alice", &rig(), Some(&token.to_string())).unwrap();
    let text = before.uses().unwrap();
    let mut after = fresh(POLICY);
    after.restore(&text).unwrap();
    assert_eq!(after.to_text(), text);
    assert!(after.admit(NOW, "alice", &rig(), Some(&token.to_string())).is_ok());
    for (bad, line) in [(text[20..].to_owned(), 1), (text.replace(" open", " opened"), 3), (format!("{text}x\n"), 4)] {
        assert_eq!(fresh(POLICY).restore(&bad), Err(line), "{bad}");
    }
    let cut = &text[..text.len() - 8];
    assert_eq!(fresh(POLICY).restore(cut), Err(3));
}

proptest! {
    /// Whatever is asked with whatever password, only a token that was made and not taken back opens.
    #[test]
    fn no_text_but_a_token_opens(password in "(bqt_)?[0-9a-f]{0,50}|.{0,60}") {
        let mut registry = fresh(RegistryPolicy { mode: AuthMode::Token, ..POLICY });
        let (token, _) = registry.make(NOW, &wish(1), random(1)).unwrap();
        prop_assume!(password != token.to_string());
        prop_assert!(registry.admit(NOW, &address(1).to_string(), &rig(), Some(&password)).is_err());
    }
}

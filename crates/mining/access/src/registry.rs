use std::collections::BTreeMap;

use bq_mining_message::{AccessError, SignedRequest, TokenWish};
use bq_primitives::{Address, BlockId, KeyHash, Network, WorkerName};
use bq_share::UnixMs;

use crate::{
    AccessRequest, Action, MadeBy, ParseRecordError, Record, Token, TokenId, TokenKey, UnverifiedRequest, Username,
};

/// Tokens, and addresses that only those open (SPEC 11.11).
#[derive(Clone, Debug)]
pub struct Registry {
    policy: RegistryPolicy,
    network: Network,
    genesis: BlockId,
    key: TokenKey,
    tokens: BTreeMap<TokenId, Record>,
    usernames: BTreeMap<Username, Address>,
    owners: BTreeMap<KeyHash, Owner>,
    /// Somebody logged in with a token since [`Registry::uses`] was asked.
    was_used: bool,
}

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryPolicy {
    /// Who may mine.
    pub mode: AuthMode,
    /// Owners may ask by signature.
    pub signed_requests: bool,
    /// A signed request may be this many milliseconds old, or ahead of our clock.
    pub request_window_ms: u64,
    /// Tokens in all. When there are more, one goes that an owner made and never used.
    pub tokens_max: usize,
    /// Tokens of one address.
    pub tokens_per_address_max: usize,
}

/// Who may mine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Whoever names an address: mining to somebody's address only helps him.
    #[default]
    Address,
    /// Whoever has a token.
    Token,
}

/// A login that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address, as the miner wrote it or as its token says; whether it is one the pool has to say.
    pub address: String,
    /// The token that opened.
    pub token: Option<TokenId>,
}

/// A login that may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// No token where one is needed.
    #[error(
        "this pool wants a worker token as password, bqt_...: its operator makes one, or the address's key (bq wallet request)"
    )]
    TokenNeeded,
    /// No token, and the address's owner locked it.
    #[error("the owner of this address locked it: the password must be one of its worker tokens")]
    Locked,
    /// It starts as a token does and is none.
    #[error("the password is no worker token: bqt_ and 48 hex digits")]
    NotAToken,
    /// Never made, or taken back.
    #[error("this worker token is unknown or was taken back")]
    UnknownToken,
    /// The token is good, but not for this login.
    #[error("this worker token is for another account")]
    OtherAccount,
    /// The token is good, but not for this machine.
    #[error("this worker token is for the worker {0} only")]
    OtherWorker(WorkerName),
}

/// What is kept of who signs.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    /// The time of the last request that was carried out: none that is not later counts.
    last_request: UnixMs,
    locked: bool,
    tokens: usize,
}

/// What became of a signed request.
#[derive(Clone, Debug)]
pub enum Done {
    /// A token was made; its text is not kept.
    Token(Token, Record),
    /// It opens nothing any more.
    Revoked(TokenId),
    /// Sessions of this key without a token have to end.
    Locked(KeyHash),
    /// Anyone may mine to the address again.
    Unlocked,
    /// What the address has.
    Tokens(Vec<Record>),
}

const FIRST_LINE: &str = "bq access 1";

impl Registry {
    /// Nobody has a token.
    #[must_use]
    pub const fn new(policy: RegistryPolicy, network: Network, genesis: BlockId, key: TokenKey) -> Self {
        Self {
            policy,
            network,
            genesis,
            key,
            tokens: BTreeMap::new(),
            usernames: BTreeMap::new(),
            owners: BTreeMap::new(),
            was_used: false,
        }
    }

    /// Whether a miner may log in, before the pool is asked about the address.
    ///
    /// # Errors
    /// Why not, in words for the miner.
    pub fn admit(
        &mut self,
        now: UnixMs,
        username: &str,
        worker: &WorkerName,
        token: Option<&str>,
    ) -> Result<Entry, LoginRefusal> {
        if let Some(text) = token {
            return self.open(now, username, worker, text);
        }
        if self.policy.mode == AuthMode::Token {
            return Err(LoginRefusal::TokenNeeded);
        }
        let is_locked = Address::parse(username, self.network).is_ok_and(|address| self.is_locked(address.key_hash));
        if is_locked { Err(LoginRefusal::Locked) } else { Ok(Entry { address: username.to_owned(), token: None }) }
    }

    fn open(&mut self, now: UnixMs, username: &str, worker: &WorkerName, text: &str) -> Result<Entry, LoginRefusal> {
        let token: Token = text.parse().map_err(|_| LoginRefusal::NotAToken)?;
        let digest = token.digest(&self.key);
        let known = self.tokens.get_mut(&token.id).filter(|record| record.digest.equals(&digest));
        let record = known.ok_or(LoginRefusal::UnknownToken)?;
        let address = record.address.to_string();
        let is_address = Address::parse(username, self.network).is_ok_and(|named| named == record.address);
        if !is_address && record.username.as_ref().is_none_or(|name| name.as_str() != username) {
            return Err(LoginRefusal::OtherAccount);
        }
        if let Some(only) = record.worker.as_ref().filter(|only| *only != worker) {
            return Err(LoginRefusal::OtherWorker(only.clone()));
        }
        record.used = Some(now);
        self.was_used = true;
        Ok(Entry { address, token: Some(token.id) })
    }

    /// Whether who was let in before, by this token or by none, would be let in again.
    #[must_use]
    pub fn still_admits(&self, key: KeyHash, token: Option<TokenId>) -> bool {
        match token {
            Some(id) => self.tokens.contains_key(&id),
            None => self.policy.mode != AuthMode::Token && !self.is_locked(key),
        }
    }

    /// Only tokens open this key's address.
    #[must_use]
    pub fn is_locked(&self, key: KeyHash) -> bool {
        self.owners.get(&key).is_some_and(|owner| owner.locked)
    }

    /// Every token, by id.
    pub fn tokens(&self) -> impl Iterator<Item = &Record> {
        self.tokens.values()
    }

    /// Makes a token because the operator says so.
    ///
    /// # Errors
    /// What is wrong with the wish, or there are as many as may be.
    pub fn make(&mut self, now: UnixMs, wish: &TokenWish, random: [u8; 24]) -> Result<(Token, Record), AccessError> {
        let address = Address::parse(&wish.address, self.network);
        let address = address.map_err(|error| AccessError::Address(error.to_string()))?;
        let name = |text: &String| Username::new(text).ok_or(AccessError::Username);
        let username = wish.username.as_ref().map(name).transpose()?;
        if let Some(name) = username.as_ref().filter(|name| self.usernames.get(name).is_some_and(|of| *of != address)) {
            return Err(AccessError::UsernameTaken(name.as_str().to_owned()));
        }
        let worker = wish.worker.as_ref().map(|text| WorkerName::new(text).map_err(|_| AccessError::Worker));
        self.enter(now, (address, username, worker.transpose()?), MadeBy::Operator, random)
    }

    fn enter(
        &mut self,
        now: UnixMs,
        (address, username, worker): (Address, Option<Username>, Option<WorkerName>),
        made_by: MadeBy,
        random: [u8; 24],
    ) -> Result<(Token, Record), AccessError> {
        let most = self.policy.tokens_per_address_max;
        if self.owners.get(&address.key_hash).is_some_and(|owner| owner.tokens >= most) {
            return Err(AccessError::TooManyTokens(most));
        }
        self.make_room(now)?;
        let mut token = Token::new(random);
        while self.tokens.contains_key(&token.id) {
            token.id = TokenId(token.id.0.wrapping_add(1));
        }
        let digest = token.digest(&self.key);
        let record = Record { id: token.id, digest, address, username, worker, made_by, made: now, used: None };
        self.put(record.clone());
        Ok((token, record))
    }

    fn put(&mut self, record: Record) {
        if let Some(name) = &record.username {
            self.usernames.insert(name.clone(), record.address);
        }
        let owner = self.owners.entry(record.address.key_hash).or_default();
        owner.tokens = owner.tokens.saturating_add(1);
        self.tokens.insert(record.id, record);
    }

    /// A token that its owner made and never used gives way: whoever makes keys by the thousand keeps nobody out.
    fn make_room(&mut self, now: UnixMs) -> Result<(), AccessError> {
        if self.tokens.len() >= self.policy.tokens_max {
            let unused = |record: &&Record| record.made_by == MadeBy::Owner && record.used.is_none();
            let oldest = self.tokens.values().filter(unused).min_by_key(|record| record.made).map(|record| record.id);
            self.take(oldest.ok_or(AccessError::Full)?);
        }
        let window_ms = self.policy.request_window_ms;
        self.owners.retain(|_, owner| {
            owner.tokens > 0 || owner.locked || now.ms_since(owner.last_request) <= window_ms.saturating_mul(2)
        });
        let owners_max = self.policy.tokens_max.saturating_mul(2);
        if self.owners.len() >= owners_max { Err(AccessError::Full) } else { Ok(()) }
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// [`AccessError::NoSuchToken`].
    pub fn revoke(&mut self, id: TokenId) -> Result<(), AccessError> {
        if self.take(id) { Ok(()) } else { Err(AccessError::NoSuchToken(id.to_string())) }
    }

    fn take(&mut self, id: TokenId) -> bool {
        let Some(record) = self.tokens.remove(&id) else { return false };
        if let Some(owner) = self.owners.get_mut(&record.address.key_hash) {
            owner.tokens = owner.tokens.saturating_sub(1);
        }
        if let Some(name) = record.username
            && !self.tokens.values().any(|other| other.username.as_ref() == Some(&name))
        {
            self.usernames.remove(&name);
        }
        true
    }

    /// Carries out what an owner signed.
    ///
    /// # Errors
    /// Nothing changed then.
    pub fn carry_out(&mut self, now: UnixMs, signed: &SignedRequest, random: [u8; 24]) -> Result<Done, AccessError> {
        let request = self.read(now, signed)?.verified()?;
        self.carry_out_verified(now, request, random)
    }

    /// Reads what somebody signed, and refuses all that can be refused without its signature: costs next to nothing.
    ///
    /// # Errors
    /// Why it would not be carried out now.
    pub fn read(&self, now: UnixMs, signed: &SignedRequest) -> Result<UnverifiedRequest, AccessError> {
        if !self.policy.signed_requests {
            return Err(AccessError::Off);
        }
        let request = UnverifiedRequest::read(signed, self.network, self.genesis)?;
        self.check_time(now, request.key(), request.time())?;
        Ok(request)
    }

    /// This key has a token, or had one a moment ago.
    #[must_use]
    pub fn knows(&self, key: KeyHash) -> bool {
        self.owners.contains_key(&key)
    }

    /// Carries out what an owner signed and [`UnverifiedRequest::verified`] looked at.
    ///
    /// # Errors
    /// Nothing changed then.
    pub fn carry_out_verified(
        &mut self,
        now: UnixMs,
        AccessRequest { address, time, action }: AccessRequest,
        random: [u8; 24],
    ) -> Result<Done, AccessError> {
        let key = address.key_hash;
        self.check_time(now, key, time)?;
        let done = match action {
            Action::Token(worker) => {
                let (token, record) = self.enter(now, (address, None, worker), MadeBy::Owner, random)?;
                Done::Token(token, record)
            }
            Action::Revoke(id) => {
                let is_own = self.tokens.get(&id).is_some_and(|record| record.address == address);
                if !is_own || !self.take(id) {
                    return Err(AccessError::NoSuchToken(id.to_string()));
                }
                Done::Revoked(id)
            }
            Action::Lock => {
                let owner = self.owners.get_mut(&key).filter(|owner| owner.tokens > 0);
                owner.ok_or(AccessError::NoTokenYet)?.locked = true;
                Done::Locked(key)
            }
            Action::Unlock => {
                if let Some(owner) = self.owners.get_mut(&key) {
                    owner.locked = false;
                }
                Done::Unlocked
            }
            Action::Tokens => {
                Done::Tokens(self.tokens.values().filter(|record| record.address == address).cloned().collect())
            }
        };
        // Who has no token and took none back changed nothing that a second time would change.
        if let Some(owner) = self.owners.get_mut(&key) {
            owner.last_request = time;
        }
        Ok(done)
    }

    fn check_time(&self, now: UnixMs, key: KeyHash, time: UnixMs) -> Result<(), AccessError> {
        let window_ms = self.policy.request_window_ms;
        let apart_ms = now.ms_since(time).max(time.ms_since(now));
        let is_new = self.owners.get(&key).is_none_or(|owner| owner.last_request < time);
        if apart_ms <= window_ms && is_new {
            return Ok(());
        }
        Err(AccessError::Time { time: time.0, now: now.0, window_secs: window_ms / 1000 })
    }

    /// Everything but the key, one line each.
    #[must_use]
    pub fn to_text(&self) -> String {
        let owners = self.owners.iter().map(|(key, owner)| {
            format!("owner {key} {} {}\n", owner.last_request.0, if owner.locked { "locked" } else { "open" })
        });
        let tokens = self.tokens.values().map(|record| format!("{record}\n"));
        std::iter::once(format!("{FIRST_LINE}\n")).chain(tokens).chain(owners).collect()
    }

    /// What to write down because somebody logged in with a token; nothing if nobody did since the last time.
    pub fn uses(&mut self) -> Option<String> {
        std::mem::take(&mut self.was_used).then(|| self.to_text())
    }

    /// Takes in what [`Registry::to_text`] wrote.
    ///
    /// # Errors
    /// The number of the first line that cannot be read, from 1: whom a lock keeps out must not depend on a torn file.
    pub fn restore(&mut self, text: &str) -> Result<(), usize> {
        let mut lines = (1_usize..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(1);
        }
        for (number, line) in lines {
            if self.restore_line(line).is_err() {
                return Err(number);
            }
        }
        Ok(())
    }

    fn restore_line(&mut self, line: &str) -> Result<(), ParseRecordError> {
        let words: Vec<_> = line.split(' ').collect();
        if let ["owner", key, last_request, lock] = *words.as_slice() {
            let locked = match lock {
                "locked" => true,
                "open" => false,
                _ => return Err(ParseRecordError),
            };
            let owner = self.owners.entry(key.parse().map_err(|_| ParseRecordError)?).or_default();
            owner.last_request = UnixMs(last_request.parse().map_err(|_| ParseRecordError)?);
            owner.locked = locked;
            return Ok(());
        }
        let record: Record = line.parse()?;
        if record.address.network == self.network {
            self.put(record);
            Ok(())
        } else {
            Err(ParseRecordError)
        }
    }
}

#[cfg(test)]
mod tests;

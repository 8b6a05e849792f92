//! What pages and operators ask and decide.

use std::net::IpAddr;

use bq_access::{Admittance, Done, Record, TokenId, Username, Who};
use bq_mining_message::{
    AccessApi, AccessError, BanInfo, NewToken, RequestDone, SessionInfo, SettingsTaken, SignedRequest, TokenInfo,
    TokenWish, WhyInfo,
};
use bq_primitives::{Address, KeyHash};
use bq_share::{Ban, Peer};

use super::{Access, Login};
use crate::kept_files;

/// Ten years.
const BAN_SECS_MAX: u64 = 315_360_000;

impl AccessApi for Access {
    fn bans(&self) -> Vec<BanInfo> {
        self.bans.lock().list(self.now()).map(|ban| ban_info(&ban)).collect()
    }

    fn ban(&self, peer: &str, secs: u64) -> Result<BanInfo, AccessError> {
        let peer = read_peer(peer)?;
        if !(1..=BAN_SECS_MAX).contains(&secs) {
            return Err(AccessError::BanSpan);
        }
        self.bans.lock().ban(self.now(), peer, secs.saturating_mul(1000));
        self.save_bans()?;
        self.end_peer(peer);
        tracing::warn!(%peer, secs, "banned by the operator");
        self.ban_of(Some(peer)).as_ref().map(ban_info).ok_or_else(|| AccessError::Peer(peer.to_string()))
    }

    fn lift_ban(&self, peer: &str) -> Result<bool, AccessError> {
        let peer = read_peer(peer)?;
        let was_banned = self.bans.lock().lift(self.now(), peer);
        self.save_bans()?;
        tracing::info!(%peer, was_banned, "ban lifted by the operator");
        Ok(was_banned)
    }

    fn tokens(&self) -> Vec<TokenInfo> {
        self.registry.lock().tokens().map(token_info).collect()
    }

    fn make_token(&self, wish: &TokenWish) -> Result<NewToken, AccessError> {
        let random = self.random();
        let (token, record) = self.change(|registry| registry.make(self.now(), wish, random))?;
        tracing::info!(id = %token.id, address = %record.address, "worker token made by the operator");
        Ok(NewToken { token: token.to_string(), info: token_info(&record) })
    }

    fn revoke_token(&self, id: &str) -> Result<usize, AccessError> {
        let id: TokenId = id.parse().map_err(|_| AccessError::NoSuchToken(id.to_owned()))?;
        self.change(|registry| registry.revoke(id))?;
        Ok(self.end_token(id))
    }

    fn sessions(&self, address: Option<&str>, limit: usize) -> Vec<SessionInfo> {
        let payee = match address.map(|text| Address::parse(text, self.network)) {
            None => None,
            Some(Ok(address)) => Some(address.key_hash),
            Some(Err(_)) => return Vec::new(),
        };
        self.sessions.lock().list(self.network, payee, limit)
    }

    fn why(&self, address: &str, asker: Option<IpAddr>) -> WhyInfo {
        let who = Who::of_login(address, self.network);
        let is_locked = |key| self.registry.lock().is_locked(key) || self.pool.is_locked(key);
        let locked = matches!(&who, Some(Who::Key(key)) if is_locked(*key));
        let peer = asker.map(Peer::of);
        let refusals = who.map(|who| self.refusals.lock().of(self.now(), &who, peer)).unwrap_or_default();
        let held_off = asker.filter(|asker| self.admittance(*asker) != Admittance::Allowed);
        let your_ban = self.ban_of(held_off.map(Peer::of)).as_ref().map(ban_info);
        WhyInfo { address: address.to_owned(), locked, refusals, your_ban }
    }

    fn carry_out(&self, asker: Option<IpAddr>, request: &SignedRequest) -> Result<RequestDone, AccessError> {
        if let Some(taken) = self.pool.change_settings(request, &|key| self.may_verify(asker, key)) {
            return self.settle_lock(taken?);
        }
        // Nobody who logs in waits for a signature, and nothing is copied for one that is wrong.
        let unverified = self.registry.lock().read(self.now(), request)?;
        if !self.may_verify(asker, unverified.key()) {
            return Err(AccessError::TooFast);
        }
        let verified = unverified.verified()?;
        let random = self.random();
        match self.change(|registry| registry.carry_out_verified(self.now(), verified, random))? {
            Done::Token(token, record) => {
                Ok(RequestDone::Token(NewToken { token: token.to_string(), info: token_info(&record) }))
            }
            Done::Revoked(id) => Ok(RequestDone::Revoked { sessions: self.end_token(id) }),
            Done::Locked(key) => {
                let sessions = self.end_logins(|login| login.payee == key && login.token.is_none());
                Ok(RequestDone::Locked { sessions })
            }
            Done::Unlocked => Ok(RequestDone::Unlocked),
            Done::Tokens(records) => Ok(RequestDone::Tokens { tokens: records.iter().map(token_info).collect() }),
        }
    }
}

impl Access {
    /// Whether one more signature is verified for who asks in the name of a key, which is counted then.
    ///
    /// Counted for the account and the address together. For the address alone, a stranger behind the same one, or behind the same proxy, would use up
    /// what keeps an owner from cancelling what a thief set. For the account alone, anybody anywhere would who has its public key, which is no secret.
    /// So the two must meet: the owner's address and the owner's key. Keys that nobody here knows cost nothing to make, so those of one address are counted
    /// as one. What all of them together cost is bounded by who calls: one at a time, in turn by address.
    fn may_verify(&self, asker: Option<IpAddr>, key: KeyHash) -> bool {
        let Some(asker) = asker else { return true };
        let is_known = self.pool.has_account(key) || self.registry.lock().knows(key);
        self.requests.lock().allow(self.now(), (Peer::of(asker), is_known.then_some(key)))
    }

    /// A change counts once it is on disk: what cannot be written is taken back.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut bq_access::Registry) -> Result<T, AccessError>,
    ) -> Result<T, AccessError> {
        let file = self.registry_file.lock();
        let mut changed = self.registry.lock().clone();
        let done = change(&mut changed)?;
        if let Some(path) = file.as_ref() {
            kept_files::save(path, &changed.to_text()).map_err(|error| AccessError::Disk(error.to_string()))?;
        }
        *self.registry.lock() = changed;
        Ok(done)
    }

    /// Writes bans and records if they changed. Held from the look to the end: two who write at once would spoil each other's draft, or leave what is
    /// older.
    pub(super) fn save_bans(&self) -> Result<(), AccessError> {
        let file = self.bans_file.lock();
        let Some(path) = file.as_ref() else { return Ok(()) };
        let text = self.bans.lock().changes(self.now());
        let saved = text.map(|text| kept_files::save(path, &text)).transpose();
        saved.map(drop).map_err(|error| AccessError::Disk(error.to_string()))
    }

    /// A lock ends the logins that it would not let in.
    fn settle_lock(&self, taken: SettingsTaken) -> Result<RequestDone, AccessError> {
        if taken.locked {
            let address = Address::parse(&taken.address, self.network);
            let key = address.map_err(|error| AccessError::Address(error.to_string()))?.key_hash;
            let sessions = self.end_logins(|login| login.payee == key && login.token.is_none());
            tracing::info!(address = taken.address, sessions, "locked by a setting");
        }
        Ok(RequestDone::Settings(taken))
    }

    fn end_token(&self, id: TokenId) -> usize {
        let sessions = self.end_logins(|login| login.token == Some(id));
        tracing::info!(%id, sessions, "worker token taken back");
        sessions
    }

    /// Their connections end what they let in, and go on with the rest.
    fn end_logins(&self, is_meant: impl Fn(&Login) -> bool) -> usize {
        let (count, seats) = self.sessions.lock().take_back(is_meant);
        for seat in seats {
            seat.call();
        }
        count
    }
}

fn read_peer(text: &str) -> Result<Peer, AccessError> {
    text.parse().map_err(|_| AccessError::Peer(text.to_owned()))
}

fn ban_info(ban: &Ban) -> BanInfo {
    BanInfo {
        peer: ban.peer.to_string(),
        reason: ban.reason.name().to_owned(),
        since: ban.since.timestamp().0,
        until: ban.until.timestamp().0,
        bans: ban.bans,
    }
}

fn token_info(record: &Record) -> TokenInfo {
    TokenInfo {
        id: record.id.to_string(),
        address: record.address.to_string(),
        username: record.username.as_ref().map(|name| Username::as_str(name).to_owned()),
        worker: record.worker.as_ref().map(ToString::to_string),
        made_by: record.made_by.name().to_owned(),
        made: record.made.timestamp().0,
        used: record.used.map(|used| used.timestamp().0),
    }
}

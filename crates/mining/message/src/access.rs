use std::net::IpAddr;

use bq_request::{RequestError, SignedRequest};
use serde::{Deserialize, Serialize};

/// What every worker token begins with.
pub const TOKEN_PREFIX: &str = "bqt_";

/// Who may mine here and why somebody could not (SPEC 11.11): what pages, `bq bans` and `bq pool` ask of the Stratum server. Times are
/// seconds since 1970. Changes are on disk before a call returns; it may block on that.
pub trait AccessApi: Send + Sync + 'static {
    /// Peers that may not connect now.
    fn bans(&self) -> Vec<BanInfo>;

    /// Bans a peer, which its connections feel as well.
    ///
    /// # Errors
    /// [`AccessError::Peer`], [`AccessError::BanSpan`], [`AccessError::Disk`].
    fn ban(&self, peer: &str, secs: u64) -> Result<BanInfo, AccessError>;

    /// Ends a ban and forgets what led to it; false if there was none.
    ///
    /// # Errors
    /// [`AccessError::Peer`], [`AccessError::Disk`].
    fn lift_ban(&self, peer: &str) -> Result<bool, AccessError>;

    /// Every token, without its secret.
    fn tokens(&self) -> Vec<TokenInfo>;

    /// Makes a token; its text is shown this once.
    ///
    /// # Errors
    /// What is wrong with the wish, or there are as many as may be.
    fn make_token(&self, wish: &TokenWish) -> Result<NewToken, AccessError>;

    /// Takes a token back and ends the sessions that it opened; how many those were.
    ///
    /// # Errors
    /// [`AccessError::NoSuchToken`], [`AccessError::Disk`].
    fn revoke_token(&self, id: &str) -> Result<usize, AccessError>;

    /// Who is logged in: all, or those of one address, up to `limit`.
    fn sessions(&self, address: Option<&str>, limit: usize) -> Vec<SessionInfo>;

    /// Why logins and shares of an address failed in the last hour, and whether `asker` may connect at all. Cheap.
    fn why(&self, address: &str, asker: Option<IpAddr>) -> WhyInfo;

    /// Carries out what the owner of an address signed. What `asker` has verified is counted; what is refused without that is not.
    ///
    /// # Errors
    /// The text, the signature or the moment is wrong, or what [`AccessApi::make_token`] and [`AccessApi::revoke_token`] say.
    fn carry_out(&self, asker: Option<IpAddr>, request: &SignedRequest) -> Result<RequestDone, AccessError>;
}

/// A peer that may not connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanInfo {
    /// An address, or an IPv6 prefix of 56 bits.
    pub peer: String,
    /// `forged_shares`, `misbehaved` or `operator`.
    pub reason: String,
    /// When it began.
    pub since: u64,
    /// When it ends.
    pub until: u64,
    /// Which ban of this peer it is.
    pub bans: u32,
}

/// A token that somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenWish {
    /// Whom shares pay.
    pub address: String,
    /// What its miners may write instead of the address.
    pub username: Option<String>,
    /// The only machine that it is for.
    pub worker: Option<String>,
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its name: the first half of its text.
    pub id: String,
    /// Whom its shares pay.
    pub address: String,
    /// What its miners may write instead of the address.
    pub username: Option<String>,
    /// The only machine that it is for.
    pub worker: Option<String>,
    /// `operator`, or `owner` of the address by signature.
    pub made_by: String,
    /// When.
    pub made: u64,
    /// When somebody logged in with it last; nothing: never.
    pub used: Option<u64>,
}

/// A token just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// What a miner writes as its password. It is kept nowhere.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// A machine that is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The session, as its dialect names it to the miner.
    pub id: String,
    /// Its port's.
    pub algorithm: String,
    /// Whom it pays.
    pub address: String,
    /// The machine.
    pub worker: String,
    /// Where it connects from; nothing if that address is trusted and not counted.
    pub peer: Option<String>,
    /// When it was let in.
    pub authorised: u64,
    /// The token that let it in, if it was one.
    pub token: Option<String>,
}

/// Why logins and shares of an address failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyInfo {
    /// As it was asked for.
    pub address: String,
    /// Only its tokens may mine to it.
    pub locked: bool,
    /// What was refused, the newest first.
    pub refusals: Vec<RefusalInfo>,
    /// Why the asker's own network address may not connect, if it may not.
    pub your_ban: Option<BanInfo>,
}

/// What was refused, as often as the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalInfo {
    /// `login`, `share` or `connection`.
    pub what: String,
    /// Its port's.
    pub algorithm: String,
    /// The machine; nothing if its name could not be read.
    pub worker: Option<String>,
    /// In the words that the miner was told.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// What became of a signed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "done")]
pub enum RequestDone {
    /// A token was made.
    Token(NewToken),
    /// A token was taken back.
    Revoked {
        /// Sessions that ended with it.
        sessions: usize,
    },
    /// From now on only the address's tokens may mine to it.
    Locked {
        /// Sessions without one that ended.
        sessions: usize,
    },
    /// Anyone may mine to the address again.
    Unlocked,
    /// What its owner wants for an account is in the pool's books.
    Settings(SettingsTaken),
    /// The address's tokens.
    Tokens {
        /// All of them.
        tokens: Vec<TokenInfo>,
    },
}

/// A setting that was taken (SPEC 8.11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsTaken {
    /// The account's address.
    pub address: String,
    /// The number that the setting had.
    pub number: u64,
    /// Only worker tokens open the address.
    pub locked: bool,
    /// Height from which on all of it holds; nothing if it does at once, or was a cancellation.
    pub pending_from: Option<u32>,
}

/// Why something about access was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Neither an address nor an IPv6 prefix.
    #[error("{0:?} is no network address")]
    Peer(String),
    /// A ban that ends at once, or lasts for longer than a program is run.
    #[error("a ban lasts for 1 second to ten years")]
    BanSpan,
    /// Not an address of this network.
    #[error("address: {0}")]
    Address(String),
    /// No such name.
    #[error("username is 1 to 64 letters and digits, and is not an address")]
    Username,
    /// Another address has it.
    #[error("username {0:?} is taken by another address")]
    UsernameTaken(String),
    /// No such name.
    #[error("worker is 1 to 64 of A-Z a-z 0-9 . _ -")]
    Worker,
    /// Never made, or taken back.
    #[error("there is no token {0:?}")]
    NoSuchToken(String),
    /// The address has as many as may be.
    #[error("an address may have {0} tokens: take one back first")]
    TooManyTokens(usize),
    /// The server has as many as may be.
    #[error("this pool has as many tokens as it keeps: ask its operator")]
    Full,
    /// Owners cannot ask by signature here.
    #[error("signed requests are off: ask the pool's operator")]
    Off,
    /// The request cannot be read.
    #[error("request: {0}")]
    Request(&'static str),
    /// The request is longer than any.
    #[error("request: it is longer than any, {0} bytes")]
    Oversized(usize),
    /// The request is for another network, or another chain of this one.
    #[error("request: it is for another chain")]
    OtherChain,
    /// It is not signed by the address's key.
    #[error("the signature is not by the key of {0}")]
    Signature(String),
    /// Too old, from the future, or seen before.
    #[error("time {time} is not within {window_secs} s of {now}, or not after the last request of this address")]
    Time {
        /// The request's, in milliseconds.
        time: u64,
        /// Ours.
        now: u64,
        /// How far apart they may be.
        window_secs: u64,
    },
    /// One more than the asker's rate allows.
    #[error("too many requests: try again in a moment")]
    TooFast,
    /// A lock without a token would keep out its owner as well.
    #[error("make a token first: a locked address lets in nobody else")]
    NoTokenYet,
    /// A setting of an account was refused (SPEC 8.11.6).
    #[error("{reason}")]
    Setting {
        /// The refusal's name.
        name: &'static str,
        /// In words.
        reason: String,
    },
    /// It could not be written; nothing changed.
    #[error("it could not be written: {0}")]
    Disk(String),
}

impl From<RequestError> for AccessError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Oversized(bytes) => Self::Oversized(bytes),
            RequestError::Text(reason) => Self::Request(reason),
            RequestError::Address(reason) => Self::Address(reason),
            RequestError::OtherChain => Self::OtherChain,
            RequestError::Signature(address) => Self::Signature(address),
        }
    }
}

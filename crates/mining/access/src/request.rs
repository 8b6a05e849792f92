use std::{fmt, str::FromStr};

use bq_mining_message::{AccessError, SignedRequest};
use bq_primitives::{Address, BlockId, KeyHash, Network, Witness, WorkerName};
use bq_request::Request;
use bq_share::UnixMs;

use crate::TokenId;

/// What the owner of an address wants of who may mine to it (SPEC 11.11.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// Whose.
    pub address: Address,
    /// When it was made, by its maker's clock; each request of an address is later than the last.
    pub time: UnixMs,
    /// What is wanted.
    pub action: Action,
}

/// What an owner may want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A token, for all machines or for one.
    Token(Option<WorkerName>),
    /// Take a token back.
    Revoke(TokenId),
    /// Nobody without a token may mine to the address.
    Lock,
    /// Anyone may, as before.
    Unlock,
    /// Show the address's tokens.
    Tokens,
}

impl AccessRequest {
    /// Reads a signed request and makes sure that the key of its address signed it, on this chain.
    ///
    /// # Errors
    /// [`AccessError::Request`], [`AccessError::Address`], [`AccessError::Signature`].
    pub fn verified(signed: &SignedRequest, network: Network, genesis: BlockId) -> Result<Self, AccessError> {
        UnverifiedRequest::read(signed, network, genesis)?.verified()
    }
}

/// What somebody wants who may be the owner: everything was looked at but the signature, which alone costs something.
#[derive(Clone, Debug)]
pub struct UnverifiedRequest {
    request: Request,
    proof: Witness,
    action: Action,
}

impl UnverifiedRequest {
    /// Reads a signed request of this chain, by the key of its address if it is by any.
    ///
    /// # Errors
    /// [`AccessError::Request`], [`AccessError::Address`], [`AccessError::Signature`].
    pub fn read(signed: &SignedRequest, network: Network, genesis: BlockId) -> Result<Self, AccessError> {
        let (request, proof) = signed.unverified(network, genesis)?;
        let action = request.wish.parse().map_err(AccessError::Request)?;
        Ok(Self { request, proof, action })
    }

    /// Whose it says to be.
    #[must_use]
    pub const fn key(&self) -> KeyHash {
        self.request.address.key_hash
    }

    /// When it says to be made.
    #[must_use]
    pub const fn time(&self) -> UnixMs {
        UnixMs(self.request.time_ms)
    }

    /// Makes sure that its owner signed it. Costs the verification of a signature.
    ///
    /// # Errors
    /// [`AccessError::Signature`].
    pub fn verified(self) -> Result<AccessRequest, AccessError> {
        self.request.check_signature(&self.proof.public_key, &self.proof.signature)?;
        let time = self.time();
        Ok(AccessRequest { address: self.request.address, time, action: self.action })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(None) => f.write_str("token"),
            Self::Token(Some(worker)) => write!(f, "token {worker}"),
            Self::Revoke(id) => write!(f, "revoke {id}"),
            Self::Lock => f.write_str("lock"),
            Self::Unlock => f.write_str("unlock"),
            Self::Tokens => f.write_str("tokens"),
        }
    }
}

impl FromStr for Action {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, &'static str> {
        match line.split_once(' ').map_or((line, None), |(word, rest)| (word, Some(rest))) {
            ("token", None) => Ok(Self::Token(None)),
            ("token", Some(worker)) => {
                WorkerName::new(worker).map(|worker| Self::Token(Some(worker))).map_err(|_| "that is no worker's name")
            }
            ("revoke", Some(id)) => id.parse().map(Self::Revoke).map_err(|_| "that is no token's id"),
            ("lock", None) => Ok(Self::Lock),
            ("unlock", None) => Ok(Self::Unlock),
            ("tokens", None) => Ok(Self::Tokens),
            _ => Err("the last line is token, token WORKER, revoke ID, lock, unlock, tokens, settings .. or cancel .."),
        }
    }
}

#[cfg(test)]
mod tests {
    use bq_primitives::account_request_hash;
    use bq_request::Request;
    use bq_signature::KeyPair;

    use super::*;

    const GENESIS: BlockId = BlockId([7; 32]);

    fn signed(wish: &str) -> SignedRequest {
        let key = KeyPair::from_seed(&[1; 32]).unwrap();
        let address = Address { network: Network::Devnet, key_hash: key.key_hash() };
        let request = Request { genesis: GENESIS, address, time_ms: 1_764_000_000_123, wish: wish.to_owned() };
        let text = request.to_string();
        SignedRequest {
            public_key: hex::encode(key.public_key()),
            signature: hex::encode(key.sign(&account_request_hash(&text)).unwrap().as_slice()),
            request: text,
        }
    }

    #[test]
    fn what_is_signed_is_what_is_read() {
        let worker = WorkerName::new("rig-1").unwrap();
        for action in [
            Action::Token(None),
            Action::Token(Some(worker)),
            Action::Revoke(TokenId(5)),
            Action::Lock,
            Action::Unlock,
            Action::Tokens,
        ] {
            let request = AccessRequest::verified(&signed(&action.to_string()), Network::Devnet, GENESIS);
            assert_eq!(request.map(|request| (request.time, request.action)), Ok((UnixMs(1_764_000_000_123), action)));
        }
    }

    #[test]
    fn a_wish_that_is_none_is_refused() {
        for wish in ["", "take everything", "lock now", "token ", "revoke", "revoke 5", "settings", "Lock"] {
            let refused = AccessRequest::verified(&signed(wish), Network::Devnet, GENESIS);
            assert!(matches!(refused, Err(AccessError::Request(_))), "{wish}");
        }
        let elsewhere = AccessRequest::verified(&signed("lock"), Network::Devnet, BlockId([8; 32]));
        assert_eq!(elsewhere, Err(AccessError::OtherChain));
    }
}

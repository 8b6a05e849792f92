use std::{fmt, str::FromStr};

use bq_mining_message::{AccessError, SignedRequest};
use bq_primitives::{
    Address, BlockId, Network, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, WorkerName, account_request_hash, key_hash,
};
use bq_share::UnixMs;

use crate::TokenId;

/// What the owner of an address wants of a pool (SPEC 11.11.4). Its text is five lines, and the signature is over exactly those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The chain, so that a request means nothing on another one.
    pub genesis: BlockId,
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

const FIRST_LINE: &str = "bq request 1";
/// Five short lines.
const TEXT_BYTES_MAX: usize = 512;

impl Request {
    /// Reads a signed request and makes sure that the key of its address signed it, on this chain.
    ///
    /// # Errors
    /// [`AccessError::Request`], [`AccessError::Address`], [`AccessError::Signature`].
    pub fn verified(signed: &SignedRequest, network: Network, genesis: BlockId) -> Result<Self, AccessError> {
        let request = Self::read(&signed.request)?;
        if request.address.network != network || request.genesis != genesis {
            return Err(AccessError::Request("it is for another chain"));
        }
        let mut public_key = [0; PUBLIC_KEY_BYTES];
        let mut signature = [0; SIGNATURE_BYTES];
        hex::decode_to_slice(&signed.public_key, &mut public_key)
            .map_err(|_| AccessError::Request("public_key is 1,952 bytes of hex"))?;
        hex::decode_to_slice(&signed.signature, &mut signature)
            .map_err(|_| AccessError::Request("signature is 3,309 bytes of hex"))?;
        let is_its_key = key_hash(&public_key) == request.address.key_hash;
        if is_its_key && bq_signature::verify(&public_key, &account_request_hash(&signed.request), &signature) {
            Ok(request)
        } else {
            Err(AccessError::Signature(request.address.to_string()))
        }
    }

    fn read(text: &str) -> Result<Self, AccessError> {
        let bad = AccessError::Request;
        if text.len() > TEXT_BYTES_MAX {
            return Err(bad("it is longer than any"));
        }
        let lines: Vec<_> = text.split('\n').collect();
        let [FIRST_LINE, genesis, address, time, action, ""] = *lines.as_slice() else {
            return Err(bad("it is five lines, the first is \"bq request 1\""));
        };
        let of = |line: &str, name: &'static str, missing| {
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).map(str::to_owned).ok_or(bad(missing))
        };
        let genesis = of(genesis, "genesis", "the second line is genesis ID")?;
        let address = of(address, "address", "the third line is address ADDRESS")?;
        let time = of(time, "time", "the fourth line is time MILLISECONDS")?;
        Ok(Self {
            genesis: genesis.parse().map_err(|_| bad("the second line is genesis ID"))?,
            address: Address::parse_any(&address).map_err(|error| AccessError::Address(error.to_string()))?,
            time: UnixMs(time.parse().map_err(|_| bad("the fourth line is time MILLISECONDS"))?),
            action: action.parse().map_err(bad)?,
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { genesis, address, time, action } = self;
        writeln!(f, "{FIRST_LINE}\ngenesis {genesis}\naddress {address}\ntime {}\n{action}", time.0)
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
            _ => Err("the last line is token, token WORKER, revoke ID, lock, unlock or tokens"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bq_signature::KeyPair;

    use super::*;

    const GENESIS: BlockId = BlockId([7; 32]);

    fn key(n: u8) -> KeyPair {
        KeyPair::from_seed(&[n; 32]).unwrap()
    }

    fn request(action: Action) -> Request {
        let key_hash = key(1).key_hash();
        let address = Address { network: Network::Devnet, key_hash };
        Request { genesis: GENESIS, address, time: UnixMs(1_764_000_000_123), action }
    }

    fn signed(text: &str, by: &KeyPair) -> SignedRequest {
        SignedRequest {
            request: text.to_owned(),
            public_key: hex::encode(by.public_key()),
            signature: hex::encode(by.sign(&account_request_hash(text)).unwrap().as_slice()),
        }
    }

    fn verified(signed: &SignedRequest) -> Result<Request, AccessError> {
        Request::verified(signed, Network::Devnet, GENESIS)
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
            let request = request(action);
            assert_eq!(verified(&signed(&request.to_string(), &key(1))), Ok(request));
        }
    }

    #[test]
    fn only_the_addresss_key_on_this_chain_counts() {
        let request = request(Action::Lock);
        let (text, address) = (request.to_string(), request.address.to_string());
        let good = signed(&text, &key(1));
        assert_eq!(verified(&signed(&text, &key(2))), Err(AccessError::Signature(address.clone())), "another key");
        let mut forged = good.clone();
        forged.request = text.replace("lock", "unlock");
        assert_eq!(verified(&forged), Err(AccessError::Signature(address)), "another text");
        let elsewhere = Request::verified(&good, Network::Devnet, BlockId([8; 32]));
        assert_eq!(elsewhere, Err(AccessError::Request("it is for another chain")));
        let elsewhere = Request::verified(&good, Network::Testnet, GENESIS);
        assert_eq!(elsewhere, Err(AccessError::Request("it is for another chain")));
    }

    #[test]
    fn anything_else_is_refused_before_a_signature_is_checked() {
        let text = request(Action::Lock).to_string();
        for bad in [
            String::new(),
            text.replace('\n', "\r\n"),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            text.replace("lock", "take everything"),
            text.replace("time ", "time -"),
            text.replace("time ", "time +"),
            text.replace("bq request 1", "bq request 2"),
            "x".repeat(513),
        ] {
            let nothing = SignedRequest { request: bad.clone(), public_key: String::new(), signature: String::new() };
            assert!(matches!(verified(&nothing), Err(AccessError::Request(_) | AccessError::Address(_))), "{bad}");
        }
    }
}

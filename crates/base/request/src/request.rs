use std::fmt;

use bq_primitives::{Address, BlockId, Network, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, account_request_hash, key_hash};

/// What the owner of an address wants. Its text is five lines, and the signature is over exactly those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The chain, so that a request means nothing on another one.
    pub genesis: BlockId,
    /// Whose.
    pub address: Address,
    /// When it was made, by its maker's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// What is wanted: one line.
    pub wish: String,
}

/// Why something is no request of an address's owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The text is longer than any request.
    #[error("request: it is longer than any, {0} bytes")]
    Oversized(usize),
    /// The text is none.
    #[error("request: {0}")]
    Text(&'static str),
    /// The third line names no address.
    #[error("address: {0}")]
    Address(String),
    /// Another network, or another chain of this one.
    #[error("request: it is for another chain")]
    OtherChain,
    /// Another key signed it, or another text.
    #[error("the signature is not by the key of {0}")]
    Signature(String),
}

const FIRST_LINE: &str = "bq request 1";

impl Request {
    /// The longest text in bytes: four short lines, and a wish that may name a place on the web.
    pub const TEXT_BYTES_MAX: usize = 1024;

    /// Reads a text. One request has one text: anything that would be written differently is refused.
    ///
    /// # Errors
    /// [`RequestError::Oversized`], [`RequestError::Text`], [`RequestError::Address`].
    pub fn read(text: &str) -> Result<Self, RequestError> {
        let bad = RequestError::Text;
        if text.len() > Self::TEXT_BYTES_MAX {
            return Err(RequestError::Oversized(text.len()));
        }
        let lines: Vec<_> = text.split('\n').collect();
        let [FIRST_LINE, genesis, address, time, wish, ""] = *lines.as_slice() else {
            return Err(bad("it is five lines, the first is \"bq request 1\""));
        };
        let of = |line: &str, name: &'static str, missing| {
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).map(str::to_owned).ok_or(bad(missing))
        };
        let genesis = of(genesis, "genesis", "the second line is genesis ID")?;
        let address = of(address, "address", "the third line is address ADDRESS")?;
        let time = of(time, "time", "the fourth line is time MILLISECONDS")?;
        let request = Self {
            genesis: genesis.parse().map_err(|_| bad("the second line is genesis ID"))?,
            address: Address::parse_any(&address).map_err(|error| RequestError::Address(error.to_string()))?,
            time_ms: time.parse().map_err(|_| bad("the fourth line is time MILLISECONDS"))?,
            wish: wish.to_owned(),
        };
        if request.to_string() == text { Ok(request) } else { Err(bad("it is not written as it is signed")) }
    }

    /// Makes sure that it counts on this chain.
    ///
    /// # Errors
    /// [`RequestError::OtherChain`].
    pub fn check_chain(&self, network: Network, genesis: BlockId) -> Result<(), RequestError> {
        let is_here = self.address.network == network && self.genesis == genesis;
        if is_here { Ok(()) } else { Err(RequestError::OtherChain) }
    }

    /// Makes sure that this is the key of its address. Costs next to nothing: whoever does not have that key has nothing verified.
    ///
    /// # Errors
    /// [`RequestError::Signature`].
    pub fn check_key(&self, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<(), RequestError> {
        let is_its_key = key_hash(public_key) == self.address.key_hash;
        if is_its_key { Ok(()) } else { Err(RequestError::Signature(self.address.to_string())) }
    }

    /// Makes sure that the key of its address signed it. Costs the verification of one signature.
    ///
    /// # Errors
    /// [`RequestError::Signature`].
    pub fn check_signature(
        &self,
        public_key: &[u8; PUBLIC_KEY_BYTES],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), RequestError> {
        self.check_key(public_key)?;
        if bq_signature::verify(public_key, &account_request_hash(&self.to_string()), signature) {
            Ok(())
        } else {
            Err(RequestError::Signature(self.address.to_string()))
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { genesis, address, time_ms, wish } = self;
        writeln!(f, "{FIRST_LINE}\ngenesis {genesis}\naddress {address}\ntime {time_ms}\n{wish}")
    }
}

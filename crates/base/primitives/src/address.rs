use std::fmt;

use bech32::{Bech32m, Hrp};

use crate::{KeyHash, Network};

/// Where coins can be sent: a [`KeyHash`] on one network, written as bech32m (BIP-0350) of a zero version
/// byte and the 32 hash bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The network the address belongs to.
    pub network: Network,
    /// The key that may spend what is sent here.
    pub key_hash: KeyHash,
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m: a mistyped character, mixed case, or another checksum.
    #[error("not a bech32m address: mistyped or cut off")]
    Encoding,
    /// Well-formed, but for a chain that this software does not know.
    #[error("unknown address prefix {0:?}")]
    UnknownPrefix(String),
    /// An address of another network.
    #[error("address belongs to {got}, expected {expected}")]
    WrongNetwork {
        /// Network of the address.
        got: Network,
        /// Network that was asked for.
        expected: Network,
    },
    /// An address version or length from the future.
    #[error("unsupported address version or length")]
    Unsupported,
}

const VERSION: u8 = 0;

impl Address {
    /// Parses an address of any network. Longer texts than any address are refused before decoding.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse_any(text: &str) -> Result<Self, AddressError> {
        const TEXT_BYTES_MAX: usize = 90; // BIP-0350
        if text.len() > TEXT_BYTES_MAX {
            return Err(AddressError::Encoding);
        }
        let checked =
            bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| AddressError::Encoding)?;
        let prefix = checked.hrp().to_lowercase();
        let network = Network::ALL
            .into_iter()
            .find(|network| network.address_prefix() == prefix)
            .ok_or(AddressError::UnknownPrefix(prefix))?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        match bytes.split_first() {
            Some((&VERSION, hash)) => {
                let hash = hash.try_into().map_err(|_| AddressError::Unsupported)?;
                Ok(Self { network, key_hash: KeyHash(hash) })
            }
            _ => Err(AddressError::Unsupported),
        }
    }

    /// Parses an address and insists on its network.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str, expected: Network) -> Result<Self, AddressError> {
        let address = Self::parse_any(text)?;
        if address.network == expected {
            Ok(address)
        } else {
            Err(AddressError::WrongNetwork { got: address.network, expected })
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse_unchecked(self.network.address_prefix());
        let mut bytes = [VERSION; 33];
        bytes[1..].copy_from_slice(&self.key_hash.0);
        bech32::encode_to_fmt::<Bech32m, _>(f, prefix, &bytes).map_err(|_| fmt::Error)
    }
}

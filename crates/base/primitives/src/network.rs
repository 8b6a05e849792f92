use std::{fmt, str::FromStr};

/// Which chain this is. Everything that differs between networks is data chosen by this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Network {
    /// The chain with real value.
    Mainnet,
    /// The public test chain.
    Testnet,
    /// A chain one computer can mine: short spacing, low difficulty.
    Devnet,
    /// A chain for tests: no retargeting, custom era tables allowed.
    Regtest,
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet, Self::Devnet, Self::Regtest];

    /// The name used in flags and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Devnet => "devnet",
            Self::Regtest => "regtest",
        }
    }

    /// The human-readable part of this network's addresses.
    #[must_use]
    pub const fn address_prefix(self) -> &'static str {
        match self {
            Self::Mainnet => "bq",
            Self::Testnet => "tbq",
            Self::Devnet => "dbq",
            Self::Regtest => "rbq",
        }
    }
}

/// A network name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}; known are mainnet, testnet, devnet, regtest")]
pub struct UnknownNetwork(pub String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(name: &str) -> Result<Self, UnknownNetwork> {
        Self::ALL.into_iter().find(|network| network.name() == name).ok_or_else(|| UnknownNetwork(name.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

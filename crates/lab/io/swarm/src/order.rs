use std::net::SocketAddr;

use bq_primitives::Algorithm;
use bq_stratum_client::{Dialect, EthashDialect, Login, dialect_of};

/// The Ethash dialects, in the order in which miners take them. EthereumStratum/1.0.0 is left out: it has no word for the difficulty of a share
/// that is any hash (SPEC 11.7, 4).
const ETHASH_DIALECTS: [EthashDialect; 3] = [EthashDialect::EthProxy, EthashDialect::Stratum, EthashDialect::Version2];

/// One miner to be: where it connects and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// Its number in the run, for its source address and its name.
    pub(crate) number: usize,
    pub(crate) algorithm: Algorithm,
    pub(crate) port: SocketAddr,
    /// Whom its shares are for.
    pub(crate) address: String,
    /// It has a share accepted before it idles.
    pub(crate) proves: bool,
    /// Shares as easy as they may be, also where they are hard by default.
    pub(crate) easiest: bool,
    /// Where the dialect is not left to its number.
    pub(crate) ethash: Option<EthashDialect>,
}

impl Order {
    pub(crate) fn dialect(&self) -> Box<dyn Dialect> {
        let login = Login {
            user: format!("{}.rig{}", self.address, self.number),
            password: if self.easiest { "d=1" } else { "x" }.to_owned(),
            // Far enough from each other for what a run sends.
            first_nonce: u64::try_from(self.number).unwrap_or(0) << 24,
        };
        let ethash = self.ethash.unwrap_or(ETHASH_DIALECTS[self.number % ETHASH_DIALECTS.len()]);
        dialect_of(self.algorithm, login, ethash)
    }
}

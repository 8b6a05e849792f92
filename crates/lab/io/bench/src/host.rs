//! What benchmarks ask of the program around them.

use std::net::SocketAddr;

use bq_chain_api::NodeApi;
use bq_pow::PowVerifier;
use bq_primitives::Algorithm;

/// The program that runs benchmarks: it has a terminal, hears signals, and knows how a whole system is joined.
pub trait Host {
    /// Prints one line for people.
    fn say(&self, line: &str);

    /// Starts a throw-away regtest system with one algorithm per entry, each at fixed bits, no built-in miner, shares at
    /// difficulty one and no limit per connection.
    ///
    /// # Errors
    /// The first part that cannot start.
    fn start_system(&self, algorithms: &[(Algorithm, &str)]) -> anyhow::Result<Box<dyn SystemUnderTest>>;

    /// From now on Ctrl-C and SIGTERM no longer end the process; what comes back says whether one arrived.
    ///
    /// # Errors
    /// The system lets no handler be set.
    fn interruption(&self) -> anyhow::Result<Interruption>;
}

/// Whether somebody wants everything to stop.
pub type Interruption = Box<dyn Fn() -> bool + Send>;

/// Node, pool and Stratum ports in this process, measured from outside.
pub trait SystemUnderTest {
    /// Where miners of `algorithm` connect.
    ///
    /// # Errors
    /// The port is not open.
    fn stratum(&self, algorithm: Algorithm) -> anyhow::Result<SocketAddr>;

    /// Whom the shares pay.
    fn address(&self) -> String;

    /// Its node.
    fn node(&self) -> &dyn NodeApi;

    /// The tables with which it verifies.
    fn pow(&self) -> &PowVerifier;

    /// Stops everything and removes what it wrote.
    ///
    /// # Errors
    /// The files could not be removed.
    fn stop(self: Box<Self>) -> anyhow::Result<()>;
}

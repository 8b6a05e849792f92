use std::sync::Arc;

use bq_pow::PowVerifier;

use crate::job::{Found, Job};

/// Something that searches nonces for one thread: the processor ([`crate::search::Searcher`]), or a device that the thread
/// feeds ([`crate::gpu`]).
pub(crate) trait Backend {
    /// Why a step did nothing.
    type Error;

    /// Searches some nonces of `job`, for a few milliseconds, so that a new job or a pause takes effect at once. Takes them
    /// with [`Job::take`], since other workers search the same job. Everything it reports as found was checked on the
    /// processor.
    ///
    /// # Errors
    /// Tables that could not be built, or a device that failed.
    fn step(&mut self, job: &Arc<Job>, pow: &PowVerifier) -> Result<Step, Self::Error>;

    /// Lets go of all tables: the worker goes on with another algorithm, or rests. They may be evicted meanwhile, or become
    /// faster.
    fn release(&mut self);
}

/// What one step did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Hashes finished.
    pub(crate) hashes: u64,
    /// Shares among them.
    pub(crate) found: Vec<Found>,
    /// The job has no work left.
    pub(crate) exhausted: bool,
}

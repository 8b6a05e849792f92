mod judge;
mod lane;

use std::{io, sync::Arc, thread::JoinHandle};

use bq_primitives::Algorithm;
use bq_stratum_v1::{Reject, ShareCandidate};
use tokio::sync::mpsc;

pub(crate) use self::judge::Judge;
use self::lane::{Lane, Task};
use crate::{VerifyConfig, shared::Event};

/// Verification threads behind one bounded queue per algorithm. Threads end when this is dropped and the queues are empty.
pub(crate) struct VerifyPool {
    judge: Arc<Judge>,
    lanes: [Lane; Algorithm::COUNT],
}

impl VerifyPool {
    /// Starts the threads.
    pub(crate) fn start(config: &VerifyConfig, judge: &Arc<Judge>) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut threads = Vec::new();
        let mut start = |algorithm| Lane::start(algorithm, config, judge, &mut threads);
        let lanes = [start(Algorithm::Sha256d)?, start(Algorithm::RandomX)?, start(Algorithm::Ethash)?];
        Ok((Self { judge: Arc::clone(judge), lanes }, threads))
    }

    /// Queues a candidate; the verdict comes back as an event. Refuses at once what needs no verification.
    pub(crate) fn submit(&self, candidate: Box<ShareCandidate>, reply: &mpsc::Sender<Event>) -> Result<(), Reject> {
        self.judge.check_cheaply(&candidate)?;
        let lane = &self.lanes[candidate.template.algorithm().index()];
        lane.push(Task::new(candidate, reply.clone())).map_err(|_| Reject::Busy)
    }
}

use std::{sync::Arc, time::Instant};

use bq_chain_api::Template;
use bq_mining_message::PoolApi;
use bq_primitives::Algorithm;
use bq_stratum_v1::JobTemplate;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

/// The newest work of one algorithm, as every connection of it watches it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// Nothing while the algorithm may not seal blocks, or before the node has a template.
    pub(crate) template: Option<Arc<JobTemplate>>,
    /// When it came.
    pub(crate) since: Instant,
}

impl Default for Work {
    fn default() -> Self {
        Self { template: None, since: Instant::now() }
    }
}

/// Turns the pool's templates into each algorithm's work until the pool or the server ends.
pub(crate) async fn feed(
    pool: Arc<dyn PoolApi>,
    work: [watch::Sender<Work>; Algorithm::COUNT],
    mut stop: watch::Receiver<bool>,
) {
    let mut templates = pool.templates();
    loop {
        tokio::select! {
            template = templates.next() => match template {
                Some(template) => hand_out(&work, &template),
                None => break,
            },
            _ = stop.changed() => break,
        }
    }
}

fn hand_out(work: &[watch::Sender<Work>; Algorithm::COUNT], template: &Template) {
    for (algorithm, sender) in Algorithm::ALL.into_iter().zip(work) {
        let since = Instant::now();
        let next = JobTemplate::of_block(template, algorithm).map(Arc::new);
        sender.send_if_modified(|work| {
            let header = |template: &Option<Arc<JobTemplate>>| template.as_ref().map(|template| template.work.header);
            let changed = header(&work.template) != header(&next);
            if changed {
                *work = Work { template: next, since };
            }
            changed
        });
    }
}

use std::{sync::Arc, time::Instant};

use bq_mining_message::{AccountScheme, PoolApi, PoolTemplate};
use bq_primitives::Algorithm;
use bq_share::WorkId;
use bq_stratum_v1::JobTemplate;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

/// The newest work of one algorithm, as every connection of it watches it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// Nothing while the algorithm may not seal blocks, or before the node has a template.
    pub(crate) lane: Option<Arc<LaneWork>>,
    /// When it came.
    pub(crate) since: Instant,
    /// The server stops, and there will be no more.
    pub(crate) ends: bool,
}

impl Default for Work {
    fn default() -> Self {
        Self { lane: None, since: Instant::now(), ends: false }
    }
}

/// One algorithm's work, by [`AccountScheme::index`]; schemes that are paid alike share theirs.
#[derive(Debug)]
pub(crate) struct LaneWork([Arc<JobTemplate>; AccountScheme::ALL.len()]);

impl LaneWork {
    fn new(template: &PoolTemplate, algorithm: Algorithm) -> Option<Self> {
        let of = |scheme| {
            let (work, pay) = template.work(scheme, algorithm)?;
            JobTemplate::of_block(work, pay).map(|job| (Arc::new(job), pay))
        };
        let (shared, of_windows) = of(AccountScheme::default())?;
        let mut works = [const { None }; AccountScheme::ALL.len()];
        for (scheme, place) in AccountScheme::ALL.into_iter().zip(&mut works) {
            let is_paid_alike = template.work(scheme, algorithm).is_none_or(|(_, pay)| pay == of_windows);
            *place = if is_paid_alike { Some(Arc::clone(&shared)) } else { of(scheme).map(|(work, _)| work) };
        }
        Some(Self(works.map(|work| work.unwrap_or_else(|| Arc::clone(&shared)))))
    }

    fn ids(&self) -> [WorkId; AccountScheme::ALL.len()] {
        self.0.each_ref().map(|job| job.work.id())
    }
}

impl Work {
    /// What a miner of this scheme works on; before anybody logged in, what most do.
    pub(crate) fn of(&self, scheme: Option<AccountScheme>) -> Option<Arc<JobTemplate>> {
        let lane = self.lane.as_ref()?;
        lane.0.get(scheme.unwrap_or_default().index()).cloned()
    }
}

/// Where the work of one algorithm comes from: who has proved work hears of it before strangers do (SPEC 11.6, 4), for a tip that is late
/// costs him.
pub(crate) struct Announcers {
    proven: watch::Sender<Work>,
    strangers: watch::Sender<Work>,
}

/// The other end.
pub(crate) struct Listeners {
    pub(crate) proven: watch::Receiver<Work>,
    pub(crate) strangers: watch::Receiver<Work>,
}

/// Both ends, with no work yet.
pub(crate) fn work_channels() -> (Announcers, Listeners) {
    let (proven, of_proven) = watch::channel(Work::default());
    let (strangers, of_strangers) = watch::channel(Work::default());
    (Announcers { proven, strangers }, Listeners { proven: of_proven, strangers: of_strangers })
}

/// Turns the pool's templates into each algorithm's work until the pool or the server ends.
pub(crate) async fn feed(
    pool: Arc<dyn PoolApi>,
    work: [Announcers; Algorithm::COUNT],
    mut stop: watch::Receiver<bool>,
) {
    let mut templates = pool.templates();
    loop {
        tokio::select! {
            template = templates.next() => match template {
                Some(template) => hand_out(&work, &template).await,
                None => break,
            },
            _ = stop.changed() => break,
        }
    }
    // Whoever waits for work hears of the end in the same place, and has one thing less to wait for. The pool may have ended first.
    if !*stop.borrow() {
        let _gone = stop.changed().await;
    }
    for announcers in &work {
        for sender in [&announcers.proven, &announcers.strangers] {
            sender.send_modify(|work| work.ends = true);
        }
    }
}

async fn hand_out(work: &[Announcers; Algorithm::COUNT], template: &PoolTemplate) {
    let since = Instant::now();
    announce_all(
        work,
        &Algorithm::ALL.map(|algorithm| Work {
            lane: LaneWork::new(template, algorithm).map(Arc::new),
            since,
            ends: false,
        }),
    )
    .await;
}

/// The proven of all algorithms first (SPEC 11.6, 4).
async fn announce_all(work: &[Announcers; Algorithm::COUNT], next: &[Work; Algorithm::COUNT]) {
    for (announcers, next) in work.iter().zip(next) {
        announce(&announcers.proven, next);
    }
    // Those are in the queue of the runtime now; the others come after them.
    tokio::task::yield_now().await;
    for (announcers, next) in work.iter().zip(next) {
        announce(&announcers.strangers, next);
    }
}

fn announce(to: &watch::Sender<Work>, next: &Work) {
    let ids = |work: &Work| work.lane.as_ref().map(|lane| lane.ids());
    to.send_if_modified(|work| {
        let changed = ids(work) != ids(next);
        if changed {
            *work = next.clone();
        }
        changed
    });
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use bq_primitives::{BlockId, CompactTarget, Header, Height, MerkleRoot, PowKey, Target, Timestamp};

    use super::*;

    fn work() -> Work {
        let header = Header {
            version: 1,
            parent_id: BlockId([1; 32]),
            tx_root: MerkleRoot([2; 32]),
            witness_root: MerkleRoot([2; 32]),
            time: Timestamp(1_800_000_000),
            height: Height(7),
            bits: CompactTarget(0x207f_ffff),
            algorithm: Algorithm::Sha256d,
        };
        let body = bq_primitives::UnsealedBody::default();
        let job = Arc::new(JobTemplate::new(header, Target::MAX, PowKey::Sha256d, body).unwrap());
        let lane = LaneWork(AccountScheme::ALL.map(|_| Arc::clone(&job)));
        Work { lane: Some(Arc::new(lane)), since: Instant::now(), ends: false }
    }

    #[tokio::test]
    async fn the_proven_hear_of_new_work_a_turn_before_strangers() {
        let [(first, mut heard), (second, _second), (third, _third)] = Algorithm::ALL.map(|_| work_channels());
        let (announcers, next) = ([first, second, third], [work(), Work::default(), Work::default()]);
        let mut announcing = pin!(announce_all(&announcers, &next));
        assert!(announcing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let has_heard = |listener: &watch::Receiver<Work>| matches!(listener.has_changed(), Ok(true));
        assert!(has_heard(&heard.proven) && !has_heard(&heard.strangers));
        announcing.await;
        assert!(has_heard(&heard.strangers));
        heard.proven.borrow_and_update();
        announce_all(&announcers, &next).await;
        assert!(!has_heard(&heard.proven), "the same work is no news");
    }
}

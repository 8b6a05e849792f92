use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use bq_condition::ConditionList;
use bq_front::HANDOVER_VERSION as VERSION;
use bq_mining_message::PoolApi as _;
use bq_pool::Pool;
use bq_primitives::{Algorithm, PowKey};
use bq_runtime::{Config, Shutdown, ShutdownTrigger, SuccessorLink, SuccessorPort};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{Message, TOLD_TO_STOP, hear, tell};
use crate::run::service::why_it_may_not_end;

/// What a process that is asked to leave knows of itself.
#[derive(Default)]
pub(crate) struct Incumbent {
    serving: OnceLock<(Weak<Pool>, ConditionList)>,
    /// It holds what another process left to it, and serves before it leaves that to a third.
    has_inherited: bool,
}

/// While one of these holds, what this process has is on no disk, or no other could open it: names of conditions.
const STAYS: [&str; 4] = ["shares_not_written", "books_not_written", "chain_store_stopped", "chain_store_damaged"];

impl Incumbent {
    pub(crate) fn new(has_inherited: bool) -> Self {
        Self { has_inherited, ..Self::default() }
    }

    /// It serves from now on.
    pub(crate) fn serves(&self, pool: &Arc<Pool>, conditions: ConditionList) {
        // Never set before.
        let _set = self.serving.set((Arc::downgrade(pool), conditions));
    }

    /// Why nobody takes over now, in words for whoever tried; nothing if somebody may. May try the disk.
    fn refusal(&self) -> Option<String> {
        let Some((_, conditions)) = self.serving.get() else {
            let pid = std::process::id();
            return self
                .has_inherited
                .then(|| format!("process {pid} is still taking over itself: try again when it serves"));
        };
        let components = conditions.read();
        let mut all = components.iter().flat_map(|component| &component.conditions);
        let condition = all.find(|condition| STAYS.contains(&condition.name))?;
        Some(format!("the process that runs there goes on: {}: {}", condition.name, condition.reason))
    }

    fn keys(&self) -> Vec<PowKey> {
        let template = self.serving.get().and_then(|(pool, _)| pool.upgrade()).and_then(|pool| pool.template());
        let key = |algorithm| template.as_ref()?.work(algorithm).map(|work| work.key);
        Algorithm::ALL.into_iter().filter_map(key).collect()
    }
}

/// Waits for a process that wants to take over and is ready to, and stops this one then. Others are told to come again. The link to it is
/// closed last of all.
pub(crate) fn await_successor(
    config: &Config,
    (trigger, stop): (ShutdownTrigger, Shutdown),
    incumbent: Arc<Incumbent>,
) -> oneshot::Receiver<SuccessorLink> {
    let (found, successor) = oneshot::channel();
    let patience = Duration::from_secs(config.stratum_limits.takeover_secs);
    match SuccessorPort::listen(&config.data_dir) {
        Ok(port) => {
            tokio::spawn(receive(port, Greeter { incumbent, patience, stop }, (found, trigger)));
        }
        Err(error) => tracing::warn!(%error, "no process can take over from this one"),
    }
    successor
}

async fn receive(
    port: SuccessorPort,
    greeter: Greeter,
    (found, trigger): (oneshot::Sender<SuccessorLink>, ShutdownTrigger),
) {
    let mut found = Some(found);
    // Who is being let in, or was.
    let mut first: Option<Guest> = None;
    loop {
        let next = tokio::select! {
            next = port.next(greeter.patience) => Some(next),
            () = settled(&mut first) => None,
        };
        // One that is gone already may not have been noticed yet.
        if next.is_some() {
            let _still_greeted = tokio::time::timeout(LOOK.saturating_mul(2), settled(&mut first)).await;
        }
        if let Some(Guest { greeted: Greeted::Done(link), .. }) = &mut first {
            match link.take() {
                None => first = None,
                Some(link) => {
                    // Sent first: whoever stops looks whether somebody is there.
                    let _stops_already = found.take().map(|found| found.send(*link));
                    trigger.request();
                    first.iter_mut().for_each(|heir| heir.greeted = Greeted::Heir);
                }
            }
        }
        let link = match next {
            None => continue,
            Some(Ok(link)) => link,
            Some(Err(error)) => return tracing::warn!(%error, "no process can take over from this one any more"),
        };
        if let Some(Guest { name, .. }) = &first {
            let why = format!("{name} is already taking over");
            tokio::task::spawn_blocking(move || deny(link, why));
        } else {
            let (name, greeter) = (link.other_name(), greeter.clone());
            first =
                Some(Guest { name, greeted: Greeted::Now(tokio::task::spawn_blocking(move || greeter.greet(link))) });
        }
    }
}

/// A process that wants to take over.
struct Guest {
    name: String,
    greeted: Greeted,
}

enum Greeted {
    Now(JoinHandle<Option<SuccessorLink>>),
    /// It may take over, or nothing.
    Done(Option<Box<SuccessorLink>>),
    /// All is left to it.
    Heir,
}

/// Returns once whoever is being let in has become something else.
async fn settled(guest: &mut Option<Guest>) {
    match guest {
        Some(Guest { greeted: greeted @ Greeted::Now(_), .. }) => {
            let Greeted::Now(handle) = greeted else { return };
            let link = handle.await.ok().flatten();
            *greeted = Greeted::Done(link.map(Box::new));
        }
        _ => std::future::pending().await,
    }
}

/// Lets a process in, or not.
#[derive(Clone)]
struct Greeter {
    incumbent: Arc<Incumbent>,
    /// For all that the other does until it is ready.
    patience: Duration,
    stop: Shutdown,
}

/// How often it is looked whether this process is to stop.
const LOOK: Duration = Duration::from_millis(50);

impl Greeter {
    /// The link, if the process at its other end may take over and is ready to. Blocks.
    fn greet(&self, link: SuccessorLink) -> Option<SuccessorLink> {
        let name = link.other_name();
        match self.let_in(link) {
            Ok(Ok(link)) => Some(link),
            Ok(Err((link, why))) => {
                tracing::warn!(%why, "{name} does not take over");
                deny(link, why);
                None
            }
            Err(error) => {
                tracing::warn!(%error, "{name} wanted to take over and did not get ready");
                None
            }
        }
    }

    fn let_in(&self, mut link: SuccessorLink) -> anyhow::Result<Result<SuccessorLink, (SuccessorLink, String)>> {
        let (begun, mut is_granted) = (Instant::now(), false);
        let refusal = |this: &Self, link: &SuccessorLink| {
            link.other().and_then(|_| why_it_may_not_end()).or_else(|| this.incumbent.refusal())
        };
        loop {
            let is_late = begun.elapsed() >= self.patience;
            let is_ready = link.is_ready(LOOK)?;
            if self.stop.is_requested() {
                return Ok(Err((link, TOLD_TO_STOP.to_owned())));
            }
            if !is_ready && is_late {
                return Ok(Err((link, format!("it was not ready to take over within {} s", self.patience.as_secs()))));
            }
            if !is_ready {
                continue;
            }
            match hear(&mut link)? {
                Some((Message::Wish { version: VERSION }, _)) => match refusal(self, &link) {
                    Some(why) => return Ok(Err((link, why))),
                    None => {
                        tell(&mut link, &Message::Granted { keys: self.incumbent.keys() }, None)?;
                        is_granted = true;
                    }
                },
                Some((Message::Wish { version }, _)) => {
                    tell(&mut link, &Message::Refused { version: VERSION }, None)?;
                    anyhow::bail!("it takes over as version {version}, this one hands over as version {VERSION}");
                }
                // The disk may be full since it asked.
                Some((Message::Prepared, _)) if is_granted => {
                    return Ok(match refusal(self, &link) {
                        Some(why) => Err((link, why)),
                        None => Ok(link),
                    });
                }
                Some((message, _)) => anyhow::bail!("it said {message:?}"),
                None => anyhow::bail!("it is gone"),
            }
        }
    }
}

/// Who is not let in hears why.
pub(crate) fn deny(mut link: SuccessorLink, why: String) {
    if let Err(error) = tell(&mut link, &Message::Denied { why }, None) {
        tracing::debug!(%error, "nobody hears why he may not take over");
    }
}

#[cfg(test)]
mod tests {
    use bq_condition::Condition;

    use super::*;

    fn in_state(name: Option<&'static str>) -> Incumbent {
        let condition = move |name| Condition { name, reason: "why".to_owned(), since_ms: 1, blocks_readiness: true };
        let read = move || name.map(condition).into_iter().collect();
        let incumbent = Incumbent::new(true);
        let _set = incumbent.serving.set((Weak::new(), ConditionList::default().with("pool", Arc::new(read))));
        incumbent
    }

    #[test]
    fn nobody_takes_over_what_is_on_no_disk_or_not_here_yet() {
        assert_eq!(in_state(None).refusal(), None);
        assert_eq!(in_state(Some("no_template")).refusal(), None, "another process may be what helps");
        for name in STAYS {
            let told = in_state(Some(name)).refusal().expect("not let in");
            assert!(told.contains(name) && told.contains("why"), "{told}");
        }
        assert_eq!(Incumbent::new(false).refusal(), None, "it has nothing yet");
        assert!(Incumbent::new(true).refusal().is_some_and(|told| told.contains("still taking over")));
    }
}

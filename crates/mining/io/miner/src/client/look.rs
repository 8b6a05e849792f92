//! A look at the first pool while another one is mined at.

use bq_stratum_client::{Dialect, Endpoint, Event, Outlook, Progress, Stage, name_answer};
use serde_json::Value;
use tokio::time::timeout_at;

use super::{error::ConnectionError, link::Link};
use crate::shared::Shared;

/// Logs in at `pool` and waits for a job: whether both came.
pub(super) async fn gives_work(shared: &Shared, pool: &Endpoint, dialect: Box<dyn Dialect>) -> bool {
    match look(shared, pool, dialect).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%pool, %error, "the first pool gives no work yet");
            false
        }
    }
}

async fn look(shared: &Shared, pool: &Endpoint, mut dialect: Box<dyn Dialect>) -> Result<(), ConnectionError> {
    const OUTLOOK: Outlook = Outlook { has_others: true, oldest_sent: None };
    let mut link = Link::open(pool, &shared.tls, &shared.client).await?;
    let mut progress = Progress::new(shared.client.clone(), shared.now());
    link.say(&dialect.hello());
    while progress.stage() < Stage::HasWork {
        let (deadline, disappointment) = progress.deadline(OUTLOOK);
        let line = timeout_at(shared.instant(deadline), link.next()).await.map_err(|_| disappointment)??;
        let now = shared.now();
        progress.heard(now);
        let message = serde_json::from_slice::<Value>(&line);
        let Ok(mut message) = message else {
            progress.nonsense()?;
            continue;
        };
        name_answer(dialect.as_ref(), &mut message, None);
        let events = match dialect.handle(&message) {
            Ok(events) => events,
            Err(error) if error.ends_connection() => return Err(error.into()),
            Err(_) => {
                progress.nonsense()?;
                continue;
            }
        };
        if dialect.is_logged_in() {
            progress.logged_in(now);
        }
        for event in events {
            match event {
                Event::Send(line) => link.say(&line),
                Event::Job(job) => progress.job(now, job.work.key())?,
                Event::Message(_) | Event::Answer { .. } => {}
            }
        }
    }
    Ok(())
}

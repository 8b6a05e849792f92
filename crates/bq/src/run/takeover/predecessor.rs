use std::time::{Duration, Instant};

use anyhow::bail;
use bq_runtime::{Shutdown, SuccessorLink};

use super::{Message, hear, tell_if_there};
use crate::run::service::tell_successor;

/// The process that this one took over from, which waits to be asked whether it may go.
#[derive(Debug)]
pub(crate) struct Predecessor {
    link: SuccessorLink,
    patience: Duration,
}

/// How often it is looked whether this process is to stop.
const LOOK: Duration = Duration::from_millis(50);

impl Predecessor {
    pub(super) const fn new(link: SuccessorLink, patience: Duration) -> Self {
        Self { link, patience }
    }

    /// Asks whether this process may go on with the connections. With its word it lets them go, and ends. One that does not answer in time
    /// is killed: one of the two goes on, and only one. Blocks.
    ///
    /// # Errors
    /// This process may not: it has to end, and the other goes on or has ended too.
    pub(crate) fn ask(mut self, stop: &Shutdown) -> anyhow::Result<()> {
        tell_if_there(&mut self.link, &Message::Asks)?;
        let mut asked = Instant::now();
        loop {
            if stop.is_requested() {
                bail!("told to stop before it served: the process that it was to replace goes on");
            }
            let is_late = asked.elapsed() >= self.patience;
            if self.link.is_ready(LOOK)? {
                return self.answer();
            }
            if is_late {
                self.end_it();
                asked = Instant::now();
            }
        }
    }

    fn answer(&mut self) -> anyhow::Result<()> {
        match hear(&mut self.link)? {
            Some((Message::May, _)) => {}
            None => tracing::warn!("the process that this one took over from is gone already"),
            Some((Message::Denied { why }, _)) => bail!("{why}"),
            Some((message, _)) => bail!("the process that runs there answers {message:?}"),
        }
        tell_successor();
        Ok(())
    }

    /// It does nothing, for it would answer at once, and so it ends this process no more either.
    fn end_it(&self) {
        let secs = self.patience.as_secs();
        let Some(older) = self.link.other() else {
            return tracing::error!(
                secs,
                "the process that this one is to replace does not answer, and cannot be ended from here"
            );
        };
        tracing::error!(%older, secs, "the process that this one replaces does not answer: it is killed");
        // Who watches that one watches this one from now on.
        tell_successor();
        if let Err(error) = older.kill() {
            tracing::warn!(%error, "it cannot be killed");
        }
    }
}

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use crate::{clock::SteadyClock, conditions::Conditions, metrics::StratumMetrics};

/// Who hears of a panic.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) clock: SteadyClock,
    pub(crate) conditions: Arc<Conditions>,
    pub(crate) metrics: Arc<StratumMetrics>,
}

/// Starts a thread that runs `body` until it returns. A panic is counted and told, and the body begins again on the same
/// thread: asking the system for another could fail just then.
pub(super) fn spawn(
    name: impl Into<String>,
    watch: Watch,
    body: impl Fn() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let name = name.into();
    thread::Builder::new().name(name.clone()).spawn(move || {
        // What a panic leaves half done is the task it was about, and that answers "busy" when it is dropped.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(&body)) {
            let what = text_of(payload.as_ref());
            tracing::error!(thread = name, what, "a verification thread panicked and goes on");
            watch.metrics.panicked();
            watch.conditions.panicked(watch.clock.now(), &name, what);
        }
    })
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

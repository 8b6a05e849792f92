//! `/api/v1/events`: what just happened, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use bq_crowd::{Entry, Home};
use bq_views::Event;
use futures::{Stream, StreamExt as _, stream};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, broadcast, watch},
    time::timeout,
};

use crate::{asker::Asker, error::ApiError, metrics::HttpMetrics, router::App, server::stopped};

/// Proxies close a silent connection after 30 to 60 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(3);

/// Each event is named after its type (`tip`, `block`, `payout`) and carries its JSON. A client that reads too slowly
/// loses events and is told how many by an event `lagged` with `{"missed": n}`: it should read the state afresh.
///
/// When there are as many as may be, the oldest of the address that has most ends for one of another address.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(Asker(asker)): Extension<Asker>,
) -> Result<Response, ApiError> {
    let home = Home::of(asker);
    let permit = take_place(&app, home)
        .await
        .ok_or_else(|| ApiError::unavailable("too_many_streams", "too many clients of the live feed"))?;
    let open = OpenStream::new(&app, permit, home);
    let hello = SseEvent::default().event("hello").retry(RETRY).data("{}");
    let first = stream::once(async move { Ok(hello) });
    let feed = Feed { events: app.events.subscribe(), stopping: app.stopping.clone(), open };
    let stream = first.chain(feed.into_stream());
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Whoever is told to end is gone after a turn of its task, if its client reads.
const LEAVING: Duration = Duration::from_millis(50);

async fn take_place(app: &Arc<App>, home: Home) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(&app.event_streams).try_acquire_owned() {
        return Some(permit);
    }
    let ends = app.event_crowd.lock().make_room(home)?;
    ends.notify_one();
    timeout(LEAVING, Arc::clone(&app.event_streams).acquire_owned()).await.ok()?.ok()
}

struct Feed {
    events: broadcast::Receiver<Event>,
    stopping: watch::Receiver<bool>,
    open: OpenStream,
}

impl Feed {
    fn into_stream(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            let event = feed.next().await?;
            Some((Ok(event), feed))
        })
    }

    /// The next event; nothing once the server stops or the source is gone.
    async fn next(&mut self) -> Option<SseEvent> {
        let received = tokio::select! {
            received = self.events.recv() => received,
            () = stopped(&mut self.stopping) => return None,
            () = self.open.ends.notified() => return None,
        };
        match received {
            Ok(event) => Some(named(&event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Some(SseEvent::default().event("lagged").data(format!("{{\"missed\":{missed}}}")))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

fn named(event: &Event) -> SseEvent {
    let name = match event {
        Event::Tip { .. } => "tip",
        Event::Block(_) => "block",
        Event::Payout { .. } => "payout",
    };
    // An event of strings and numbers always has a JSON form.
    let data = serde_json::to_string(event).unwrap_or_else(|_| "{}".to_owned());
    SseEvent::default().event(name).data(data)
}

/// One client, counted until it leaves in whatever way.
struct OpenStream {
    app: Arc<App>,
    permit: Option<OwnedSemaphorePermit>,
    entry: Entry,
    /// Somebody else needs the place.
    ends: Arc<Notify>,
}

impl OpenStream {
    fn new(app: &Arc<App>, permit: OwnedSemaphorePermit, home: Home) -> Self {
        let ends = Arc::<Notify>::default();
        let entry = app.event_crowd.lock().enter(home, Arc::clone(&ends));
        let open = Self { app: Arc::clone(app), permit: Some(permit), entry, ends };
        open.report(app.metrics);
        open
    }

    fn report(&self, metrics: HttpMetrics) {
        metrics.event_streams(self.app.event_streams_open());
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.app.event_crowd.lock().leave(self.entry);
        drop(self.permit.take());
        self.report(self.app.metrics);
    }
}

//! `/api/v1/events`: what just happened, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use bq_views::Event;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use crate::{error::ApiError, metrics::HttpMetrics, router::App, server::stopped};

/// Proxies close a silent connection after 30 to 60 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(3);

/// Each event is named after its type (`tip`, `block`, `payout`) and carries its JSON. A client that reads too slowly
/// loses events and is told how many by an event `lagged` with `{"missed": n}`: it should read the state afresh.
pub(crate) async fn events(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let permit = Arc::clone(&app.event_streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::unavailable("too_many_streams", "too many clients of the live feed"))?;
    let open = OpenStream::new(&app, permit);
    let hello = SseEvent::default().event("hello").retry(RETRY).data("{}");
    let first = stream::once(async move { Ok(hello) });
    let feed = Feed { events: app.events.subscribe(), stopping: app.stopping.clone(), _open: open };
    let stream = first.chain(feed.into_stream());
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

struct Feed {
    events: broadcast::Receiver<Event>,
    stopping: watch::Receiver<bool>,
    _open: OpenStream,
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
}

impl OpenStream {
    fn new(app: &Arc<App>, permit: OwnedSemaphorePermit) -> Self {
        let open = Self { app: Arc::clone(app), permit: Some(permit) };
        open.report(app.metrics);
        open
    }

    fn report(&self, metrics: HttpMetrics) {
        metrics.event_streams(self.app.event_streams_open());
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.report(self.app.metrics);
    }
}

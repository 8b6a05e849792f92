//! What is said where the pages are while a process has miners' connections and cannot open its books.

use std::{net::TcpListener, sync::Arc, time::Duration};

use anyhow::Context as _;
use bq_condition::{Component, Condition};
use bq_views::HealthView;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

/// Answers on the port of the pages until it is dropped.
#[derive(Default)]
pub(super) struct Bystander {
    answering: Mutex<Option<JoinHandle<()>>>,
    condition: Arc<Mutex<Option<Condition>>>,
}

/// What is told while the books are not open.
const BOOKS_NOT_OPENED: &str = "books_not_opened";
/// For a request's head, and for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who asks for health does so now and then.
const ASKERS_MAX: usize = 32;
/// Of a request no more is read: whatever it is, the answer is the same but for `/health/live`.
const HEAD_BYTES_MAX: usize = 4096;

impl Bystander {
    /// Says from now on that the books cannot be opened, and why, on this port if there is one.
    pub(super) fn tell(&self, error: &anyhow::Error, port: Option<&TcpListener>) {
        let mut condition = self.condition.lock();
        let since_ms = condition.as_ref().map_or_else(bq_runtime::now_ms, |condition| condition.since_ms);
        let reason = format!("{error:#}; this is tried again, and miners wait");
        *condition = Some(Condition { name: BOOKS_NOT_OPENED, reason, since_ms, blocks_readiness: true });
        let mut answering = self.answering.lock();
        let Some(port) = port.filter(|_| answering.is_none()) else { return };
        match self.answer_on(port) {
            Ok(task) => *answering = Some(task),
            Err(error) => tracing::warn!(%error, "nobody answers where the pages are"),
        }
    }

    fn answer_on(&self, port: &TcpListener) -> anyhow::Result<JoinHandle<()>> {
        let port = port.try_clone()?;
        port.set_nonblocking(true)?;
        let port = tokio::net::TcpListener::from_std(port).context("the port of the pages")?;
        let condition = Arc::clone(&self.condition);
        let askers = Arc::new(Semaphore::new(ASKERS_MAX));
        Ok(tokio::spawn(async move {
            loop {
                let (Ok(place), accepted) = (Arc::clone(&askers).acquire_owned().await, port.accept().await) else {
                    return;
                };
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let condition = Arc::clone(&condition);
                tokio::spawn(async move {
                    let _in_time = timeout(PATIENCE, answer(stream, &condition)).await;
                    drop(place);
                });
            }
        }))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        if let Some(answering) = self.answering.lock().take() {
            answering.abort();
        }
    }
}

async fn answer(mut stream: TcpStream, condition: &Mutex<Option<Condition>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES_MAX && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    // As the pages answer: alive is who answers at all, health is told, and nothing else is there.
    let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let status =
        if target.starts_with(b"/health/live") || target == b"/health" { "200 OK" } else { "503 Service Unavailable" };
    let conditions = condition.lock().iter().cloned().collect();
    let view = HealthView::new(&[Component { name: "pool", conditions }]);
    let body = serde_json::to_string(&view).map_err(std::io::Error::other)?;
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn health_is_told_while_books_are_not_open() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let bystander = Bystander::default();
        bystander.tell(&anyhow::anyhow!("no room"), Some(&port));
        let since = bystander.condition.lock().as_ref().map(|condition| condition.since_ms);
        bystander.tell(&anyhow::anyhow!("disk is full"), Some(&port));
        assert_eq!(bystander.condition.lock().as_ref().map(|condition| condition.since_ms), since);
        for (path, status) in [("/health/live", "200"), ("/health", "200"), ("/health/ready", "503"), ("/", "503")] {
            let mut stream = TcpStream::connect(port.local_addr().unwrap()).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut told = String::new();
            stream.read_to_string(&mut told).await.unwrap();
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {told}");
            assert!(told.contains("books_not_opened") && told.contains("disk is full") && told.contains("\"down\""));
        }
    }
}

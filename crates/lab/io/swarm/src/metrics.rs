//! What the server says of itself.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// One reading of `/metrics`.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(String);

const PATIENCE: Duration = Duration::from_secs(10);

impl Metrics {
    /// # Errors
    /// The server does not answer in time.
    pub(crate) fn read(http: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&http, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("metrics")?;
        Ok(Self(answer))
    }

    /// The value of the metric of this name and these labels; zero before its first.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut rows = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let is_meant = |(what, _): &(&str, &str)| {
            let (of, given) = what.split_once('{').unwrap_or((what, ""));
            of == name && labels.iter().all(|(label, value)| given.contains(&format!("{label}=\"{value}\"")))
        };
        rows.find(is_meant).and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_name_and_labels() {
        let text = "# TYPE a counter\na_sum{x=\"1\",y=\"2\"} 0.5\na{x=\"1\",y=\"2\"} 3\na{x=\"2\",y=\"2\"} 4\nb 7\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.value("a", &[("y", "2"), ("x", "2")]), 4.0);
        assert_eq!(
            (metrics.value("a_sum", &[("x", "1")]), metrics.value("b", &[]), metrics.value("c", &[])),
            (0.5, 7.0, 0.0)
        );
    }
}

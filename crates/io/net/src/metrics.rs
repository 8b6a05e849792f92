use bq_sync::{ChainTip, Kind};
use metrics::{counter, gauge};

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What the peer-to-peer layer counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics;

impl Metrics {
    /// `bq_peers{direction}`: connected peers, by who opened the connection.
    pub(crate) fn peers(inbound: u32, outbound: u32) {
        gauge!("bq_peers", "direction" => "in").set(inbound);
        gauge!("bq_peers", "direction" => "out").set(outbound);
    }

    /// `bq_p2p_messages_total{kind,direction}`: messages read and written.
    pub(crate) fn message(kind: Kind, direction: Direction) {
        counter!("bq_p2p_messages_total", "kind" => kind.name(), "direction" => direction.name()).increment(1);
    }

    /// `bq_sync_height` and `bq_sync_header_height`: the tip, and the best header known; equal when in step.
    pub(crate) fn heights(tip: ChainTip, best_header: ChainTip) {
        gauge!("bq_sync_height").set(tip.height.0);
        gauge!("bq_sync_header_height").set(best_header.height.0);
    }

    /// `bq_p2p_disconnects_total{reason}`: connections that we closed, by reason.
    pub(crate) fn disconnected(reason: &'static str) {
        counter!("bq_p2p_disconnects_total", "reason" => reason).increment(1);
    }

    /// `bq_p2p_dropped_total{queue}`: work that a full queue turned away.
    pub(crate) fn dropped(queue: &'static str) {
        counter!("bq_p2p_dropped_total", "queue" => queue).increment(1);
    }
}

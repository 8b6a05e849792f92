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

    /// `bq_p2p_refused_total{reason}`: connections of others that were turned away or displaced.
    pub(crate) fn refused(reason: &'static str) {
        counter!("bq_p2p_refused_total", "reason" => reason).increment(1);
    }

    /// `bq_p2p_misbehavior_total{kind}`: what peers were cut off for.
    pub(crate) fn cut_off(kind: &'static str) {
        counter!("bq_p2p_misbehavior_total", "kind" => kind).increment(1);
    }

    /// `bq_p2p_bans`: addresses that are shut out now.
    pub(crate) fn bans(count: usize) {
        gauge!("bq_p2p_bans").set(small(count));
    }

    /// `bq_p2p_addresses{kind}`: addresses of other nodes, heard of and tried.
    pub(crate) fn addresses((heard, tried): (usize, usize)) {
        gauge!("bq_p2p_addresses", "kind" => "heard").set(small(heard));
        gauge!("bq_p2p_addresses", "kind" => "tried").set(small(tried));
    }

    /// `bq_p2p_dials_total{role}`: addresses from the book that were dialled, to keep or to probe.
    pub(crate) fn dialed(role: &'static str) {
        counter!("bq_p2p_dials_total", "role" => role).increment(1);
    }

    /// `bq_p2p_proofs_put_off_total`: headers that waited, or were dropped, because their sender's budget did not cover
    /// verifying them.
    pub(crate) fn proofs_put_off(total: u64) {
        counter!("bq_p2p_proofs_put_off_total").absolute(total);
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

use std::time::{Duration, Instant};

use bq_views::Event;

use crate::{PoolError, core::Core};

/// How often the journal is audited.
const AUDIT_INTERVAL: Duration = Duration::from_secs(60);

impl Core {
    /// One round of the settling thread. A step that fails is logged and tried again in the next round; the steps after
    /// it that depend on it are left out.
    pub(crate) fn settle(&self) {
        if let Err(error) = self.announce_tip() {
            tracing::warn!(%error, "the new tip is not announced");
        }
        if let Err(error) = self.settle_once() {
            if error.is_transient() {
                tracing::warn!(%error, "settling goes on later");
            } else {
                tracing::error!(%error, "settling cannot go on: a person must look");
            }
            self.metrics.settle_failed();
        }
        self.show_metrics();
    }

    /// Blocks, then books against chain, then payouts.
    pub(crate) fn settle_once(&self) -> Result<(), PoolError> {
        self.recover_candidates()?;
        let tip = self.node.tip().id;
        self.settle_blocks()?;
        let mut settling = self.settling.lock();
        settling.reconciliation = None;
        self.advance_payouts()?;
        if settling.last_audit.is_none_or(|last| last.elapsed() >= AUDIT_INTERVAL) {
            self.store.audit()?;
            settling.last_audit = Some(Instant::now());
        }
        // Blocks and coins must have been looked at under one tip, or a difference would mean nothing.
        let Some(books) = self.reconcile(&tip)? else {
            self.look_now.notify_one();
            return Ok(());
        };
        if self.payout_is_due(settling.last_payout) && self.plan_payout(&books)?.is_some() {
            settling.last_payout = Some(Instant::now());
            self.advance_payouts()?;
        }
        settling.reconciliation = Some(books);
        Ok(())
    }

    fn announce_tip(&self) -> Result<(), PoolError> {
        let tip = self.node.tip();
        let mut settling = self.settling.lock();
        if settling.announced_tip == Some(tip.id) {
            return Ok(());
        }
        if let Some(summary) = self.node.block_summary(&tip.id)? {
            self.tell(Event::Tip {
                height: tip.height.0,
                id: tip.id.to_string(),
                algorithm: summary.header.algorithm.name().to_owned(),
                time: tip.time.0,
            });
        }
        settling.announced_tip = Some(tip.id);
        Ok(())
    }
}

//! The server is killed while shares flow, and started again: what it answered "accepted" must be in its log.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bq_primitives::Algorithm;
use tokio::time::sleep;

use super::Run;
use crate::{
    figures::{float, millis},
    lab::kill,
    plan::HONEST,
    quiver::Fletcher,
    shares::{ready, send_until_cut},
};

/// What each of the honest sends: a thousand a second together.
const INTERVAL: Duration = Duration::from_millis(20);
/// Shares flow for so long before a kill, one time more than the last: the log is met in other states each time.
const LOAD: Duration = Duration::from_millis(300);
const LOAD_STEP: Duration = Duration::from_millis(170);
const LOAD_STEPS: u32 = 7;

impl Run<'_> {
    pub(super) async fn be_killed(&mut self) -> anyhow::Result<()> {
        let own = self.lab.own().context("only a server that was started for the run is killed")?;
        let (mut acknowledged, mut sent, mut slowest) = (0, 0, Duration::ZERO);
        let (mut booked, mut lost, mut invented, mut audits_failed) = (0, 0, 0, 0);
        self.crowd.leave().await;
        // Earlier acts had shares booked too.
        let before = kill(&own)?.booked;
        for number in 0..self.plan.kills {
            let honest = HONEST.try_into().context("nobody is honest")?;
            let orders = self.orders(Algorithm::Sha256d, honest)?;
            let archers = ready(&orders, &self.wiring, 64 * HONEST, &Arc::new(Fletcher::new())).await?;
            let load = LOAD + LOAD_STEP * (number % LOAD_STEPS);
            let own = Arc::clone(&own);
            let killed = async move {
                sleep(load).await;
                tokio::task::spawn_blocking(move || kill(&own)).await?
            };
            let ((accepted, unanswered), killed) = tokio::join!(send_until_cut(archers, INTERVAL), killed);
            let killed = killed?;
            acknowledged += accepted;
            sent += accepted + unanswered;
            booked = usize::try_from(killed.booked.saturating_sub(before))?;
            lost = lost.max(acknowledged.saturating_sub(booked));
            invented = invented.max(booked.saturating_sub(sent));
            audits_failed += usize::from(!killed.is_audited);
            slowest = slowest.max(killed.ready_after);
        }
        let figures = &mut self.figures;
        figures.count("kills: shares acknowledged", acknowledged);
        figures.count("kills: shares in the log", booked);
        figures.count("kills: shares sent, never answered", sent - acknowledged);
        figures.add("kills: shares acknowledged and not in the log, most", float(lost), "");
        figures.add("kills: shares in the log that were never sent, most", float(invented), "");
        figures.count("kills: audits that found a difference", audits_failed);
        figures.add("kills: ready again after, max", millis(slowest), "ms");
        anyhow::ensure!(acknowledged > 0 || self.plan.kills == 0, "no share was acknowledged before a kill");
        let coming = self.crowd.come(self.crowd.len().max(1)).await;
        self.note_coming("after the kills", coming)
    }
}

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{BqProcess, wait_for};

/// A node's tip as its API tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// Its block id.
    pub id: String,
}

impl BqProcess {
    /// The tip now.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn tip(&self) -> Result<Tip> {
        let pool = self.get_json("/api/v1/pool")?;
        let height = pool["height"].as_u64().with_context(|| format!("no height in {pool}"))?;
        let id = pool["tip_id"].as_str().with_context(|| format!("no tip_id in {pool}"))?;
        Ok(Tip { height, id: id.to_owned() })
    }

    /// The tip once it is at `height` or above.
    ///
    /// # Errors
    /// Not within `limit`.
    pub fn wait_for_height(&self, height: u64, limit: Duration) -> Result<Tip> {
        wait_for(&format!("height {height}"), limit, || Ok(Some(self.tip()?).filter(|tip| tip.height >= height)))
    }

    /// A metric without labels, zero while nothing was counted.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn metric(&self, name: &str) -> Result<f64> {
        Ok(self.get("/metrics")?.metric(name).unwrap_or(0.0))
    }

    /// The books balance, by the metric and by the API.
    ///
    /// # Errors
    /// They do not, or the API does not answer.
    pub fn ensure_balanced(&self) -> Result<()> {
        let pool = self.get_json("/api/v1/pool")?;
        anyhow::ensure!(pool["ledger_imbalance"] == "0", "the books do not balance: {pool}");
        let metrics = self.get("/metrics")?;
        let imbalance = metrics.metric("bq_ledger_imbalance_atoms");
        anyhow::ensure!(imbalance == Some(0.0), "bq_ledger_imbalance_atoms is {imbalance:?}");
        Ok(())
    }

    /// A miner's page, or nothing while it is unknown.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn miner(&self, address: &str) -> Result<Option<Value>> {
        let response = self.get(&format!("/api/v1/miners/{address}"))?;
        match response.status {
            404 => Ok(None),
            200 => response.json().map(Some),
            other => anyhow::bail!("miner page: {other} {}", response.body),
        }
    }
}

/// Two nodes name the same tip. Both may still grow while this looks.
///
/// # Errors
/// They do not agree within `limit`.
pub fn wait_for_agreement(left: &BqProcess, right: &BqProcess, limit: Duration) -> Result<Tip> {
    wait_for("both nodes to have one tip", limit, || {
        let tip = left.tip()?;
        Ok((right.tip()? == tip).then_some(tip))
    })
}

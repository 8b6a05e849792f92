use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{BqProcess, Finished, atoms, run_bq};

/// What an operator does and looks at.
impl BqProcess {
    /// `bq pool ...` against this pool.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn pool(&self, arguments: &[&str]) -> Result<Finished> {
        let rpc = self.address("rpc")?.to_string();
        let [data, config] = ["data", "bq.toml"].map(|name| self.folder().join(name).display().to_string());
        let place = ["--network", "regtest", "--config", &config, "--data-dir", &data, "--rpc", &rpc];
        run_bq([&["pool"], arguments, place.as_slice()].concat())
    }

    /// A decision that is carried out: what the command said.
    ///
    /// # Errors
    /// It was refused.
    pub fn decide(&self, arguments: &[&str]) -> Result<String> {
        let done = self.pool(&[arguments, &["--reason", "a test"]].concat())?;
        ensure!(done.code == Some(0), "{arguments:?}: {done:?}");
        Ok(done.stdout)
    }

    /// Names of the conditions that a component tells.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn conditions(&self, component: &str) -> Result<Vec<String>> {
        let health = self.get("/health")?.json()?;
        let list = health["components"][component]["conditions"].as_array().with_context(|| health.to_string())?;
        Ok(list.iter().filter_map(|condition| condition["name"].as_str().map(str::to_owned)).collect())
    }

    /// Whether the pool tells this condition.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn holds(&self, name: &str) -> Result<bool> {
        Ok(self.conditions("pool")?.iter().any(|held| held == name))
    }

    /// What an address has on the best chain, in atoms.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn coins(&self, address: &str) -> Result<u64> {
        let coins = self.rpc()?.call("getcoins", &json!([address]))?;
        atoms(&coins["total"]["atoms"])
    }
}

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{BqProcess, Finished, atoms, run_bq, wait_for};

const IN_STEP_LIMIT: Duration = Duration::from_secs(30);

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

    /// What became of a decision, made once the books are where the node is: between a block and its booking the program says to wait.
    ///
    /// # Errors
    /// It cannot be started, or the books stay behind.
    pub fn decision(&self, arguments: &[&str]) -> Result<Finished> {
        let arguments = [arguments, &["--reason", "a test"]].concat();
        wait_for("books in step with the node", IN_STEP_LIMIT, || {
            let done = self.pool(&arguments)?;
            Ok((!done.stderr.contains("wait until node_out_of_step is over")).then_some(done))
        })
    }

    /// A decision that is carried out: what the command said.
    ///
    /// # Errors
    /// It was refused.
    pub fn decide(&self, arguments: &[&str]) -> Result<String> {
        let done = self.decision(arguments)?;
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

    /// What an account of the books holds, in atoms; one that is not listed holds nothing.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn balance(&self, account: &str) -> Result<u64> {
        let status = self.rpc()?.call("getpoolstatus", &json!([]))?;
        let balances = status["balances"].as_object().with_context(|| status.to_string())?;
        balances.get(account).map_or(Ok(0), |amount| atoms(&amount["atoms"]))
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

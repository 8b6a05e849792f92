//! A whole system on a throw-away directory, for benchmarks.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use bq_bench::SystemUnderTest;
use bq_chain_api::NodeApi;
use bq_pow::PowVerifier;
use bq_primitives::Algorithm;
use bq_runtime::{Config, Layers, Shutdown, load};
use tokio::runtime::Runtime;

use super::{
    system::{Opened, System, pow_config},
    takeover::Taken,
};

/// See [`Host::start_system`](bq_bench::Host::start_system).
pub(crate) struct BenchSystem {
    runtime: Runtime,
    system: System,
    data_dir: PathBuf,
}

impl BenchSystem {
    pub(crate) fn start(algorithms: &[(Algorithm, &str)]) -> anyhow::Result<Self> {
        let data_dir = std::env::temp_dir().join(format!("bq-bench-{}", std::process::id()));
        std::fs::create_dir_all(data_dir.join("data")).with_context(|| data_dir.display().to_string())?;
        let file = data_dir.join("bench.toml");
        std::fs::write(&file, config_text(&data_dir, algorithms))?;
        let config = load(&Layers { file: Some(file), ..Layers::default() })?.config;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let system = runtime.block_on(start(&config))?;
        Ok(Self { runtime, system, data_dir })
    }
}

impl SystemUnderTest for BenchSystem {
    fn stratum(&self, algorithm: Algorithm) -> anyhow::Result<SocketAddr> {
        self.system.stratum.address(algorithm).context("the port is not open")
    }

    fn address(&self) -> String {
        self.system.miner_address.clone()
    }

    fn node(&self) -> &dyn NodeApi {
        &*self.system.node
    }

    fn pow(&self) -> &PowVerifier {
        &self.system.pow
    }

    fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.runtime.block_on(self.system.stop());
        drop(self.runtime);
        Ok(std::fs::remove_dir_all(&self.data_dir)?)
    }
}

async fn start(config: &Config) -> anyhow::Result<System> {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let opened = Opened::new(config, Arc::new(PowVerifier::new(pow_config(config)))).await?;
    // Nobody is asked whether it may stop.
    let (_trigger, stop) = Shutdown::new();
    let system = System::start_with(config, (opened, Taken::default()), recorder.handle(), stop, |stratum| {
        for session in &mut stratum.sessions {
            session.lines_per_second = 10_000_000;
            session.line_burst = 10_000_000;
            session.judge.shares_in_flight_max = 1 << 10;
            session.judge.shares_per_job_max = 1 << 24;
            session.judge.unproven_in_flight_max = 1 << 10;
            session.vardiff.cap_divisor = u64::MAX;
        }
        stratum.verify.queue_max = [1 << 17; Algorithm::COUNT];
        stratum.verify.queue_ms = [0, 600_000, 600_000];
    })
    .await?;
    system.ready().await?;
    Ok(system)
}

fn config_text(data_dir: &std::path::Path, algorithms: &[(Algorithm, &str)]) -> String {
    let names: Vec<_> = algorithms.iter().map(|(algorithm, _)| format!("\"{algorithm}\"")).collect();
    let bits: Vec<_> = algorithms.iter().map(|(algorithm, bits)| format!("{algorithm} = \"{bits}\"")).collect();
    let free = "127.0.0.1:0";
    format!(
        "network = \"regtest\"\ndata_dir = {:?}\nstratum_sha256d = \"{free}\"\nstratum_randomx = \"{free}\"\n\
         stratum_ethash = \"{free}\"\nstratum_v2 = \"{free}\"\nhttp = \"{free}\"\nrpc = \"{free}\"\np2p = \"{free}\"\n\
         [miner]\nenabled = false\n\
         [pool.sha256d]\nshare_difficulty_floor = 1\nshare_difficulty_start = 1\n\
         [pool.randomx]\nshare_difficulty_floor = 1\nshare_difficulty_start = 1\n\
         [pool.ethash]\nshare_difficulty_floor = 1\nshare_difficulty_start = 1\n\
         [[regtest.eras]]\nstart = 1\nalgorithms = [{}]\nbits = {{ {} }}\n",
        data_dir.join("data"),
        names.join(", "),
        bits.join(", ")
    )
}

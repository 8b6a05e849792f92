//! The command line as the strongest configuration layer.

use bq_runtime::{Layers, RawConfig, RawMiner, RawPool};

use crate::cli::RunArgs;

/// Flags, environment and file, in the form that the configuration loader takes.
pub(crate) fn layers(args: &RunArgs) -> Layers {
    let text = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    let flags = RawConfig {
        network: args.network.map(|network| network.name().to_owned()),
        data_dir: args.data_dir.clone(),
        stratum_sha256d: text(args.stratum_sha256d),
        stratum_randomx: text(args.stratum_randomx),
        stratum_ethash: text(args.stratum_ethash),
        stratum_v2: text(args.stratum_v2),
        http: text(args.http),
        rpc: text(args.rpc),
        p2p: text(args.p2p),
        connect: (!args.connect.is_empty()).then(|| args.connect.clone()),
        ready_file: args.ready_file.clone(),
        pool: RawPool { new_key: args.new_key.then_some(true), ..RawPool::default() },
        miner: RawMiner {
            enabled: args.miner_threads.map(|threads| threads > 0),
            threads: args.miner_threads.filter(|threads| *threads > 0).and_then(|threads| i64::try_from(threads).ok()),
            address: args.miner_address.clone(),
            ..RawMiner::default()
        },
        ..RawConfig::default()
    };
    Layers { flags, environment: std::env::vars().collect(), file: args.config.clone() }
}

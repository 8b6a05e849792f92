use bq_primitives::{Algorithm, Network};
use toml::Value;

/// What holds without any other layer, on this network.
pub(super) fn default_value(name: &str, network: Network) -> Option<Value> {
    let small = matches!(network, Network::Devnet | Network::Regtest);
    Some(match name {
        "network" => network.name().into(),
        "data_dir" => "bq-data".into(),
        "stratum_sha256d" => "127.0.0.1:3333".into(),
        "stratum_randomx" => "127.0.0.1:3334".into(),
        "stratum_ethash" => "127.0.0.1:3335".into(),
        "http" => "127.0.0.1:8080".into(),
        "rpc" => "127.0.0.1:8332".into(),
        "p2p" => "127.0.0.1:8333".into(),
        "connect" => Value::Array(Vec::new()),
        "chain.check_blocks" => 24.into(),
        "chain.kept_blocks_max" => 256.into(),
        "chain.kept_mib_max" => 128.into(),
        "chain.retry_secs_max" => 60.into(),
        "pool.fee_bp" => 100.into(),
        "pool.payout_min" => 100_000_000.into(),
        "pool.payout_final_depth" => (if small { 6 } else { 60 }).into(),
        "pool.payout_interval_secs" => (if small { 10 } else { 3_600 }).into(),
        "pool.payout_round_max" => 4.into(),
        "pool.payout_inputs_max" => 100.into(),
        "pool.payout_payees_max" => 500.into(),
        "pool.payout_fee_rate" => 1_000.into(),
        "pool.gift_min" => 100_000.into(),
        "pool.frame_interval_ms" => 50.into(),
        "pool.compare_interval_secs" => 60.into(),
        "pool.checkpoint_events" => 10_000.into(),
        "pool.verify_shares" => 500_000.into(),
        "pool.keep_days" => 30.into(),
        "pool.segment_shares" => 262_144.into(),
        "pool.out_of_step_secs" => 5.into(),
        "pool.new_key" => false.into(),
        "pool.pplns_window_units" => 2.into(),
        "pool.share_interval_secs" => (if small { 5 } else { 15 }).into(),
        "pool.share_difficulty_cap_divisor" => 8.into(),
        "miner.enabled" => (network == Network::Devnet).into(),
        "miner.threads" => 1.into(),
        "miner.algorithms" => Algorithm::ALL.map(|algorithm| Value::from(algorithm.name())).to_vec().into(),
        "miner.mode" => "turns".into(),
        "miner.gpu" => false.into(),
        "randomx.mode" => "auto".into(),
        "randomx.memory_budget_mib" => 512.into(),
        "log.format" => "text".into(),
        "log.level" => "info".into(),
        other => return share_difficulty_default(other, network),
    })
}

/// Sized for one CPU core on devnet, for ordinary devices on the large networks. Each floor lies well below the work of
/// the easiest block, and a regtest block takes two hashes, so nothing is too easy there.
fn share_difficulty_default(name: &str, network: Network) -> Option<Value> {
    let (floor, start): (i64, i64) = match (name.split('.').nth(1)?, network) {
        ("sha256d" | "randomx" | "ethash", Network::Regtest) => (1, 1),
        ("sha256d", Network::Devnet) => (1 << 14, 1 << 18),
        ("sha256d", _) => (1 << 24, 1 << 32),
        ("randomx", Network::Devnet) => (4, 50),
        ("randomx", _) => (1_000, 10_000),
        ("ethash", Network::Devnet) => (32, 500),
        ("ethash", _) => (1 << 16, 1 << 26),
        _ => return None,
    };
    match name.rsplit('.').next()? {
        "share_difficulty_floor" => Some(floor.into()),
        "share_difficulty_start" => Some(start.into()),
        _ => None,
    }
}

use std::sync::Arc;

use bq_mining_message::{MiningChange, MiningControl, MiningMode};
use bq_primitives::Algorithm;

use super::{Answer, chain::difficulty, json};
use crate::{
    MiningConfigShape, MiningInfoShape, RpcServices,
    args::{Args, parse},
    fault::{Code, Fault},
    shapes::{bits_by_name, by_name},
};

pub(super) fn get_mining_info(services: &RpcServices, _: &mut Args) -> Answer {
    let info = services.node.mining_info()?;
    json(MiningInfoShape {
        chain: services.node.network().name().to_owned(),
        blocks: info.tip.height.0,
        bestblockhash: info.tip.id.to_string(),
        difficulty: difficulty(services),
        nextbits: bits_by_name(&info.tip.next_bits),
        networkhashps: by_name(info.network_hashrate),
        pooledtx: info.mempool_transactions,
        pooledweight: info.mempool_weight,
        connections: info.peers,
    })
}

pub(super) fn get_mining_config(services: &RpcServices, _: &mut Args) -> Answer {
    json(MiningConfigShape::from(miner(services)?.mining_status()))
}

pub(super) fn set_mining_config(services: &RpcServices, args: &mut Args) -> Answer {
    let algorithms: Option<Vec<String>> = args.optional("algorithms")?;
    let algorithms = algorithms
        .map(|names| names.iter().map(|name| parse::<Algorithm>("algorithms", name)).collect::<Result<Vec<_>, _>>());
    let mode: Option<String> = args.optional("mode")?;
    let change = MiningChange {
        enabled: args.optional("enabled")?,
        paused: args.optional("paused")?,
        mode: mode.map(|name| parse::<MiningMode>("mode", &name)).transpose()?,
        threads: args.optional("threads")?,
        algorithms: algorithms.transpose()?,
    };
    json(MiningConfigShape::from(miner(services)?.set_mining(&change)?))
}

fn miner(services: &RpcServices) -> Result<&Arc<dyn MiningControl>, Fault> {
    let missing = || Fault::new(Code::Unavailable, "this process has no built-in miner");
    services.mining.as_ref().ok_or_else(missing)
}

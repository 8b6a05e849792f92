use std::sync::Arc;

use bq_chain_api::PeerNetwork;
use serde_json::Value;

use super::{Answer, json};
use crate::{
    PeerShape, RpcServices,
    args::Args,
    fault::{Code, Fault},
};

pub(super) fn get_peer_info(services: &RpcServices, _: &mut Args) -> Answer {
    let peers = network(services)?.peers();
    json(peers.into_iter().map(PeerShape::from).collect::<Vec<_>>())
}

pub(super) fn get_connection_count(services: &RpcServices, _: &mut Args) -> Answer {
    json(network(services)?.peers().len())
}

pub(super) fn add_node(services: &RpcServices, args: &mut Args) -> Answer {
    let node: String = args.value("node")?;
    let command = args.optional::<String>("command")?;
    if command.is_some_and(|command| command != "add") {
        return Err(Fault::parameter("command", "only \"add\" is known"));
    }
    network(services)?.add_node(&node)?;
    Ok(Value::Null)
}

fn network(services: &RpcServices) -> Result<&Arc<dyn PeerNetwork>, Fault> {
    let missing = || Fault::new(Code::Unavailable, "this process has no peer-to-peer layer");
    services.peers.as_ref().ok_or_else(missing)
}

//! Follows a node's next block over its JSON-RPC server, for choosing the algorithm that pays best.

use std::{sync::Arc, thread, time::Duration};

use anyhow::Context as _;
use bq_chain_api::{NodeApi as _, Template, TemplateRequest};
use bq_miner::{BlockSource, NextBlock};
use bq_primitives::{Address, Algorithm};
use bq_rpc::RpcClient;
use parking_lot::RwLock;

use crate::exit::UsageError;

const ASK_EVERY: Duration = Duration::from_secs(5);

/// The next block of every algorithm, by [`Algorithm::index`].
type NextBlocks = [Option<NextBlock>; Algorithm::COUNT];

/// Asks the node at `address` for a template now and every few seconds, on a thread of its own, until nobody wants to know
/// any more. While the node does not answer, what it said last stands. `user` begins with the address that blocks pay.
pub(super) fn follow(address: &str, user: &str) -> anyhow::Result<BlockSource> {
    let client = RpcClient::connect(address).with_context(|| format!("--node {address}"))?;
    let payee = user.split('.').next().unwrap_or_default();
    let payout = Address::parse(payee, client.network())
        .map_err(|error| UsageError(format!("--user: with --node it begins with an address: {payee:?}: {error}")))?;
    let request = TemplateRequest::new(payout.key_hash, Vec::new());
    let known = Arc::new(RwLock::new(next_blocks(&client.template(&request)?)));
    let watched = Arc::downgrade(&known);
    thread::Builder::new().name("node".to_owned()).spawn(move || {
        loop {
            thread::sleep(ASK_EVERY);
            let template = client.template(&request);
            let Some(known) = watched.upgrade() else { return };
            match template {
                Ok(template) => *known.write() = next_blocks(&template),
                Err(error) => tracing::warn!(%error, "the node gives no template"),
            }
        }
    })?;
    Ok(Arc::new(move |algorithm: Algorithm| known.read().get(algorithm.index()).copied().flatten()))
}

fn next_blocks(template: &Template) -> NextBlocks {
    Algorithm::ALL.map(|algorithm| {
        let target = template.work(algorithm)?.target;
        Some(NextBlock { target, reward_atoms: template.reward.atoms() })
    })
}

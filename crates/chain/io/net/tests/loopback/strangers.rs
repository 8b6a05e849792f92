//! Nodes that find each other.
use std::{path::Path, sync::Arc};

use bq_chain_api::PeerKind;
use bq_net::{Net, NetConfig, NetHandle};
use bq_sync::Scope;

use crate::{fake::FakeNode, within};

/// Takes private addresses too, as everybody is on one machine here.
async fn join(node: &Arc<FakeNode>, memory: Option<&Path>, connect: &[&NetHandle]) -> NetHandle {
    let config = NetConfig {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        connect: connect.iter().map(|peer| peer.address().unwrap().to_string().parse().unwrap()).collect(),
        scope: Scope::Any,
        peers_file: memory.map(Path::to_owned),
        ..NetConfig::default()
    };
    Net::start(config, Arc::<FakeNode>::clone(node)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_knows_one_node_finds_the_others_and_finds_them_again() {
    let nodes = [FakeNode::new(), FakeNode::new(), FakeNode::new()];
    let first = join(&nodes[0], None, &[]).await;
    let second = join(&nodes[1], None, &[&first]).await;
    let third = join(&nodes[2], None, &[&first]).await;
    // The third has asked the first, to which the second had told its port.
    within(first.wait_for_peers(2)).await;
    within(third.wait_for_peers(2)).await;
    within(second.wait_for_peers(2)).await;

    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("peers");
    let newcomer = FakeNode::new();
    let handle = join(&newcomer, Some(&memory), &[&first]).await;
    within(handle.wait_for_peers(3)).await;
    within(handle.shutdown()).await;
    // Nobody is configured now: anchors and addresses are enough.
    let handle = join(&newcomer, Some(&memory), &[]).await;
    within(handle.wait_for_peers(2)).await;
    assert!(handle.peers().iter().any(|peer| peer.kind == PeerKind::Automatic));
    for handle in [handle, third, second, first] {
        within(handle.shutdown()).await;
    }
}

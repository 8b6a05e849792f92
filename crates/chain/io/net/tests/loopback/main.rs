//! Whole network layers talking over loopback, with a node behind each that has no rules.
#![expect(clippy::unwrap_used, reason = "a broken harness should say where")]
mod fake;
mod hostile;
mod strangers;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bq_chain_api::{AddNodeError, NodeApi};
use bq_net::{Net, NetConfig, NetError, NetHandle};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::fake::{FakeNode, block, genesis, transaction};

/// Far more than any step takes: it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("not in time")
}

async fn start(node: &Arc<FakeNode>, connect: &[&NetHandle]) -> NetHandle {
    let connect = connect.iter().map(|peer| peer.address().unwrap().to_string().parse().unwrap()).collect();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    Net::start(NetConfig { listen, connect, ..NetConfig::default() }, Arc::<FakeNode>::clone(node)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_catches_up_and_follows() {
    let (old, fresh) = (FakeNode::new(), FakeNode::new());
    let mut tip = old.mine(genesis().id(), 300, 1);
    let server = start(&old, &[]).await;
    let client = start(&fresh, &[&server]).await;
    within(fresh.reaches(tip)).await;
    for salt in 2..6 {
        tip = old.mine(tip, 1, salt);
        within(fresh.reaches(tip)).await;
        tip = fresh.mine(tip, 1, salt);
        within(old.reaches(tip)).await;
    }
    let peers = client.peers();
    assert_eq!((peers.len(), peers[0].is_inbound, peers[0].misbehavior), (1, false, 0));
    assert_eq!(*old.peers.borrow(), 1);
    within(client.shutdown()).await;
    within(server.shutdown()).await;
    assert_eq!(*fresh.peers.borrow(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_branches_end_on_the_one_with_more_work() {
    let (a, b) = (FakeNode::new(), FakeNode::new());
    let fork = a.mine(genesis().id(), 20, 1);
    b.mine(genesis().id(), 20, 1);
    a.mine(fork, 5, 2);
    let better = b.mine(fork, 6, 3);
    let at_a = start(&a, &[]).await;
    let at_b = start(&b, &[&at_a]).await;
    within(a.reaches(better)).await;
    // The branch that lost grows past the other and takes over again, on both sides.
    let best = a.mine(fork, 9, 4);
    within(b.reaches(best)).await;
    within(at_a.shutdown()).await;
    within(at_b.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_reaches_a_node_two_hops_away() {
    let nodes = [FakeNode::new(), FakeNode::new(), FakeNode::new()];
    let first = start(&nodes[0], &[]).await;
    // Submitted before anybody is there to hear it: a new peer asks for the mempool.
    let early = nodes[0].submit_transaction(transaction(1)).unwrap();
    let second = start(&nodes[1], &[&first]).await;
    let third = start(&nodes[2], &[&second]).await;
    within(nodes[2].pool.subscribe().wait_for(|pool| pool.contains(&early))).await.unwrap();
    let mut salt = 1;
    // Gossip needs a moment to know both hops; whatever is sent after that arrives.
    loop {
        salt += 1;
        let txid = nodes[0].submit_transaction(transaction(salt)).unwrap();
        let mut pool = nodes[2].pool.subscribe();
        let arrives = pool.wait_for(|pool| pool.contains(&txid));
        if tokio::time::timeout(Duration::from_secs(1), arrives).await.is_ok() {
            break;
        }
        assert!(salt < 60, "never arrived");
    }
    for handle in [third, second, first] {
        within(handle.shutdown()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_peer_is_dialled_again() {
    let (a, b) = (FakeNode::new(), FakeNode::new());
    let at_a = start(&a, &[]).await;
    let address: SocketAddr = at_a.address().unwrap();
    let at_b = start(&b, &[&at_a]).await;
    within(at_b.wait_for_peers(1)).await;
    within(at_a.shutdown()).await;
    within(b.peers.subscribe().wait_for(|peers| *peers == 0)).await.unwrap();
    let tip = a.mine(genesis().id(), 3, 1);
    let config = NetConfig { listen: Some(address), ..NetConfig::default() };
    let at_a = within(Net::start(config, Arc::<FakeNode>::clone(&a))).await.unwrap();
    within(b.reaches(tip)).await;
    within(at_a.shutdown()).await;
    within(at_b.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_can_be_added_while_running() {
    let (a, b) = (FakeNode::new(), FakeNode::new());
    let tip = a.mine(genesis().id(), 3, 1);
    let (at_a, at_b) = (start(&a, &[]).await, start(&b, &[]).await);
    let network = at_b.peer_network();
    assert_eq!(network.add_node("nowhere"), Err(AddNodeError::Address("nowhere".to_owned())));
    network.add_node(&format!("/ip4/127.0.0.1/tcp/{}", at_a.address().unwrap().port())).unwrap();
    within(b.reaches(tip)).await;
    within(at_a.shutdown()).await;
    within(at_b.shutdown()).await;
    assert_eq!(network.add_node("127.0.0.1:1"), Err(AddNodeError::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_busy_verifying_still_serves_its_peers() {
    let (source, busy, other) = (FakeNode::new(), FakeNode::new(), FakeNode::new());
    let shared = busy.mine(genesis().id(), 5, 1);
    source.mine(genesis().id(), 5, 1);
    let tip = source.mine(shared, 5, 1);
    let at_source = start(&source, &[]).await;
    let verifying = busy.verify_nothing();
    let at_busy = start(&busy, &[&at_source]).await;
    let at_other = start(&other, &[&at_busy]).await;
    // Served by the busy node while its header thread is stuck.
    within(other.reaches(shared)).await;
    assert_eq!(busy.tip().id, shared);
    verifying.send(()).unwrap();
    within(busy.reaches(tip)).await;
    within(other.reaches(tip)).await;
    for handle in [at_other, at_busy, at_source] {
        within(handle.shutdown()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_a_forbidden_block_is_cut_off() {
    let (liar, node) = (FakeNode::new(), FakeNode::new());
    liar.mine(genesis().id(), 3, 66);
    node.forbid(block(genesis().id(), 1, 66).id());
    let at_node = start(&node, &[]).await;
    let mut counts = node.peers.subscribe();
    let at_liar = start(&liar, &[&at_node]).await;
    within(counts.wait_for(|peers| *peers == 1)).await.unwrap();
    within(counts.wait_for(|peers| *peers == 0)).await.unwrap();
    assert_eq!(node.tip().id, genesis().id());
    within(at_liar.shutdown()).await;
    within(at_node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_handshake_disturb_nobody() {
    let (a, b) = (FakeNode::new(), FakeNode::new());
    let at_a = start(&a, &[]).await;
    for salt in 0..8_u8 {
        let mut stream = TcpStream::connect(at_a.address().unwrap()).await.unwrap();
        // The node may hang up before all of it is written.
        let _ = stream.write_all(&[salt.wrapping_mul(37); 5000]).await;
    }
    let at_b = start(&b, &[&at_a]).await;
    let tip = a.mine(genesis().id(), 2, 1);
    within(b.reaches(tip)).await;
    within(at_a.shutdown()).await;
    within(at_b.shutdown()).await;
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let node = FakeNode::new();
    let first = start(&node, &[]).await;
    let config = NetConfig { listen: first.address(), ..NetConfig::default() };
    let error = Net::start(config, Arc::<FakeNode>::clone(&node)).await.unwrap_err();
    assert!(matches!(&error, NetError::Listen { .. }), "{error}");
    assert!(error.to_string().contains(&first.address().unwrap().to_string()), "{error}");
    within(first.shutdown()).await;
}

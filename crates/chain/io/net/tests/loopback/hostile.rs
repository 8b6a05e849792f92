//! Peers that hold up, crowd out, or come back.
use std::{sync::Arc, time::Duration};

use bq_net::{Net, NetConfig};
use bq_sync::InboundLimits;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    fake::{FakeNode, block, genesis},
    start, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_shows_headers_and_holds_its_blocks_back_is_replaced() {
    let (liar, honest, node) = (FakeNode::new(), FakeNode::new(), FakeNode::new());
    let tip = honest.mine(genesis().id(), 100, 1);
    liar.mine(genesis().id(), 100, 1);
    let silence = liar.serve_nothing();
    let (at_liar, at_honest) = (start(&liar, &[]).await, start(&honest, &[]).await);
    let at_node = start(&node, &[&at_liar, &at_honest]).await;
    within(node.reaches(tip)).await;
    let mut waited = at_node.peers();
    while waited.iter().all(|peer| peer.misbehavior == 0) && waited.len() == 2 {
        // The snapshot follows twice a second.
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited = at_node.peers();
    }
    drop(silence);
    for handle in [at_node, at_honest, at_liar] {
        within(handle.shutdown()).await;
    }
}

/// Two hundred connections from one address, while one of our own choice is up: two get a place, ours stays and works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_from_one_address_takes_two_places_and_none_of_ours() {
    let (honest, node) = (FakeNode::new(), FakeNode::new());
    let at_honest = start(&honest, &[]).await;
    let config = NetConfig {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        connect: vec![at_honest.address().unwrap().to_string().parse().unwrap()],
        inbound: InboundLimits { exempt_loopback: false, ..InboundLimits::new(64) },
        ..NetConfig::default()
    };
    let at_node = Net::start(config, Arc::<FakeNode>::clone(&node)).await.unwrap();
    within(at_node.wait_for_peers(1)).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(at_node.address().unwrap()).await.unwrap());
    }
    let (closed, mut count) = tokio::sync::mpsc::unbounded_channel();
    let readers: Vec<_> = crowd
        .into_iter()
        .map(|mut stream| {
            let closed = closed.clone();
            tokio::spawn(async move {
                // A place begins with a greeting; the end of the stream, or an error, means that there is none.
                let mut bytes = [0; 64];
                while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
                let _ = closed.send(());
            })
        })
        .collect();
    for _ in 0..198 {
        within(count.recv()).await.unwrap();
    }
    assert!(at_node.peers().iter().all(|peer| !peer.is_inbound));
    let tip = honest.mine(genesis().id(), 3, 1);
    within(node.reaches(tip)).await;
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    within(at_node.shutdown()).await;
    within(at_honest.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_shut_out_stays_out_over_a_restart_until_the_ban_ends() {
    let (liar, node) = (FakeNode::new(), FakeNode::new());
    liar.mine(genesis().id(), 3, 66);
    node.forbid(block(genesis().id(), 1, 66).id());
    let folder = tempfile::tempdir().unwrap();
    let config = |ban: Duration| NetConfig {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        inbound: InboundLimits { exempt_loopback: false, ..InboundLimits::new(64) },
        peers_file: Some(folder.path().join("peers")),
        ban,
        ..NetConfig::default()
    };
    let long = Duration::from_secs(3600);
    let at_node = Net::start(config(long), Arc::<FakeNode>::clone(&node)).await.unwrap();
    let mut counts = node.peers.subscribe();
    let at_liar = start(&liar, &[&at_node]).await;
    within(counts.wait_for(|peers| *peers == 1)).await.unwrap();
    within(counts.wait_for(|peers| *peers == 0)).await.unwrap();
    within(at_liar.shutdown()).await;
    within(at_node.shutdown()).await;

    let at_node = Net::start(config(long), Arc::<FakeNode>::clone(&node)).await.unwrap();
    let mut stream = TcpStream::connect(at_node.address().unwrap()).await.unwrap();
    let mut bytes = [0; 64];
    assert!(matches!(within(stream.read(&mut bytes)).await, Ok(0) | Err(_)), "refused before a greeting");
    within(at_node.shutdown()).await;
}

//! The client is the node, as far as anyone can tell.
use bq_chain_api::{
    BlockRefusal, NodeApi, NodeError, SubmitBlockError, SubmitTransactionError, TemplateRequest, TransactionRefusal,
};
use bq_primitives::{Algorithm, BlockId, Height, KeyHash, TxId};
use bq_rpc::{RpcClient, RpcClientError, RpcLogin, RpcOptions, RpcServer, RpcServices};
use futures::{FutureExt as _, StreamExt as _};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    Rig,
    fake::{FakeNode, child, key_hash, seal, spend, summary, waiting},
    open_to_all,
};

/// Runs the blocking client beside the server.
async fn with_client(rig: Rig, test: impl FnOnce(&FakeNode, &RpcClient) + Send + 'static) {
    tokio::task::spawn_blocking(move || {
        let client = RpcClient::connect(&rig.server.address().to_string()).unwrap();
        test(&rig.node, &client);
        // The server stops when its handle is dropped, here, after the last call.
        drop(rig);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn reading_through_the_client_is_reading_the_node() {
    with_client(Rig::start().await, |node, client| {
        assert_eq!(client.network(), node.network());
        assert_eq!(client.genesis_id(), node.genesis_id());
        assert_eq!(client.coinbase_maturity(), node.coinbase_maturity());
        assert_eq!(client.tip(), node.tip());
        for block in &node.blocks {
            let id = block.id();
            assert_eq!(client.block(&id).unwrap().as_ref(), Some(block));
            assert_eq!(client.block_summary(&id).unwrap(), node.block_summary(&id).unwrap());
        }
        let nowhere = BlockId([1; 32]);
        assert_eq!(client.block(&nowhere).unwrap(), None);
        assert_eq!(client.block_summary(&nowhere).unwrap(), None);
        for height in [0, 2, 3] {
            assert_eq!(client.block_id_at(Height(height)).unwrap(), node.block_id_at(Height(height)).unwrap());
        }
        for key in [key_hash(), KeyHash([1; 32])] {
            assert_eq!(client.coins_of(&key).unwrap(), node.coins_of(&key).unwrap());
        }
        for outpoint in [spend().inputs[0], bq_primitives::OutPoint { index: 0, ..spend().inputs[0] }] {
            assert_eq!(client.spender_of(&outpoint).unwrap(), node.spender_of(&outpoint).unwrap());
        }
        for txid in [spend().txid(), waiting().txid(), TxId([3; 32])] {
            assert_eq!(client.transaction_status(&txid).unwrap(), node.transaction_status(&txid).unwrap());
        }
        assert_eq!(client.mining_info().unwrap(), node.mining_info().unwrap());
        assert_eq!(client.difficulty().unwrap(), node.difficulty().unwrap());
        assert_eq!(client.mining_config().unwrap().threads, 1);
        assert_eq!(client.peers().unwrap().len(), 2);
        assert_eq!(client.blockchain_info().unwrap().headers, 7);
    })
    .await;
}

#[tokio::test]
async fn a_template_through_the_client_makes_the_same_block() {
    with_client(Rig::start().await, |node, client| {
        let request = TemplateRequest::new(KeyHash([4; 32]), b"hello".to_vec());
        let (ours, theirs) = (client.template(&request).unwrap(), node.template(&request).unwrap());
        assert_eq!(ours.works, theirs.works);
        assert_eq!(
            (ours.parent_id, ours.height, ours.reward, ours.fees),
            (theirs.parent_id, theirs.height, theirs.reward, theirs.fees)
        );
        for algorithm in Algorithm::ALL {
            assert_eq!(ours.seal(seal(algorithm)), theirs.seal(seal(algorithm)));
        }
        let sealed = ours.seal(seal(Algorithm::RandomX)).unwrap();
        assert_eq!(client.submit_block(sealed.clone()).unwrap(), sealed.id());
    })
    .await;
}

#[tokio::test]
async fn refusals_keep_their_type() {
    with_client(Rig::start().await, |node, client| {
        let block = child(node.blocks[2].id(), 3);
        let refused = |refusal: SubmitBlockError| {
            *node.refuse_block.lock().unwrap() = Some(refusal.clone());
            let got = client.submit_block(block.clone()).unwrap_err();
            assert_eq!(format!("{got:?}"), format!("{refusal:?}"));
        };
        refused(SubmitBlockError::Duplicate);
        refused(SubmitBlockError::UnknownParent(BlockId([8; 32])));
        refused(SubmitBlockError::TooEarly(BlockRefusal::Told("in an hour".to_owned())));
        refused(SubmitBlockError::Invalid(BlockRefusal::Told("SPEC 7.3".to_owned())));
        refused(SubmitBlockError::Kept { id: block.id(), reason: "full".to_owned() });
        refused(SubmitBlockError::Node(NodeError::Closed));
        for refusal in [
            SubmitTransactionError::Duplicate,
            SubmitTransactionError::Invalid(TransactionRefusal::Told("spent".to_owned())),
            SubmitTransactionError::Full,
            SubmitTransactionError::Node(NodeError::Closed),
        ] {
            *node.refuse_transaction.lock().unwrap() = Some(refusal.clone());
            let got = client.submit_transaction(spend()).unwrap_err();
            assert_eq!(format!("{got:?}"), format!("{refusal:?}"));
        }
        assert_eq!(client.submit_transaction(spend()).unwrap(), spend().txid());
        *node.fail.lock().unwrap() = Some(NodeError::Closed);
        assert!(matches!(client.coins_of(&key_hash()), Err(NodeError::Closed)));
        assert!(matches!(client.block(&node.genesis_id()), Err(NodeError::Closed)));
    })
    .await;
}

#[tokio::test]
async fn a_new_tip_wakes_the_watchers_once_it_is_asked_for() {
    with_client(Rig::start().await, |node, client| {
        let mut tips = client.tip_changes();
        let next = summary(&child(node.blocks[2].id(), 3));
        node.tips.send_replace(next.clone());
        assert_eq!(tips.next().now_or_never(), None);
        assert_eq!(client.tip(), next);
        assert_eq!(tips.next().now_or_never(), Some(Some(next)));
    })
    .await;
}

#[tokio::test]
async fn a_server_with_all_its_connections_taken_is_there_and_says_so() {
    let options = RpcOptions { connections_max: 1, ..open_to_all("127.0.0.1:0") };
    let server = RpcServer::start(options, RpcServices::new(FakeNode::new())).await.unwrap();
    let address = server.address().to_string();
    let mut taken = TcpStream::connect(server.address()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    taken.write_all(head.as_bytes()).await.unwrap();
    let answered = loop {
        let address = address.clone();
        let answered = tokio::task::spawn_blocking(move || RpcClient::connect(&address)).await.unwrap();
        // The first may come before the other's head was read.
        if let Err(error) = answered {
            break error;
        }
    };
    assert!(matches!(&answered, RpcClientError::Busy { url } if url.contains(&address)), "{answered}");
    drop(taken);
    server.shutdown().await;
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let server = RpcServer::start(open_to_all("127.0.0.1:0"), RpcServices::new(FakeNode::new())).await.unwrap();
    let address = server.address().to_string();
    let connect = |address: String| tokio::task::spawn_blocking(move || RpcClient::connect(&address));
    let client = std::sync::Arc::new(connect(address.clone()).await.unwrap().unwrap());
    let asked = std::sync::Arc::clone(&client);
    let last_tip = tokio::task::spawn_blocking(move || asked.tip()).await.unwrap();
    server.shutdown().await;
    let error = connect(address.clone()).await.unwrap().unwrap_err();
    assert!(matches!(&error, RpcClientError::Unreachable { url, .. } if url.contains(&address)), "{error}");
    let (id, last) = (client.genesis_id(), last_tip);
    let (block, tip) = tokio::task::spawn_blocking(move || (client.block(&id), client.tip())).await.unwrap();
    assert!(matches!(block, Err(NodeError::Store(_))));
    assert_eq!(tip, last, "the last known tip");
}

#[tokio::test]
async fn a_client_with_the_login_may_change_something() {
    let login = RpcLogin::cookie(&[7; 32]);
    let rig = Rig::start_for(bq_rpc::RpcAccess::Logins(vec![login.clone()])).await;
    tokio::task::spawn_blocking(move || {
        let address = rig.server.address().to_string();
        let change = |client: &RpcClient| {
            client.call::<serde_json::Value>("setminingconfig", &serde_json::json!({ "threads": 2 }))
        };
        let anonymous = RpcClient::connect(&address).unwrap();
        assert!(matches!(change(&anonymous), Err(RpcClientError::Fault { code: -13, .. })));
        assert_eq!(change(&RpcClient::connect_as(&address, Some(login)).unwrap()).unwrap()["threads"], 2);
        let old = RpcClient::connect_as(&address, Some(RpcLogin::cookie(&[8; 32])));
        let text = old.unwrap_err().to_string();
        assert!(text.contains("a cookie is new at every start"), "{text}");
        drop(rig);
    })
    .await
    .unwrap();
}

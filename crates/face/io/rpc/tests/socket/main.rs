//! Every method and every error over a real socket.
#![expect(clippy::unwrap_used, reason = "a broken harness should say where")]
mod client;
mod fake;
mod limits;

use std::{net::SocketAddr, sync::Arc};

use bq_chain_api::{BlockRefusal, NodeError, SubmitBlockError, SubmitTransactionError, TransactionRefusal};
use bq_primitives::{Address, BlockId, Height, Network, TxId};
use bq_rpc::{RpcAccess, RpcHandle, RpcLogin, RpcOptions, RpcServer, RpcServices};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fake::{FakeMiner, FakeNode, FakePeers, FakePool, child, key_hash, spend, summary, waiting};

pub(crate) struct Rig {
    pub(crate) node: Arc<FakeNode>,
    pub(crate) server: RpcHandle,
}

pub(crate) fn open_to_all(address: &str) -> RpcOptions {
    RpcOptions::new(address.parse().unwrap(), RpcAccess::Everybody)
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_for(RpcAccess::Everybody).await
    }

    pub(crate) async fn start_for(access: RpcAccess) -> Self {
        Self::start_with(RpcOptions { access, ..open_to_all("127.0.0.1:0") }).await
    }

    pub(crate) async fn start_with(options: RpcOptions) -> Self {
        let node = FakeNode::new();
        let services = RpcServices {
            pool_template: None,
            conditions: bq_condition::ConditionList::default().with("pool", Arc::new(paused)),
            node: Arc::<FakeNode>::clone(&node),
            sync: Some(Arc::<FakeNode>::clone(&node)),
            mining: Some(FakeMiner::new()),
            pool: Some(Arc::new(FakePool)),
            access: None,
            peers: Some(Arc::new(FakePeers)),
        };
        let server = RpcServer::start(options, services).await.unwrap();
        Self { node, server }
    }

    async fn result(&self, method: &str, params: Value) -> Value {
        let answer = call(self.server.address(), method, params).await;
        assert_eq!(answer.get("error"), None, "{method}: {answer}");
        answer["result"].clone()
    }

    /// Code and message of the error.
    async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = call(self.server.address(), method, params).await;
        let error = &answer["error"];
        (error["code"].as_i64().unwrap_or_else(|| panic!("{method}: {answer}")), error["message"].to_string())
    }
}

async fn call(address: SocketAddr, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (status, body) = post(address, &request.to_string()).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// One HTTP exchange, written out: a client library would not send a false `Host`.
async fn post_as(address: SocketAddr, host: &str, content_type: &str, body: &str) -> (u16, String) {
    post_with(address, &format!("Host: {host}\r\nContent-Type: {content_type}"), body).await
}

async fn post_with(address: SocketAddr, headers: &str, body: &str) -> (u16, String) {
    let head = format!("POST / HTTP/1.1\r\n{headers}\r\nContent-Length: {}\r\nConnection: close", body.len());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn post(address: SocketAddr, body: &str) -> (u16, String) {
    post_as(address, &address.to_string(), "application/json", body).await
}

fn address() -> String {
    Address { network: Network::Regtest, key_hash: key_hash() }.to_string()
}

#[tokio::test]
async fn the_chain_is_told() {
    let rig = Rig::start().await;
    let tip = rig.node.blocks[2].clone();
    let id = tip.id().to_string();
    assert_eq!(rig.result("getblockcount", json!([])).await, 2);
    assert_eq!(rig.result("getbestblockhash", Value::Null).await, json!(id));
    assert_eq!(rig.result("getblockhash", json!([2])).await, json!(id));
    assert_eq!(rig.result("getblockhash", json!({ "height": 2 })).await, json!(id));
    assert_eq!(
        rig.result("getblockchaininfo", json!([])).await,
        json!({
            "chain": "regtest", "genesishash": rig.node.blocks[0].id().to_string(), "blocks": 2, "headers": 7,
            "bestblockhash": id, "time": 1_700_000_002_u64, "chainwork": "0x123456789abc", "coinbasematurity": 2,
            "nextbits": { "sha256d": "20007fff", "ethash": "1f00ffff" },
        })
    );
    assert_eq!(rig.result("getdifficulty", json!([])).await, json!({ "sha256d": "512", "ethash": "65537" }));
    let header = rig.result("getblockheader", json!([id])).await;
    assert_eq!(
        (&header["height"], &header["confirmations"], &header["algorithm"]),
        (&json!(2), &json!(1), &json!("ethash"))
    );
    assert_eq!(header["previousblockhash"], json!(rig.node.blocks[1].id().to_string()));
    let side = rig.result("getblockheader", json!([rig.node.blocks[0].id().to_string()])).await;
    assert_eq!(side["confirmations"], -1);
    assert_eq!(rig.result("getblock", json!([id, 0])).await, json!(hex::encode(tip.to_bytes())));
    let block = rig.result("getblock", json!([id])).await;
    assert_eq!(block["tx"], json!([tip.transactions[0].txid().to_string(), spend().txid().to_string()]));
    assert_eq!((&block["nTx"], &block["size"]), (&json!(2), &json!(tip.to_bytes().len())));
    let block = rig.result("getblock", json!([id, 2])).await;
    assert_eq!(block["transactions"][0]["coinbase"], json!(hex::encode("fake")));
    let output = json!({ "n": 0, "value": { "atoms": "123", "coins": "0.00000123" }, "address": address() });
    assert_eq!(block["transactions"][1]["vout"], json!([output]));
    assert_eq!(block["transactions"][1]["vin"], json!([{ "txid": TxId([9; 32]).to_string(), "vout": 1 }]));
    rig.server.shutdown().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let rig = Rig::start().await;
    let nowhere = BlockId([1; 32]).to_string();
    for (method, params, code) in [
        ("getblockhash", json!([3]), -8),
        ("getblockhash", json!([-1]), -32602),
        ("getblockhash", json!(["two"]), -32602),
        ("getblockhash", json!([]), -32602),
        ("getblockhash", json!([1, 2]), -32602),
        ("getblockhash", json!({ "hight": 1 }), -32602),
        ("getblockheader", json!([nowhere]), -5),
        ("getblockheader", json!(["zz"]), -8),
        ("getblock", json!([nowhere]), -5),
        ("getblock", json!([rig.node.blocks[0].id().to_string(), 3]), -8),
        ("getrawtransaction", json!([nowhere]), -5),
        ("getrawtransaction", json!(["12"]), -8),
        ("gettransactionstatus", json!([7]), -32602),
        ("getcoins", json!(["bq1qqqq"]), -5),
        ("getcoins", json!([Address { network: Network::Mainnet, key_hash: key_hash() }.to_string()]), -5),
        ("gettxspendingprevout", json!([[{ "txid": "00", "vout": 0 }]]), -8),
        ("gettxspendingprevout", json!([[{ "vout": 0 }]]), -32602),
        ("getblocktemplate", json!([{}]), -32602),
        ("getblocktemplate", json!([{ "address": "nobody" }]), -5),
        ("getblocktemplate", json!([{ "address": address(), "coinbasedata": "00".repeat(97) }]), -8),
        ("getblocktemplate", json!([{ "address": address(), "longpollid": "00" }]), -8),
        ("setminingconfig", json!({ "algorithms": ["scrypt"] }), -8),
        ("setminingconfig", json!({ "threads": 9 }), -8),
        ("setminingconfig", json!({ "threads": -1 }), -32602),
        ("setminingconfig", json!({ "mode": "best" }), -8),
        ("getdifficulty", json!(["yes"]), -32602),
        ("addnode", json!(["nowhere"]), -8),
        ("addnode", json!(["full:1", "add"]), -8),
        ("addnode", json!(["closing:1", "add"]), -28),
        ("addnode", json!(["192.0.2.1:8333", "onetry"]), -8),
        ("stop", json!([]), -32601),
    ] {
        let (got, message) = rig.error(method, params.clone()).await;
        assert_eq!(got, code, "{method} {params}: {message}");
    }
}

#[tokio::test]
async fn a_failing_node_is_told_apart() {
    let rig = Rig::start().await;
    let id = rig.node.tip_id();
    for (error, code) in [
        (NodeError::Store("disk".to_owned()), -20),
        (NodeError::Request("no".to_owned()), -8),
        (NodeError::Closed, -28),
    ] {
        *rig.node.fail.lock().unwrap() = Some(error);
        for (method, params) in [
            ("getblock", json!([id])),
            ("getblockhash", json!([1])),
            ("getcoins", json!([address()])),
            ("getmininginfo", json!([])),
            ("getdifficulty", json!([true])),
            ("gettransactionstatus", json!([spend().txid().to_string()])),
            ("getblocktemplate", json!([{ "address": address() }])),
        ] {
            assert_eq!(rig.error(method, params).await.0, code, "{method}");
        }
    }
}

#[tokio::test]
async fn blocks_are_taken_or_refused_with_the_reason() {
    let rig = Rig::start().await;
    let block = child(rig.node.blocks[2].id(), 3);
    let hex = hex::encode(block.to_bytes());
    assert_eq!(rig.result("submitblock", json!([hex])).await, json!(block.id().to_string()));
    let parent = BlockId([8; 32]);
    for (refusal, code, data) in [
        (SubmitBlockError::Duplicate, -27, Value::Null),
        (
            SubmitBlockError::UnknownParent(parent),
            -25,
            json!({ "reason": "unknown_parent", "parent": parent.to_string() }),
        ),
        (SubmitBlockError::TooEarly(BlockRefusal::Told("clock".to_owned())), -25, json!({ "reason": "too_early" })),
        (SubmitBlockError::Invalid(BlockRefusal::Told("SPEC 7.3: bits".to_owned())), -26, Value::Null),
        (
            SubmitBlockError::Kept { id: parent, reason: "full".to_owned() },
            -20,
            json!({ "reason": "kept", "failure": "full" }),
        ),
        (SubmitBlockError::Node(NodeError::Closed), -28, Value::Null),
    ] {
        let message = refusal.to_string();
        *rig.node.refuse_block.lock().unwrap() = Some(refusal);
        let answer = call(rig.server.address(), "submitblock", json!([hex])).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["error"]["message"], json!(message));
        assert_eq!(answer["error"]["data"], data);
    }
    assert_eq!(rig.error("submitblock", json!(["00ff"])).await.0, -22);
    assert_eq!(rig.error("submitblock", json!(["xyz"])).await.0, -8);
}

#[tokio::test]
async fn transactions_are_taken_found_or_refused() {
    let rig = Rig::start().await;
    let hex = hex::encode(spend().to_bytes());
    assert_eq!(rig.result("sendrawtransaction", json!([hex])).await, json!(spend().txid().to_string()));
    for (refusal, code, data) in [
        (SubmitTransactionError::Duplicate, -27, Value::Null),
        (SubmitTransactionError::Invalid(TransactionRefusal::Told("spent".to_owned())), -26, Value::Null),
        (SubmitTransactionError::Full, -26, json!({ "reason": "mempool_full" })),
        (SubmitTransactionError::Node(NodeError::Store("disk".to_owned())), -20, Value::Null),
    ] {
        *rig.node.refuse_transaction.lock().unwrap() = Some(refusal);
        let answer = call(rig.server.address(), "sendrawtransaction", json!([hex])).await;
        assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(code), &data));
    }
    assert_eq!(rig.error("sendrawtransaction", json!([format!("{hex}00")])).await.0, -22);
    let (confirmed, pooled) = (spend().txid().to_string(), waiting().txid().to_string());
    assert_eq!(rig.result("getrawtransaction", json!([confirmed])).await, json!(hex));
    let verbose = rig.result("getrawtransaction", json!([confirmed, true])).await;
    assert_eq!((&verbose["confirmations"], &verbose["blockhash"]), (&json!(1), &json!(rig.node.tip_id())));
    let verbose = rig.result("getrawtransaction", json!([pooled, true])).await;
    assert_eq!((&verbose["confirmations"], verbose.get("blockhash")), (&json!(0), None));
    assert_eq!(rig.result("getrawmempool", json!([])).await, json!([pooled]));
    let status = |txid: String| rig.result("gettransactionstatus", json!([txid]));
    assert_eq!(status(pooled).await, json!({ "status": "mempool" }));
    assert_eq!(status(TxId([1; 32]).to_string()).await, json!({ "status": "unknown" }));
    let expected = json!({ "status": "confirmed", "blockhash": rig.node.tip_id(), "height": 2, "confirmations": 1 });
    assert_eq!(status(confirmed).await, expected);
}

#[tokio::test]
async fn coins_are_listed_with_their_maturity() {
    let rig = Rig::start().await;
    let coins = rig.result("getcoins", json!([address()])).await;
    assert_eq!(coins["total"], json!({ "atoms": "15000000000", "coins": "150.00000000" }));
    let mature: Vec<_> = coins["coins"].as_array().unwrap().iter().map(|coin| coin["mature"].clone()).collect();
    assert_eq!(mature, [json!(true), json!(true), json!(false)]);
    let spent = json!({ "txid": TxId([9; 32]).to_string(), "vout": 1 });
    let free = json!({ "txid": TxId([9; 32]).to_string(), "vout": 0 });
    let answer = rig.result("gettxspendingprevout", json!([[spent, free]])).await;
    assert_eq!(answer[0]["spendingtxid"], json!(spend().txid().to_string()));
    assert_eq!(answer[1], free);
    assert_eq!(rig.result("validateaddress", json!([address()])).await["isvalid"], true);
    assert_eq!(rig.result("validateaddress", json!(["bq1"])).await["isvalid"], false);
}

#[tokio::test]
async fn a_template_names_every_work_and_a_long_poll_waits_for_the_next_tip() {
    let rig = Rig::start().await;
    let template = rig.result("getblocktemplate", json!([{ "address": address(), "coinbasedata": "abcd" }])).await;
    assert_eq!((&template["height"], &template["previousblockhash"]), (&json!(3), &json!(rig.node.tip_id())));
    assert_eq!(template["coinbasevalue"], json!({ "atoms": "5000000010", "coins": "50.00000010" }));
    let keys: Vec<_> = template["works"].as_array().unwrap().iter().map(|work| work["key"].clone()).collect();
    let genesis = rig.node.blocks[0].id().to_string();
    assert_eq!(keys, [json!("none"), json!({ "key_block": genesis }), json!({ "epoch": 3 })]);
    assert_eq!(template["works"][1]["header"].as_str().unwrap().len(), 240);
    let poll = tokio::spawn(call(
        rig.server.address(),
        "getblocktemplate",
        json!([{ "address": address(), "longpollid": template["longpollid"] }]),
    ));
    // Whether the poll is waiting already or comes later, it must not be answered with the old tip.
    rig.node.tips.send_replace(summary(&child(rig.node.blocks[2].id(), 3)));
    assert_eq!(poll.await.unwrap()["result"]["height"], 4);
}

#[tokio::test]
async fn a_long_poll_does_not_hold_up_the_shutdown() {
    let rig = Rig::start().await;
    let request = json!([{ "address": address(), "longpollid": rig.node.tip_id() }]);
    let poll = tokio::spawn(call(rig.server.address(), "getblocktemplate", request));
    while rig.node.tips.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, rig.server.shutdown()).await.expect("waits for the poll");
    assert_eq!(poll.await.unwrap()["result"]["height"], 3);
}

#[tokio::test]
async fn mining_is_told_and_steered() {
    let rig = Rig::start().await;
    let info = rig.result("getmininginfo", json!([])).await;
    assert_eq!(info["networkhashps"], json!({ "sha256d": 1e9, "ethash": 12.5 }));
    assert_eq!((&info["pooledtx"], &info["connections"]), (&json!(1), &json!(4)));
    let why = rig.result("getdifficulty", json!([true])).await;
    assert_eq!(why["algorithms"]["sha256d"]["forecast"][0]["blocks"], 6);
    let plain = rig.result("getdifficulty", json!([false])).await;
    assert!(plain["sha256d"].is_string(), "{plain}");
    let before = rig.result("getminingconfig", json!([])).await;
    assert_eq!(
        before,
        json!({
            "enabled": true, "threads": 1, "algorithms": ["randomx"], "hashrate": { "randomx": 321.5 }, "blocksfound": 9,
            "paused": false, "mode": "turns", "choice": null, "sha256dkernel": "avx2",
            "gpus": ["none: no CUDA driver (libcuda.so.1 not found)"],
            "details": { "randomx": {
                "active": true, "hashrates": [320.0, 321.5, null], "measured": 322.0, "expectedreward": 1000.5,
                "accepted": 5, "rejected": 1, "stale": 2, "lost": 0,
            } },
        })
    );
    let change = json!({ "threads": 4, "algorithms": ["sha256d", "ethash"] });
    let after = rig.result("setminingconfig", change).await;
    assert_eq!((&after["threads"], &after["algorithms"]), (&json!(4), &json!(["sha256d", "ethash"])));
    assert_eq!(rig.result("setminingconfig", json!([false])).await["enabled"], false);
    let after = rig.result("setminingconfig", json!({ "paused": true, "mode": "auto" })).await;
    assert_eq!((&after["paused"], &after["mode"]), (&json!(true), &json!("auto")));
    assert_eq!(rig.result("getminingconfig", json!([])).await["threads"], 4);
}

#[tokio::test]
async fn peers_are_told_and_added() {
    let rig = Rig::start().await;
    assert_eq!(rig.result("getconnectioncount", json!([])).await, 2);
    let peers = rig.result("getpeerinfo", json!([])).await;
    assert_eq!(
        peers[0],
        json!({
            "id": "12D3KooW", "addr": "/ip4/192.0.2.1/tcp/8333", "inbound": false, "connection_type": "automatic",
            "subver": "bq/0.1.0", "conntime": 60, "synced_blocks": 2, "banscore": 5,
        })
    );
    assert_eq!(peers[1]["synced_blocks"], -1);
    assert_eq!(rig.result("addnode", json!(["192.0.2.1:8333", "add"])).await, Value::Null);
}

#[tokio::test]
async fn a_node_alone_says_what_it_does_not_have() {
    let services = RpcServices::new(FakeNode::new());
    let server = RpcServer::start(open_to_all("127.0.0.1:0"), services).await.unwrap();
    for method in ["getminingconfig", "setminingconfig", "getpeerinfo", "getrawmempool"] {
        let answer = call(server.address(), method, json!([])).await;
        assert_eq!(answer["error"]["code"], -1, "{method}: {answer}");
    }
    let info = call(server.address(), "getblockchaininfo", json!([])).await;
    assert_eq!(info["result"]["headers"], 2);
}

fn paused() -> Vec<bq_condition::Condition> {
    let reason = "payouts are paused: counting".to_owned();
    vec![bq_condition::Condition { name: "paused", reason, since_ms: 1_800_000_000_500, blocks_readiness: false }]
}

#[tokio::test]
async fn the_pool_is_decided_about() {
    let rig = Rig::start().await;
    let address = fake::pool_address();
    let status = rig.result("getpoolstatus", json!([])).await;
    assert_eq!((&status["address"], &status["event"]), (&json!(address), &json!(7)));
    let with = |more: Value| {
        let mut params = json!({ "reason": "rent", "dryrun": true });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let said = async |more: Value| rig.result("pooldecide", with(more)).await["sentence"].clone();
    assert_eq!(said(json!({ "command": "pause" })).await, "Pause rent operator true");
    let withdraw = json!({ "command": "withdraw", "amount": "5", "address": address });
    assert!(said(withdraw).await.as_str().unwrap().starts_with("Withdraw"));
    assert_eq!(said(json!({ "command": "recover" })).await, "Recover rent operator true");
    assert_eq!(said(json!({ "command": "recover", "forced": false })).await, "Recover rent operator true");
    assert_eq!(said(json!({ "command": "recover", "forced": true })).await, "RecoverForced rent operator true");
    let txid = "07".repeat(32);
    let adopt = json!({ "command": "adopt", "txid": txid, "as": "refill", "who": "ann" });
    assert_eq!(said(adopt).await, format!("AdoptRefill({txid}) rent ann true"));
    let wrong = [
        (json!({ "command": "stop" }), -8, "command"),
        (json!({ "command": "pause", "amount": "5" }), -8, "amount"),
        (json!({ "command": "pause", "forced": true }), -8, "forced"),
        (json!({ "command": "write-off", "amount": "-5" }), -8, "amount"),
        (json!({ "command": "write-off", "amount": 5 }), -32602, "amount"),
        (json!({ "command": "withdraw", "amount": "5", "address": "nobody" }), -8, "address"),
        (json!({ "command": "adopt", "txid": txid, "as": "gift" }), -8, "as"),
        (json!({ "command": "adopt", "txid": "07", "as": "refill" }), -8, "txid"),
        (json!({ "command": "release-suspense", "amount": "9007199254740992" }), -8, "amount"),
        (json!({ "command": "resume" }), -26, "not paused"),
    ];
    for (params, code, field) in wrong {
        let (got, message) = rig.error("pooldecide", with(params.clone())).await;
        assert_eq!(got, code, "{params}: {message}");
        assert!(message.contains(field), "{params}: {message}");
    }
    let backup = rig.result("poolbackup", json!({ "folder": "/copies/monday" })).await;
    assert_eq!(backup, json!({ "done": true, "sentence": "/copies/monday false" }));
    assert_eq!(rig.error("poolbackup", json!({ "folder": "monday" })).await.0, -8);
}

#[tokio::test]
async fn the_pool_is_not_decided_about_from_elsewhere() {
    let services = RpcServices { pool: Some(Arc::new(FakePool)), ..RpcServices::new(FakeNode::new()) };
    let server = RpcServer::start(open_to_all("0.0.0.0:0"), services).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let answer = call(address, "pooldecide", json!({ "command": "pause", "reason": "mischief" })).await;
    assert_eq!(answer["error"]["code"], -1, "{answer}");
}

#[tokio::test]
async fn conditions_are_told() {
    let rig = Rig::start().await;
    let condition = json!({
        "name": "paused", "reason": "payouts are paused: counting", "since": 1_800_000_000, "blocks_readiness": false,
    });
    let expected = json!({
        "status": "degraded", "components": { "pool": { "state": "degraded", "conditions": [condition] } },
    });
    assert_eq!(rig.result("getconditions", json!([])).await, expected);
}

#[tokio::test]
async fn every_method_is_listed_and_documented() {
    let rig = Rig::start().await;
    let help = rig.result("help", json!([])).await;
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../docs/rpc.md")).unwrap();
    for name in bq_rpc::method_names() {
        assert!(help.as_str().unwrap().lines().any(|line| line.split(' ').next() == Some(name)), "{name}");
        assert!(manual.contains(&format!("### `{name}`")), "{name} is not documented");
    }
}

/// The examples of the JSON-RPC 2.0 specification that apply to a server with these methods.
#[tokio::test]
async fn the_envelope_follows_json_rpc_2() {
    let rig = Rig::start().await;
    let address = rig.server.address();
    let answer = async |body: &str| post(address, body).await;
    let code = |body: &str| serde_json::from_str::<Value>(body).unwrap()["error"]["code"].clone();
    assert_eq!(code(&answer(r#"{"jsonrpc": "2.0", "method": "foobar, "params""#).await.1), -32700);
    assert_eq!(code(&answer(r#"{"jsonrpc": "2.0", "id": 1, "method": 1, "params": "bar"}"#).await.1), -32600);
    assert_eq!(code(&answer("[]").await.1), -32600);
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"getblockcount"},{"jsonrpc":"2.0","id":2,"method":"nothing"}]"#;
    let batch: Value = serde_json::from_str(&answer(batch).await.1).unwrap();
    assert_eq!((&batch[0]["result"], &batch[1]["error"]["code"]), (&json!(2), &json!(-32601)));
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#;
    let many = format!("[{}]", vec![one; bq_rpc::BATCH_MAX as usize + 1].join(","));
    assert_eq!(code(&answer(&many).await.1), -32010);
}

#[tokio::test]
async fn requests_that_are_not_for_this_server_are_refused() {
    let rig = Rig::start().await;
    let address = rig.server.address();
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#;
    let local = format!("localhost:{}", address.port());
    for (host, content_type, expected) in [
        (local.as_str(), "application/json", 200),
        ("evil.example.org", "application/json", 403),
        (local.as_str(), "text/plain", 415),
    ] {
        let (status, _) = post_as(address, host, content_type, one).await;
        assert_eq!(status, expected, "{host} {content_type}");
    }
}

/// Each with parameters that it takes.
fn changes() -> [(&'static str, Value); 4] {
    [
        ("setminingconfig", json!({ "threads": 2 })),
        ("addnode", json!(["192.0.2.7:8333"])),
        ("pooldecide", json!({ "command": "pause", "reason": "counting" })),
        ("poolbackup", json!({ "folder": "/backups/monday", "dryrun": true })),
    ]
}

#[tokio::test]
async fn who_changes_something_needs_a_login_and_who_looks_does_not() {
    let cookie = RpcLogin::cookie(&[7; 32]);
    let logins = vec![cookie, RpcLogin::parse("ops:open sesame").unwrap()];
    let rig = Rig::start_for(RpcAccess::Logins(logins)).await;
    let address = rig.server.address();
    for (method, params) in changes() {
        let (code, message) = rig.error(method, params).await;
        assert_eq!(code, -13, "{method}");
        assert!(message.contains(method) && message.contains("rpc-cookie"), "{message}");
    }
    // Templates, blocks and transactions are handed out and in to everybody, as before.
    let template = rig.result("getblocktemplate", json!([{ "address": crate::address() }])).await;
    assert_eq!(template["height"], 3);
    assert_eq!(rig.error("submitblock", json!(["00"])).await.0, -22);
    assert_eq!(rig.error("sendrawtransaction", json!(["00"])).await.0, -22);

    let headers = |login: &str| format!("Host: {address}\r\nContent-Type: application/json\r\nAuthorization: {login}");
    // RFC 4648 of "ops:open sesame"; of "ops:open sesamE"; what is no login; one of another scheme.
    let cases =
        [("Basic b3BzOm9wZW4gc2VzYW1l", 200), ("Basic b3BzOm9wZW4gc2VzYW1F", 401), ("Basic", 401), ("Bearer x", 401)];
    for (login, expected) in cases {
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"setminingconfig","params":{"threads":2}}"#;
        let (status, body) = post_with(address, &headers(login), request).await;
        assert_eq!(status, expected, "{login}: {body}");
        if status == 200 {
            let answer: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(answer["result"]["threads"], 2);
        } else {
            // Also of a method that needs no login: its owner should notice.
            let (status, _) =
                post_with(address, &headers(login), r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#).await;
            assert_eq!(status, 401);
        }
    }
    // Every call of a batch is looked at.
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"getblockcount"},{"jsonrpc":"2.0","id":2,"method":"setminingconfig","params":{"threads":1}}]"#;
    let (_, body) = post(address, batch).await;
    let answers: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&answers[0]["result"], &answers[1]["error"]["code"]), (&json!(2), &json!(-13)));
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let rig = Rig::start().await;
    assert!(
        RpcServer::start(open_to_all(&rig.server.address().to_string()), RpcServices::new(FakeNode::new()))
            .await
            .is_err()
    );
}

impl FakeNode {
    fn tip_id(&self) -> String {
        use bq_chain_api::NodeApi;
        assert_eq!(self.tip().height, Height(2));
        self.tip().id.to_string()
    }
}

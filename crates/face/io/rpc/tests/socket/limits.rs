//! What one caller, and all together, may take of the server.

use std::{net::SocketAddr, time::Duration};

use bq_rpc::{LongPollLimits, RpcOptions};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use crate::{
    Rig, address,
    fake::{child, summary},
    open_to_all,
};

/// A connection from an address of loopback's own network.
async fn from(source: &str, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

fn head(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
}

async fn send(stream: &mut TcpStream, method: &str, params: Value) {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    stream.write_all(format!("{}{body}", head(body.len())).as_bytes()).await.unwrap();
}

/// The answer to one request of a connection that stays open.
async fn answer(stream: &mut TcpStream) -> Value {
    let mut read = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        read.push(char::from(byte[0]));
        if let Some((head, body)) = read.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() == length.unwrap_or(0) {
                return serde_json::from_str(body).unwrap();
            }
        }
    }
}

/// A long poll that begins: answered once there is another tip, or at once with an error.
async fn poll(rig: &Rig, source: &str) -> JoinHandle<Value> {
    let mut stream = from(source, rig.server.address()).await;
    send(&mut stream, "getblocktemplate", json!([{ "address": address(), "longpollid": rig.node.tip_id() }])).await;
    tokio::spawn(async move { answer(&mut stream).await })
}

async fn waiting(rig: &Rig, polls: usize) {
    while rig.node.tips.receiver_count() != polls {
        tokio::task::yield_now().await;
    }
}

fn limited(total: usize, per_address: usize) -> RpcOptions {
    let long_polls = LongPollLimits { total, per_address };
    RpcOptions { connections_max: 4, long_polls, ..open_to_all("127.0.0.1:0") }
}

/// Of four requests at a time three may be long polls, two of one address: whatever polls, a short request is answered.
#[tokio::test]
async fn long_polls_leave_room_for_others_and_for_short_requests() {
    let rig = Rig::start_with(limited(3, 2)).await;
    let mut polls = Vec::new();
    for (count, source) in [(1, "127.0.0.1"), (2, "127.0.0.1")] {
        polls.push(poll(&rig, source).await);
        waiting(&rig, count).await;
    }
    let refused = poll(&rig, "127.0.0.1").await.await.unwrap();
    assert_eq!(refused["error"]["code"], -34, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("2 long polls of this address"), "{refused}");
    polls.push(poll(&rig, "127.0.0.2").await);
    waiting(&rig, 3).await;
    let refused = poll(&rig, "127.0.0.3").await.await.unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("3 long polls wait"), "{refused}");
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.4"] {
        let mut stream = from(source, rig.server.address()).await;
        for (method, wanted) in
            [("getblockcount", json!(2)), ("getconditions", rig.result("getconditions", json!([])).await)]
        {
            send(&mut stream, method, json!([])).await;
            let answered = tokio::time::timeout(Duration::from_secs(1), answer(&mut stream)).await;
            assert_eq!(answered.expect("within a second")["result"], wanted, "{method} from {source}");
        }
    }
    rig.node.tips.send_replace(summary(&child(rig.node.blocks[2].id(), 3)));
    for poll in polls {
        assert_eq!(poll.await.unwrap()["result"]["height"], 4);
    }
    rig.server.shutdown().await;
}

#[tokio::test]
async fn a_long_poll_that_hangs_up_gives_its_place_back() {
    let rig = Rig::start_with(limited(1, 1)).await;
    let params = json!([{ "address": address(), "longpollid": rig.node.tip_id() }]);
    let mut gone = from("127.0.0.1", rig.server.address()).await;
    send(&mut gone, "getblocktemplate", params).await;
    waiting(&rig, 1).await;
    assert_eq!(poll(&rig, "127.0.0.2").await.await.unwrap()["error"]["code"], -34);
    drop(gone);
    waiting(&rig, 0).await;
    let next = poll(&rig, "127.0.0.1").await;
    while rig.node.tips.receiver_count() != 1 {
        assert!(!next.is_finished(), "refused");
        tokio::task::yield_now().await;
    }
    rig.node.tips.send_replace(summary(&child(rig.node.blocks[2].id(), 3)));
    assert_eq!(next.await.unwrap()["result"]["height"], 4);
    rig.server.shutdown().await;
}

/// Half a head, half a body, and nothing after an answer: each connection ends by itself.
#[tokio::test]
async fn who_does_not_go_on_is_closed_in_time() {
    let patience = Duration::from_millis(50);
    for (head_patience, body_patience, half) in [
        (patience, Duration::from_secs(3_600), head(100)[..40].to_owned()),
        (patience, Duration::from_secs(3_600), String::new()),
        (Duration::from_secs(3_600), patience, format!("{}{{", head(100))),
    ] {
        let rig = Rig::start_with(RpcOptions { head_patience, body_patience, ..open_to_all("127.0.0.1:0") }).await;
        let mut stream = from("127.0.0.1", rig.server.address()).await;
        send(&mut stream, "getblockcount", json!([])).await;
        assert_eq!(answer(&mut stream).await["result"], 2);
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // An end, or a reset because something was left unread; long before the half minute that the library would wait.
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        let _reset = read.unwrap_or_else(|_| panic!("{half:?} is waited for"));
        let rest = String::from_utf8(rest).unwrap();
        assert!(!rest.contains("200 OK"), "{half:?}: {rest}");
        rig.server.shutdown().await;
    }
}

/// Sockets are bounded: of one address whose sockets are all busy the next is turned away, and while one is not that one makes room.
#[tokio::test]
async fn sockets_are_bounded() {
    let rig = Rig::start_with(RpcOptions { sockets_max: 1, ..open_to_all("127.0.0.1:0") }).await;
    let mut first = from("127.0.0.1", rig.server.address()).await;
    let poll = json!([{ "address": address(), "longpollid": rig.node.tip_id() }]);
    send(&mut first, "getblocktemplate", poll).await;
    waiting(&rig, 1).await;
    let mut told = String::new();
    from("127.0.0.1", rig.server.address()).await.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
    rig.node.tips.send_replace(summary(&child(rig.node.blocks[2].id(), 3)));
    assert_eq!(answer(&mut first).await["result"]["height"], 4);
    let mut second = from("127.0.0.1", rig.server.address()).await;
    send(&mut second, "getblockcount", json!([])).await;
    assert_eq!(answer(&mut second).await["result"], 3);
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0, "it made room");
    rig.server.shutdown().await;
}

/// Whatever one address leaves open, before it asks, while it asks and after, is no reason for another to wait.
#[tokio::test]
async fn no_address_keeps_another_out() {
    let params = json!([{ "address": address(), "longpollid": "" }]);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "getblocktemplate", "params": params }).to_string();
    for half in [String::new(), head(100)[..40].to_owned(), format!("{}{{", head(100)), "long poll".to_owned()] {
        for (connections_max, sockets_max) in [(4, 6), (4, 4)] {
            let long_polls = LongPollLimits { total: 4, per_address: 4 };
            let hour = Duration::from_secs(3_600);
            let limits = RpcOptions { connections_max, sockets_max, long_polls, ..open_to_all("127.0.0.1:0") };
            let rig = Rig::start_with(RpcOptions { head_patience: hour, body_patience: hour, ..limits }).await;
            let tip = format!("\"longpollid\":\"{}\"", rig.node.tip_id());
            let body = body.replace("\"longpollid\":\"\"", &tip);
            let said = half.replace("long poll", &format!("{}{body}", head(body.len())));
            let mut flood = Vec::new();
            for _ in 0..12 {
                let mut stream = from("127.0.0.2", rig.server.address()).await;
                // One that had to make room for the next is closed.
                let _closed = stream.write_all(said.as_bytes()).await;
                flood.push(stream);
            }
            for source in ["127.0.0.9", "127.0.0.8", "127.0.0.9"] {
                let mut stream = from(source, rig.server.address()).await;
                send(&mut stream, "getblockcount", json!([])).await;
                let answered = tokio::time::timeout(Duration::from_secs(20), answer(&mut stream)).await;
                assert_eq!(answered.unwrap_or_else(|_| panic!("{half:?}: {source} waits"))["result"], 2, "{half:?}");
            }
            drop(flood);
            rig.server.shutdown().await;
        }
    }
}

/// Nothing of it is read, and nobody waits for it.
#[tokio::test]
async fn a_request_that_says_it_is_too_long_is_refused_by_its_head() {
    let rig =
        Rig::start_with(RpcOptions { body_patience: Duration::from_secs(3_600), ..open_to_all("127.0.0.1:0") }).await;
    let length = usize::try_from(bq_rpc::BODY_BYTES_MAX).unwrap();
    for (length, is_refused) in [(length, false), (length + 1, true)] {
        let mut stream = from("127.0.0.1", rig.server.address()).await;
        stream.write_all(head(length).as_bytes()).await.unwrap();
        let mut told = String::new();
        let read = tokio::time::timeout(
            Duration::from_millis(if is_refused { 20_000 } else { 200 }),
            stream.read_to_string(&mut told),
        );
        assert_eq!(read.await.is_ok(), is_refused, "{length}: {told}");
        assert!(!is_refused || told.starts_with("HTTP/1.1 413 "), "{told}");
    }
    rig.server.shutdown().await;
}

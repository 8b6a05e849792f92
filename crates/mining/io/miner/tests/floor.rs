//! A pool whose difficulty is far too low for the miner, as after a restart: nothing is lost, and the metrics say so.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bq_miner::{ClientSettings, Miner};
use fake::{comes, config, difficulty, easy, notify, stop};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

/// Shares at the floor until the pool has learnt how fast the miner is; the old limit of the miner was 50 in a second.
const FLOOR_SHARES: usize = 3_000;
/// Shares that the pool takes at a time; to others it is busy.
const ROOM: usize = 16;

/// What the pool saw.
#[derive(Default)]
struct Seen {
    accepted: BTreeSet<String>,
    busy: u64,
    twice: u64,
}

/// Takes up to [`ROOM`] shares at a time, is busy for the rest, and raises the difficulty once it knows the miner.
async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let mut is_raised = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        // What lies read already counts as being looked at.
        let mut lines = vec![line];
        while reader.buffer().contains(&b'\n') {
            let mut line = String::new();
            reader.read_line(&mut line).await.unwrap();
            lines.push(line);
        }
        let mut out = String::new();
        let mut taken = 0;
        for line in lines {
            let request: Value = serde_json::from_str(&line).unwrap();
            let id = &request["id"];
            let answer = match request["method"].as_str().unwrap() {
                "mining.subscribe" => json!({"id": id, "result": [[], "abcd", 8], "error": null}),
                "mining.authorize" => {
                    out.push_str(&format!("{}\n{}\n", easy(), notify(&json!("floor"))));
                    json!({"id": id, "result": true, "error": null})
                }
                "mining.submit" if taken < ROOM => {
                    taken += 1;
                    let mut seen = seen.lock().unwrap();
                    let is_new = seen.accepted.insert(request["params"].to_string());
                    seen.twice += u64::from(!is_new);
                    json!({"id": id, "result": true, "error": null})
                }
                "mining.submit" => {
                    seen.lock().unwrap().busy += 1;
                    json!({"id": id, "result": null, "error": [20, "Server busy", null]})
                }
                _ => continue,
            };
            out.push_str(&format!("{answer}\n"));
        }
        if !is_raised && seen.lock().unwrap().accepted.len() >= FLOOR_SHARES {
            is_raised = true;
            // The same work at a higher difficulty: shares of the floor still count.
            let mut job = notify(&json!("raised"));
            job["params"][8] = json!(false);
            out.push_str(&format!("{}\n{job}\n", difficulty(&json!(2.0_f64.powi(-10)))));
        }
        if writer.write_all(out.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn pool(seen: &Arc<Mutex<Seen>>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::clone(seen));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&seen)));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_share_is_lost_at_the_floor_nor_at_the_end() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    // Twice: as after a restart.
    let mut all = 0;
    for _ in 0..2 {
        let seen = Arc::<Mutex<Seen>>::default();
        let address = pool(&seen).await;
        let miner =
            Miner::start(config(&[address.into()], ClientSettings::default()), Arc::default(), &Handle::current());
        let miner = miner.unwrap();
        assert!(comes(|| seen.lock().unwrap().accepted.len() > FLOOR_SHARES + 100).await);
        let stats = stop(miner).await.stats();
        let (sha256d, seen) = (&stats.algorithms[0], seen.lock().unwrap());
        let expected = u64::try_from(seen.accepted.len()).unwrap();
        assert_eq!((sha256d.lost, sha256d.stale, sha256d.rejected), (0, 0, 0));
        assert_eq!((sha256d.accepted, sha256d.resent, seen.twice), (expected, seen.busy, 0));
        all += expected;
    }
    let text = metrics.render();
    let count = |result: &str| {
        let name = format!("bq_miner_shares_total{{algorithm=\"sha256d\",result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(name.as_str())).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((count("lost"), count("stale"), count("rejected"), count("accepted")), (0, 0, 0, all));
}

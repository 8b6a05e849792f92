use std::net::SocketAddr;

use crate::randomx_submit;
use bq_pow::{EthashWorkHash, PowVerifier};
use bq_primitives::{Algorithm, BlockId, PowHash, PowValue, ShareDifficulty, double_sha256};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A miner's end of a connection.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Socket>>,
    user: String,
    /// What a SHA-256d miner is told to come back with.
    ticket: String,
}

/// TCP, or TLS over it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A SHA-256d job as it came over the wire, with all that is needed to hash it.
#[derive(Clone, Debug)]
pub(crate) struct Sha256dJob {
    user: String,
    pub(crate) extranonce1: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    prefix: String,
    suffix: String,
    bits: String,
    pub(crate) ntime: String,
    pub(crate) clean: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(socket: impl Socket + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(socket)), user: String::new(), ticket: String::new() }
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        // The other end may close while this is under way: that is what some tests are about.
        let _closed = self.stream.get_mut().write_all(bytes).await;
    }

    pub(crate) async fn line(&mut self) -> Value {
        let mut line = String::new();
        assert_ne!(self.stream.read_line(&mut line).await.unwrap(), 0, "closed");
        serde_json::from_str(&line).unwrap()
    }

    /// The next notification of this name.
    pub(crate) async fn line_of(&mut self, method: &str) -> Value {
        loop {
            let line = self.line().await;
            if line["method"] == method {
                return line;
            }
        }
    }

    /// Sends a line and returns the reply to it; notifications in between are skipped.
    pub(crate) async fn request(&mut self, line: &str) -> Value {
        self.send_raw(format!("{line}\n").as_bytes()).await;
        loop {
            let reply = self.line().await;
            if reply["id"].as_u64().is_some_and(|id| id != 0) {
                return reply;
            }
        }
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        // An end, or a reset because the other side closed with our bytes unread.
        let _reset = self.stream.read_to_end(&mut rest).await;
        true
    }

    /// Closed before anything was said; false if a request is answered.
    pub(crate) async fn is_refused(&mut self) -> bool {
        self.send_raw(b"{\"id\":1,\"method\":\"keepalived\"}\n").await;
        let mut line = String::new();
        !matches!(self.stream.read_line(&mut line).await, Ok(count) if count > 0)
    }

    /// Whether a request is answered still, whatever else comes before.
    pub(crate) async fn answers(&mut self) -> bool {
        self.send_raw(b"{\"id\":77,\"method\":\"mining.ping\",\"params\":[]}\n").await;
        let mut line = String::new();
        while matches!(self.stream.read_line(&mut line).await, Ok(count) if count > 0) {
            if serde_json::from_str::<Value>(&line).unwrap()["id"] == 77 {
                return true;
            }
            line.clear();
        }
        false
    }

    /// Of the session that [`Client::log_in_sha256d`] began.
    pub(crate) fn ticket(&self) -> &str {
        &self.ticket
    }

    pub(crate) async fn log_in_sha256d(&mut self, user: &str) -> Sha256dJob {
        self.user = user.to_owned();
        let subscribed = self.request(r#"{"id":1,"method":"mining.subscribe","params":["test"]}"#).await;
        let extranonce1 = subscribed["result"][1].as_str().unwrap().to_owned();
        subscribed["result"][0][1][1].as_str().unwrap().clone_into(&mut self.ticket);
        let authorized =
            self.request(&format!(r#"{{"id":2,"method":"mining.authorize","params":["{user}","x"]}}"#)).await;
        assert_eq!(authorized["result"], true);
        self.sha256d_job(extranonce1).await
    }

    pub(crate) async fn next_sha256d_job(&mut self, job: &Sha256dJob) -> Sha256dJob {
        self.sha256d_job(job.extranonce1.clone()).await
    }

    /// A server that takes over may send its newest job first, on the tip of before.
    pub(crate) async fn sha256d_job_on_next_tip(&mut self, job: &Sha256dJob) -> Sha256dJob {
        loop {
            let next = self.next_sha256d_job(job).await;
            if next.parent != job.parent {
                return next;
            }
        }
    }

    async fn sha256d_job(&mut self, extranonce1: String) -> Sha256dJob {
        loop {
            let line = self.line().await;
            if line["method"] == "mining.notify" {
                let text = |index: usize| line["params"][index].as_str().unwrap().to_owned();
                return Sha256dJob {
                    user: self.user.clone(),
                    extranonce1,
                    id: text(0),
                    parent: text(1),
                    prefix: text(2),
                    suffix: text(3),
                    bits: text(6),
                    ntime: text(7),
                    clean: line["params"][8].as_bool().unwrap(),
                };
            }
        }
    }

    /// `true`, or the error code.
    pub(crate) async fn submit(&mut self, params: &str) -> String {
        let reply = self.request(&format!(r#"{{"id":4,"method":"mining.submit","params":[{params}]}}"#)).await;
        if reply["error"].is_null() { reply["result"].to_string() } else { reply["error"][0].to_string() }
    }

    pub(crate) async fn log_in_randomx(&mut self, user: &str) -> (String, RandomXJob) {
        let line = format!(
            r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{user}","pass":"x","algo":["rx/0"]}}}}"#
        );
        let reply = self.request(&line).await;
        let job = &reply["result"]["job"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let job = RandomXJob {
            id: text(&job["job_id"]),
            blob: text(&job["blob"]),
            target: text(&job["target"]),
            nonce: String::new(),
            result: String::new(),
        };
        (text(&reply["result"]["id"]), job)
    }

    /// A line with a share that no hash comes to: of RandomX a claim of a share or of a block, of Ethash one that claims nothing.
    pub(crate) async fn forgery(&mut self, algorithm: Algorithm, number: u8) -> String {
        if algorithm == Algorithm::RandomX {
            let (session, job) = self.log_in_randomx("addr1.rig1").await;
            let result = if number.is_multiple_of(2) { [0; 32] } else { share_of_randomx() };
            return randomx_submit(&session, &job.id, &format!("{number:08x}"), &hex::encode(result)) + "\n";
        }
        let (_, worker, job) = self.log_in_ethereum_2("addr1.rig1").await;
        let id = job.id;
        format!(r#"{{"id":9,"method":"mining.submit","params":["{id}","{number:012x}","{worker}"]}}"#) + "\n"
    }

    pub(crate) async fn log_in_eth_proxy(&mut self, address: &str, worker: &str) -> EthashJob {
        let login = format!(r#"{{"id":1,"method":"eth_submitLogin","worker":"{worker}","params":["{address}","x"]}}"#);
        assert_eq!(self.request(&login).await["result"], true);
        let work = self.request(r#"{"id":2,"method":"eth_getWork","params":[]}"#).await;
        EthashJob { id: String::new(), header: work["result"][0].as_str().unwrap()[2..].to_owned() }
    }

    /// EthereumStratum/2.0.0: the nonce's prefix, the name that submits use, and the first job.
    pub(crate) async fn log_in_ethereum_2(&mut self, user: &str) -> (u16, String, EthashJob) {
        self.request(r#"{"id":1,"method":"mining.hello","params":{}}"#).await;
        self.request(r#"{"id":2,"method":"mining.subscribe","params":[]}"#).await;
        let authorize = format!(r#"{{"id":3,"method":"mining.authorize","params":["{user}","x"]}}"#);
        let worker = self.request(&authorize).await["result"].as_str().unwrap().to_owned();
        let mut prefix = 0;
        loop {
            let line = self.line().await;
            let text = |index: usize| line["params"][index].as_str().unwrap().to_owned();
            match line["method"].as_str() {
                Some("mining.set") => {
                    prefix = u16::from_str_radix(line["params"]["extranonce"].as_str().unwrap(), 16).unwrap();
                }
                Some("mining.notify") => return (prefix, worker, EthashJob { id: text(0), header: text(2) }),
                _ => {}
            }
        }
    }
}

/// What would be a share at a difficulty of 2^40 and no block at one of 2^48.
fn share_of_randomx() -> [u8; 32] {
    let mut result = [0xff; 32];
    result[24..].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    result
}

impl Sha256dJob {
    /// The parameters of a submit that meets `share` but is no block at `network`.
    pub(crate) fn find(&self, share: u64, network: u64) -> String {
        self.search("00000000000000ab", |hash| met(share, hash) && !met(network, hash))
    }

    /// Another one.
    pub(crate) fn find_other(&self, share: u64, network: u64) -> String {
        self.search("00000000000000cd", |hash| met(share, hash) && !met(network, hash))
    }

    /// Another block.
    pub(crate) fn find_other_block(&self, network: u64) -> String {
        self.search("00000000000000cd", |hash| met(network, hash))
    }

    /// One that is a block at `network`.
    pub(crate) fn find_block(&self, network: u64) -> String {
        self.search("00000000000000ab", |hash| met(network, hash))
    }

    /// One that misses `share`.
    pub(crate) fn find_worse(&self, share: u64) -> String {
        self.search("00000000000000ab", |hash| !met(share, hash))
    }

    /// Hashes exactly what the wire says, independently of the server's own shapes.
    fn search(&self, extranonce2: &str, wanted: impl Fn(&PowHash) -> bool) -> String {
        let coinbase =
            hex::decode([self.prefix.as_str(), &self.extranonce1, extranonce2, &self.suffix].concat()).unwrap();
        let mut header = Vec::new();
        header.extend(0x2000_0000_u32.to_le_bytes());
        for word in hex::decode(&self.parent).unwrap().chunks(4) {
            header.extend(word.iter().rev());
        }
        header.extend(double_sha256(&coinbase));
        header.extend(hex::decode(&self.ntime).unwrap().iter().rev());
        header.extend(hex::decode(&self.bits).unwrap().iter().rev());
        let nonce = (0_u32..)
            .find(|nonce| wanted(&PowHash(double_sha256(&[header.as_slice(), &nonce.to_le_bytes()].concat()))))
            .unwrap();
        format!(r#""{}","{}","{extranonce2}","{}","{nonce:08x}""#, self.user, self.id, self.ntime)
    }
}

fn met(difficulty: u64, hash: &PowHash) -> bool {
    PowValue::of(Algorithm::Sha256d, hash).meets(&ShareDifficulty::from_hashes(difficulty).target())
}

/// A RandomX job, and after a search what to submit.
#[derive(Clone)]
pub(crate) struct RandomXJob {
    pub(crate) id: String,
    blob: String,
    target: String,
    pub(crate) nonce: String,
    pub(crate) result: String,
}

impl RandomXJob {
    pub(crate) fn find(self, verifier: &PowVerifier, key: BlockId) -> Self {
        self.find_from(0, verifier, key).0
    }

    pub(crate) fn find_two(self, verifier: &PowVerifier, key: BlockId) -> [Self; 2] {
        let (first, nonce) = self.clone().find_from(0, verifier, key);
        [first, self.find_from(nonce + 1, verifier, key).0]
    }

    fn find_from(mut self, from: u32, verifier: &PowVerifier, key: BlockId) -> (Self, u32) {
        let mut blob = hex::decode(&self.blob).unwrap();
        let target = u64::from_le_bytes(hex::decode(&self.target).unwrap().try_into().unwrap());
        for nonce in from.. {
            blob[39..43].copy_from_slice(&nonce.to_le_bytes());
            let hash = verifier.randomx_hash(&key, &blob).unwrap();
            if u64::from_le_bytes(hash.0[24..].try_into().unwrap()) < target {
                self.nonce = hex::encode(nonce.to_le_bytes());
                self.result = hash.to_string();
                return (self, nonce);
            }
        }
        unreachable!("some nonce of 2^32 does")
    }
}

/// An Ethash job.
pub(crate) struct EthashJob {
    pub(crate) id: String,
    pub(crate) header: String,
}

/// A nonce and its mix.
pub(crate) struct EthashFound {
    nonce: u64,
    mix: [u8; 32],
    header: [u8; 32],
}

impl EthashJob {
    /// A nonce that starts with `prefix` and meets difficulty 2 in epoch 0.
    pub(crate) fn find(verifier: &PowVerifier, header: &str, prefix: u16) -> EthashFound {
        let header: [u8; 32] = hex::decode(header).unwrap().try_into().unwrap();
        let target = ShareDifficulty::from_hashes(2).target();
        (0..)
            .map(|rest: u64| (u64::from(prefix) << 48) | rest)
            .find_map(|nonce| {
                let proof = verifier.ethash_hash(0, &EthashWorkHash(header), nonce).unwrap();
                PowValue::of(Algorithm::Ethash, &proof.value).meets(&target).then_some(EthashFound {
                    nonce,
                    mix: proof.mix,
                    header,
                })
            })
            .unwrap()
    }

    pub(crate) fn submit(&self, found: &EthashFound) -> String {
        let mix = hex::encode(found.mix);
        format!(
            r#"{{"id":40,"method":"eth_submitWork","worker":"rig1","params":["0x{}","0x{}","0x{mix}"]}}"#,
            found.nonce_hex(),
            self.header
        )
    }
}

impl EthashFound {
    pub(crate) fn nonce_hex(&self) -> String {
        format!("{:016x}", self.nonce)
    }

    /// A mix that passes the cheap check for the next nonce, but is not what the tables give.
    pub(crate) fn forged(&self) -> Self {
        let target = ShareDifficulty::from_hashes(2).target();
        let nonce = self.nonce + 1;
        let mix = (0_u8..)
            .map(|byte| [byte; 32])
            .find(|mix| {
                PowValue::of(Algorithm::Ethash, &bq_pow::ethash_final(&EthashWorkHash(self.header), nonce, mix))
                    .meets(&target)
            })
            .unwrap();
        Self { nonce, mix, header: self.header }
    }
}

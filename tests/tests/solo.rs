//! Mining over JSON-RPC without the pool: seals built from their published description alone, one for each algorithm.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, LightEthash, RpcClient, new_address, randomx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const EXTRANONCE: [u8; 16] = *b"solo miner's own";
const ATTEMPTS: u64 = 1_000_000;

/// `T(tag, m) = SHA-256(SHA-256(tag) || SHA-256(tag) || m)`.
fn tagged(tag: &str, message: &[u8]) -> [u8; 32] {
    let tag = Sha256::digest(tag.as_bytes());
    Sha256::digest([&tag[..], &tag[..], message].concat()).into()
}

fn double_sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// One algorithm's part of a template.
struct Work {
    header: Vec<u8>,
    target: [u8; 32],
    seal_hash: [u8; 32],
    key: Value,
}

impl Work {
    fn of(template: &Value, algorithm: &str) -> Result<Self> {
        let works = template["works"].as_array().context("works")?;
        let work = works.iter().find(|work| work["algorithm"] == algorithm).context("algorithm is not active")?;
        let bytes = |name: &str| Ok::<_, anyhow::Error>(hex::decode(work[name].as_str().context("hex")?)?);
        let header = bytes("header")?;
        ensure!(header.len() == 120, "header of {} bytes", header.len());
        let seal_hash = tagged("BQIP0002/seal", &header);
        ensure!(seal_hash.as_slice() == bytes("sealhash")?, "seal hash");
        let target = bytes("target")?.try_into().ok().context("target")?;
        Ok(Self { header, target, seal_hash, key: work["key"].clone() })
    }

    fn parent_id(&self) -> &[u8] {
        &self.header[4..36]
    }

    fn height(&self) -> u32 {
        u32::from_le_bytes([self.header[108], self.header[109], self.header[110], self.header[111]])
    }

    /// The seal for the first nonce that works, or with `false` for the first that does not.
    fn seal(&self, algorithm: &str, valid: bool) -> Result<Vec<u8>> {
        match algorithm {
            "sha256d" => self.seal_sha256d(valid),
            "randomx" => self.seal_randomx(valid),
            _ => self.seal_ethash(valid),
        }
    }

    /// The 80-byte header of a Bitcoin-shaped block whose coinbase carries the seal hash.
    fn seal_sha256d(&self, valid: bool) -> Result<Vec<u8>> {
        let (version, ntime) = (0x2abc_0000_u32, 12_345_u32);
        let mut coinbase = hex::decode("0100000001")?;
        coinbase.extend([0; 32]);
        coinbase.extend(hex::decode("ffffffff1503")?);
        coinbase.extend(&self.height().to_le_bytes()[..3]);
        coinbase.push(0x10);
        coinbase.extend(EXTRANONCE);
        coinbase.extend(hex::decode("ffffffff010000000000000000226a20")?);
        coinbase.extend(self.seal_hash);
        coinbase.extend([0; 4]);
        ensure!(coinbase.len() == 115, "coinbase of {} bytes", coinbase.len());
        let mut header = version.to_le_bytes().to_vec();
        header.extend(self.parent_id());
        header.extend(double_sha256(&coinbase));
        header.extend(ntime.to_le_bytes());
        header.extend(&self.header[112..116]);
        let nonce = search(valid, |nonce| {
            let mut hash = double_sha256(&[header.as_slice(), &nonce32(nonce)].concat());
            hash.reverse();
            hash <= self.target
        })?;
        Ok([&EXTRANONCE[..], &version.to_le_bytes(), &ntime.to_le_bytes(), &nonce32(nonce)].concat())
    }

    /// 76 bytes: 10 10, the time as a padded 5-byte varint, the parent, the nonce, a commitment, 01.
    fn seal_randomx(&self, valid: bool) -> Result<Vec<u8>> {
        let commitment = tagged("BQIP0002/work-randomx", &[self.seal_hash.as_slice(), &EXTRANONCE].concat());
        let vm = randomx::light_vm(self.key["key_block"].as_str().context("key block")?)?;
        let time = u64::from_le_bytes(self.header[100..108].try_into()?);
        let mut head = vec![0x10, 0x10];
        for place in 0..5_u32 {
            let seven = u8::try_from((time >> (7 * place)) & 0x7f)?;
            head.push(if place < 4 { seven | 0x80 } else { seven });
        }
        head.extend(self.parent_id());
        let nonce = search(valid, |nonce| {
            let blob = [head.as_slice(), &nonce32(nonce), &commitment, &[1]].concat();
            let mut hash = vm.calculate_hash(&blob).expect("a blob of 76 bytes can be hashed");
            hash.reverse();
            hash.as_slice() <= self.target.as_slice()
        })?;
        Ok([&EXTRANONCE[..], &nonce32(nonce)].concat())
    }

    fn seal_ethash(&self, valid: bool) -> Result<Vec<u8>> {
        let work_hash = tagged("BQIP0002/work-ethash", &[self.seal_hash.as_slice(), &EXTRANONCE].concat());
        ensure!(self.key["epoch"] == 0, "a young chain is in epoch 0: {}", self.key);
        let ethash = LightEthash::of_seed([0; 32]).context("epoch 0")?;
        let nonce = search(valid, |nonce| ethash.hash(&work_hash, nonce).1 <= self.target)?;
        let (mix, _) = ethash.hash(&work_hash, nonce);
        Ok([&EXTRANONCE[..], &nonce.to_le_bytes(), &mix].concat())
    }
}

fn search(valid: bool, mut meets: impl FnMut(u64) -> bool) -> Result<u64> {
    (0..ATTEMPTS).find(|nonce| meets(*nonce) == valid).context("no nonce found")
}

fn nonce32(nonce: u64) -> [u8; 4] {
    let bytes = nonce.to_le_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

/// Header, seal, count, transactions.
fn block(template: &Value, work: &Work, seal: &[u8]) -> Result<Vec<u8>> {
    let transactions = template["transactions"].as_array().context("transactions")?;
    ensure!(transactions.len() < 0xfd, "a young chain has few transactions");
    let mut bytes = [work.header.as_slice(), seal, &[u8::try_from(transactions.len())?]].concat();
    for transaction in transactions {
        bytes.extend(hex::decode(transaction["data"].as_str().context("data")?)?);
    }
    Ok(bytes)
}

#[test]
fn blocks_built_from_the_published_shapes_are_accepted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = new_address(folder.path(), "solo")?;
    let algorithms = ["sha256d", "randomx", "ethash"];
    let config = Eras::quick().then(1, &algorithms).config(2, "");
    let bq = BqProcess::start(folder.path(), &BqOptions { config, ..BqOptions::default() })?;
    let rpc = RpcClient::new(bq.address("rpc")?);
    for (height, algorithm) in (1_u32..).zip(algorithms) {
        let request = json!([{ "address": address, "coinbasedata": "c0ffee" }]);
        let template = rpc.call("getblocktemplate", &request)?;
        let work = Work::of(&template, algorithm)?;
        assert_eq!(work.height(), height, "{algorithm}");

        let bad = block(&template, &work, &work.seal(algorithm, false)?)?;
        let refused = rpc.call_raw("submitblock", &json!([hex::encode(bad)]))?;
        assert!(refused["error"]["message"].is_string(), "{algorithm}: {refused}");

        let seal = work.seal(algorithm, true)?;
        let good = hex::encode(block(&template, &work, &seal)?);
        let id = hex::encode(tagged("BQIP0002/block", &[work.header.as_slice(), &seal].concat()));
        assert_eq!(rpc.call("submitblock", &json!([good]))?, json!(id), "{algorithm}");
        assert_eq!(rpc.call("getbestblockhash", &json!([]))?, json!(id), "{algorithm}");
        let again = rpc.call_raw("submitblock", &json!([good]))?;
        assert!(again["error"]["message"].is_string(), "a second time: {again}");
    }
    let coins = rpc.call("getcoins", &json!([address]))?;
    assert_eq!(coins["total"]["atoms"], "15000000000", "three subsidies: {coins}");
    long_poll(&bq, &address)?;
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    Ok(())
}

/// A template request that waits for another tip is answered when there is one, not before and not much later.
fn long_poll(bq: &BqProcess, address: &str) -> Result<()> {
    // Mining without the pool needs no login.
    let rpc = RpcClient::new(bq.address("rpc")?);
    let of_waiter = rpc.clone();
    let template = rpc.call("getblocktemplate", &json!([{ "address": address }]))?;
    let request = json!([{ "address": address, "longpollid": template["longpollid"] }]);
    let waiting = std::thread::spawn(move || (of_waiter.call("getblocktemplate", &request), Instant::now()));
    let work = Work::of(&template, "sha256d")?;
    let bytes = block(&template, &work, &work.seal("sha256d", true)?)?;
    let before = Instant::now();
    let id = rpc.call("submitblock", &json!([hex::encode(bytes)]))?;
    let (answer, after) = waiting.join().map_err(|_| anyhow::anyhow!("the waiting thread failed"))?;
    assert_eq!(answer?["previousblockhash"], id);
    ensure!(after > before && after - before < Duration::from_secs(15), "answered after {:?}", after - before);
    Ok(())
}

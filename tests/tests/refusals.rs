//! What must not start does not start, says why, and leaves with the right code; what a miner must not send is answered
//! in the shape of its dialect.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use bq_tests::{BqOptions, BqProcess, Finished, LineClient};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

fn config(text: &str) -> BqOptions {
    BqOptions { config: text.to_owned(), ..BqOptions::default() }
}

fn refused(folder: &Path, options: &BqOptions) -> Result<Finished> {
    let finished = BqProcess::start_expecting_exit(folder, options)?;
    assert!(!folder.join("ready.json").exists(), "it said that it was ready: {finished:?}");
    Ok(finished)
}

#[test]
fn wrong_settings_end_with_code_2_and_name_the_field() -> Result<()> {
    let cases = [
        ("[pool]\nfee_bp = 9000", "pool.fee_bp"),
        ("[pool]\nfee_bp = \"lots\"", "pool.fee_bp"),
        ("[pool]\npayout_mim = 5", "payout_mim"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[[regtest.eras]]\nstart = 5\nalgorithms = [\"sha256d\"]", "regtest.eras"),
        ("[[regtest.eras]]\nstart = 1\nalgorithms = [\"scrypt\"]", "regtest.eras"),
        ("this is not toml", "bq.toml"),
        ("rpc_login_file = \"/nowhere/login\"", "rpc_login_file"),
        ("[pool]\npassword_file = \"/nowhere/password\"", "pool.password_file"),
    ];
    for (text, field) in cases {
        let folder = tempfile::tempdir()?;
        let finished = refused(folder.path(), &config(text))?;
        assert_eq!(finished.code, Some(2), "{text}: {}", finished.stderr);
        assert!(finished.stderr.contains(field), "{text}: {}", finished.stderr);
        assert!(!folder.path().join("data").exists(), "{text}: a refused configuration leaves nothing behind");
    }
    Ok(())
}

#[test]
fn wrong_flags_end_with_code_2() -> Result<()> {
    for (flag, value) in [("--stratum-sha256d", "nowhere"), ("--connect", "no-port"), ("--no-such-flag", "1")] {
        let folder = tempfile::tempdir()?;
        let options = BqOptions { arguments: vec![flag.into(), value.into()], ..BqOptions::default() };
        let finished = refused(folder.path(), &options)?;
        assert_eq!(finished.code, Some(2), "{flag}: {}", finished.stderr);
        let field = flag.trim_start_matches('-');
        let named = finished.stderr.contains(field) || finished.stderr.contains(&field.replace('-', "_"));
        assert!(named, "{flag}: {}", finished.stderr);
    }
    Ok(())
}

#[test]
fn a_data_directory_has_one_owner() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = BqProcess::start(folder.path(), &BqOptions::default())?;
    let second = folder.path().join("second");
    let data = folder.path().join("data");
    std::fs::create_dir(&second)?;
    std::os::unix::fs::symlink(&data, second.join("data"))?;
    let finished = refused(&second, &BqOptions::default())?;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
    assert!(first.stop()?.success());
    let again = BqProcess::start(folder.path(), &BqOptions::default())?;
    assert!(again.stop()?.success(), "the refused start changed nothing");
    Ok(())
}

#[test]
fn a_directory_of_another_network_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = BqProcess::start(folder.path(), &BqOptions::default())?;
    assert!(first.stop()?.success());
    let data = folder.path().join("data");
    let mut arguments = ["run", "--network", "devnet", "--miner-threads", "0", "--data-dir"].map(Into::into).to_vec();
    arguments.push(data.clone().into_os_string());
    for port in
        ["--http", "--rpc", "--p2p", "--stratum-sha256d", "--stratum-randomx", "--stratum-ethash", "--stratum-v2"]
    {
        arguments.extend([port.into(), "127.0.0.1:0".into()]);
    }
    let finished = bq_tests::run_bq(&arguments)?;
    assert!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
    assert!(finished.stderr.contains("regtest") || finished.stderr.contains("genesis"), "{}", finished.stderr);
    Ok(())
}

#[test]
fn damaged_files_are_named() -> Result<()> {
    for name in ["chain.redb", "books.sqlite"] {
        let folder = tempfile::tempdir()?;
        let first = BqProcess::start(folder.path(), &BqOptions::default())?;
        assert!(first.stop()?.success());
        let path = folder.path().join("data").join(name);
        let length = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
        std::fs::write(&path, vec![0x5a; usize::try_from(length)?])?;
        let finished = refused(folder.path(), &BqOptions::default())?;
        assert_eq!(finished.code, Some(1), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(name), "{name}: {}", finished.stderr);
    }
    Ok(())
}

/// One request of each dialect that names a method nobody has.
fn unknown_method(port: &str) -> Value {
    match port {
        "randomx" => json!({ "id": 7, "jsonrpc": "2.0", "method": "no_such_method", "params": {} }),
        _ => json!({ "id": 7, "method": "no.such.method", "params": [] }),
    }
}

fn assert_error_shape(port: &str, answer: &Value) {
    let error = &answer["error"];
    match port {
        "sha256d" => {
            assert!(error.is_array() && error[0].is_i64() && error[1].is_string(), "{answer}");
            assert_eq!(answer["result"], Value::Null);
        }
        "randomx" => assert!(error.is_object() && error["message"].is_string(), "{answer}"),
        _ => assert!(error.is_array() || (error.is_object() && error["message"].is_string()), "{answer}"),
    }
}

#[test]
fn a_miners_mistakes_are_answered_in_its_dialect() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bq = BqProcess::start(folder.path(), &BqOptions::default())?;
    for port in ["sha256d", "randomx", "ethash"] {
        let mut client = LineClient::connect(bq.stratum(port)?)?;
        client.send(&unknown_method(port))?;
        assert_error_shape(port, &client.expect_answer(7, LIMIT)?);
        submit_without_login(port, &mut client)?;
    }
    Ok(())
}

fn submit_without_login(port: &str, client: &mut LineClient) -> Result<()> {
    let zeros = "00".repeat(32);
    let request = match port {
        "sha256d" => json!({ "id": 8, "method": "mining.submit", "params": ["x", "1", "00", "00000000", "00000000"] }),
        "randomx" => {
            let params = json!({ "id": "x", "job_id": "1", "nonce": "00000000", "result": zeros });
            json!({ "id": 8, "jsonrpc": "2.0", "method": "submit", "params": params })
        }
        _ => {
            let hash = format!("0x{zeros}");
            json!({ "id": 8, "method": "eth_submitWork", "params": ["0x0000000000000000", hash, hash] })
        }
    };
    client.send(&request)?;
    assert_error_shape(port, &client.expect_answer(8, LIMIT)?);
    Ok(())
}

#[test]
fn broken_lines_cost_the_connection_and_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bq = BqProcess::start(folder.path(), &BqOptions::default())?;
    for port in ["sha256d", "randomx", "ethash"] {
        let address = bq.stratum(port)?;
        let oversize = [vec![b'{'; 100_000], vec![b'\n']].concat();
        for bytes in [b"this is not json\n".to_vec(), oversize, vec![0xff; 40], b"[1,2,3]\n".to_vec()] {
            let mut client = LineClient::connect(address)?;
            // The server may close while we are still writing.
            let _ = client.send_raw(&bytes);
            let _ = client.send_raw(b"\n");
            let said = match client.receive(LIMIT) {
                Ok(Some(answer)) => vec![answer],
                Ok(None) => panic!("{port}: neither an error nor a close for {} bytes", bytes.len()),
                Err(_) => Vec::new(),
            };
            for answer in &said {
                assert_error_shape(port, answer);
            }
        }
        let mut healthy = LineClient::connect(address)?;
        healthy.send(&unknown_method(port))?;
        assert_error_shape(port, &healthy.expect_answer(7, LIMIT)?);
    }
    assert_eq!(bq.get("/health/ready")?.status, 200);
    Ok(())
}

/// Another part would be listening already by the time that finds it out.
#[test]
fn a_damaged_node_key_is_refused_before_anything_listens() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("data"))?;
    std::fs::write(folder.path().join("data/node-key"), "no key")?;
    let finished = refused(folder.path(), &config(""))?;
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("node-key") && !finished.stderr.contains("port is open"), "{}", finished.stderr);
    Ok(())
}

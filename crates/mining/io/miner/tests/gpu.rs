//! The miner and GPUs: on this machine as it is, and with a stand-in for the driver whose devices run the kernels on the CPU.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pool;

use std::{path::Path, process::Command, sync::Arc};

use bq_miner::MinerConfig;
use bq_mining_message::MiningControl as _;
use bq_pow::{GpuDevice, PowVerifier};
use bq_primitives::Algorithm;
use pool::{Pool, config, eventually, start, stats, stop};

/// Set for a process in which the stand-in is found as `libcuda.so`.
const STAND_IN: &str = "BQ_TEST_CUDA_STAND_IN";

/// Where there is a GPU that works, it mines alone, without any thread; where there is none, that is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gpu_mines_or_its_absence_is_told() {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(Algorithm::Sha256d).await;
    let miner = start(MinerConfig { gpu: true, threads: 0, ..config(&[&pool]) }, &pow);
    eventually(|| !miner.stats().gpus.is_empty()).await;
    match GpuDevice::list() {
        Err(error) => {
            assert!(std::env::var_os(STAND_IN).is_none(), "{error}");
            eventually(|| miner.mining_status().gpus == [format!("none: {error}")]).await;
        }
        Ok(devices) => {
            eventually(|| miner.stats().gpus.iter().any(|state| state.ends_with(": works"))).await;
            let mut connection = pool.accept().await;
            connection.log_in("dbq1address", "rig7", "x").await;
            connection.send_job("1", 1).await;
            let share = connection.share(&pow).await;
            connection.answer(&share.id, None).await;
            eventually(|| stats(&miner, Algorithm::Sha256d).accepted >= 1).await;
            let now = miner.stats();
            assert!(now.workers.is_empty() && now.algorithms[0].hashes > 0);
            assert_eq!(miner.mining_status().details[0].measured_hashrate, None, "threads have no speed");
            if std::env::var_os(STAND_IN).is_some() {
                eventually(|| miner.stats().gpus.iter().all(|state| !state.ends_with("being tested"))).await;
                let states = miner.stats().gpus;
                assert_eq!(states.len(), devices.len());
                for (state, device) in states.iter().zip(devices) {
                    let faulty = ["wrong hits", "too many hits", "wrong nodes", "fails to launch", "too old"];
                    let is_faulty = faulty.iter().any(|fault| device.name.ends_with(fault));
                    assert_eq!(state.contains(": not used: "), is_faulty, "{state}");
                }
            }
        }
    }
    stop(miner).await;
}

/// The test above, in a process that finds the stand-in.
#[test]
fn a_gpu_mines_with_a_stand_in_for_the_driver() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../pow");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cuda-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let built = Command::new("c++")
        .args(["-std=c++17", "-O2", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-I"])
        .arg(here.join("src/gpu/kernels"))
        .arg("-o")
        .args([&folder.join("libcuda.so"), &here.join("tests/gpu/driver.cpp")])
        .output()
        .expect("a C++ compiler, which building RandomX needs too");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_gpu_mines_or_its_absence_is_told"])
        .env("LD_LIBRARY_PATH", &folder)
        .env(STAND_IN, "1")
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        test.status.success(),
        "{}{}",
        String::from_utf8_lossy(&test.stdout),
        String::from_utf8_lossy(&test.stderr)
    );
}

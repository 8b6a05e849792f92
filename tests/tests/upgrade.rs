//! A data directory of the version before the log of events, given to the real program. Its key file is not in the fixture, so all that the
//! program may do is refuse by name and leave everything as it was; what it does with the right key is tested in the pool's driver.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use bq_tests::run_bq;

const FILES: [&str; 2] = ["ledger.sqlite", "shares/shares-00000000000000000001.seg"];

#[test]
fn older_books_without_their_key_are_refused_by_name_and_left_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("shares"))?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/pool/io/driver/tests/fixtures/e8a0ea9");
    for name in FILES {
        fs::copy(fixture.join(name), data.join(name))?;
    }
    let place = data.display().to_string();
    let mut arguments = vec!["run", "--network", "devnet", "--miner-threads", "0", "--data-dir", &place];
    for port in
        ["--http", "--rpc", "--p2p", "--stratum-sha256d", "--stratum-randomx", "--stratum-ethash", "--stratum-v2"]
    {
        arguments.extend([port, "127.0.0.1:0"]);
    }
    for _ in 0..2 {
        let refused = run_bq(&arguments)?;
        ensure!(refused.code == Some(1), "{refused:?}");
        let said = ["pool-wallet.json is missing", "the books of this pool belong to its key"];
        ensure!(said.iter().all(|words| refused.stderr.contains(words)), "{refused:?}");
        for name in FILES {
            ensure!(fs::read(data.join(name))? == fs::read(fixture.join(name))?, "{name} was changed");
        }
        for name in ["books.sqlite", "pool-wallet.json"] {
            ensure!(!data.join(name).exists(), "a new {name} was made");
        }
    }
    Ok(())
}

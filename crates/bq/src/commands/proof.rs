//! `bq audit export | verify | replay`: what a pool gives out, and what anybody checks it with.

mod chain;

use std::{
    io::{Read as _, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, bail};
use bq_pool::{
    NodeBlocks, PoolConfig, PoolFiles, ReplayError, ReplayStep, Replayed, StoppedPool, Wanted, replay_export,
};
use bq_pool_machine::LogNumber;
use bq_pool_proof::{Document as _, Evidence, Finding, PoolIdentity};
use bq_primitives::{Address, Algorithm, BlockId, KeyHash};
use bq_rpc::RpcClient;

use self::chain::{Chain, StoredChain};
use super::pool::{config, no_answer, stopped, stopped_failed};
use crate::{
    cli::{AuditCommand, AuditExport, ChainArgs},
    exit::{UsageError, say},
};

/// The largest file that is read: what is read allocates up to some fifty times as much.
const FILE_BYTES_MAX: u64 = 1 << 28;
/// Events between two lines about how far a replay is.
const EVENTS_BETWEEN: u64 = 1_000_000;

pub(crate) fn proof(command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Export(wanted) => export(&wanted),
        AuditCommand::Verify { file, account, chain } => verify(&file, account.as_deref(), &chain),
        AuditCommand::Replay { folder, chain } => replay(&folder, &chain),
    }
}

fn export(wanted: &AuditExport) -> anyhow::Result<()> {
    if wanted.out.exists() && !(wanted.all && wanted.out.is_dir()) {
        return Err(UsageError(format!("out: {} is there already", wanted.out.display())).into());
    }
    let settings = config(&wanted.data, None)?;
    let (_lock, files) = match &wanted.backup {
        Some(backup) => {
            let pool = StoppedPool {
                data_dir: backup.clone(),
                network: settings.network,
                genesis: settings.params.genesis_id(),
                front_end: bq_mining_message::FrontEndId(0),
            };
            (None, pool)
        }
        None => {
            let (lock, pool) = stopped(&wanted.data)?;
            (Some(lock), pool)
        }
    };
    let tag = PoolConfig::new(settings.data_dir.clone(), settings.network).pool_tag;
    let files = PoolFiles { pool: files, is_backup: wanted.backup.is_some(), tag };
    if wanted.all {
        let head = files.export_all(&wanted.out).map_err(stopped_failed)?;
        say(&format!(
            "events 1 to {} and their shares are in {}; the hash of the newest is {}",
            head.number,
            wanted.out.display(),
            head.hash
        ));
        return Ok(());
    }
    let (account, what) = asked(wanted, settings.network)?;
    let evidence = match &wanted.rpc {
        Some(rpc) => {
            let node = RpcClient::connect(rpc).map_err(|error| no_answer(error, rpc))?;
            files.evidence(&NodeBlocks(&node), account, &what)
        }
        None => files.evidence(&StoredChain::open(&settings.data_dir, &settings.params)?, account, &what),
    };
    let Some(evidence) = evidence.map_err(stopped_failed)? else {
        bail!("there is no such proof: nothing of this address, or no block of the pool names it yet");
    };
    write_new(&wanted.out, &evidence.to_bytes()?)?;
    say(&format!("written to {}: bq audit verify reads it anywhere", wanted.out.display()));
    Ok(())
}

fn asked(wanted: &AuditExport, network: bq_primitives::Network) -> anyhow::Result<(KeyHash, Wanted)> {
    let address = wanted.account.as_deref().unwrap_or_default();
    let address = Address::parse(address, network).map_err(|error| UsageError(format!("account: {error}")))?;
    let what = match (&wanted.share, &wanted.credit) {
        (Some(share), _) => Wanted::Share { share: Some(bq_mining_message::ShareSequence(*share)) },
        (None, Some(block)) => {
            let block: BlockId = block.parse().map_err(|error| UsageError(format!("credit: {error}")))?;
            Wanted::Credit { block }
        }
        (None, None) => Wanted::Shares { upto: None },
    };
    Ok((address.key_hash, what))
}

fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let mut file = std::fs::File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

fn verify(file: &Path, account: Option<&str>, chain: &ChainArgs) -> anyhow::Result<()> {
    let evidence = Evidence::from_bytes(&read_file(file)?)?;
    let finding = evidence.verify(bq_signature::verify)?;
    let pool = evidence.pool();
    if let Some(account) = account {
        let address = Address::parse(account, pool.network).map_err(|error| UsageError(format!("account: {error}")))?;
        if finding.account() != address.key_hash {
            bail!("it is of {}, not of {account}", of(pool, finding.account()));
        }
    }
    say(&format!("pool     {} on {}", of(pool, pool.key), pool.network));
    say(&format!("account  {}", of(pool, finding.account())));
    tell(pool, &finding);
    match Chain::open(chain)? {
        None => {
            say(
                "its blocks are not looked up: it proves nothing before they are found on the chain (--rpc or --chain)",
            );
        }
        Some(chain) => look_up(&chain, pool, &finding)?,
    }
    Ok(())
}

/// The bytes of a file. What is none is not opened: a pipe would be waited for, a device read without end.
fn read_file(file: &Path) -> anyhow::Result<Vec<u8>> {
    let too_large = || UsageError(format!("{} is larger than {FILE_BYTES_MAX} bytes", file.display()));
    if file_bytes(file)? > FILE_BYTES_MAX {
        return Err(too_large().into());
    }
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).with_context(|| file.display().to_string())?;
    open.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| file.display().to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(too_large().into());
    }
    Ok(bytes)
}

/// How many bytes a file has; an error for what is no file.
fn file_bytes(file: &Path) -> anyhow::Result<u64> {
    let found = std::fs::metadata(file).with_context(|| file.display().to_string())?;
    if !found.is_file() {
        return Err(UsageError(format!("{} is no file", file.display())).into());
    }
    Ok(found.len())
}

/// The files of an export are files and as long as `export.json` names them, before any of them is opened. Whether their bytes are
/// the same the replay looks at.
fn check_lengths(folder: &Path) -> anyhow::Result<()> {
    let manifest = folder.join("export.json");
    if !manifest.exists() {
        return Ok(());
    }
    let manifest: serde_json::Value = serde_json::from_slice(&read_file(&manifest)?).unwrap_or_default();
    let files = manifest.get("files").and_then(serde_json::Value::as_object);
    for (name, mark) in files.into_iter().flatten() {
        let file = folder.join(name);
        let named = mark.get("bytes").and_then(serde_json::Value::as_u64);
        // A file that is missing has words of its own.
        if file.exists() && named != Some(file_bytes(&file)?) {
            return Err(ReplayError::File { file }.into());
        }
    }
    Ok(())
}

fn of(pool: &PoolIdentity, key_hash: KeyHash) -> Address {
    Address { network: pool.network, key_hash }
}

/// What is proved, in words.
fn tell(pool: &PoolIdentity, finding: &Finding) {
    match finding {
        Finding::Account(report) => {
            for (algorithm, lane) in Algorithm::ALL.into_iter().zip(&report.lanes).filter(|(_, lane)| lane.shares > 0) {
                say(&format!(
                    "shares   {} of {algorithm}, weight {} in units of 2^-60 of a block",
                    lane.shares, lane.weight
                ));
            }
            for run in &report.runs {
                say(&format!(
                    "events   {} to {}: {} shares, named by the block below of height {}",
                    run.first, run.anchor.head.number, run.shares, run.anchor.height
                ));
            }
            if !report.is_gapless {
                say("gaps     events are left out between these: shares there may be missing, none is wrong");
            }
        }
        Finding::Share(share) => say(&format!(
            "share    {} of {}, difficulty {}, by {:?} at {} ms, in frame {}",
            share.position.sequence,
            share.share.algorithm,
            share.share.difficulty,
            share.share.worker.as_str(),
            share.share.time_ms,
            share.frame
        )),
        Finding::Credit(credit) => say(&format!(
            "credit   {} atoms of block {}, event {}; it counts while that block is on the chain",
            credit.credit.amount.atoms(),
            credit.block,
            credit.event
        )),
        Finding::Owed(owed) => {
            say(&format!("owed     {} atoms, of {} in all", owed.balance.atoms(), owed.statement.sum.atoms()));
            say(&format!(
                "signed   by the pool, at event {} with hash {}",
                owed.statement.head.number, owed.statement.head.hash
            ));
            if owed.anchor.is_none() {
                say("no block of the pool named that event when this was made");
            }
        }
    }
    for anchor in finding.anchors() {
        say(&format!("block    {} of height {} names event {}", anchor.block, anchor.height, anchor.head.number));
    }
    say(&format!("genesis  {}", pool.genesis));
}

fn look_up(chain: &Chain, pool: &PoolIdentity, finding: &Finding) -> anyhow::Result<()> {
    let mut failed = None;
    let blocks = chain.blocks();
    let on_chain = finding.on_chain(pool, chain.network(), |height| match blocks.id_at(height) {
        Ok(id) => id,
        Err(error) => {
            failed.get_or_insert(error);
            None
        }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    on_chain?;
    if let Finding::Credit(credit) = finding {
        let Some(block) = blocks.block(&credit.block)? else { bail!("block {} is not known", credit.block) };
        if blocks.id_at(block.header.height)? != Some(credit.block) {
            bail!("block {} is not on the chain: what it credited was taken back", credit.block);
        }
    }
    if finding.anchors().is_empty() {
        say("no block names it: the chain says nothing of it yet, nor of the pool's tag");
    } else {
        say("its blocks are on the chain");
    }
    Ok(())
}

fn replay(folder: &Path, chain: &ChainArgs) -> anyhow::Result<()> {
    check_lengths(folder)?;
    let chain =
        Chain::open(chain)?.ok_or_else(|| UsageError("name a chain: --rpc HOST:PORT or --chain DIR".to_owned()))?;
    let (mut began, mut log) = (Instant::now(), None);
    let each = |step: ReplayStep| match step {
        ReplayStep::Chain(_) => {}
        ReplayStep::Log(number) => {
            if log.is_none() {
                (log, began) = (Some(()), Instant::now());
            }
            if number.0.is_multiple_of(EVENTS_BETWEEN) {
                say(&format!("event {number} so far"));
            }
        }
    };
    let replayed = replay_export(folder, chain.blocks(), each)?;
    let seconds = began.elapsed().as_secs_f64();
    tell_replayed(&replayed, seconds);
    match replayed.difference {
        None => {
            say("nothing differs");
            Ok(())
        }
        Some(difference) => bail!("the first difference: {difference}"),
    }
}

fn tell_replayed(replayed: &Replayed, seconds: f64) {
    let LogNumber(event) = replayed.head.number;
    say(&format!("log      event {event} {}", replayed.head.hash));
    say(&format!("state    {}", replayed.state));
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = replayed.shares as f64 / seconds.max(1e-9);
    say(&format!(
        "shares   {} in {} frames, {seconds:.2} s with the log, {rate:.0} shares/s",
        replayed.shares, replayed.frames
    ));
    say(&format!(
        "credits  {} lines, {} atoms; {} checkpoints and statements",
        replayed.credits, replayed.credited, replayed.checked
    ));
    say(&format!("chain    the log ends at height {}, the chain at {}", replayed.height, replayed.tip));
    say(&format!(
        "blocks   {} of the pool, {} coinbases name the log, {} pay miners as the books gave ({} of them no older balances)",
        replayed.blocks, replayed.commitments, replayed.coinbases, replayed.without_balances
    ));
    for note in &replayed.notes {
        say(&format!("note     {note}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: anyhow::Result<()>) -> String {
        format!("{:#}", result.expect_err("refused"))
    }

    #[test]
    fn only_files_of_the_named_length_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let read = |path: &Path| read_file(path).map(|_| ());
        let pipe = path("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
        assert!(told(read(&pipe)).ends_with("is no file"));
        assert!(told(read(Path::new("/dev/zero"))).ends_with("is no file"));
        let sparse = std::fs::File::create(path("sparse")).expect("created");
        sparse.set_len(FILE_BYTES_MAX + 1).expect("a length");
        assert!(told(read(&path("sparse"))).contains("is larger than"));
        let manifest = r#"{"files": {"events": {"bytes": 5, "sha256": ""}}}"#;
        std::fs::write(path("export.json"), manifest).expect("written");
        let events = path("events");
        std::fs::write(&events, "five!").expect("written");
        assert!(check_lengths(folder.path()).is_ok());
        std::fs::File::options().write(true).open(&events).expect("opens").set_len(1 << 30).expect("a length");
        assert!(told(check_lengths(folder.path())).ends_with("is not as it was when the export was made"));
        for other in [&pipe, Path::new("/dev/zero")] {
            std::fs::remove_file(&events).expect("removed");
            std::os::unix::fs::symlink(other, &events).expect("linked");
            assert!(told(check_lengths(folder.path())).ends_with("events is no file"));
        }
    }
}

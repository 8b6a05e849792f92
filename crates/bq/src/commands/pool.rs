//! `bq pool ...` and `bq audit`: what an operator decides and checks. A running pool is asked over its JSON-RPC; a stopped one is
//! opened where it lies.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, bail};
use bq_pool::{Reason, StoppedError, StoppedPool};
use bq_rpc::{PoolStatusShape, RpcClient, RpcClientError};
use bq_runtime::{Config, DataDir, DataDirError, load};
use bq_views::HealthView;
use serde_json::{Value, json};

use super::{access, settings};
use crate::{
    cli::{AdoptAs, DataArgs, NodeArgs, PoolChange, PoolCommand, ReserveCommand, RunArgs, WriteOffFrom},
    cookie,
    exit::{UsageError, say},
    run::{condition_line, key_file, layers},
};

pub(crate) fn pool(command: PoolCommand) -> anyhow::Result<()> {
    match command {
        PoolCommand::Status { node, json } => status(&node, json),
        PoolCommand::Pause(change) => decide(&change, "pause", json!({})),
        PoolCommand::Resume(change) => decide(&change, "resume", json!({})),
        PoolCommand::Recover { forced, change } => decide(&change, "recover", json!({ "forced": forced })),
        PoolCommand::Withdraw { atoms, address, change } => {
            decide(&change, "withdraw", json!({ "amount": atoms.to_string(), "address": address }))
        }
        PoolCommand::Adopt { txid, meaning, change } => {
            let meaning = match meaning {
                AdoptAs::Withdrawal => "withdrawal",
                AdoptAs::Refill => "refill",
                AdoptAs::Payout => "payout",
            };
            decide(&change, "adopt", json!({ "txid": txid, "as": meaning }))
        }
        PoolCommand::WriteOff { atoms, from, change } => {
            let from = match from {
                WriteOffFrom::Pool => "pool",
                WriteOffFrom::Suspense => "suspense",
            };
            decide(&change, "write-off", json!({ "amount": atoms.to_string(), "from": from }))
        }
        PoolCommand::ReleaseSuspense { atoms, change } => {
            decide(&change, "release-suspense", json!({ "amount": atoms.to_string() }))
        }
        PoolCommand::Reserve(ReserveCommand::Add { atoms, change }) => {
            decide(&change, "fund-reserve", json!({ "amount": atoms.to_string() }))
        }
        PoolCommand::Reserve(ReserveCommand::Take { atoms, change }) => {
            decide(&change, "release-reserve", json!({ "amount": atoms.to_string() }))
        }
        PoolCommand::Token(command) => access::tokens(&command),
        PoolCommand::Settings { address, node, json } => settings::show(&address, &node, json),
        PoolCommand::Sessions { address, limit, node, json } => {
            access::sessions(&node, address.as_deref(), limit, json)
        }
        PoolCommand::Forfeit { segment, reason, who, dry_run, data } => {
            let (_lock, pool) = stopped(&data)?;
            done(pool.forfeit(&segment, &Reason { who, why: reason }, dry_run))
        }
        PoolCommand::Backup { folder, dry_run, node } => backup(&folder, dry_run, &node),
        PoolCommand::Restore { folder, dry_run, data } => {
            let (_lock, pool) = stopped(&data)?;
            let config = config(&data, None)?;
            let key = match &config.pool.signer_socket {
                Some(_) => bq_signer_link::known_key(&config.data_dir)?,
                // Its address can be read without the password.
                None => {
                    let key_file = key_file(&config);
                    let address = key_file.exists().then(|| bq_wallet::address_in_file(&key_file)).transpose()?;
                    address.map(|address| address.key_hash)
                }
            };
            done(pool.restore(&folder, key, dry_run))
        }
    }
}

/// `bq audit`.
pub(crate) fn audit(data: &DataArgs) -> anyhow::Result<()> {
    let (_lock, pool) = stopped(data)?;
    let findings = pool.audit().map_err(stopped_failed)?;
    say(&format!(
        "{} events, {} frames, {} rows; the shares of {} frames are pruned or forfeited",
        findings.events, findings.frames, findings.rows, findings.frames_without_shares
    ));
    if findings.events_read > 0 {
        say(&format!(
            "{} events before those were only read and their hashes followed: shares that they paid are dropped or given up",
            findings.events_read
        ));
    }
    for fault in &findings.faults {
        say(&format!("differs: {fault}"));
    }
    match findings.faults.len() {
        0 => Ok(()),
        count => bail!("the audit found {count} differences"),
    }
}

fn status(node: &NodeArgs, as_json: bool) -> anyhow::Result<()> {
    let client = client(node)?;
    let pool: PoolStatusShape = client.call("getpoolstatus", &json!([])).map_err(answered)?;
    let health: HealthView = client.call("getconditions", &json!([])).map_err(answered)?;
    if as_json {
        let mut view = serde_json::to_value(&pool)?;
        view["health"] = serde_json::to_value(&health)?;
        say(&view.to_string());
        return Ok(());
    }
    say(&format!("address  {}", pool.address.as_deref().unwrap_or("none yet")));
    say(&format!("log      event {} {}", pool.event, pool.eventhash));
    say(&format!(
        "payouts  {}",
        pool.paused.as_ref().map_or_else(|| "not paused".to_owned(), |why| format!("paused: {why}"))
    ));
    let miners = &pool.miners;
    say(&format!(
        "miners   immature {}  payable {}  in flight {}  accounts due {}",
        miners.immature.coins, miners.payable.coins, miners.inflight.coins, pool.due
    ));
    for (name, amount) in &pool.balances {
        say(&format!("  {name:<24} {}", amount.coins));
    }
    for payout in &pool.payouts {
        let place = if payout.confirmed { "in a block" } else { "waits for a block" };
        say(&format!("  payout {} to {}: {} {place}", payout.id, payout.kind, payout.txid));
    }
    say(&format!("health   {}", health.status));
    for (component, condition) in health.conditions() {
        say(&format!("  {}", condition_line(component, condition)));
    }
    Ok(())
}

fn decide(change: &PoolChange, command: &'static str, mut params: Value) -> anyhow::Result<()> {
    params["command"] = command.into();
    params["reason"] = change.reason.as_str().into();
    params["who"] = change.who.as_str().into();
    params["dryrun"] = change.dry_run.into();
    sentence(&client(&change.node)?, "pooldecide", &params)
}

fn backup(folder: &Path, dry_run: bool, node: &NodeArgs) -> anyhow::Result<()> {
    if node.data.is_given() && node.rpc.is_none() {
        match stopped(&node.data) {
            Ok((_lock, pool)) => return done(pool.back_up(folder, dry_run)),
            // It runs, so it is asked.
            Err(error) if matches!(error.downcast_ref(), Some(DataDirError::InUse { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    // The other process has a working directory of its own.
    let folder = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
    sentence(&client(node)?, "poolbackup", &json!({ "folder": folder, "dryrun": dry_run }))
}

fn sentence(client: &RpcClient, method: &'static str, params: &Value) -> anyhow::Result<()> {
    let answer: Value = client.call(method, params).map_err(answered)?;
    say(answer["sentence"].as_str().unwrap_or("done"));
    Ok(())
}

/// With the login of the data directory, if this user may read it there.
pub(super) fn client(node: &NodeArgs) -> anyhow::Result<RpcClient> {
    let config = config(&node.data, node.rpc)?;
    let address = config.rpc.to_string();
    let connected = match cookie::login_in(&config.data_dir) {
        // It may be that of another process, or of one that was killed.
        Some(login) => RpcClient::connect_as(&address, Some(login)).or_else(|error| match error {
            RpcClientError::Login { .. } => RpcClient::connect(&address),
            error => Err(error),
        }),
        None => RpcClient::connect(&address),
    };
    connected.map_err(|error| no_answer(error, &address))
}

/// Why the first call to a node failed.
pub(super) fn no_answer(error: RpcClientError, address: &str) -> anyhow::Error {
    let is_silence = matches!(error, RpcClientError::Unreachable { .. });
    let error = anyhow::Error::new(error);
    if is_silence { error.context(format!("no node answers at {address}: is `bq run` running?")) } else { error }
}

/// A wrong value is a mistake in the command line; everything else has failed.
pub(super) fn answered(error: RpcClientError) -> anyhow::Error {
    match error {
        RpcClientError::Fault { code: -8 | -32602, message, .. } => UsageError(message).into(),
        RpcClientError::Fault { code: -13, message, .. } => {
            UsageError(format!("{message}; name it with --data-dir or --config, as a user who may read it")).into()
        }
        RpcClientError::Fault { message, .. } => anyhow::anyhow!(message),
        other => other.into(),
    }
}

/// The pool in a data directory that no process uses, and the lock that keeps others out.
pub(super) fn stopped(data: &DataArgs) -> anyhow::Result<(DataDir, StoppedPool)> {
    let config = config(data, None)?;
    if !config.data_dir.is_dir() {
        return Err(UsageError(format!("data_dir: {} is no folder", config.data_dir.display())).into());
    }
    let lock = DataDir::lock(&config.data_dir)?;
    let pool = StoppedPool {
        data_dir: config.data_dir,
        network: config.network,
        genesis: config.params.genesis_id(),
        front_end: bq_mining_message::FrontEndId(0),
    };
    Ok((lock, pool))
}

pub(super) fn config(data: &DataArgs, rpc: Option<SocketAddr>) -> anyhow::Result<Config> {
    let args = RunArgs {
        config: data.config.clone(),
        network: data.network,
        data_dir: data.data_dir.clone(),
        rpc,
        ..RunArgs::default()
    };
    Ok(load(&layers(&args)).map_err(|error| UsageError(error.to_string()))?.config)
}

fn done(outcome: Result<String, StoppedError>) -> anyhow::Result<()> {
    say(&outcome.map_err(stopped_failed)?);
    Ok(())
}

pub(super) fn stopped_failed(error: StoppedError) -> anyhow::Error {
    match error {
        StoppedError::Value { .. } => UsageError(error.to_string()).into(),
        StoppedError::Backup(_) | StoppedError::Pool(_) => error.into(),
    }
}

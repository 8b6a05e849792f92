//! `bq wallet sign-settings`: what the owner of an account wants for it, signed. `bq pool settings`: what an account set.

use std::net::SocketAddr;

use anyhow::bail;
use bq_mining_message::RequestDone;
use bq_pool_machine::{SchemeWish, SettingChange, SettingWish, Webhook, Wishes};
use bq_primitives::{Address, Amount, BlockId};
use bq_rpc::{AccountSettingsShape, WishesShape};
use bq_views::{SettingsView, WishesView};
use bq_wallet::Wallet;
use serde_json::json;

use super::{
    http,
    pool::{answered, client},
    request::{genesis, signed},
};
use crate::{
    cli::{NodeArgs, SettingArgs},
    exit::{UsageError, say},
};

/// What a machine without a network must be told.
pub(super) struct Offline<'a> {
    pub(super) number: u64,
    pub(super) pool_address: &'a str,
    pub(super) genesis: Option<&'a str>,
}

pub(super) fn sign(
    args: &SettingArgs,
    wallet: &Wallet,
    pool: SocketAddr,
    offline: Option<&Offline<'_>>,
    dry_run: bool,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/accounts/{}/settings", wallet.address());
    let (genesis, wish) = match offline {
        Some(offline) => unasked(args, wallet, offline)?,
        None => of_answer(args, &serde_json::from_str(&http::get(pool, &path)?)?)?,
    };
    let json = serde_json::to_string(&signed(wallet, genesis, wish.to_string())?)?;
    if dry_run {
        say(&json);
        return Ok(());
    }
    let RequestDone::Settings(taken) = serde_json::from_str(&http::post(pool, &path, json)?)? else {
        bail!("the pool answered something else");
    };
    say(&match (taken.pending_from, args.cancel) {
        (Some(height), _) => format!(
            "taken as number {}: what lowers protection holds from block {height} on, the rest does now; to stop it: --cancel",
            taken.number
        ),
        (None, true) => format!("taken as number {}: what waited does not come", taken.number),
        (None, false) => format!("taken as number {}: it holds now", taken.number),
    });
    Ok(())
}

fn unasked(args: &SettingArgs, wallet: &Wallet, offline: &Offline<'_>) -> anyhow::Result<(BlockId, SettingWish)> {
    let pool = Address::parse(offline.pool_address, wallet.network())
        .map_err(|error| UsageError(format!("--pool-address: {error}")))?;
    let genesis = match offline.genesis {
        Some(text) => text.parse().map_err(|_| UsageError("--genesis: 64 hex digits".to_owned()))?,
        None => genesis(wallet)?,
    };
    let all = [&args.minimum, &args.scheme, &args.lock, &args.webhook];
    if !args.cancel && all.iter().any(|wish| wish.is_none()) {
        let reason =
            "with --number nothing is asked of the pool: give --minimum, --scheme, --lock and --webhook, or --cancel";
        return Err(UsageError(reason.to_owned()).into());
    }
    let change = if args.cancel { SettingChange::Cancel } else { SettingChange::Set(wishes(args, Wishes::default())?) };
    Ok((genesis, SettingWish { pool, sequence: offline.number, change }))
}

fn of_answer(args: &SettingArgs, view: &SettingsView) -> anyhow::Result<(BlockId, SettingWish)> {
    let Some(pool) = view.pool.as_ref().filter(|_| view.is_taken) else { bail!("this pool takes no settings") };
    let pool = Address::parse_any(pool)?;
    let genesis = view.genesis.parse().map_err(|_| anyhow::anyhow!("the pool names no first block"))?;
    let change = if args.cancel {
        SettingChange::Cancel
    } else {
        let wanted = view.pending.as_ref().map_or(&view.current, |pending| &pending.wishes);
        if wanted.webhook && args.webhook.is_none() {
            let reason = "--webhook: there is one, which the pool shows to nobody: write it once more, or none";
            return Err(UsageError(reason.to_owned()).into());
        }
        SettingChange::Set(wishes(args, known(wanted)?)?)
    };
    Ok((genesis, SettingWish { pool, sequence: view.next_number, change }))
}

/// What is wanted now, as far as a pool shows it.
fn known(view: &WishesView) -> anyhow::Result<Wishes> {
    let minimum =
        view.minimum.as_ref().map(|minimum| anyhow::Ok(Amount::from_atoms(minimum.0.parse()?)?)).transpose()?;
    let scheme = SchemeWish::of_name(&view.scheme).unwrap_or_default();
    Ok(Wishes { minimum, scheme, locked: view.locked, webhook: None })
}

/// These, changed as the flags say.
fn wishes(args: &SettingArgs, mut wishes: Wishes) -> anyhow::Result<Wishes> {
    let bad = |flag: &str, reason: &str| UsageError(format!("{flag}: {reason}"));
    match args.minimum.as_deref() {
        None => {}
        Some("default") => wishes.minimum = None,
        Some(text) => {
            let atoms = text.parse().ok().and_then(|atoms| Amount::from_atoms(atoms).ok());
            wishes.minimum = Some(atoms.ok_or_else(|| bad("--minimum", "a number of atoms, or default"))?);
        }
    }
    if let Some(name) = &args.scheme {
        wishes.scheme =
            SchemeWish::of_name(name).ok_or_else(|| bad("--scheme", "default, pplns, pps, fpps, solo or tides"))?;
    }
    match args.lock.as_deref() {
        None => {}
        Some("on") => wishes.locked = true,
        Some("off") => wishes.locked = false,
        Some(_) => return Err(bad("--lock", "on or off").into()),
    }
    match args.webhook.as_deref() {
        None => {}
        Some("none") => wishes.webhook = None,
        Some(text) => {
            let webhook = Webhook::new(text).map_err(|refusal| UsageError(format!("--webhook: {refusal}")))?;
            wishes.webhook = Some(webhook);
        }
    }
    Ok(wishes)
}

/// `bq pool settings ADDRESS`.
pub(super) fn show(address: &str, node: &NodeArgs, as_json: bool) -> anyhow::Result<()> {
    let settings: Option<AccountSettingsShape> =
        client(node)?.call("getaccountsettings", &json!({ "address": address })).map_err(answered)?;
    if as_json {
        say(&serde_json::to_string(&settings)?);
        return Ok(());
    }
    let Some(settings) = settings else {
        say("it never set anything");
        return Ok(());
    };
    say(&format!("newest   number {}, taken {}", settings.number, settings.taken));
    say(&format!("holds    {}", line(&settings.current)));
    if let (Some(pending), Some(from)) = (&settings.pending, settings.pendingfrom) {
        say(&format!("pending  {}, from block {from} on", line(pending)));
    }
    Ok(())
}

fn line(wishes: &WishesShape) -> String {
    let minimum = wishes.minimum.as_ref().map_or_else(|| "default".to_owned(), |minimum| minimum.coins.to_string());
    let (lock, webhook) = (if wishes.locked { "on" } else { "off" }, wishes.webhook.as_deref().unwrap_or("none"));
    format!("minimum {minimum}  scheme {}  lock {lock}  webhook {webhook}", wishes.scheme)
}

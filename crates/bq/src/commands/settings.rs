//! `bq wallet sign-settings`: what the owner of an account wants for it, signed. `bq pool settings`: what an account set.

use std::net::SocketAddr;

use anyhow::bail;
use bq_mining_message::RequestDone;
use bq_pool_machine::{SchemeWish, SettingChange, SettingWish, Webhook, WishChanges};
use bq_primitives::{Address, Amount, BlockId};
use bq_rpc::{AccountSettingsShape, WishesShape};
use bq_views::SettingsView;
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

/// What the owner knows himself. Nothing else is signed but what he asks for: the answer of a pool may come from anybody on the way.
pub(super) struct Known<'a> {
    /// With it the pool is asked nothing.
    pub(super) number: Option<u64>,
    pub(super) pool_address: Option<&'a str>,
    pub(super) genesis: Option<&'a str>,
}

pub(super) fn sign(
    args: &SettingArgs,
    wallet: &Wallet,
    pool: SocketAddr,
    known: &Known<'_>,
    dry_run: bool,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/accounts/{}/settings", wallet.address());
    let change = change(args)?;
    let genesis = match known.genesis {
        Some(text) => text.parse().map_err(|_| UsageError("--genesis: 64 hex digits".to_owned()))?,
        None => genesis(wallet)?,
    };
    let pool_address = known.pool_address.map(|text| {
        let address = Address::parse(text, wallet.network());
        address.map_err(|error| UsageError(format!("--pool-address: {error}")))
    });
    let wish = match (known.number, pool_address.transpose()?) {
        (Some(sequence), Some(pool)) => SettingWish { pool, sequence, change },
        (_, expected) => {
            let view: SettingsView = serde_json::from_str(&http::get(pool, &path)?)?;
            let (pool, sequence) = of_answer(&view, wallet, genesis, expected)?;
            SettingWish { pool, sequence, change }
        }
    };
    let json = serde_json::to_string(&signed(wallet, genesis, wish.to_string())?)?;
    if dry_run {
        say(&json);
        return Ok(());
    }
    say(&format!("signed   {wish}"));
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

/// The pool's address and the next number. A chain that this wallet does not know is never signed for unasked.
fn of_answer(
    view: &SettingsView,
    wallet: &Wallet,
    genesis: BlockId,
    expected: Option<Address>,
) -> anyhow::Result<(Address, u64)> {
    let Some(pool) = view.pool.as_ref().filter(|_| view.is_taken) else { bail!("this pool takes no settings") };
    let pool = Address::parse(pool, wallet.network())?;
    if let Some(expected) = expected.filter(|expected| *expected != pool) {
        bail!("the pool says that its address is {pool}, not {expected}");
    }
    if view.genesis.parse() != Ok(genesis) {
        let reason = format!(
            "the pool is on a chain whose first block is {}, not {genesis}: if that is the one that you mine on, name it with --genesis",
            view.genesis
        );
        return Err(UsageError(reason).into());
    }
    Ok((pool, view.next_number))
}

/// What the flags say, and nothing else.
fn change(args: &SettingArgs) -> anyhow::Result<SettingChange> {
    let bad = |flag: &str, reason: &str| UsageError(format!("{flag}: {reason}"));
    if args.cancel {
        return Ok(SettingChange::Cancel);
    }
    let minimum = match args.minimum.as_deref() {
        None => None,
        Some("default") => Some(None),
        Some(text) => {
            let atoms = text.parse().ok().and_then(|atoms| Amount::from_atoms(atoms).ok());
            Some(Some(atoms.ok_or_else(|| bad("--minimum", "a number of atoms, or default"))?))
        }
    };
    let scheme = match &args.scheme {
        None => None,
        Some(name) => {
            let scheme = SchemeWish::of_name(name);
            Some(scheme.ok_or_else(|| bad("--scheme", "default, pplns, pps, fpps, solo or tides"))?)
        }
    };
    let locked = match args.lock.as_deref() {
        None => None,
        Some("on") => Some(true),
        Some("off") => Some(false),
        Some(_) => return Err(bad("--lock", "on or off").into()),
    };
    let webhook = match args.webhook.as_deref() {
        None => None,
        Some("none") => Some(None),
        Some(text) => Some(Some(Webhook::new(text).map_err(|refusal| UsageError(format!("--webhook: {refusal}")))?)),
    };
    let changes = WishChanges { minimum, scheme, locked, webhook };
    if changes == WishChanges::default() {
        return Err(UsageError("nothing to set: --minimum, --scheme, --lock, --webhook or --cancel".to_owned()).into());
    }
    Ok(SettingChange::Set(changes))
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

//! `bq wallet new | address | balance | request | sign-settings | send`.

use std::{net::SocketAddr, path::Path};

use bq_primitives::{Address, Amount, TxOut};
use bq_rpc::{PoolStatusShape, RpcClient, RpcClientError};
use bq_wallet::{FeeRate, Password, Wallet};
use serde::Serialize;

use super::{pool::no_answer, request, settings};
use crate::{
    cli::WalletCommand,
    exit::{UsageError, say},
};

pub(crate) fn wallet(command: WalletCommand) -> anyhow::Result<()> {
    match command {
        WalletCommand::New { network, out, password_file, json } => {
            let view = bq_wallet::new_wallet(network, &out, &password_file)?;
            show(json, &view, &view.address)
        }
        WalletCommand::Address { wallet, json } => {
            let address = bq_wallet::address_in_file(&wallet)?.to_string();
            show(json, &serde_json::json!({ "address": address }), &address)
        }
        WalletCommand::Balance { wallet, address, rpc, json } => {
            let address = match (wallet, address) {
                (Some(path), _) => bq_wallet::address_in_file(&path)?,
                (None, text) => parse_address("--address", &text.unwrap_or_default())?,
            };
            let view = bq_wallet::balance(&node(rpc)?, address)?;
            let text = format!(
                "{}\nspendable {} atoms\nimmature  {} atoms\npending   {} atoms\ncoins     {}",
                view.address, view.spendable.0, view.immature.0, view.pending.0, view.coins
            );
            show(json, &view, &text)
        }
        WalletCommand::Request { command, wallet, password_file, http, dry_run } => {
            let missing = |flag: &str| UsageError(format!("{flag} is missing"));
            let wallet = wallet.ok_or_else(|| missing("--wallet"))?;
            let password_file = password_file.ok_or_else(|| missing("--password-file"))?;
            refuse_pool_file(&wallet)?;
            request::request(&command, (&wallet, &password_file), http, dry_run)
        }
        WalletCommand::SignSettings { wishes, wallet, password_file, pool, number, pool_address, genesis, dry_run } => {
            refuse_pool_file(&wallet)?;
            let wallet = Wallet::open(&wallet, &Password::read_file(&password_file)?)?;
            let (pool_address, genesis) = (pool_address.as_deref(), genesis.as_deref());
            let known = settings::Known { number, pool_address, genesis };
            settings::sign(&wishes, &wallet, pool, &known, dry_run)
        }
        WalletCommand::Send { wallet, password_file, to, atoms, fee_rate, rpc, json } => {
            let to = parse_address("--to", &to)?;
            let amount = Amount::from_atoms(atoms).map_err(|error| UsageError(format!("--atoms: {error}")))?;
            refuse_pool_file(&wallet)?;
            let wallet = Wallet::open(&wallet, &Password::read_file(&password_file)?)?;
            let payment = TxOut { amount, key_hash: to.key_hash };
            if to.network != wallet.network() {
                return Err(UsageError(format!(
                    "--to: address belongs to {}, the wallet to {}",
                    to.network,
                    wallet.network()
                ))
                .into());
            }
            let node = node(rpc)?;
            refuse_pool_key(&node, &wallet)?;
            let view = bq_wallet::send(&node, &wallet, vec![payment], FeeRate(fee_rate))?;
            let text = format!("sent {} atoms, fee {} atoms, txid {}", view.amount.0, view.fee.0, view.txid);
            show(json, &view, &text)
        }
    }
}

/// What the pool's key holds belongs to miners and is in the pool's books: spent behind their back it stops payouts. The running
/// pool is asked, so that a copy of its key file is refused too.
fn refuse_pool_key(node: &RpcClient, wallet: &Wallet) -> anyhow::Result<()> {
    let pool: PoolStatusShape = match node.call("getpoolstatus", &serde_json::json!([])) {
        Ok(pool) => pool,
        // A node without a pool.
        Err(RpcClientError::Fault { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match pool.address == Some(wallet.address().to_string()) {
        true => Err(UsageError("--wallet: this is the pool's own key; see bq pool withdraw".to_owned()).into()),
        false => Ok(()),
    }
}

/// A key file beside the books of a pool is that pool's, also while it does not run.
fn refuse_pool_file(path: &Path) -> anyhow::Result<()> {
    let is_named_so = path.file_name().is_some_and(|name| name == "pool-wallet.json");
    let is_beside_books = path.canonicalize().is_ok_and(|path| path.with_file_name("books.sqlite").exists());
    match is_named_so && is_beside_books {
        true => Err(UsageError("--wallet: this is a pool's own key; see bq pool withdraw".to_owned()).into()),
        false => Ok(()),
    }
}

fn parse_address(flag: &str, text: &str) -> anyhow::Result<Address> {
    Address::parse_any(text).map_err(|error| UsageError(format!("{flag}: {error}")).into())
}

fn node(rpc: SocketAddr) -> anyhow::Result<RpcClient> {
    let address = rpc.to_string();
    RpcClient::connect(&address).map_err(|error| no_answer(error, &address))
}

fn show(json: bool, view: &impl Serialize, text: &str) -> anyhow::Result<()> {
    say(&if json { serde_json::to_string(view)? } else { text.to_owned() });
    Ok(())
}

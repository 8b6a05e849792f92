//! What a chain paid and what it owes, reckoned from its blocks alone, and held against what the pool says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{BqProcess, atoms, run_bq, wait_for};

const STILL_LIMIT: Duration = Duration::from_secs(30);
/// Accounts that hold something only where something went wrong.
const ACCOUNTS_OF_TROUBLE: [&str; 4] = ["missing", "suspense", "write_off", "orphan_loss"];

/// An output on the best chain.
#[derive(Clone, Debug)]
struct Output {
    address: String,
    atoms: u64,
    is_coinbase: bool,
}

/// Every output on the best chain, and which are spent by what.
#[derive(Debug, Default)]
struct Ledger {
    outputs: BTreeMap<(String, u64), Output>,
    spent: BTreeMap<(String, u64), String>,
}

/// Holds a pool's books against its chain, to the atom: its coins, each payment to each of `miners`, once each, and nobody else's. Nobody
/// mines meanwhile; a last block may still be on its way. Returns what the chain paid the miners.
///
/// # Errors
/// They differ, and still do after half a minute; or books and node do not come to rest.
pub fn reckon(bq: &BqProcess, miners: &[String]) -> Result<u64> {
    let agreed = wait_for("books and chain that are one", STILL_LIMIT, || Ok(compare(bq, miners).ok()));
    agreed.or_else(|_| compare(bq, miners))
}

fn compare(bq: &BqProcess, miners: &[String]) -> Result<u64> {
    let status = bq.rpc()?.call("getpoolstatus", &json!([]))?;
    let (tip, conditions) = (bq.tip()?, bq.conditions("pool")?);
    ensure!(status["height"] == tip.height && conditions.is_empty(), "{tip:?}, {conditions:?}, {status}");
    let ledger = Ledger::read(bq)?;
    ledger.coins_are_those_of_the_books(&status)?;
    let mut paid = 0;
    for address in miners {
        paid += ledger.payments_are_those_of_the_books(bq, address)?;
    }
    let pool = status["address"].as_str().context("address")?;
    let strangers = ledger.outputs.values().find(|output| output.address != pool && !miners.contains(&output.address));
    ensure!(strangers.is_none(), "somebody else was paid: {strangers:?}");
    bq.ensure_balanced()?;
    Ok(paid)
}

/// `bq audit` of a stopped pool finds nothing.
///
/// # Errors
/// It does.
pub fn run_audit(folder: &Path) -> Result<()> {
    let [data, config] = ["data", "bq.toml"].map(|name| folder.join(name).display().to_string());
    let audit = run_bq(["audit", "--network", "regtest", "--config", &config, "--data-dir", &data])?;
    ensure!(audit.code == Some(0), "{audit:?}");
    Ok(())
}

impl Ledger {
    fn read(bq: &BqProcess) -> Result<Self> {
        let (rpc, mut ledger) = (bq.rpc()?, Self::default());
        for height in 1..=bq.tip()?.height {
            let id = rpc.call("getblockhash", &json!([height]))?;
            let block = rpc.call("getblock", &json!([id, 2]))?;
            for transaction in block["transactions"].as_array().context("transactions")? {
                ledger.add(transaction)?;
            }
        }
        Ok(ledger)
    }

    fn add(&mut self, transaction: &Value) -> Result<()> {
        let txid = transaction["txid"].as_str().context("txid")?;
        let inputs = transaction["vin"].as_array().context("vin")?;
        for input in inputs {
            let outpoint =
                (input["txid"].as_str().context("txid")?.to_owned(), input["vout"].as_u64().context("vout")?);
            let before = self.spent.insert(outpoint, txid.to_owned());
            ensure!(before.is_none(), "{txid} spends what {before:?} spent");
        }
        for output in transaction["vout"].as_array().context("vout")? {
            let made = Output {
                address: output["address"].as_str().context("address")?.to_owned(),
                atoms: atoms(&output["value"]["atoms"])?,
                is_coinbase: inputs.is_empty(),
            };
            let outpoint = (txid.to_owned(), output["n"].as_u64().context("n")?);
            ensure!(self.outputs.insert(outpoint, made).is_none(), "{txid} is there twice");
        }
        Ok(())
    }

    /// A payout's coins are the books' until it is final, whole: its change, what it pays and its fee.
    fn coins_are_those_of_the_books(&self, status: &Value) -> Result<()> {
        let pool = status["address"].as_str().context("address")?;
        let open = status["payouts"].as_array().context("payouts")?;
        let open: BTreeSet<&str> = open.iter().filter_map(|payout| payout["txid"].as_str()).collect();
        let is_held = |outpoint: &(String, u64)| self.spent.get(outpoint).is_none_or(|by| open.contains(by.as_str()));
        let is_change_of_open = |outpoint: &(String, u64)| open.contains(outpoint.0.as_str());
        let held = self
            .outputs
            .iter()
            .filter(|(outpoint, output)| output.address == pool && is_held(outpoint) && !is_change_of_open(outpoint));
        let on_chain: u64 = held.map(|(_, output)| output.atoms).sum();
        let balances = status["balances"].as_object().context("balances")?;
        let mut in_books = 0;
        for (account, amount) in balances {
            ensure!(!ACCOUNTS_OF_TROUBLE.contains(&account.as_str()), "{account}: {amount}");
            if account.starts_with("chain_") {
                in_books += atoms(&amount["atoms"])?;
            }
        }
        ensure!(on_chain == in_books, "{on_chain} atoms on the chain, {in_books} in the books: {status}");
        Ok(())
    }

    fn payments_are_those_of_the_books(&self, bq: &BqProcess, address: &str) -> Result<u64> {
        let on_chain = |is_coinbase: bool| {
            let mut paid: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for ((txid, _), output) in &self.outputs {
                if output.address == address && output.is_coinbase == is_coinbase {
                    paid.entry(txid.clone()).or_default().push(output.atoms);
                }
            }
            paid
        };
        let payouts = told(bq, address, "payouts", &["confirmed", "final"])?;
        let coinbases = told(bq, address, "coinbases", &["immature", "matured"])?;
        ensure!(on_chain(false) == payouts, "{address}: paid {:?}, told {payouts:?}", on_chain(false));
        ensure!(on_chain(true) == coinbases, "{address}: paid {:?}, told {coinbases:?}", on_chain(true));
        Ok(payouts.values().chain(coinbases.values()).flatten().sum())
    }
}

/// What a list of the API says was paid an address, by transaction, of those states.
fn told(bq: &BqProcess, address: &str, list: &str, states: &[&str]) -> Result<BTreeMap<String, Vec<u64>>> {
    let (mut paid, mut after): (BTreeMap<String, Vec<u64>>, _) = (BTreeMap::new(), String::new());
    loop {
        let page = bq.get_json(&format!("/api/v1/miners/{address}/{list}?limit=100{after}"))?;
        for row in page[list].as_array().with_context(|| page.to_string())? {
            if states.iter().any(|state| row["state"] == *state) {
                let txid = row["txid"].as_str().context("txid")?.to_owned();
                paid.entry(txid).or_default().push(atoms(&row["amount"])?);
            }
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(paid),
        }
    }
}

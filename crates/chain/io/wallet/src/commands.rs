//! What `bq wallet new`, `address`, `balance` and `send` do. The binary prints what these return.

use std::path::Path;

use bq_chain_api::AtomsView;
use bq_chain_api::{Coin, NodeApi, NodeError, SubmitTransactionError};

use bq_primitives::{Address, Amount, KeyHash, Network, TxOut};
use serde::Serialize;

use crate::{
    FeeRate, Password, SignError, SpendError, SpendPlan, SpendRequest, Wallet, WalletError, is_mature,
    key_file::KeyFile,
};

/// `{"address": ".."}`, the answer of `new` and `address`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressView {
    /// Where to send coins for this wallet.
    pub address: String,
}

/// The answer of `balance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceView {
    /// Whose.
    pub address: String,
    /// Can be spent in the next block.
    pub spendable: AtomsView,
    /// Coinbase outputs that wait for their confirmations.
    pub immature: AtomsView,
    /// Spent by a transaction that waits for a block.
    pub pending: AtomsView,
    /// Outputs in all.
    pub coins: usize,
}

/// The answer of `send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentView {
    /// The transaction, which the node has taken.
    pub txid: String,
    /// Paid to others.
    pub amount: AtomsView,
    /// Paid to whoever mines it.
    pub fee: AtomsView,
    /// Came back.
    pub change: AtomsView,
}

/// Nothing was sent, unless it is [`SendError::Submit`] with a failing node.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Wallet and node follow different chains.
    #[error("wallet is on {wallet}, the node on {node}")]
    WrongNetwork {
        /// The wallet's.
        wallet: Network,
        /// The node's.
        node: Network,
    },
    /// The coins do not suffice, or the request makes no sense.
    #[error(transparent)]
    Spend(#[from] SpendError),
    /// The transaction was not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The node did not tell the coins.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The node did not take the transaction.
    #[error("the node refused the transaction: {0}")]
    Submit(#[from] SubmitTransactionError),
}

/// `bq wallet new`: makes a key file and tells its address. The password is the first line of `password_file`.
///
/// # Errors
/// As [`Password::read_file`] and [`Wallet::create`].
pub fn new_wallet(network: Network, path: &Path, password_file: &Path) -> Result<AddressView, WalletError> {
    let wallet = Wallet::create(network, path, &Password::read_file(password_file)?)?;
    Ok(AddressView { address: wallet.address().to_string() })
}

/// `bq wallet address`: the address written in a key file. Needs no password, so it is not proof that the file is whole:
/// only [`Wallet::open`] is.
///
/// # Errors
/// [`WalletError::Io`], [`WalletError::Format`], [`WalletError::Address`].
pub fn address_in_file(path: &Path) -> Result<Address, WalletError> {
    KeyFile::read(path)?.address(path)
}

/// `bq wallet balance`: what an address owns on the best chain. Blocks on the node's store.
///
/// # Errors
/// The node's store failed, or the address is of another network.
pub fn balance(node: &dyn NodeApi, address: Address) -> Result<BalanceView, SendError> {
    check_network(node, address.network)?;
    let coins = Coins::of(node, &address.key_hash)?;
    let atoms = |coins: &[Coin]| {
        let sum = Amount::sum(coins.iter().map(|coin| coin.output.amount));
        sum.map(AtomsView::from).map_err(|_| SpendError::AmountTooLarge)
    };
    Ok(BalanceView {
        address: address.to_string(),
        spendable: atoms(&coins.spendable)?,
        immature: atoms(&coins.immature)?,
        pending: atoms(&coins.pending)?,
        coins: coins.spendable.len() + coins.immature.len() + coins.pending.len(),
    })
}

/// `bq wallet send`: plans, signs and hands in one payment. Blocks on the node's store.
///
/// # Errors
/// See [`SendError`].
pub fn send(
    node: &dyn NodeApi,
    wallet: &Wallet,
    payments: Vec<TxOut>,
    fee_rate: FeeRate,
) -> Result<SentView, SendError> {
    check_network(node, wallet.network())?;
    let amount = Amount::sum(payments.iter().map(|payment| payment.amount)).map_err(|_| SpendError::AmountTooLarge)?;
    let request = SpendRequest {
        payments,
        change: wallet.key_hash(),
        fee_rate,
        tip_height: node.tip().height,
        coinbase_maturity: node.coinbase_maturity(),
    };
    let coins = Coins::of(node, &wallet.key_hash())?;
    let SpendPlan { transaction, spent, fee, change, .. } = SpendPlan::new(&coins.spendable, &request)?;
    let signed = wallet.sign_transaction(&node.genesis_id(), transaction, &spent)?;
    let txid = node.submit_transaction(signed)?;
    Ok(SentView {
        txid: txid.to_string(),
        amount: amount.into(),
        fee: fee.into(),
        change: change.unwrap_or(Amount::ZERO).into(),
    })
}

fn check_network(node: &dyn NodeApi, wallet: Network) -> Result<(), SendError> {
    let node = node.network();
    if wallet == node { Ok(()) } else { Err(SendError::WrongNetwork { wallet, node }) }
}

/// A key's coins by what can be done with them.
struct Coins {
    spendable: Vec<Coin>,
    immature: Vec<Coin>,
    pending: Vec<Coin>,
}

impl Coins {
    fn of(node: &dyn NodeApi, key_hash: &KeyHash) -> Result<Self, NodeError> {
        let (tip, maturity) = (node.tip().height, node.coinbase_maturity());
        let mut coins = Self { spendable: Vec::new(), immature: Vec::new(), pending: Vec::new() };
        for coin in node.coins_of(key_hash)? {
            if !is_mature(&coin, tip, maturity) {
                coins.immature.push(coin);
            } else if node.spender_of(&coin.outpoint)?.is_some() {
                coins.pending.push(coin);
            } else {
                coins.spendable.push(coin);
            }
        }
        Ok(coins)
    }
}

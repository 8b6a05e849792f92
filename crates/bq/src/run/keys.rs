//! The keys in the data directory: the pool's, which receives every reward and signs payouts, and the built-in miner's.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bq_primitives::{Address, Network};
use bq_runtime::Config;
use bq_wallet::{Password, Wallet};

use crate::exit::UsageError;

/// Opens the pool's key, or makes one on first start.
///
/// # Errors
/// A wrong password, a damaged or foreign key file, or no password where money is real.
pub(crate) fn pool_wallet(config: &Config) -> anyhow::Result<Wallet> {
    let path = config.pool.key_file.clone().unwrap_or_else(|| config.data_dir.join("pool-wallet.json"));
    open_or_make(config.network, &path, &password(config)?)
}

/// Whom the built-in miner's shares pay: the configured address, or a key of its own made on first start.
///
/// # Errors
/// As [`pool_wallet`].
pub(crate) fn miner_address(config: &Config) -> anyhow::Result<Address> {
    if let Some(address) = config.miner.address {
        return Ok(address);
    }
    let path = config.data_dir.join("miner-wallet.json");
    if path.exists() {
        // Receiving needs no password.
        return Ok(bq_wallet::address_in_file(&path)?);
    }
    Ok(open_or_make(config.network, &path, &password(config)?)?.address())
}

fn open_or_make(network: Network, path: &Path, password: &Password) -> anyhow::Result<Wallet> {
    let wallet = if path.exists() {
        Wallet::open_on(network, path, password)
    } else {
        tracing::info!(path = %path.display(), "making a new key: back it up with its password");
        Wallet::create(network, path, password)
    };
    Ok(wallet?)
}

/// The password of the key files. Test networks make one on first start; mainnet insists on the operator's.
fn password(config: &Config) -> anyhow::Result<Password> {
    if let Some(path) = &config.pool.password_file {
        return Ok(Password::read_file(path)?);
    }
    if config.network == Network::Mainnet {
        let field = "pool.password_file: mainnet needs a file with the password of the pool's key";
        return Err(UsageError(field.to_owned()).into());
    }
    let path = config.data_dir.join("wallet-password");
    if !path.exists() {
        make_password(&path).with_context(|| path.display().to_string())?;
    }
    Ok(Password::read_file(&path)?)
}

fn make_password(path: &PathBuf) -> anyhow::Result<()> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no system randomness: {error}"))?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", hex::encode(secret))?;
    file.sync_all()?;
    Ok(())
}

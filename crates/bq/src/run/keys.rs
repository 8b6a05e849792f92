//! The keys in the data directory: the pool's, which receives every reward and signs payouts, and the built-in miner's.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bq_pool::PayoutSigner;
use bq_primitives::{Address, Network};
use bq_runtime::Config;
use bq_signer_link::{IDENTITY_FILE, RemoteConfig, RemoteSigner};
use bq_wallet::{Password, Wallet};

use super::signer::WalletSigner;
use crate::exit::UsageError;

/// Whoever signs the pool's payouts: the signer that a setting names, or a key of this process.
///
/// # Errors
/// As [`pool_wallet`]; a signer that is away when it is asked for the first time.
pub(crate) fn payout_signer(config: &Config) -> anyhow::Result<Arc<dyn PayoutSigner>> {
    let Some(socket) = &config.pool.signer_socket else {
        return Ok(Arc::new(WalletSigner(pool_wallet(config)?)));
    };
    let remote = RemoteSigner::open(RemoteConfig {
        network: config.network,
        genesis: config.params.genesis_id(),
        socket: socket.clone(),
        identity_file: config.data_dir.join(IDENTITY_FILE),
        patience: Duration::from_millis(config.pool.signer_patience_ms),
    });
    Ok(Arc::new(remote.context("pool.signer_socket")?))
}

/// Opens the key of `bq signer`, or makes one on first start.
///
/// # Errors
/// As [`pool_wallet`].
pub(crate) fn signer_wallet(config: &Config, state: &Path) -> anyhow::Result<Wallet> {
    let path = config.signer.key_file.clone().unwrap_or_else(|| state.join("pool-wallet.json"));
    if !path.exists() && state.join("record").exists() {
        anyhow::bail!("the key file {} is missing, and this signer has signed with it: restore it", path.display());
    }
    let given = (config.signer.password_file.as_deref(), "signer.password_file");
    open_or_make(config.network, &path, &password_in(config.network, given, state, &path)?)
}

/// Opens the pool's key, or makes one on first start.
///
/// # Errors
/// A wrong password, a damaged or foreign key file, no password where money is real, or a file that was lost: nothing is made in its
/// place.
fn pool_wallet(config: &Config) -> anyhow::Result<Wallet> {
    let path = key_file(config);
    if !path.exists() && !config.pool.new_key && has_books(&config.data_dir) {
        anyhow::bail!(
            "the key file {} is missing, and the books of this pool belong to its key: restore it, or give that key and all coins that \
             it holds up with --new-key",
            path.display()
        );
    }
    open_or_make(config.network, &path, &password(config, &path)?)
}

/// Where the pool's key lies.
pub(crate) fn key_file(config: &Config) -> PathBuf {
    config.pool.key_file.clone().unwrap_or_else(|| config.data_dir.join("pool-wallet.json"))
}

/// A pool ran here: its key was made before its books.
fn has_books(data_dir: &Path) -> bool {
    ["books.sqlite", "ledger.sqlite", "share-log"].iter().any(|name| data_dir.join(name).exists())
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
    Ok(open_or_make(config.network, &path, &password(config, &path)?)?.address())
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

/// The password of the key files in the data directory, one of which it is wanted for.
fn password(config: &Config, key_file: &Path) -> anyhow::Result<Password> {
    let given = config.pool.password_file.as_deref();
    password_in(config.network, (given, "pool.password_file"), &config.data_dir, key_file)
}

/// The password that a setting names. Test networks make one in `folder` on first start; mainnet insists on the operator's.
fn password_in(
    network: Network,
    (given, setting): (Option<&Path>, &str),
    folder: &Path,
    key_file: &Path,
) -> anyhow::Result<Password> {
    if let Some(path) = given {
        return Ok(Password::read_file(path)?);
    }
    if network == Network::Mainnet {
        let text = format!("{setting}: mainnet needs a file with the password of the pool's key");
        return Err(UsageError(text).into());
    }
    let path = folder.join("wallet-password");
    if !path.exists() {
        if key_file.exists() {
            anyhow::bail!(
                "the password file {} is missing, and {} needs it: restore it",
                path.display(),
                key_file.display()
            );
        }
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

#[cfg(test)]
mod tests {
    use bq_runtime::{Layers, RawConfig, RawPool, load};

    use super::*;

    fn config(folder: &Path, new_key: bool) -> Config {
        let flags = RawConfig {
            network: Some("regtest".to_owned()),
            data_dir: Some(folder.to_owned()),
            pool: RawPool { new_key: Some(new_key), ..RawPool::default() },
            ..RawConfig::default()
        };
        load(&Layers { flags, environment: Vec::new(), file: None }).expect("sound").config
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_lost_key_is_never_made_anew_beside_its_books() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let key = pool_wallet(&config(path, false)).expect("made").key_hash();
        assert_eq!(pool_wallet(&config(path, false)).expect("opened").key_hash(), key);
        fs::write(path.join("books.sqlite"), b"").expect("written");
        for (gone, what) in [("pool-wallet.json", "key file"), ("wallet-password", "password file")] {
            let aside = path.join("aside");
            fs::rename(path.join(gone), &aside).expect("there");
            let before = names(path);
            let refused = pool_wallet(&config(path, false)).expect_err("refused").to_string();
            assert!(
                refused.contains(what) && refused.contains("is missing") && refused.contains("restore it"),
                "{refused}"
            );
            assert_eq!(names(path), before, "nothing is made");
            fs::rename(aside, path.join(gone)).expect("put back");
        }
        fs::remove_file(path.join("pool-wallet.json")).expect("there");
        assert_ne!(pool_wallet(&config(path, true)).expect("made").key_hash(), key);
    }
}

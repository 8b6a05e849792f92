//! Who may mine: tokens and locks as they were left, and the secrets that tokens and tickets are checked with.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use bq_front::{
    AccessConfig, AuthMode, DepartedPolicy, Networks, RefusalsPolicy, Registry, RegistryPolicy, TicketConfig,
    TicketKey, TokenKey,
};
use bq_runtime::Config;

use crate::exit::UsageError;

/// Where tokens and locks lie.
const REGISTRY_FILE: &str = "access";
/// Without it no token in that file opens anything.
const KEY_FILE: &str = "token-key";
/// Without it nobody comes back over a restart.
const TICKET_KEY_FILE: &str = "ticket-key";

/// Reads tokens and locks; the first start makes their key.
///
/// # Errors
/// [`UsageError`] if a file cannot be read as it is: whom a lock keeps out must not depend on luck.
pub(super) fn access(config: &Config) -> anyhow::Result<AccessConfig> {
    let auth = &config.auth;
    let policy = RegistryPolicy {
        mode: if auth.needs_token { AuthMode::Token } else { AuthMode::Address },
        signed_requests: auth.signed_requests,
        request_window_ms: auth.request_window_secs.saturating_mul(1000),
        tokens_max: auth.tokens_max,
        tokens_per_address_max: auth.tokens_per_address_max,
    };
    let file = config.data_dir.join(REGISTRY_FILE);
    let text = read(&file)?;
    let key = key(&config.data_dir.join(KEY_FILE), text.is_some())?;
    let mut registry = Registry::new(policy, config.network, config.params.genesis_id(), key);
    if let Some(text) = text {
        let unreadable = |line| UsageError(format!("{}: line {line} cannot be read", file.display()));
        registry.restore(&text).map_err(unreadable)?;
    }
    let refusals = RefusalsPolicy {
        kept_ms: auth.refusals_secs.saturating_mul(1000),
        addresses_max: auth.refusal_addresses_max,
        addresses_per_peer_max: auth.refusal_addresses_per_peer_max,
        refusals_max: auth.refusals_max,
        told_max: auth.refusals_told_max,
    };
    Ok(AccessConfig {
        network: config.network,
        registry,
        registry_file: Some(file),
        refusals,
        requests_per_second: auth.requests_per_second,
        networks: Networks {
            denied: config.stratum_limits.deny_networks.clone(),
            allowed: config.stratum_limits.allow_networks.clone(),
        },
    })
}

/// Who may come back to a connection that ended; the first start makes the key of the tickets.
///
/// # Errors
/// [`UsageError`] if its file cannot be read as it is.
pub(super) fn tickets(config: &Config) -> anyhow::Result<TicketConfig> {
    let limits = &config.stratum_limits;
    let path = config.data_dir.join(TICKET_KEY_FILE);
    // One that is lost costs nobody anything: miners that come back are strangers once.
    let key = TicketKey(read_key(&path)?.map_or_else(|| make_key(&path), Ok)?);
    let kept_ms = limits.session_ticket_secs.saturating_mul(1000);
    Ok(TicketConfig { key, departed: DepartedPolicy { kept_ms, departures_max: limits.session_tickets_max } })
}

/// The file's text; nothing if there is none.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(UsageError(format!("{}: {error}", path.display())).into()),
    }
}

fn key(path: &Path, has_tokens: bool) -> anyhow::Result<TokenKey> {
    if let Some(key) = read_key(path)? {
        return Ok(TokenKey(key));
    }
    if has_tokens {
        let reason = "is missing, and the tokens in the file access are worthless without it: restore it, or remove that file as well";
        return Err(UsageError(format!("{} {reason}", path.display())).into());
    }
    make_key(path).map(TokenKey)
}

/// The key in a file; nothing if there is none.
fn read_key(path: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    let Some(text) = read(path)? else { return Ok(None) };
    let mut key = [0; 32];
    hex::decode_to_slice(text.trim(), &mut key)
        .map_err(|_| UsageError(format!("{}: is not 64 hex digits", path.display())))?;
    Ok(Some(key))
}

/// A new key, in a file that only its owner reads.
fn make_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no system randomness: {error}"))?;
    bq_private_file::write(path, hex::encode(key).as_bytes()).with_context(|| path.display().to_string())?;
    Ok(key)
}

use std::collections::HashMap;

use bq_mining_message::AuthorizeError;
use bq_primitives::{AccountId, Address, KeyHash};

use crate::{PoolError, clock::Clock, core::Core};

/// Addresses kept in memory at most; beyond that the ledger is asked.
const CACHED_MAX: usize = 100_000;

/// Accounts by key, so that a share does not reach the disk for its account.
#[derive(Debug, Default)]
pub(crate) struct AccountCache {
    by_key: HashMap<KeyHash, AccountId>,
}

impl AccountCache {
    fn insert(&mut self, key: KeyHash, account: AccountId) {
        if self.by_key.len() >= CACHED_MAX {
            self.by_key.clear();
        }
        self.by_key.insert(key, account);
    }
}

impl Core {
    /// The key that an address pays to: creates nothing.
    pub(crate) fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError> {
        let address =
            Address::parse(address, self.config.network).map_err(|error| AuthorizeError::Address(error.to_string()))?;
        if address.key_hash == self.key_hash {
            return Err(AuthorizeError::OwnAddress);
        }
        Ok(address.key_hash)
    }

    /// The account of a key, made with its first share.
    pub(crate) fn account_of(&self, key_hash: KeyHash) -> Result<AccountId, PoolError> {
        if let Some(account) = self.known_account(&key_hash) {
            return Ok(account);
        }
        let address = Address { network: self.config.network, key_hash };
        let account = self.store.account_for(&address, Clock::unix_ms())?;
        self.accounts.lock().insert(key_hash, account);
        Ok(account)
    }

    /// The account of a key that had a share since start.
    pub(crate) fn known_account(&self, key_hash: &KeyHash) -> Option<AccountId> {
        self.accounts.lock().by_key.get(key_hash).copied()
    }
}

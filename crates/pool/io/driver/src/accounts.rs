use std::collections::HashMap;

use bq_mining_message::AuthorizeError;
use bq_primitives::{AccountId, Address, KeyHash};

use crate::{clock::Clock, core::Core};

/// Addresses kept in memory at most; beyond that the ledger is asked.
const CACHED_MAX: usize = 100_000;

/// Accounts by key, so that a login storm does not reach the disk.
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
    pub(crate) fn authorize(&self, address: &str) -> Result<AccountId, AuthorizeError> {
        let address =
            Address::parse(address, self.config.network).map_err(|error| AuthorizeError::Address(error.to_string()))?;
        if let Some(account) = self.accounts.lock().by_key.get(&address.key_hash) {
            return Ok(*account);
        }
        let account = self
            .store
            .account_for(&address, Clock::unix_ms())
            .map_err(|error| AuthorizeError::Unavailable(error.to_string()))?;
        self.accounts.lock().insert(address.key_hash, account);
        Ok(account)
    }
}

use std::collections::BTreeMap;

use bq_primitives::{AccountId, KeyHash};
use serde::{Deserialize, Serialize};

/// Who is credited: numbers that stand for keys, given out in order and never again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<AccountId, KeyHash>", into = "BTreeMap<AccountId, KeyHash>")]
pub struct Accounts {
    keys: BTreeMap<AccountId, KeyHash>,
    numbers: BTreeMap<KeyHash, AccountId>,
}

impl Accounts {
    /// The account of a key.
    #[must_use]
    pub fn find(&self, key: &KeyHash) -> Option<AccountId> {
        self.numbers.get(key).copied()
    }

    /// Where an account is paid.
    #[must_use]
    pub fn key(&self, account: AccountId) -> Option<KeyHash> {
        self.keys.get(&account).copied()
    }

    /// The number that the next new key gets; nothing when all are taken.
    #[must_use]
    pub fn next(&self) -> Option<AccountId> {
        let newest = self.keys.last_key_value().map_or(0, |(account, _)| account.0);
        newest.checked_add(1).map(AccountId)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Nobody was ever credited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every account, in order of number.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, KeyHash)> + '_ {
        self.keys.iter().map(|(account, key)| (*account, *key))
    }

    /// Takes a new account in; false if number or key is known already.
    pub(crate) fn add(&mut self, account: AccountId, key: KeyHash) -> bool {
        if self.keys.contains_key(&account) || self.numbers.contains_key(&key) {
            return false;
        }
        self.keys.insert(account, key);
        self.numbers.insert(key, account);
        true
    }
}

impl From<BTreeMap<AccountId, KeyHash>> for Accounts {
    fn from(keys: BTreeMap<AccountId, KeyHash>) -> Self {
        let numbers = keys.iter().map(|(account, key)| (*key, *account)).collect();
        Self { keys, numbers }
    }
}

impl From<Accounts> for BTreeMap<AccountId, KeyHash> {
    fn from(accounts: Accounts) -> Self {
        accounts.keys
    }
}

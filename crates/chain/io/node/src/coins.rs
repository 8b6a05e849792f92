use std::collections::HashMap;

use bq_consensus::{Coin, CoinView};
use bq_primitives::OutPoint;
use bq_store::{ChainStore, StoreError};
use parking_lot::Mutex;

/// The store's coins as validation of one change sees them: each is read once and remembered, because signatures, rules
/// and the undo record all ask for it. A view has no way to say that reading failed, so a failure is kept here:
/// whoever used the view must ask [`StoreCoins::finish`] before believing a verdict, or a disk error would condemn a
/// valid block.
pub(crate) struct StoreCoins<'a> {
    store: &'a dyn ChainStore,
    seen: Mutex<HashMap<OutPoint, Option<Coin>>>,
    failure: Mutex<Option<StoreError>>,
}

impl<'a> StoreCoins<'a> {
    pub(crate) fn new(store: &'a dyn ChainStore) -> Self {
        Self { store, seen: Mutex::default(), failure: Mutex::new(None) }
    }

    /// The first failure since the view was made.
    pub(crate) fn finish(&self) -> Result<(), StoreError> {
        self.failure.lock().take().map_or(Ok(()), Err)
    }
}

impl CoinView for StoreCoins<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(coin) = self.seen.lock().get(outpoint) {
            return *coin;
        }
        match self.store.coin(outpoint) {
            Ok(coin) => {
                self.seen.lock().insert(*outpoint, coin);
                coin
            }
            Err(error) => {
                self.failure.lock().get_or_insert(error);
                None
            }
        }
    }
}

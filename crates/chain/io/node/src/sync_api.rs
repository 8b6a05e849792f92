use std::sync::{Arc, atomic::Ordering};

use bq_chain_api::{
    AddHeadersError, Announcement, BoxStream, HeaderSource, HeaderTip, HeadersAdded, NodeError, SyncApi,
};
use bq_primitives::{BlockId, SealedHeader, Transaction, TxId};
use tokio_stream::{
    StreamExt as _,
    wrappers::{BroadcastStream, errors::BroadcastStreamRecvError},
};

use crate::{Node, headers::header_tip, pow_keys::OURSELVES};

impl SyncApi for Node {
    fn best_header(&self) -> HeaderTip {
        header_tip(&self.tree.read())
    }

    fn has_header(&self, id: &BlockId) -> bool {
        self.tree.read().entry(id).is_some()
    }

    fn locator(&self) -> Vec<BlockId> {
        self.tree.read().locator()
    }

    fn headers_after(&self, locator: &[BlockId], max: usize) -> Result<Vec<SealedHeader>, NodeError> {
        let ids = self.tree.read().ids_after(locator, max);
        self.store.headers(&ids).map_err(|error| self.store_failed(&error))
    }

    fn add_headers(&self, headers: &[SealedHeader]) -> Result<HeadersAdded, AddHeadersError> {
        self.add_headers_from(OURSELVES, headers)
    }

    fn add_headers_from(
        &self,
        source: HeaderSource,
        headers: &[SealedHeader],
    ) -> Result<HeadersAdded, AddHeadersError> {
        self.accept_headers(source, headers)
    }

    fn missing_bodies(&self, max: usize) -> Vec<BlockId> {
        let tree = self.tree.read();
        if self.shows_enough_work(&tree) { tree.missing_bodies(max) } else { Vec::new() }
    }

    fn rival_bodies(&self, branches: usize, max: usize) -> Vec<Vec<BlockId>> {
        let tree = self.tree.read();
        if self.shows_enough_work(&tree) { tree.rival_bodies(branches, max) } else { Vec::new() }
    }

    fn mempool_transaction(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        self.mempool.read().get(txid).map(|pooled| Arc::clone(&pooled.transaction))
    }

    fn mempool_page(&self, after: &TxId, each_max: usize, bytes_max: usize) -> Vec<Arc<Transaction>> {
        let mempool = self.mempool.read();
        let mut room = bytes_max;
        let fit = mempool.after(after).filter(|pooled| pooled.encoded_len <= each_max).map_while(|pooled| {
            room = room.checked_sub(pooled.encoded_len)?;
            Some(Arc::clone(&pooled.transaction))
        });
        fit.collect()
    }

    fn mempool_txids(&self, max: usize) -> Vec<TxId> {
        self.mempool.read().iter().take(max).map(|pooled| pooled.txid).collect()
    }

    fn announcements(&self) -> BoxStream<'static, Announcement> {
        let told = |received| match received {
            Ok(announcement) => announcement,
            Err(BroadcastStreamRecvError::Lagged(missed)) => Announcement::Missed(missed),
        };
        Box::pin(BroadcastStream::new(self.announcements.subscribe()).map(told))
    }

    fn set_peers(&self, peers: usize) {
        self.peers.store(peers, Ordering::Relaxed);
    }
}

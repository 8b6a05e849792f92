use std::sync::{Arc, atomic::Ordering};

use bq_api_types::{AddHeadersError, Announcement, HeaderTip, HeadersAdded, NodeError, SyncApi};
use bq_consensus::SealedHeader;
use bq_primitives::{BlockId, Header, Seal, Transaction, TxId};
use tokio::sync::broadcast;

use crate::{Node, headers::header_tip, node::store_failed};

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

    fn headers_after(&self, locator: &[BlockId], max: usize) -> Result<Vec<(Header, Seal)>, NodeError> {
        let ids = self.tree.read().ids_after(locator, max);
        self.store.headers(&ids).map_err(|error| store_failed(&error))
    }

    fn add_headers(&self, headers: &[(Header, Seal)]) -> Result<HeadersAdded, AddHeadersError> {
        let run: Vec<_> = headers.iter().map(|(header, seal)| SealedHeader { header: *header, seal: *seal }).collect();
        self.accept_headers(&run)
    }

    fn missing_bodies(&self, max: usize) -> Vec<BlockId> {
        self.tree.read().missing_bodies(max)
    }

    fn mempool_transaction(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        self.mempool.read().get(txid).map(|pooled| Arc::clone(&pooled.transaction))
    }

    fn mempool_txids(&self, max: usize) -> Vec<TxId> {
        self.mempool.read().iter().take(max).map(|pooled| pooled.txid).collect()
    }

    fn announcements(&self) -> broadcast::Receiver<Announcement> {
        self.announcements.subscribe()
    }

    fn set_peers(&self, peers: usize) {
        self.peers.store(peers, Ordering::Relaxed);
    }
}

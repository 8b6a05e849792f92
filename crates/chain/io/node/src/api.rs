use bq_chain_api::{
    BlockSummary, BoxStream, Coin, Condition, DifficultyView, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError,
    SubmitTransactionError, Template, TemplateRequest, TipSummary, TransactionStatus,
};
use bq_primitives::{Block, BlockId, Height, KeyHash, Network, OutPoint, Transaction, TxId};
use tokio_stream::wrappers::WatchStream;

use crate::{Node, hashrate::network_hashrate, node::tip_summary};

impl NodeApi for Node {
    fn network(&self) -> Network {
        self.params.network
    }

    fn genesis_id(&self) -> BlockId {
        self.genesis_id
    }

    fn coinbase_maturity(&self) -> u32 {
        self.params.coinbase_maturity
    }

    fn tip(&self) -> TipSummary {
        self.tip.borrow().clone()
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(WatchStream::from_changes(self.tip.subscribe()))
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        self.make_template(request)
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        self.accept_block(block)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        if let Some(block) = self.kept.lock().block(id) {
            return Ok(Some(block));
        }
        self.store.block(id).map_err(|error| self.store_failed(&error))
    }

    fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, NodeError> {
        if let Some(block) = self.kept.lock().block(id) {
            return Ok(Some(block.to_bytes()));
        }
        self.store.block_bytes(id).map_err(|error| self.store_failed(&error))
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        let tree = self.tree.read();
        let Some(entry) = tree.entry(id) else { return Ok(None) };
        let headers = self.store.headers(std::slice::from_ref(id)).map_err(|error| self.store_failed(&error))?;
        let is_connected = tree.connected_at(entry.height).is_some_and(|best| best.id == *id);
        let above = tree.tip().height.above(entry.height).filter(|_| is_connected);
        Ok(headers.first().map(|sealed| BlockSummary {
            id: *id,
            header: sealed.header,
            seal: sealed.seal,
            chain_work: entry.chain_work,
            confirmations: above.map(|above| above.saturating_add(1)),
        }))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        Ok(self.tree.read().connected_at(height).map(|entry| entry.id))
    }

    fn route(&self, from: &BlockId, blocks_max: usize) -> Result<Route, NodeError> {
        Ok(self.tree.read().route(from, blocks_max))
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        let coins = self.store.coins_of(key_hash).map_err(|error| self.store_failed(&error))?;
        let coin = |(outpoint, coin): (OutPoint, bq_consensus::Coin)| Coin {
            outpoint,
            output: coin.output,
            height: coin.height,
            is_coinbase: coin.is_coinbase,
        };
        Ok(coins.into_iter().map(coin).collect())
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        let _one_state = self.tree.read();
        let confirmed = self.store.spender_of(outpoint).map_err(|error| self.store_failed(&error))?;
        Ok(confirmed.or_else(|| self.mempool.read().spender_of(outpoint)))
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        self.accept_transaction(transaction)
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        let _one_state = self.tree.read();
        let confirmation = self.store.confirmation(txid).map_err(|error| self.store_failed(&error))?;
        Ok(match confirmation {
            Some(found) => TransactionStatus::Confirmed {
                block_id: found.block_id,
                height: found.height,
                confirmations: found.tip_height.above(found.height).unwrap_or(0).saturating_add(1),
            },
            None if self.mempool.read().contains(txid) => TransactionStatus::InMempool,
            None => TransactionStatus::Unknown,
        })
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        let tree = self.tree.read();
        let branch = tree.tip_branch();
        let tip = tip_summary(&self.params, &tree);
        let hashrate = |(algorithm, _): &(_, _)| (*algorithm, network_hashrate(&branch, *algorithm));
        let network_hashrate = tip.next_bits.iter().map(hashrate).collect();
        let mempool = self.mempool.read();
        Ok(MiningInfo {
            tip,
            network_hashrate,
            mempool_transactions: mempool.len(),
            mempool_weight: mempool.weight().units(),
            peers: self.peers(),
        })
    }

    fn conditions(&self) -> Vec<Condition> {
        self.store_conditions()
    }

    fn difficulty(&self) -> Result<DifficultyView, NodeError> {
        Ok(self.difficulty.at_tip(&self.params, &self.tree))
    }
}

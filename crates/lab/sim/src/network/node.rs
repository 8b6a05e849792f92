use std::{collections::BTreeMap, sync::Arc};

use bq_consensus::{Params, required_bits};
use bq_primitives::{Algorithm, BlockId, Timestamp};
use bq_sync::{HEADERS_MAX, Message, Moment, PeerKey, RawBlock, SyncConfig, SyncCore};

use super::{chain::NodeChain, plan::Conduct};
use crate::setup::work;

/// Bytes of blocks that go into one answer.
const ANSWER_BYTES: usize = 8 << 20;

/// A node: its chain, its state machine, and its end of every connection.
pub(super) struct Node {
    pub(super) chain: NodeChain,
    pub(super) core: SyncCore,
    pub(super) conduct: Conduct,
    /// Our name of a connection -> the node at the other end, and its name of it.
    pub(super) wires: BTreeMap<PeerKey, (usize, PeerKey)>,
    /// Whom we do not let in, and until when.
    pub(super) refused: BTreeMap<usize, Moment>,
    /// The tip that others were told about last.
    pub(super) announced: BlockId,
    /// When the state machine wants to be called, as far as the event queue knows.
    pub(super) timeout: Option<Moment>,
    /// Counts what made the next find obsolete.
    pub(super) mining: u64,
    /// Part of the start's hash rate, by [`Algorithm::index`].
    pub(super) powers: [f64; Algorithm::COUNT],
    /// By how much its clock is wrong.
    skew_secs: i64,
}

impl Node {
    pub(super) fn new(params: &Arc<Params>, conduct: Conduct, skew_secs: i64) -> Self {
        let chain = NodeChain::new(params);
        Self {
            core: SyncCore::new(SyncConfig::new(params.genesis_id()), chain.view()),
            announced: params.genesis_id(),
            chain,
            conduct,
            wires: BTreeMap::new(),
            refused: BTreeMap::new(),
            timeout: None,
            mining: 0,
            powers: [0.0; Algorithm::COUNT],
            skew_secs,
        }
    }

    pub(super) fn tip(&self) -> BlockId {
        self.chain.tree().tip().id
    }

    /// What its clock shows. Runs start ten minutes after genesis.
    pub(super) fn clock(&self, now: Moment) -> Timestamp {
        let since = now.0 / 1_000 + 600;
        Timestamp((self.chain.params().genesis_time.0 + since).saturating_add_signed(self.skew_secs))
    }

    /// Expected blocks per second of each algorithm on its tip, with the network's hash rates at these multiples.
    pub(super) fn rates(
        &self,
        unit_hashes: &[f64; Algorithm::COUNT],
        multiples: &[f64; Algorithm::COUNT],
    ) -> [f64; Algorithm::COUNT] {
        let mut rates = [0.0; Algorithm::COUNT];
        for required in required_bits(self.chain.params(), &self.chain.tree().tip_branch()) {
            let index = required.algorithm.index();
            rates[index] = self.powers[index] * multiples[index] * unit_hashes[index] / work(required.target);
        }
        rates
    }

    /// What this node answers; nothing when it stays silent.
    pub(super) fn answer(&self, request: &Message) -> Option<Message> {
        match request {
            Message::Status(_) => Some(Message::Status(self.core.status())),
            Message::GetHeaders { locator } => {
                let ids = self.chain.tree().ids_after(locator, HEADERS_MAX);
                Some(Message::Headers(ids.iter().filter_map(|id| self.chain.header(id)).copied().collect()))
            }
            Message::GetBlocks(_) if self.conduct == Conduct::Mute => None,
            Message::GetBlocks(ids) => Some(self.blocks(ids)),
            Message::GetMempool { .. } => Some(Message::Mempool(Vec::new())),
            _ => Some(Message::Busy),
        }
    }

    fn blocks(&self, ids: &[BlockId]) -> Message {
        let (mut blocks, mut not_found, mut bytes) = (Vec::new(), Vec::new(), 0);
        for id in ids {
            let Some(block) = self.chain.body(id) else {
                not_found.push(*id);
                continue;
            };
            let block = RawBlock::from(block.as_ref());
            bytes += block.bytes().len();
            if !blocks.is_empty() && bytes > ANSWER_BYTES {
                break;
            }
            blocks.push(block);
        }
        Message::Blocks { blocks, not_found }
    }
}

//! Every bound of SPEC 9.2 in one place.
use bq_primitives::{Block, HEADER_BYTES};

/// Version of the messages; peers of another version are cut off.
pub const PROTOCOL_VERSION: u32 = 1;
/// The most ids in a locator.
pub const LOCATOR_IDS_MAX: usize = 64;
/// The most headers in one answer. The most unverified headers that one peer can make us hold are these and
/// [`ANNOUNCES_IN_FLIGHT_MAX`].
pub const HEADERS_MAX: usize = 2000;
/// The most headers that the node is handed at once: after each portion the state machine learns of the progress, and a
/// bad proof ends the run.
pub const PORTION_HEADERS_MAX: usize = 512;
/// How long verifying a portion may take, by [`crate::proof_cost_us`].
pub(crate) const PORTION_US_MAX: u64 = 1_600_000;
/// The most addresses in one answer.
pub const ADDRESSES_MAX: usize = 256;
/// The most blocks asked for in one request.
pub const BLOCK_IDS_MAX: usize = 16;
/// The most bytes of blocks in one answer: one block of the largest size, or many small ones.
pub const BLOCKS_BYTES_MAX: usize = Block::ENCODED_BYTES_MAX;
/// The largest transaction that is relayed (a block may hold a larger one).
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;
/// The most bytes of transactions in one page of a mempool.
pub const MEMPOOL_BYTES_MAX: usize = 2 << 20;
/// The most pages of one peer's mempool that are asked for: what comes later arrives by gossip.
pub(crate) const MEMPOOL_PAGES_MAX: u8 = 8;
/// Announced headers of one peer that wait for verification; more are ignored.
pub const ANNOUNCES_IN_FLIGHT_MAX: usize = 4;
/// Blocks that are asked for or held back until their turn.
pub const WINDOW_BLOCKS_MAX: usize = 64;
/// Branches other than the best header chain whose blocks are asked for.
pub const RIVALS_MAX: usize = 2;
/// Blocks of one such branch that are asked for at a time.
pub const RIVAL_BLOCKS_MAX: usize = 16;
/// When blocks of this many bytes are held back, only the next one in line is asked for.
pub const WINDOW_BYTES_MAX: usize = 64 << 20;
/// Block requests under way at the same time over all peers: with answers of 42 MB each this bounds the memory.
pub(crate) const BLOCK_REQUESTS_MAX: usize = 4;
/// Block requests under way at the same time with one peer.
pub(crate) const BLOCK_REQUESTS_PER_PEER_MAX: usize = 2;

/// Smallest header with its seal.
pub(crate) const SEALED_HEADER_BYTES_MIN: usize = HEADER_BYTES + 20;
/// Largest header with its seal.
pub(crate) const SEALED_HEADER_BYTES_MAX: usize = HEADER_BYTES + 56;
/// Longest compact size that any bounded count here needs.
pub(crate) const COUNT_BYTES_MAX: usize = 5;

//! What peers say to each other and how a node catches up with them: the bounded wire messages (SPEC 9.1, 9.2) and the
//! synchronisation state machine.
//!
//! This crate sees no socket, no disk and no clock: it is fed messages, outcomes and the time, and returns what to do.
//! It judges no header and no block either; the node does, and says what it thought of them as a [`Verdict`].
//! Beside it, whom to be connected to: [`AddressBook`], [`Outbound`], [`InboundSlots`] (SPEC 9.3).
//! Read [`Message`] and [`SyncCore`] first.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod action;
mod addresses;
mod blocks;
mod core;
mod headers;
mod limits;
mod mempool;
mod message;
mod misbehavior;
mod moment;
mod patience;
mod peer;
mod proof_budget;
mod raw_block;
mod status;
mod window;

pub use bq_primitives::SealedHeader;

pub use crate::{
    action::{Action, ChainView, DisconnectReason, PeerKey, RequestId, Verdict},
    addresses::{
        ANCHORS_MAX, AddressBook, BANS_MAX, BOOK_ADDRESSES_MAX, Bans, Dial, DialRole, Endpoint, InboundLimits,
        InboundRefusal, InboundSlots, MemoryError, NetGroup, Outbound, OutboundLimits, PeerMemory, Scope,
    },
    core::{PeerReport, SyncConfig, SyncCore},
    limits::{
        ADDRESSES_MAX, ANNOUNCES_IN_FLIGHT_MAX, BLOCK_IDS_MAX, BLOCKS_BYTES_MAX, HEADERS_MAX, LOCATOR_IDS_MAX,
        MEMPOOL_BYTES_MAX, PORTION_HEADERS_MAX, PROTOCOL_VERSION, RIVAL_BLOCKS_MAX, RIVALS_MAX, TRANSACTION_BYTES_MAX,
        WINDOW_BLOCKS_MAX, WINDOW_BYTES_MAX,
    },
    message::{Kind, Message, WireError},
    misbehavior::Misbehavior,
    moment::Moment,
    proof_budget::{STRANGERS_US_PER_SEC, proof_cost_us},
    raw_block::RawBlock,
    status::{ChainTip, Status},
};

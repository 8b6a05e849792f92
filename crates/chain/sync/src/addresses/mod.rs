//! Other nodes' addresses: what is remembered of them, who may connect, who is shut out (SPEC 9.3).
mod bans;
mod book;
mod endpoint;
mod inbound;
mod memory;
mod outbound;

pub use bans::{BANS_MAX, Bans};
pub use book::{AddressBook, BOOK_ADDRESSES_MAX, Scope};
pub use endpoint::{Endpoint, NetGroup};
pub use inbound::{InboundLimits, InboundRefusal, InboundSlots};
pub use memory::{ANCHORS_MAX, MemoryError, PeerMemory};
pub use outbound::{Dial, DialRole, Outbound, OutboundLimits};

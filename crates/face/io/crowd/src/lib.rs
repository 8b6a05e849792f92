//! Who has a place among the connections of a port, and who makes room for whom: one rule for pages and JSON-RPC. It knows addresses and nothing of what is
//! asked there. Read [`Slots`] first, then [`Crowd`].

mod crowd;
mod slots;

pub use crowd::{Crowd, Entry, Home};
pub use slots::{Busy, Presence, Slot, SlotKind, Slots};

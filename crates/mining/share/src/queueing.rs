use crate::{Claimed, ShareCandidate};

/// What becomes of a candidate for which its queue has no room (SPEC 11.5): no bound refuses a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutRoom {
    /// It says that it is a block, and needs none: a connection has few of those at a time, and false ones cost it the connection.
    Enters,
    /// It says nothing and may be a block: it waits, and its connection unread behind it.
    Waits,
    /// It says itself that it is no block: busy.
    Refused,
}

/// How many kinds of candidate there are: see [`ShareCandidate::class`].
pub const QUEUE_CLASSES: usize = 4;

/// In which order classes are looked at, in turns (SPEC 11.6, 5): the trusted always come first, and a stranger's claim of a block never keeps
/// other strangers waiting for longer than one batch.
pub const QUEUE_TURNS: [[usize; QUEUE_CLASSES]; 2] = [[0, 1, 2, 3], [0, 1, 3, 2]];

/// How many of the classes in each turn, the first, are of the trusted.
pub const TRUSTED_CLASSES: usize = 2;

impl ShareCandidate {
    /// What becomes of it when its queue is full.
    #[must_use]
    pub const fn without_room(&self) -> WithoutRoom {
        match self.claimed {
            Claimed::Block => WithoutRoom::Enters,
            Claimed::Share | Claimed::Nothing => WithoutRoom::Refused,
            Claimed::Unknown => WithoutRoom::Waits,
        }
    }

    /// Claimed blocks of the trusted, other shares of theirs, claimed blocks of strangers, other shares of theirs.
    #[must_use]
    pub fn class(&self) -> usize {
        match (self.is_trusted, self.claimed == Claimed::Block) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        }
    }
}

/// How many places in a queue strangers have, beside those of the trusted (SPEC 11.6, 5).
#[must_use]
pub const fn strangers_room(queue_max: usize) -> usize {
    queue_max.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_looks_at_every_class_and_begins_with_the_trusted() {
        for turn in QUEUE_TURNS {
            let mut classes = turn;
            classes.sort_unstable();
            assert_eq!(classes, [0, 1, 2, 3]);
            assert_eq!(turn[..TRUSTED_CLASSES], [0, 1]);
        }
        assert_eq!(QUEUE_TURNS.map(|turn| turn[2]), [2, 3], "strangers' claims and their other shares take turns");
    }
}

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

/// In which order classes are looked at, in turns (SPEC 11.6): the trusted come first every other time, and a stranger's claim of
/// a block never keeps other strangers waiting for longer than one batch.
pub const QUEUE_TURNS: [[usize; QUEUE_CLASSES]; 4] = [[0, 1, 2, 3], [0, 2, 3, 1], [0, 1, 3, 2], [0, 3, 2, 1]];

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

    /// How much of a queue's room its kind may fill: strangers half of it (SPEC 11.6).
    #[must_use]
    pub const fn room_in(&self, queue_max: usize) -> usize {
        if self.is_trusted { queue_max } else { queue_max.div_ceil(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_looks_at_every_class_and_half_of_them_begin_with_the_trusted() {
        for turn in QUEUE_TURNS {
            let mut classes = turn;
            classes.sort_unstable();
            assert_eq!(classes, [0, 1, 2, 3]);
            assert_eq!(turn[0], 0, "a trusted claim of a block is always first");
        }
        assert_eq!(QUEUE_TURNS.iter().filter(|turn| turn[1] == 1).count(), 2, "the trusted first every other time");
        let before = |one: usize, other: usize| {
            let place = |turn: &[usize; QUEUE_CLASSES], class| turn.iter().position(|at| *at == class);
            QUEUE_TURNS.iter().filter(|turn| place(turn, one) < place(turn, other)).count()
        };
        assert_eq!(before(1, 3), 2, "shares of the trusted and of strangers take turns");
        assert_eq!(before(2, 3), 2, "so do strangers' claims and their other shares");
    }
}

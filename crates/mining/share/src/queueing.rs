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

const TURNS: [[usize; QUEUE_CLASSES]; 2] = [[0, 1, 2, 3], [0, 1, 3, 2]];

/// In which order classes are looked at, in turns (SPEC 11.6, 5): the trusted always come first, and a stranger's claim of a block never keeps
/// other strangers waiting for longer than one batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueTurns {
    claims_were_served: bool,
}

impl QueueTurns {
    /// Which class comes first, second and so on.
    #[must_use]
    pub const fn order(self) -> [usize; QUEUE_CLASSES] {
        let [claims_first, claims_last] = TURNS;
        if self.claims_were_served { claims_last } else { claims_first }
    }

    /// A batch of this class was taken. It is strangers' turns that count: trusted batches in between, however many, give neither kind of
    /// strangers' shares an advantage.
    #[must_use]
    pub const fn after(self, class: usize) -> Self {
        if class < TRUSTED_CLASSES { self } else { Self { claims_were_served: class == STRANGERS_CLAIMS } }
    }
}

/// Claimed blocks of strangers, which wait in a [`crate::ClaimPile`]; all others are hashed in their order.
pub const STRANGERS_CLAIMS: usize = 2;

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
            (false, true) => STRANGERS_CLAIMS,
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
        for turn in TURNS {
            let mut classes = turn;
            classes.sort_unstable();
            assert_eq!(classes, [0, 1, 2, 3]);
            assert_eq!(turn[..TRUSTED_CLASSES], [0, 1]);
        }
    }

    #[test]
    fn strangers_claims_and_their_other_shares_take_turns_whatever_the_trusted_send() {
        for trusted in 0..5 {
            let (mut turns, mut served) = (QueueTurns::default(), Vec::new());
            for batch in 0..6 * (trusted + 1) {
                let class = if batch % (trusted + 1) == trusted { turns.order()[TRUSTED_CLASSES] } else { batch % 2 };
                turns = turns.after(class);
                served.extend((class >= TRUSTED_CLASSES).then_some(class));
            }
            assert_eq!(served, [2, 3, 2, 3, 2, 3], "{trusted} batches of the trusted in between");
        }
    }
}

use std::collections::VecDeque;

use bq_share::{QUEUE_CLASSES, QueueTurns, STRANGERS_CLAIMS, ShareCandidate, WithoutRoom, strangers_room};

use crate::front::ConnectionId;

/// Proofs of one algorithm that wait to be looked at: little room, and blocks beside it (SPEC 11.5).
#[derive(Default)]
pub(crate) struct Queue {
    classes: [VecDeque<Waiting>; QUEUE_CLASSES],
    turns: QueueTurns,
}

/// A proof and whose it is.
pub(crate) struct Waiting {
    pub(crate) connection: ConnectionId,
    pub(crate) candidate: Box<ShareCandidate>,
}

/// Proofs that claim no block and may wait. So few that queues overflow now and then.
const ROOM: usize = 3;

impl Queue {
    /// Takes a proof if there is room for its kind; else says what becomes of it.
    pub(crate) fn push(&mut self, waiting: Waiting) -> Result<(), (WithoutRoom, Waiting)> {
        let without_room = waiting.candidate.without_room();
        let has_room = match without_room {
            WithoutRoom::Enters => true,
            WithoutRoom::Refused => {
                let room = if waiting.candidate.is_trusted { ROOM } else { strangers_room(ROOM) };
                self.len() < room && self.in_room() < ROOM
            }
            WithoutRoom::Waits => self.in_room() < ROOM,
        };
        if !has_room {
            return Err((without_room, waiting));
        }
        self.enter(waiting);
        Ok(())
    }

    /// Takes a proof, room or not.
    pub(crate) fn enter(&mut self, waiting: Waiting) {
        self.classes[waiting.candidate.class()].push_back(waiting);
    }

    pub(crate) fn next(&mut self) -> Option<Waiting> {
        let class = self.turns.order().into_iter().find(|class| !self.classes[*class].is_empty())?;
        self.turns = self.turns.after(class);
        // All come from one subnet here.
        if class == STRANGERS_CLAIMS { self.classes[class].pop_back() } else { self.classes[class].pop_front() }
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    /// Those that take up room.
    fn in_room(&self) -> usize {
        let all = self.classes.iter().flatten();
        all.filter(|waiting| waiting.candidate.without_room() != WithoutRoom::Enters).count()
    }
}

use std::collections::BTreeSet;

use crate::JobId;

/// What no other live connection of any front end has (SPEC 11.2): the front end's id and the connection's number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ExtranoncePrefix {
    /// Which of several front ends before one pool.
    pub server_id: u16,
    /// Which connection of it.
    pub connection: u32,
}

impl ExtranoncePrefix {
    /// The part of X that a SHA-256d miner is told at `mining.subscribe` and that stays for the life of the connection.
    #[must_use]
    pub const fn extranonce1(self) -> [u8; 4] {
        self.connection.to_be_bytes()
    }

    /// The part of X in front of that, which makes the work of `job` its own: it lies in `coinb1`, so a hash found
    /// for one job is no share of another (SPEC 11.2).
    pub(crate) const fn of_job(self, job: JobId) -> [u8; 4] {
        let ([server_high, server_low], [_, _, job_high, job_low]) =
            (self.server_id.to_be_bytes(), job.0.to_be_bytes());
        [server_high, server_low, job_high, job_low]
    }
}

/// Hands out prefixes so that no two live connections of any server share one. It counts and never draws at random: four
/// random bytes would collide with even odds at 77,000 connections.
#[derive(Debug)]
pub struct ExtranonceAllocator {
    server_id: u16,
    next: u32,
    /// The highest number, after which counting starts over.
    last: u32,
    live: BTreeSet<u32>,
}

impl ExtranonceAllocator {
    /// An allocator for one server; servers in front of one pool need different ids. `first` is where it starts to count:
    /// a start that differs per boot keeps prefixes of the last run from coming back at once.
    #[must_use]
    pub fn new(server_id: u16, first: u32) -> Self {
        Self::up_to(server_id, first, u32::MAX)
    }

    fn up_to(server_id: u16, first: u32, last: u32) -> Self {
        Self { server_id, next: first.min(last), last, live: BTreeSet::new() }
    }

    /// A prefix that no live connection has; nothing when every one is taken, and then the connection must be refused.
    pub fn allocate(&mut self) -> Option<ExtranoncePrefix> {
        if self.live() > u64::from(self.last) {
            return None;
        }
        while self.live.contains(&self.next) {
            self.advance();
        }
        let connection = self.next;
        self.live.insert(connection);
        self.advance();
        Some(ExtranoncePrefix { server_id: self.server_id, connection })
    }

    /// Keeps a prefix that a connection brings from another process of this server; false if it is taken, or another server's.
    pub fn claim(&mut self, prefix: ExtranoncePrefix) -> bool {
        prefix.server_id == self.server_id && prefix.connection <= self.last && self.live.insert(prefix.connection)
    }

    /// Takes a prefix back. It is handed out again only after all others were.
    pub fn release(&mut self, prefix: ExtranoncePrefix) {
        if prefix.server_id == self.server_id {
            self.live.remove(&prefix.connection);
        }
    }

    /// Prefixes that are taken.
    #[must_use]
    pub fn live(&self) -> u64 {
        u64::try_from(self.live.len()).unwrap_or(u64::MAX)
    }

    fn advance(&mut self) {
        self.next = if self.next == self.last { 0 } else { self.next.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extranonce1_is_the_connection_and_the_job_lies_before_it() {
        let mut allocator = ExtranonceAllocator::new(1, 7);
        let prefix = allocator.allocate().unwrap();
        assert_eq!(prefix, ExtranoncePrefix { server_id: 1, connection: 7 });
        assert_eq!(prefix.extranonce1(), [0, 0, 0, 7]);
        assert_eq!(prefix.of_job(JobId(0xaabb_ccdd)), [0, 1, 0xcc, 0xdd]);
        assert_eq!(allocator.allocate().unwrap().connection, 8);
    }

    #[test]
    fn many_allocations_over_eight_servers_never_collide() {
        let mut seen = BTreeSet::new();
        for server in 0..8 {
            let mut allocator = ExtranonceAllocator::new(server, u32::from(server) * 1000);
            for _ in 0..20_000 {
                assert!(seen.insert(allocator.allocate().unwrap()));
            }
        }
    }

    #[test]
    fn a_claimed_prefix_is_handed_out_to_nobody_else() {
        let mut allocator = ExtranonceAllocator::up_to(3, 2, 3);
        let brought = ExtranoncePrefix { server_id: 3, connection: 2 };
        assert!(allocator.claim(brought) && !allocator.claim(brought));
        assert!(!allocator.claim(ExtranoncePrefix { server_id: 4, connection: 1 }), "another server's");
        assert!(!allocator.claim(ExtranoncePrefix { server_id: 3, connection: 4 }), "no number of this one");
        let mut rest: Vec<_> = std::iter::from_fn(|| allocator.allocate()).map(|prefix| prefix.connection).collect();
        rest.sort_unstable();
        assert_eq!(rest, [0, 1, 3]);
    }

    #[test]
    fn exhaustion_refuses_and_release_helps() {
        let mut allocator = ExtranonceAllocator::up_to(3, 2, 3);
        let taken: Vec<_> = (0..4).map(|_| allocator.allocate().unwrap()).collect();
        assert_eq!(allocator.allocate(), None);
        allocator.release(ExtranoncePrefix { server_id: 4, connection: 1 });
        assert_eq!(allocator.allocate(), None);
        allocator.release(taken[1]);
        assert_eq!(allocator.allocate(), Some(taken[1]));
        assert_eq!(allocator.live(), 4);
    }
}

use std::collections::BTreeSet;

/// The 8 bytes of extranonce that belong to one connection and to no other: server id (2 bytes), then a counter
/// (6 bytes), big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtranoncePrefix(pub [u8; 8]);

/// Hands out prefixes so that no two live connections of any server share one. It counts and never draws at random: four
/// random bytes would collide with even odds at 77,000 connections.
#[derive(Debug)]
pub struct ExtranonceAllocator {
    server_id: u16,
    next: u64,
    counters: u64,
    live: BTreeSet<u64>,
}

impl ExtranonceAllocator {
    const COUNTERS: u64 = 1 << 48;

    /// An allocator for one server; servers in front of one pool need different ids. `first` is where it starts to count:
    /// a start that differs per boot keeps prefixes of the last run from coming back at once.
    #[must_use]
    pub fn new(server_id: u16, first: u64) -> Self {
        Self::with_counters(server_id, first, Self::COUNTERS)
    }

    fn with_counters(server_id: u16, first: u64, counters: u64) -> Self {
        Self { server_id, next: first.checked_rem(counters).unwrap_or(0), counters, live: BTreeSet::new() }
    }

    /// A prefix that no live connection has; nothing when every one is taken, and then the connection must be refused.
    pub fn allocate(&mut self) -> Option<ExtranoncePrefix> {
        if self.live() >= self.counters {
            return None;
        }
        while self.live.contains(&self.next) {
            self.advance();
        }
        let counter = self.next;
        self.live.insert(counter);
        self.advance();
        Some(self.prefix(counter))
    }

    /// Takes a prefix back. It is handed out again only after all others were.
    pub fn release(&mut self, prefix: ExtranoncePrefix) {
        let counter = u64::from_be_bytes(prefix.0) & Self::COUNTERS.saturating_sub(1);
        if self.prefix(counter) == prefix {
            self.live.remove(&counter);
        }
    }

    /// Prefixes that are taken.
    #[must_use]
    pub fn live(&self) -> u64 {
        u64::try_from(self.live.len()).unwrap_or(u64::MAX)
    }

    fn advance(&mut self) {
        self.next = self.next.saturating_add(1).checked_rem(self.counters).unwrap_or(0);
    }

    fn prefix(&self, counter: u64) -> ExtranoncePrefix {
        ExtranoncePrefix(((u64::from(self.server_id) << 48) | counter).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_server_then_counter() {
        let mut allocator = ExtranonceAllocator::new(1, 7);
        assert_eq!(allocator.allocate(), Some(ExtranoncePrefix([0, 1, 0, 0, 0, 0, 0, 7])));
        assert_eq!(allocator.allocate(), Some(ExtranoncePrefix([0, 1, 0, 0, 0, 0, 0, 8])));
    }

    #[test]
    fn many_allocations_over_eight_servers_never_collide() {
        let mut seen = BTreeSet::new();
        for server in 0..8 {
            let mut allocator = ExtranonceAllocator::new(server, u64::from(server) * 1000);
            for _ in 0..20_000 {
                assert!(seen.insert(allocator.allocate().unwrap()));
            }
        }
    }

    #[test]
    fn exhaustion_refuses_and_release_helps() {
        let mut allocator = ExtranonceAllocator::with_counters(3, 2, 4);
        let taken: Vec<_> = (0..4).map(|_| allocator.allocate().unwrap()).collect();
        assert_eq!(allocator.allocate(), None);
        allocator.release(ExtranoncePrefix([0, 4, 0, 0, 0, 0, 0, 1])); // another server's
        assert_eq!(allocator.allocate(), None);
        allocator.release(taken[1]);
        assert_eq!(allocator.allocate(), Some(taken[1]));
        assert_eq!(allocator.live(), 4);
    }
}

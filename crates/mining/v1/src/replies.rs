use std::collections::VecDeque;

/// Replies in the order of their requests: miners match them by order where they reuse ids. A reply that has to wait for
/// a login or a verdict holds back the later ones.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
enum Slot {
    /// Nothing if the request must not be answered.
    Ready(Option<Vec<u8>>),
    Waiting(u64),
}

impl ReplyQueue {
    /// Requests that wait, ready replies behind them included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The reply to the newest request.
    pub(crate) fn push(&mut self, reply: Option<Vec<u8>>) {
        self.slots.push_back(Slot::Ready(reply));
    }

    /// The newest request is answered later under `ticket`.
    pub(crate) fn wait(&mut self, ticket: u64) {
        self.slots.push_back(Slot::Waiting(ticket));
    }

    /// The reply that `ticket` waited for.
    pub(crate) fn resolve(&mut self, ticket: u64, reply: Option<Vec<u8>>) {
        let waiting = |slot: &&mut Slot| matches!(slot, Slot::Waiting(waiting) if *waiting == ticket);
        if let Some(slot) = self.slots.iter_mut().find(waiting) {
            *slot = Slot::Ready(reply);
        }
    }

    /// The next reply that may be sent.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        while let Some(Slot::Ready(_)) = self.slots.front() {
            if let Some(Slot::Ready(Some(reply))) = self.slots.pop_front() {
                return Some(reply);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_request_order() {
        let mut queue = ReplyQueue::default();
        queue.wait(1);
        queue.push(Some(b"b".to_vec()));
        queue.push(None);
        queue.wait(2);
        assert_eq!(queue.pop(), None);
        queue.resolve(2, Some(b"d".to_vec()));
        assert_eq!(queue.pop(), None);
        queue.resolve(1, Some(b"a".to_vec()));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [b"a".to_vec(), b"b".to_vec(), b"d".to_vec()]);
        assert_eq!(queue.len(), 0);
    }
}

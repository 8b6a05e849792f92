use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::shared::Answer;

/// Verdicts on their way to one connection. No more can be in it than the connection has shares in verification, and while there are none it
/// holds no memory: most of ten thousand connections have none at any time.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    answers: Mutex<Vec<Answer>>,
    bell: Notify,
}

impl Mailbox {
    /// Puts an answer in. True if it is the first that waits: then [`Mailbox::ring`], once all that come together are in.
    pub(crate) fn put(&self, answer: Answer) -> bool {
        let mut answers = self.answers.lock();
        answers.push(answer);
        answers.len() == 1
    }

    /// Wakes the connection.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Returns once the bell was rung since the last call.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// All that is there.
    pub(crate) fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut self.answers.lock())
    }
}

#[cfg(test)]
mod tests {
    use bq_share::{Reject, ShareTicket, Verdict};

    use super::*;

    fn answer(ticket: u64) -> Answer {
        Answer { ticket: ShareTicket(ticket), verdict: Verdict::Rejected(Reject::Busy) }
    }

    #[tokio::test]
    async fn one_ring_is_enough_for_all_that_came_together() {
        let mailbox = Mailbox::default();
        assert!(mailbox.put(answer(1)));
        assert!(!mailbox.put(answer(2)));
        mailbox.ring();
        mailbox.rung().await;
        let tickets: Vec<_> = mailbox.take().iter().map(|answer| answer.ticket.0).collect();
        assert_eq!(tickets, [1, 2]);
        assert!(mailbox.put(answer(3)), "it was emptied, so it is rung again");
        assert_eq!(mailbox.take().len(), 1);
    }
}

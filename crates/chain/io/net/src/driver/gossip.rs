//! What is told to everybody: new blocks and transactions.
use bq_chain_api::SubmitTransactionError;
use bq_primitives::Transaction;
use bq_sync::{Message, Misbehavior, PeerKey};
use libp2p::{
    gossipsub,
    gossipsub::{MessageAcceptance, TopicHash},
};
use tokio::sync::mpsc::error::TrySendError;

use super::{Driver, GossipToken};
use crate::{
    jobs::TransactionJob,
    metrics::{Direction, Metrics},
};

impl Driver {
    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        if let gossipsub::Event::Message { propagation_source, message_id, message } = event {
            let token = GossipToken { message: message_id, source: propagation_source };
            self.on_gossip_message(token, &message);
        }
    }

    pub(super) fn on_gossip_message(&mut self, token: GossipToken, message: &gossipsub::Message) {
        let Some(key) = self.peers.key(&token.source) else {
            return self.conclude(&token, MessageAcceptance::Ignore);
        };
        let decoded = Message::from_bytes(&message.data);
        if let Ok(message) = &decoded {
            Metrics::message(message.kind(), Direction::In);
        }
        match decoded {
            // Never passed on by gossip: every node announces a block itself once it holds it and can serve it.
            Ok(Message::Announce(header)) if message.topic == self.names.block_topic.hash() => {
                self.conclude(&token, MessageAcceptance::Ignore);
                let actions = self.core.handle_announce(self.now(), key, header);
                self.act(actions);
            }
            Ok(Message::Transaction(transaction)) if message.topic == self.names.transaction_topic.hash() => {
                self.submit_transaction(TransactionJob { peer: key, transaction, token: Some(token) });
            }
            Ok(_) | Err(_) => {
                self.conclude(&token, MessageAcceptance::Reject);
                let actions = self.core.misbehaved(self.now(), key, Misbehavior::Garbage);
                self.act(actions);
            }
        }
    }

    pub(super) fn submit_transaction(&mut self, job: TransactionJob<GossipToken>) {
        if let Err(TrySendError::Full(job) | TrySendError::Closed(job)) = self.jobs.transactions.try_send(job) {
            Metrics::dropped("transactions");
            if let Some(token) = job.token {
                self.conclude(&token, MessageAcceptance::Ignore);
            }
        }
    }

    /// Tells gossip what to do with a message. It may have forgotten it by now, which is as good.
    pub(super) fn conclude(&mut self, token: &GossipToken, acceptance: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&token.message, &token.source, acceptance);
    }

    pub(super) fn on_transaction_judged(
        &mut self,
        peer: PeerKey,
        token: &GossipToken,
        result: Result<(), SubmitTransactionError>,
    ) {
        let acceptance = match &result {
            Ok(()) | Err(SubmitTransactionError::Duplicate) => MessageAcceptance::Accept,
            Err(SubmitTransactionError::Invalid(_)) => MessageAcceptance::Reject,
            Err(SubmitTransactionError::Full | SubmitTransactionError::Node(_)) => MessageAcceptance::Ignore,
        };
        self.conclude(token, acceptance);
        // A node that lacks blocks cannot tell a bad transaction from one whose inputs it has not seen.
        let is_in_step = self.core.is_in_step();
        if let Err(error) = result
            && is_in_step
            && error.misbehavior() > 0
        {
            let misbehavior = Misbehavior::Refused(error.misbehavior());
            let actions = self.core.misbehaved(self.now(), peer, misbehavior);
            self.act(actions);
        }
    }

    pub(super) fn publish_transaction(&mut self, transaction: &Transaction) {
        let message = Message::Transaction(Box::new(transaction.clone()));
        self.publish(self.names.transaction_topic.hash(), &message);
    }

    /// Tells every peer. Who is not there yet asks for our status and our mempool later.
    pub(super) fn publish(&mut self, topic: TopicHash, message: &Message) {
        let bytes = message.to_bytes();
        if bytes.len() > message.kind().bytes_max() {
            tracing::debug!(bytes = bytes.len(), "too large to be relayed");
            return;
        }
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => Metrics::message(message.kind(), Direction::Out),
            // Nobody listens, or it came from a peer and is on its way already.
            Err(error) => tracing::trace!(%error, "not published"),
        }
    }
}

//! Requests and answers.
use bq_sync::{Action, Message, Misbehavior, PeerKey, RequestId, WireError};
use libp2p::{PeerId, request_response};
use tokio::sync::mpsc::error::TrySendError;

use super::{AnswerTo, Driver, Exchange};
use crate::{
    codec::Frame,
    jobs::ReadJob,
    metrics::{Direction, Metrics},
};

/// Answers that wait in memory for slow readers; beyond it peers are told to ask later.
const ANSWERS_BYTES_MAX: usize = 96 << 20;

impl Driver {
    pub(super) fn on_exchange(&mut self, exchange: Exchange, event: request_response::Event<Frame, Frame>) {
        use request_response::{Event, Message as Part};
        match event {
            Event::Message { peer, message: Part::Request { request_id, request, channel }, .. } => {
                self.on_request(peer, request, AnswerTo { exchange, request: request_id, channel });
            }
            Event::Message { peer, message: Part::Response { response, .. }, .. }
                if exchange == Exchange::Addresses =>
            {
                self.on_addresses(&peer, response);
            }
            Event::Message { peer, message: Part::Response { request_id, response }, .. } => {
                let Some((key, id)) = self.requests.remove(&(exchange, request_id)) else { return };
                let actions = match response {
                    Ok(message) => {
                        Metrics::message(message.kind(), Direction::In);
                        let is_status = matches!(message, Message::Status(_));
                        let actions = self.core.handle_answer(self.now(), key, id, message);
                        if is_status {
                            self.on_status_seen(&peer);
                        }
                        actions
                    }
                    Err(error) => self.garbage(key, &error),
                };
                self.act(actions);
            }
            Event::OutboundFailure { request_id, error, .. } => {
                let Some((key, id)) = self.requests.remove(&(exchange, request_id)) else { return };
                tracing::debug!(peer = key.0, %error, "no answer");
                let actions = self.core.request_failed(self.now(), key, id);
                self.act(actions);
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.answers.remove(&(exchange, request_id));
            }
        }
    }

    pub(super) fn garbage(&mut self, peer: PeerKey, error: &WireError) -> Vec<Action> {
        tracing::info!(peer = peer.0, %error, "undecodable message");
        self.core.misbehaved(self.now(), peer, Misbehavior::Garbage)
    }

    pub(super) fn on_request(&mut self, peer: PeerId, request: Frame, to: AnswerTo) {
        let Some(key) = self.peers.key(&peer) else { return };
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let actions = self.garbage(key, &error);
                return self.act(actions);
            }
        };
        Metrics::message(request.kind(), Direction::In);
        let (is_admitted, actions) = self.core.handle_request(self.now(), key, &request);
        let waiting: usize = self.answers.values().sum();
        if !is_admitted || waiting > ANSWERS_BYTES_MAX {
            self.answer(to, Message::Busy);
        } else if matches!(request, Message::Status(_)) {
            let status = self.core.status();
            self.answer(to, Message::Status(status));
        } else if let Message::GetAddresses { port } = request {
            let addresses = self.addresses_for(key, port);
            self.answer(to, Message::Addresses(addresses));
        } else if let Err(refused) = self.jobs.reads.try_send(ReadJob::Answer { request, channel: to }) {
            Metrics::dropped("reads");
            if let TrySendError::Full(ReadJob::Answer { channel, .. }) = refused {
                self.answer(channel, Message::Busy);
            }
        }
        self.act(actions);
    }

    pub(super) fn answer(&mut self, to: AnswerTo, message: Message) {
        Metrics::message(message.kind(), Direction::Out);
        let bytes = match &message {
            Message::Blocks { blocks, .. } => blocks.iter().map(|block| block.bytes().len()).sum(),
            _ => 0,
        };
        let behaviour = self.swarm.behaviour_mut();
        let exchange = match to.exchange {
            Exchange::Sync => &mut behaviour.sync,
            Exchange::Blocks => &mut behaviour.blocks,
            Exchange::Addresses => &mut behaviour.addresses,
        };
        // An error means that the asker is gone.
        if exchange.send_response(to.channel, Ok(message)).is_ok() && bytes > 0 {
            self.answers.insert((to.exchange, to.request), bytes);
        }
    }

    pub(super) fn request(&mut self, peer: PeerKey, id: RequestId, message: Message) -> bool {
        let Some(to) = self.peers.id(peer) else { return false };
        Metrics::message(message.kind(), Direction::Out);
        let behaviour = self.swarm.behaviour_mut();
        let (exchange, sent) = if matches!(message, Message::GetBlocks(_)) {
            (Exchange::Blocks, behaviour.blocks.send_request(&to, Ok(message)))
        } else {
            (Exchange::Sync, behaviour.sync.send_request(&to, Ok(message)))
        };
        self.requests.insert((exchange, sent), (peer, id));
        true
    }
}

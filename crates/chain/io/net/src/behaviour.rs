use std::time::Duration;

use bq_primitives::{BlockId, double_sha256};
use bq_sync::{Bans, TRANSACTION_BYTES_MAX};
use libp2p::{
    StreamProtocol, connection_limits,
    connection_limits::ConnectionLimits,
    gossipsub,
    gossipsub::{IdentTopic, MessageAuthenticity, MessageId, TopicHash, ValidationMode},
    identify,
    identity::Keypair,
    request_response,
    request_response::ProtocolSupport,
    swarm::NetworkBehaviour,
};

use crate::{NetConfig, codec::WireCodec, gate::Gate};

/// Room for what gossip wraps around a message: topic, author, key, signature.
const GOSSIP_FRAME_BYTES: usize = 4096;
/// Messages that wait for a slow peer; more are dropped.
const GOSSIP_QUEUE: usize = 256;
/// Connections that have lost their place and are not closed yet.
const CLOSING_MAX: u32 = 16;
/// Streams that one peer may have open per protocol.
const STREAMS_MAX: usize = 8;

/// The protocols spoken on every connection.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// First: it refuses most cheaply.
    pub(crate) gate: Gate,
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    pub(crate) gossip: gossipsub::Behaviour,
    pub(crate) sync: request_response::Behaviour<WireCodec>,
    pub(crate) blocks: request_response::Behaviour<WireCodec>,
    pub(crate) addresses: request_response::Behaviour<WireCodec>,
}

/// Names of topics and protocols. They hold the start of the genesis id, so that nodes of two chains have nothing in
/// common to speak.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    chain: String,
    pub(crate) block_topic: IdentTopic,
    pub(crate) transaction_topic: IdentTopic,
}

impl Names {
    pub(crate) fn new(genesis: &BlockId) -> Self {
        let chain: String = genesis.to_string().chars().take(16).collect();
        Self {
            block_topic: IdentTopic::new(format!("bq/{chain}/blocks/1")),
            transaction_topic: IdentTopic::new(format!("bq/{chain}/transactions/1")),
            chain,
        }
    }

    fn protocol(&self, name: &str) -> Result<StreamProtocol, String> {
        StreamProtocol::try_from_owned(format!("/bq/{}/{name}/1", self.chain)).map_err(|error| error.to_string())
    }
}

impl Behaviour {
    pub(crate) fn new(key: &Keypair, names: &Names, config: &NetConfig, bans: Bans) -> Result<Self, String> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // The gate counts connections from others; this is its second line, with room for those it is about to close.
        let inbound_max = count(config.inbound.total).saturating_add(CLOSING_MAX);
        let outbound_max = config.outbound_max.saturating_add(count(config.outbound.automatic)).saturating_add(1);
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(32))
            .with_max_pending_outgoing(Some(32))
            .with_max_established_incoming(Some(inbound_max))
            .with_max_established_outgoing(Some(outbound_max))
            // Two, because both sides may dial at the same moment.
            .with_max_established_per_peer(Some(2));
        let identity = identify::Config::new("/bq/1".to_owned(), key.public()).with_agent_version(config.agent.clone());
        let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), gossip_config(names)?)?;
        for topic in [&names.block_topic, &names.transaction_topic] {
            gossip.subscribe(topic).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            gate: Gate::new(config.inbound, bans),
            limits: connection_limits::Behaviour::new(limits),
            identify: identify::Behaviour::new(identity),
            gossip,
            // The state machine keeps its own, shorter deadlines; these only clean up after it.
            sync: exchange(WireCodec::SYNC, names.protocol("sync")?, Duration::from_secs(35)),
            blocks: exchange(WireCodec::BLOCKS, names.protocol("blocks")?, Duration::from_secs(65)),
            addresses: exchange(WireCodec::ADDRESSES, names.protocol("addresses")?, Duration::from_secs(35)),
        })
    }
}

fn exchange(codec: WireCodec, name: StreamProtocol, timeout: Duration) -> request_response::Behaviour<WireCodec> {
    let config =
        request_response::Config::default().with_request_timeout(timeout).with_max_concurrent_streams(STREAMS_MAX);
    request_response::Behaviour::with_codec(codec, [(name, ProtocolSupport::Full)], config)
}

fn gossip_config(names: &Names) -> Result<gossipsub::Config, String> {
    let transactions: TopicHash = names.transaction_topic.hash();
    gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/bq/{}/gossip", names.chain))
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .heartbeat_initial_delay(Duration::from_millis(500))
        .max_transmit_size(TRANSACTION_BYTES_MAX.saturating_add(GOSSIP_FRAME_BYTES))
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .message_id_fn(move |message| {
            if message.topic == transactions {
                // The same transaction from two authors travels once.
                return MessageId::from(double_sha256(&message.data));
            }
            // A block is announced anew by every node that has validated it, so its name is not enough.
            let author = message.source.map(|peer| peer.to_bytes()).unwrap_or_default();
            let serial = message.sequence_number.unwrap_or_default().to_le_bytes();
            MessageId::from([author.as_slice(), &serial].concat())
        })
        .build()
        .map_err(|error| error.to_string())
}

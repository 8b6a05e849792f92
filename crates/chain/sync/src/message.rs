use bq_primitives::{Block, BlockId, DecodeError, Decoder, Transaction, TxId, put_compact_size};

use crate::{
    ADDRESSES_MAX, BLOCK_IDS_MAX, BLOCKS_BYTES_MAX, Endpoint, HEADERS_MAX, LOCATOR_IDS_MAX, MEMPOOL_BYTES_MAX,
    RawBlock, SealedHeader, Status, TRANSACTION_BYTES_MAX,
    limits::{COUNT_BYTES_MAX, SEALED_HEADER_BYTES_MAX, SEALED_HEADER_BYTES_MIN},
};

const ID_BYTES: usize = 32;
/// No inputs, no outputs.
const TRANSACTION_BYTES_MIN: usize = 10;

/// Everything that peers say to each other (SPEC 9.1). On the wire: one byte of kind, then the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who the sender is and what it claims to have. Request and answer alike.
    Status(Status),
    /// Asks for headers of the best chain above the first of these ids that lies on it.
    GetHeaders {
        /// Newest first, at most [`LOCATOR_IDS_MAX`].
        locator: Vec<BlockId>,
    },
    /// Answers [`Message::GetHeaders`]: lowest first, each the parent of the next, at most [`HEADERS_MAX`]; fewer than
    /// that when there are no more.
    Headers(Vec<SealedHeader>),
    /// Asks for blocks, at most [`BLOCK_IDS_MAX`].
    GetBlocks(Vec<BlockId>),
    /// Answers [`Message::GetBlocks`]. Blocks that are in neither list did not fit: ask again.
    Blocks {
        /// In the order they were asked for, together at most [`BLOCKS_BYTES_MAX`].
        blocks: Vec<RawBlock>,
        /// The sender does not have these.
        not_found: Vec<BlockId>,
    },
    /// The sender's chain has a new end, and the sender holds its block.
    Announce(SealedHeader),
    /// An unconfirmed transaction.
    Transaction(Box<Transaction>),
    /// Answers any request: not now, ask later.
    Busy,
    /// Asks for unconfirmed transactions with ids above this one, in increasing order. Zero starts.
    GetMempool {
        /// The last id of the page before.
        after: TxId,
    },
    /// Answers [`Message::GetMempool`]: a page of whole transactions, together at most [`MEMPOOL_BYTES_MAX`]; an empty
    /// one is the last.
    Mempool(Vec<Transaction>),
    /// Asks for addresses of other nodes.
    GetAddresses {
        /// Where the sender itself takes connections, at the address that it connects from; 0 when it takes none.
        port: u16,
    },
    /// Answers [`Message::GetAddresses`]: at most [`ADDRESSES_MAX`].
    Addresses(Vec<Endpoint>),
}

/// Which message, as its first byte tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`Message::Status`].
    Status = 1,
    /// [`Message::GetHeaders`].
    GetHeaders = 2,
    /// [`Message::Headers`].
    Headers = 3,
    /// [`Message::GetBlocks`].
    GetBlocks = 4,
    /// [`Message::Blocks`].
    Blocks = 5,
    /// [`Message::Announce`].
    Announce = 6,
    /// [`Message::Transaction`].
    Transaction = 7,
    /// [`Message::Busy`].
    Busy = 8,
    /// [`Message::GetMempool`].
    GetMempool = 9,
    /// [`Message::Mempool`].
    Mempool = 10,
    /// [`Message::GetAddresses`].
    GetAddresses = 11,
    /// [`Message::Addresses`].
    Addresses = 12,
}

/// Why bytes are not a message. Whoever sent them does not speak this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first byte names no message, or there is none.
    #[error("unknown message kind {0:?}")]
    UnknownKind(Option<u8>),
    /// More bytes than this message may have.
    #[error("{kind:?} of {got} bytes, at most {max} allowed")]
    TooLong {
        /// Which message.
        kind: Kind,
        /// Its length.
        got: usize,
        /// Its limit.
        max: usize,
    },
    /// A field cannot be read.
    #[error(transparent)]
    Field(#[from] DecodeError),
    /// An address that names no single machine, or port 0.
    #[error("an address that nobody can dial")]
    Address,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Status,
        Self::GetHeaders,
        Self::Headers,
        Self::GetBlocks,
        Self::Blocks,
        Self::Announce,
        Self::Transaction,
        Self::Busy,
        Self::GetMempool,
        Self::Mempool,
        Self::GetAddresses,
        Self::Addresses,
    ];

    /// The kind that a message's first byte names.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The label used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::GetHeaders => "get_headers",
            Self::Headers => "headers",
            Self::GetBlocks => "get_blocks",
            Self::Blocks => "blocks",
            Self::Announce => "announce",
            Self::Transaction => "transaction",
            Self::Busy => "busy",
            Self::GetMempool => "get_mempool",
            Self::Mempool => "mempool",
            Self::GetAddresses => "get_addresses",
            Self::Addresses => "addresses",
        }
    }

    /// The longest encoding, kind byte included (SPEC 9.2).
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        let fields = match self {
            Self::Status => Status::BYTES,
            Self::GetHeaders => COUNT_BYTES_MAX + LOCATOR_IDS_MAX * ID_BYTES,
            Self::Headers => COUNT_BYTES_MAX + HEADERS_MAX * SEALED_HEADER_BYTES_MAX,
            Self::GetBlocks => COUNT_BYTES_MAX + BLOCK_IDS_MAX * ID_BYTES,
            Self::Blocks => 2 * COUNT_BYTES_MAX + BLOCK_IDS_MAX * (COUNT_BYTES_MAX + ID_BYTES) + BLOCKS_BYTES_MAX,
            Self::Announce => SEALED_HEADER_BYTES_MAX,
            Self::Transaction => TRANSACTION_BYTES_MAX,
            Self::Busy => 0,
            Self::GetMempool => ID_BYTES,
            Self::Mempool => COUNT_BYTES_MAX + MEMPOOL_BYTES_MAX,
            Self::GetAddresses => 2,
            Self::Addresses => COUNT_BYTES_MAX + ADDRESSES_MAX * Endpoint::BYTES,
        };
        fields.saturating_add(1)
    }
}

impl Message {
    /// Which message this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Status(_) => Kind::Status,
            Self::GetHeaders { .. } => Kind::GetHeaders,
            Self::Headers(_) => Kind::Headers,
            Self::GetBlocks(_) => Kind::GetBlocks,
            Self::Blocks { .. } => Kind::Blocks,
            Self::Announce(_) => Kind::Announce,
            Self::Transaction(_) => Kind::Transaction,
            Self::Busy => Kind::Busy,
            Self::GetMempool { .. } => Kind::GetMempool,
            Self::Mempool(_) => Kind::Mempool,
            Self::GetAddresses { .. } => Kind::GetAddresses,
            Self::Addresses(_) => Kind::Addresses,
        }
    }

    /// The encoding: kind, then the fields.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![self.kind() as u8];
        match self {
            Self::Status(status) => status.put(&mut out),
            Self::GetHeaders { locator } => put_ids(&mut out, locator),
            Self::Headers(headers) => {
                put_compact_size(&mut out, headers.len());
                headers.iter().for_each(|header| header.put(&mut out));
            }
            Self::GetBlocks(ids) => put_ids(&mut out, ids),
            Self::Blocks { blocks, not_found } => {
                put_compact_size(&mut out, blocks.len());
                for block in blocks {
                    put_compact_size(&mut out, block.bytes().len());
                    out.extend(block.bytes());
                }
                put_ids(&mut out, not_found);
            }
            Self::Announce(header) => header.put(&mut out),
            Self::Transaction(transaction) => out.extend(transaction.to_bytes()),
            Self::Busy => {}
            Self::GetMempool { after } => out.extend(after.0),
            Self::Mempool(transactions) => {
                put_compact_size(&mut out, transactions.len());
                transactions.iter().for_each(|transaction| out.extend(transaction.to_bytes()));
            }
            Self::GetAddresses { port } => out.extend(port.to_le_bytes()),
            Self::Addresses(endpoints) => {
                put_compact_size(&mut out, endpoints.len());
                endpoints.iter().for_each(|endpoint| endpoint.put(&mut out));
            }
        }
        out
    }

    /// Reads one message and nothing after it. The length is checked before anything is allocated.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let (first, fields) = bytes.split_first().ok_or(WireError::UnknownKind(None))?;
        let kind = Kind::from_byte(*first).ok_or(WireError::UnknownKind(Some(*first)))?;
        if bytes.len() > kind.bytes_max() {
            return Err(WireError::TooLong { kind, got: bytes.len(), max: kind.bytes_max() });
        }
        let mut decoder = Decoder::new(fields);
        let message = Self::decode_fields(kind, &mut decoder)?;
        decoder.finish()?;
        Ok(message)
    }

    fn decode_fields(kind: Kind, decoder: &mut Decoder<'_>) -> Result<Self, WireError> {
        Ok(match kind {
            Kind::Status => Self::Status(Status::decode(decoder)?),
            Kind::GetHeaders => Self::GetHeaders { locator: decode_ids(decoder, LOCATOR_IDS_MAX)? },
            Kind::Headers => Self::Headers(
                (0..count(decoder, SEALED_HEADER_BYTES_MIN, HEADERS_MAX)?)
                    .map(|_| SealedHeader::decode(decoder))
                    .collect::<Result<_, _>>()?,
            ),
            Kind::GetBlocks => Self::GetBlocks(decode_ids(decoder, BLOCK_IDS_MAX)?),
            Kind::Blocks => Self::Blocks {
                blocks: (0..count(decoder, SEALED_HEADER_BYTES_MIN, BLOCK_IDS_MAX)?)
                    .map(|_| {
                        let length = count(decoder, 1, Block::ENCODED_BYTES_MAX)?;
                        RawBlock::new(decoder.bytes(length)?.to_vec())
                    })
                    .collect::<Result<_, DecodeError>>()?,
                not_found: decode_ids(decoder, BLOCK_IDS_MAX)?,
            },
            Kind::Announce => Self::Announce(SealedHeader::decode(decoder)?),
            Kind::Transaction => Self::Transaction(Box::new(Transaction::decode(decoder)?)),
            Kind::Busy => Self::Busy,
            Kind::GetMempool => Self::GetMempool { after: TxId(decoder.array()?) },
            Kind::Mempool => Self::Mempool(
                (0..decoder.count(TRANSACTION_BYTES_MIN)?)
                    .map(|_| Transaction::decode(decoder))
                    .collect::<Result<_, _>>()?,
            ),
            Kind::GetAddresses => Self::GetAddresses { port: decoder.u16()? },
            Kind::Addresses => Self::Addresses(
                (0..count(decoder, Endpoint::BYTES, ADDRESSES_MAX)?)
                    .map(|_| Endpoint::decode(decoder)?.ok_or(WireError::Address))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

fn put_ids(out: &mut Vec<u8>, ids: &[BlockId]) {
    put_compact_size(out, ids.len());
    ids.iter().for_each(|id| out.extend(id.0));
}

fn decode_ids(decoder: &mut Decoder<'_>, max: usize) -> Result<Vec<BlockId>, DecodeError> {
    (0..count(decoder, ID_BYTES, max)?).map(|_| Ok(BlockId(decoder.array()?))).collect()
}

/// A count within both what the input can hold and `max`.
fn count(decoder: &mut Decoder<'_>, item_bytes_min: usize, max: usize) -> Result<usize, DecodeError> {
    match decoder.count(item_bytes_min)? {
        count if count <= max => Ok(count),
        count => Err(DecodeError::CountTooLarge { got: u64::try_from(count).unwrap_or(u64::MAX), max }),
    }
}

use bq_mining_message::BootEpoch;
use bq_pool_machine::{LogHead, PlannedPayout};
use bq_pool_proof::{SignedStatement, Statement};
use bq_primitives::{BlockId, KeyHash, Network, TxOut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest message, its version included. A state of some 100,000 accounts fits; so do the events of hours.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Version of the messages, their first byte.
const VERSION: u8 = 1;

/// What the pool asks (SPEC 8.12.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Who are you, and where do you stand?
    Hello(Hello),
    /// These events come next.
    Follow(Follow),
    /// Begin with this state.
    Adopt(Adoption),
    /// Sign this.
    Sign(Box<Asked>),
    /// Sign what the log states of what is owed.
    State(AskedStatement),
}

/// The chain that the pool is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its name.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
}

/// Events of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The event that they come after, as the pool has it.
    pub after: LogHead,
    /// In order.
    pub events: Vec<Told>,
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its bytes.
    pub event: Vec<u8>,
    /// Of a frame: the encodings of its shares, one after the other; nothing if the pool has them no more.
    pub shares: Option<Vec<u8>>,
}

/// A state to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// The log before the oldest frame whose shares a window may want.
    pub from: LogHead,
    /// The state in bytes.
    pub state: Vec<u8>,
}

/// A payout to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The start of the pool that asks.
    pub epoch: BootEpoch,
    /// Where its log ends.
    pub head: LogHead,
    /// The payout: number, inputs with amounts, payees, fee, id of the transaction.
    pub planned: PlannedPayout,
    /// The outputs of the transaction, in order.
    pub outputs: Vec<TxOut>,
}

/// A statement to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedStatement {
    /// Where the log ends.
    pub head: LogHead,
    /// What it says.
    pub statement: Statement,
}

/// What the signer answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To all but a wish to sign.
    Standing(Standing),
    /// The signed transaction.
    Signed(Vec<u8>),
    /// It does not, by the name of a [`crate::Refusal`] and in words.
    Refused {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// The signed statement.
    Stated(Box<SignedStatement>),
}

/// Who the signer is and how far it followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Hash of its key.
    pub key: KeyHash,
    /// The secret that seals what coinbases say of the log (SPEC 8.6.10).
    pub commitment_key: [u8; 32],
    /// It wants to be told what comes after this.
    pub told: LogHead,
    /// It would adopt a state.
    pub adopts: bool,
}

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// There are none.
    #[error("a message of no bytes")]
    Empty,
    /// Another software wrote them.
    #[error("message version {0} is not known, this software knows {VERSION}")]
    Version(u8),
    /// They cannot be read.
    #[error("the message cannot be read: {0}")]
    Content(String),
    /// It is longer than a message may be.
    #[error("a message of {0} bytes: at most {MESSAGE_BYTES_MAX} are allowed")]
    Long(usize),
}

/// A message in bytes: its version, then postcard.
///
/// # Errors
/// [`MessageError::Long`].
pub fn write_message<T: Serialize>(message: &T) -> Result<Vec<u8>, MessageError> {
    let bytes = postcard::to_extend(message, vec![VERSION]);
    let bytes = bytes.map_err(|error| MessageError::Content(error.to_string()))?;
    if bytes.len() > MESSAGE_BYTES_MAX { Err(MessageError::Long(bytes.len())) } else { Ok(bytes) }
}

/// Reads a message; nothing may stand behind it.
///
/// # Errors
/// [`MessageError`].
pub fn read_message<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    match bytes.split_first() {
        None => Err(MessageError::Empty),
        Some(_) if bytes.len() > MESSAGE_BYTES_MAX => Err(MessageError::Long(bytes.len())),
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((message, [])) => Ok(message),
            Ok((_, more)) => Err(MessageError::Content(format!("{} bytes too many", more.len()))),
            Err(error) => Err(MessageError::Content(error.to_string())),
        },
        Some((version, _)) => Err(MessageError::Version(*version)),
    }
}

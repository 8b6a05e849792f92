use bq_chain_api::{AddNodeError, NodeError, SubmitBlockError, SubmitTransactionError};
use bq_mining_message::MiningControlError;
use bq_pool_machine::DecisionError;
use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};

/// Error codes, as in Bitcoin where it has one for the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// This process does not have what the method is about.
    Unavailable,
    /// No such block, transaction or address.
    NotFound,
    /// A parameter has the right type and an impossible value.
    InvalidParameter,
    /// The method changes something and the request has no login.
    LoginNeeded,
    /// The node's store failed.
    Store,
    /// Bytes that are no block or transaction.
    Deserialization,
    /// Not valid now: the parent is unknown or the time has not come.
    Unverified,
    /// Breaks a rule, or does not fit the mempool.
    Rejected,
    /// Known already.
    AlreadyKnown,
    /// The node is shutting down.
    Closing,
    /// As many wait as may.
    TooMany,
    /// The parameters have the wrong shape.
    InvalidParams,
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Unavailable => -1,
            Self::NotFound => -5,
            Self::InvalidParameter => -8,
            Self::LoginNeeded => -13,
            Self::Store => -20,
            Self::Deserialization => -22,
            Self::Unverified => -25,
            Self::Rejected => -26,
            Self::AlreadyKnown => -27,
            Self::Closing => -28,
            Self::TooMany => -34,
            Self::InvalidParams => -32602,
        }
    }

    /// The label used in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
            Self::InvalidParameter => "invalid_parameter",
            Self::LoginNeeded => "login_needed",
            Self::Store => "store",
            Self::Deserialization => "deserialization",
            Self::Unverified => "unverified",
            Self::Rejected => "rejected",
            Self::AlreadyKnown => "already_known",
            Self::Closing => "closing",
            Self::TooMany => "too_many",
            Self::InvalidParams => "invalid_params",
        }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    message: String,
    reason: Option<Reason>,
}

/// The `data` of an error: what programs tell apart where one code has several meanings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub(crate) enum Reason {
    UnknownParent {
        parent: String,
    },
    TooEarly,
    MempoolFull,
    /// The block is kept until it can be stored.
    Kept {
        failure: String,
    },
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason: None }
    }

    /// A parameter with an impossible value.
    pub(crate) fn parameter(name: &str, problem: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {problem}"))
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Code::NotFound, what)
    }

    fn because(self, reason: Reason) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

impl From<Fault> for ErrorObjectOwned {
    fn from(fault: Fault) -> Self {
        Self::owned(fault.code.number(), fault.message, fault.reason)
    }
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        let code = match &error {
            NodeError::Store(_) => Code::Store,
            NodeError::Request(_) => Code::InvalidParameter,
            NodeError::Closed => Code::Closing,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SubmitBlockError> for Fault {
    fn from(error: SubmitBlockError) -> Self {
        let message = error.to_string();
        match error {
            SubmitBlockError::Duplicate => Self::new(Code::AlreadyKnown, message),
            SubmitBlockError::UnknownParent(parent) => {
                Self::new(Code::Unverified, message).because(Reason::UnknownParent { parent: parent.to_string() })
            }
            SubmitBlockError::TooEarly(_) => Self::new(Code::Unverified, message).because(Reason::TooEarly),
            SubmitBlockError::Invalid(_) => Self::new(Code::Rejected, message),
            SubmitBlockError::Kept { reason, .. } => {
                Self::new(Code::Store, message).because(Reason::Kept { failure: reason })
            }
            SubmitBlockError::Node(error) => error.into(),
        }
    }
}

impl From<SubmitTransactionError> for Fault {
    fn from(error: SubmitTransactionError) -> Self {
        let message = error.to_string();
        match error {
            SubmitTransactionError::Duplicate => Self::new(Code::AlreadyKnown, message),
            SubmitTransactionError::Invalid(_) => Self::new(Code::Rejected, message),
            SubmitTransactionError::Full => Self::new(Code::Rejected, message).because(Reason::MempoolFull),
            SubmitTransactionError::Node(error) => error.into(),
        }
    }
}

impl From<MiningControlError> for Fault {
    fn from(error: MiningControlError) -> Self {
        Self::new(Code::InvalidParameter, error.to_string())
    }
}

impl From<DecisionError> for Fault {
    fn from(error: DecisionError) -> Self {
        let code = match &error {
            DecisionError::Value { .. } => Code::InvalidParameter,
            DecisionError::State(_) => Code::Rejected,
            DecisionError::Failed(_) => Code::Store,
        };
        Self::new(code, error.to_string())
    }
}

impl From<AddNodeError> for Fault {
    fn from(error: AddNodeError) -> Self {
        let code = match &error {
            AddNodeError::Address(_) | AddNodeError::TooMany(_) => Code::InvalidParameter,
            AddNodeError::Closed => Code::Closing,
        };
        Self::new(code, error.to_string())
    }
}

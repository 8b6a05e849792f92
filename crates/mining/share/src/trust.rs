use serde::{Deserialize, Serialize};

/// What a connection showed by its shares (SPEC 11.6): a [`crate::Judge`] begins with none, or with that of a connection that ended and whose
/// miner came back (SPEC 11.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Shares that were accepted.
    pub verified: u32,
    /// Shares that were strikes.
    pub forged: u32,
    /// Accepted shares since the last strike.
    pub proven: u64,
}

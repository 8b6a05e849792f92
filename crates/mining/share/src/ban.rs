use std::{fmt, str::FromStr};

use crate::{Peer, UnixMs};

/// A peer that may not connect for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub peer: Peer,
    /// Why.
    pub reason: BanReason,
    /// When it began.
    pub since: UnixMs,
    /// When it ends.
    pub until: UnixMs,
    /// Which ban of this peer it is, from 1: each is twice as long as the last.
    pub bans: u32,
}

/// Why a peer is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanReason {
    /// It claimed results again and again that the work does not have.
    ForgedShares,
    /// It was cut off again and again for flooding or for not speaking Stratum.
    Misbehaved,
    /// The operator said so.
    Operator,
}

/// A line that is no ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ban is PEER REASON SINCE UNTIL COUNT")]
pub struct ParseBanError;

impl BanReason {
    const ALL: [Self; 3] = [Self::ForgedShares, Self::Misbehaved, Self::Operator];

    /// The label used in the list, in the file and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgedShares => "forged_shares",
            Self::Misbehaved => "misbehaved",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Ban {
    /// One line: peer, reason, milliseconds of beginning and end, count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {}", self.peer, self.reason.name(), self.since.0, self.until.0, self.bans)
    }
}

impl FromStr for Ban {
    type Err = ParseBanError;

    /// Reads what [`Ban`] is written as.
    ///
    /// # Errors
    /// [`ParseBanError`].
    fn from_str(line: &str) -> Result<Self, ParseBanError> {
        let words: Vec<_> = line.split(' ').collect();
        let [peer, reason, since, until, bans] = *words.as_slice() else { return Err(ParseBanError) };
        let number = |text: &str| text.parse().map_err(|_| ParseBanError);
        Ok(Self {
            peer: peer.parse().map_err(|_| ParseBanError)?,
            reason: BanReason::ALL.into_iter().find(|known| known.name() == reason).ok_or(ParseBanError)?,
            since: UnixMs(number(since)?),
            until: UnixMs(number(until)?),
            bans: bans.parse().map_err(|_| ParseBanError)?,
        })
    }
}

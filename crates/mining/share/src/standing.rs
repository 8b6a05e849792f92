use std::{fmt, str::FromStr};

use crate::{Peer, UnixMs, ban::ParseBanError};

/// What a peer did lately, as it is kept beside bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) peer: Peer,
    pub(crate) accepted: u32,
    pub(crate) points: u32,
    /// When it was heard of last, and struck last.
    pub(crate) last: UnixMs,
    pub(crate) struck: UnixMs,
}

/// In the place of a ban's reason.
const MARK: &str = "standing";

impl fmt::Display for Standing {
    /// One line: peer, `standing`, accepted shares, points, and the two moments in milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, accepted, points, last, struck } = self;
        write!(f, "{peer} {MARK} {accepted} {points} {} {}", last.0, struck.0)
    }
}

impl FromStr for Standing {
    type Err = ParseBanError;

    /// Reads what [`Standing`] is written as.
    fn from_str(line: &str) -> Result<Self, ParseBanError> {
        let words: Vec<_> = line.split(' ').collect();
        let [peer, MARK, accepted, points, last, struck] = *words.as_slice() else { return Err(ParseBanError) };
        let count = |text: &str| text.parse().map_err(|_| ParseBanError);
        let moment = |text: &str| text.parse().map(UnixMs).map_err(|_| ParseBanError);
        Ok(Self {
            peer: peer.parse().map_err(|_| ParseBanError)?,
            accepted: count(accepted)?,
            points: count(points)?,
            last: moment(last)?,
            struck: moment(struck)?,
        })
    }
}

use crate::Kind;

/// What a peer did wrong. Each knows its price; a peer is cut off and shut out for a while at [`Misbehavior::POINTS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehavior {
    /// Bytes that are no message, or one longer than its limit.
    #[error("undecodable message")]
    Garbage,
    /// An answer of a kind that nobody asked for.
    #[error("unexpected {0:?}")]
    UnexpectedAnswer(Kind),
    /// A run of headers in which one is not the child of the one before.
    #[error("headers do not form a chain")]
    BrokenHeaderRun,
    /// A block that nobody asked for.
    #[error("unrequested block")]
    UnrequestedBlock,
    /// The node refused a header, block or transaction.
    #[error("the node refused what it sent ({0} points)")]
    Refused(u32),
    /// No answer in time.
    #[error("no answer to {0:?}")]
    NoAnswer(Kind),
    /// Holds up the next block in line while others wait.
    #[error("stalls the next block in line")]
    Stalling,
    /// Claims more work than its headers show.
    #[error("claimed work that it did not show")]
    FalseClaim,
    /// Asks more than its budget.
    #[error("too many requests")]
    Flood,
}

impl Misbehavior {
    /// Points at which a peer is cut off.
    pub const POINTS_MAX: u32 = 100;

    /// The label used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::UnexpectedAnswer(_) => "unexpected_answer",
            Self::BrokenHeaderRun => "broken_header_run",
            Self::UnrequestedBlock => "unrequested_block",
            Self::Refused(_) => "refused",
            Self::NoAnswer(_) => "no_answer",
            Self::Stalling => "stalling",
            Self::FalseClaim => "false_claim",
            Self::Flood => "flood",
        }
    }

    /// What an honest peer does too when the line between us fails: it is cut off and refused for a minute, not for as long as a
    /// liar. Otherwise both ends of every silent line would shut each other out for an hour (SPEC 10.6).
    #[must_use]
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::Stalling)
    }

    /// The price. What an honest peer behind a bad line also does is cheap; what only a liar does is not.
    #[must_use]
    pub const fn points(self) -> u32 {
        match self {
            Self::Garbage | Self::UnexpectedAnswer(_) | Self::BrokenHeaderRun | Self::UnrequestedBlock => {
                Self::POINTS_MAX
            }
            Self::Refused(points) => points,
            Self::NoAnswer(_) => 34,
            Self::Stalling => 20,
            Self::FalseClaim => 10,
            Self::Flood => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variant with its price. A new variant does not compile until it has a line here.
    #[test]
    fn every_misbehaviour_has_its_price() {
        let price = |misbehavior: Misbehavior| match misbehavior {
            Misbehavior::Garbage => 100,
            Misbehavior::UnexpectedAnswer(_) => 100,
            Misbehavior::BrokenHeaderRun => 100,
            Misbehavior::UnrequestedBlock => 100,
            Misbehavior::Refused(points) => points,
            Misbehavior::NoAnswer(_) => 34,
            Misbehavior::Stalling => 20,
            Misbehavior::FalseClaim => 10,
            Misbehavior::Flood => 1,
        };
        let of_kinds =
            Kind::ALL.into_iter().flat_map(|kind| [Misbehavior::UnexpectedAnswer(kind), Misbehavior::NoAnswer(kind)]);
        let others = [
            Misbehavior::Garbage,
            Misbehavior::BrokenHeaderRun,
            Misbehavior::UnrequestedBlock,
            Misbehavior::Stalling,
            Misbehavior::FalseClaim,
            Misbehavior::Flood,
        ];
        for misbehavior in of_kinds.chain(others).chain((0..=100).map(Misbehavior::Refused)) {
            assert_eq!(misbehavior.points(), price(misbehavior), "{misbehavior:?}");
            assert!(misbehavior.points() <= Misbehavior::POINTS_MAX);
        }
    }

    #[test]
    fn only_silence_is_what_a_broken_line_sounds_like() {
        for kind in Kind::ALL {
            assert!(Misbehavior::NoAnswer(kind).is_silence());
            assert!(!Misbehavior::UnexpectedAnswer(kind).is_silence());
        }
        assert!(Misbehavior::Stalling.is_silence());
        for lie in [Misbehavior::Garbage, Misbehavior::Refused(100), Misbehavior::FalseClaim, Misbehavior::Flood] {
            assert!(!lie.is_silence(), "{lie}");
        }
    }
}

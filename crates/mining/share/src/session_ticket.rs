use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a miner may show when it comes back (SPEC 11.14): a name, and a tag that only the server can compute for it. Whether it is one of the
/// server's is not known here.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTicket {
    /// Of which connection it is.
    pub id: SessionTicketId,
    /// What shows that the server made it.
    pub tag: [u8; 16],
}

/// Names a ticket. It resumes nothing, and may be written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionTicketId(pub u64);

/// Text that is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session ticket is 48 hex digits, its name 16")]
pub struct ParseSessionTicketError;

const ID_DIGITS: usize = 16;

impl fmt::Display for SessionTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, hex::encode(self.tag))
    }
}

/// A log must not show the tag.
impl fmt::Debug for SessionTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionTicket({})", self.id)
    }
}

impl FromStr for SessionTicket {
    type Err = ParseSessionTicketError;

    fn from_str(text: &str) -> Result<Self, ParseSessionTicketError> {
        let (id, tag) = text.split_at_checked(ID_DIGITS).ok_or(ParseSessionTicketError)?;
        Ok(Self { id: id.parse()?, tag: bytes(tag)? })
    }
}

impl fmt::Display for SessionTicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SessionTicketId {
    type Err = ParseSessionTicketError;

    fn from_str(text: &str) -> Result<Self, ParseSessionTicketError> {
        bytes(text).map(u64::from_be_bytes).map(Self)
    }
}

fn bytes<const N: usize>(digits: &str) -> Result<[u8; N], ParseSessionTicketError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseSessionTicketError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_is_written() {
        let ticket =
            SessionTicket { id: SessionTicketId(0x0102), tag: std::array::from_fn(|n| u8::try_from(n).unwrap()) };
        let text = ticket.to_string();
        assert_eq!(text, "0000000000000102000102030405060708090a0b0c0d0e0f");
        assert_eq!(text.parse(), Ok(ticket));
        assert_eq!(text.to_uppercase().parse(), Ok(ticket), "some firmware writes capitals");
        assert_eq!(format!("{ticket:?}"), "SessionTicket(0000000000000102)", "its tag is in no log");
        for bad in [
            &text[1..],
            &format!("{text}0"),
            &text.replace('f', "g"),
            "c0ffee01",
            "EthereumStratum/1.0.0",
            "\u{e4}",
            "",
        ] {
            assert_eq!(bad.parse::<SessionTicket>(), Err(ParseSessionTicketError), "{bad}");
        }
    }
}

use std::fmt;

use bq_primitives::tagged_hash;
use bq_share::{SessionTicket, SessionTicketId};
use subtle::ConstantTimeEq as _;

/// The server's own secret, without which nobody makes a ticket that it takes (SPEC 11.14).
#[derive(Clone, Copy)]
pub struct TicketKey(pub [u8; 32]);

impl TicketKey {
    /// The ticket of this name.
    #[must_use]
    pub fn ticket(&self, id: SessionTicketId) -> SessionTicket {
        let hash = tagged_hash("BQ/session-ticket", &[&self.0, &id.0.to_be_bytes()]);
        let [tag @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
        SessionTicket { id, tag }
    }

    /// Whether the server made it; takes as long either way.
    #[must_use]
    pub fn made(&self, ticket: &SessionTicket) -> bool {
        self.ticket(ticket.id).tag.ct_eq(&ticket.tag).into()
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_of_its_key_and_its_name() {
        let (ours, theirs) = (TicketKey([1; 32]), TicketKey([2; 32]));
        let ticket = ours.ticket(SessionTicketId(7));
        assert!(ours.made(&ticket) && !theirs.made(&ticket));
        for bit in 0..128 {
            let mut forged = ticket;
            forged.tag[bit / 8] ^= 1 << (bit % 8);
            assert!(!ours.made(&forged), "bit {bit}");
        }
        for id in [0, 6, 8, 7 << 32] {
            assert!(!ours.made(&SessionTicket { id: SessionTicketId(id), ..ticket }), "the tag of another name");
        }
        assert_eq!(format!("{ours:?}"), "TicketKey");
    }
}

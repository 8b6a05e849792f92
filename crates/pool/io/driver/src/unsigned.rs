use std::collections::BTreeMap;

use bq_pool_machine::PayoutId;

/// Why payouts are not signed. Each keeps its reason until it is signed or not open any more, whatever comes of others.
#[derive(Debug, Default)]
pub(crate) struct Unsigned {
    /// By payout: which refusal it was, and the newest reason.
    refused: BTreeMap<PayoutId, (u64, String)>,
    next: u64,
    /// Why the signer is not told of the log.
    untold: Option<String>,
}

impl Unsigned {
    pub(crate) fn refuse(&mut self, id: PayoutId, reason: String) {
        let order = self.next;
        self.next = order.saturating_add(1);
        self.refused.entry(id).or_insert((order, String::new())).1 = reason;
    }

    pub(crate) fn signed(&mut self, id: PayoutId) {
        self.refused.remove(&id);
    }

    pub(crate) fn told(&mut self, failure: Option<String>) {
        self.untold = failure;
    }

    /// The reason of who is refused for longest, of those that still want to be signed.
    pub(crate) fn reason(&mut self, is_wanted: impl Fn(PayoutId) -> bool) -> Option<String> {
        self.refused.retain(|id, _| is_wanted(*id));
        let oldest = self.refused.values().min_by_key(|(order, _)| *order).map(|(_, reason)| reason);
        oldest.or(self.untold.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_ends_no_others_refusal() {
        let [first, second, third] = [1, 2, 3].map(PayoutId);
        let mut unsigned = Unsigned::default();
        unsigned.refuse(second, "payout_cap of 2".to_owned());
        unsigned.refuse(first, "payout_cap of 1".to_owned());
        unsigned.signed(third);
        unsigned.told(None);
        assert_eq!(unsigned.reason(|_| true).as_deref(), Some("payout_cap of 2"));
        // Refused again it is no newer, and says what holds now.
        unsigned.refuse(second, "day_cap of 2".to_owned());
        assert_eq!(unsigned.reason(|_| true).as_deref(), Some("day_cap of 2"));
        unsigned.signed(second);
        assert_eq!(unsigned.reason(|_| true).as_deref(), Some("payout_cap of 1"));
        assert_eq!(unsigned.reason(|id| id != first), None, "it is not open any more");
        unsigned.told(Some("no signer".to_owned()));
        assert_eq!(unsigned.reason(|_| true).as_deref(), Some("no signer"));
        unsigned.told(None);
        assert_eq!(unsigned.reason(|_| true), None);
    }
}

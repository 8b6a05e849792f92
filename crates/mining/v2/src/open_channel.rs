use bq_channel::Channel;
use bq_primitives::{KeyHash, ShareDifficulty, WorkerName};
use bq_share::{ExtranoncePrefix, Job};
use mining_sv2::SubmitSharesSuccess;

use crate::reply;

/// Names a channel within its connection. Groups are named from the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

/// Bytes of X that an extended channel rolls.
pub(crate) const EXTRANONCE_BYTES: u16 = 8;

/// Who rolls the second half of X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody: it is zero.
    Standard,
    /// The miner.
    Extended,
}

/// A channel that was opened.
#[derive(Debug)]
pub(crate) struct OpenChannel {
    pub(crate) channel: Channel,
    pub(crate) kind: Kind,
    pub(crate) payee: KeyHash,
    pub(crate) worker: WorkerName,
    /// What the miner was told last.
    pub(crate) told: ShareDifficulty,
    /// What was remembered of its difficulty last.
    pub(crate) remembered: Option<ShareDifficulty>,
    /// Accepted shares that the miner was not told of.
    unacknowledged: Unacknowledged,
}

/// Accepted shares that one `SubmitShares.Success` tells of.
#[derive(Debug, Default)]
struct Unacknowledged {
    last_sequence: u32,
    count: u32,
    /// Hashes, with what the last messages had to leave of a whole unit.
    hashes: u64,
}

impl OpenChannel {
    pub(crate) fn new(
        channel: Channel,
        kind: Kind,
        (payee, worker): (KeyHash, WorkerName),
        told: ShareDifficulty,
    ) -> Self {
        Self { channel, kind, payee, worker, told, remembered: None, unacknowledged: Unacknowledged::default() }
    }

    /// What the miner may not roll of X: the channel's number, and for a standard channel all that follows.
    pub(crate) fn extranonce_prefix(kind: Kind, prefix: ExtranoncePrefix) -> Vec<u8> {
        let rest = if kind == Kind::Standard { usize::from(EXTRANONCE_BYTES) } else { 0 };
        [prefix.extranonce1().as_slice(), &vec![0; rest]].concat()
    }

    /// The target that goes before `job`, if the miner does not know it.
    pub(crate) fn new_target(&mut self, id: ChannelId, job: &Job) -> Option<Vec<u8>> {
        let is_known = std::mem::replace(&mut self.told, job.difficulty) == job.difficulty;
        if is_known { None } else { reply::set_target(id, job.difficulty) }
    }

    pub(crate) fn job_message(&self, id: ChannelId, job: &Job, is_future: bool) -> Option<Vec<u8>> {
        match self.kind {
            Kind::Standard => reply::standard_job(id, job, is_future),
            Kind::Extended => reply::extended_job(id, job, is_future),
        }
    }

    /// A share was accepted; the miner hears of it with the next [`OpenChannel::acknowledge`].
    pub(crate) fn accepted(&mut self, sequence: u32, difficulty: ShareDifficulty) {
        let new = &mut self.unacknowledged;
        new.last_sequence = if new.count == 0 { sequence } else { new.last_sequence.max(sequence) };
        new.count = new.count.saturating_add(1);
        new.hashes = new.hashes.saturating_add(difficulty.hashes());
    }

    /// Tells of everything that was accepted since the last time. Sums are in units of 2^32 hashes, what is left of one counts with
    /// the next: they stay exact over many messages.
    pub(crate) fn acknowledge(&mut self, id: ChannelId) -> Option<Vec<u8>> {
        let new = &mut self.unacknowledged;
        let count = std::mem::take(&mut new.count);
        let units = new.hashes >> 32;
        new.hashes &= u64::from(u32::MAX);
        let message = SubmitSharesSuccess {
            channel_id: id.0,
            last_sequence_number: new.last_sequence,
            new_submits_accepted_count: count,
            new_shares_sum: units,
        };
        if count == 0 { None } else { reply::shares_accepted(message) }
    }

    /// Where this worker stands, if that is worth remembering.
    pub(crate) fn settled(&self) -> Option<(KeyHash, WorkerName, ShareDifficulty)> {
        self.channel.settled_difficulty().map(|difficulty| (self.payee, self.worker.clone(), difficulty))
    }
}

#[cfg(test)]
mod tests {
    use bq_share::{ExtranoncePrefix, UnixMs};

    use super::*;

    #[test]
    fn every_prefix_is_the_channels_number_and_all_channels_have_as_many_bytes() {
        let prefix = ExtranoncePrefix { server_id: 1, connection: 0x0102_0304 };
        let standard = OpenChannel::extranonce_prefix(Kind::Standard, prefix);
        let extended = OpenChannel::extranonce_prefix(Kind::Extended, prefix);
        assert_eq!(extended, [1, 2, 3, 4]);
        assert_eq!(standard, [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(standard.len(), extended.len() + usize::from(EXTRANONCE_BYTES));
    }

    #[test]
    fn sums_of_many_small_shares_lose_nothing() {
        let seed =
            bq_channel::ChannelSeed { prefix: ExtranoncePrefix { server_id: 1, connection: 1 }, first_job_id: 0 };
        let channel = Channel::new(UnixMs(0), bq_primitives::Algorithm::Sha256d, std::sync::Arc::default(), seed);
        let payee = (KeyHash([0; 32]), WorkerName::default());
        let mut open = OpenChannel::new(channel, Kind::Standard, payee, ShareDifficulty::MIN);
        let mut sum = 0;
        for sequence in 0..16 {
            open.accepted(sequence, ShareDifficulty::from_hashes(3 << 30));
            let bytes = open.acknowledge(ChannelId(2)).unwrap();
            sum += u64::from_le_bytes(bytes[bytes.len() - 8..].try_into().unwrap());
            assert!(open.acknowledge(ChannelId(2)).is_none());
        }
        assert_eq!(sum, 12, "sixteen of three quarters");
    }
}

//! Channels come, change and go.

use std::sync::Arc;

use bq_channel::{
    Channel, ChannelSeed, CloseReason, FrameKind, Login, LoginTicket, Stake, from_units, of_target, parse_units,
    password_token, split_options,
};
use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, U256, WorkerName};
use bq_share::{ExtranoncePrefix, UnixMs};
use mining_sv2::{
    ERROR_CODE_OPEN_MINING_CHANNEL_CHANNEL_CAPACITY_EXHAUSTED,
    ERROR_CODE_OPEN_MINING_CHANNEL_EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS,
    ERROR_CODE_OPEN_MINING_CHANNEL_INVALID_NOMINAL_HASHRATE, ERROR_CODE_OPEN_MINING_CHANNEL_INVALID_USER_IDENTITY,
    ERROR_CODE_OPEN_MINING_CHANNEL_MAX_TARGET_OUT_OF_RANGE,
    ERROR_CODE_OPEN_MINING_CHANNEL_MIN_EXTRANONCE_SIZE_TOO_LARGE, ERROR_CODE_OPEN_MINING_CHANNEL_UNKNOWN_USER,
    ERROR_CODE_UPDATE_CHANNEL_INVALID_CHANNEL_ID, ERROR_CODE_UPDATE_CHANNEL_INVALID_NOMINAL_HASHRATE,
    ERROR_CODE_UPDATE_CHANNEL_MAX_TARGET_OUT_OF_RANGE, OpenExtendedMiningChannel, OpenStandardMiningChannel,
    UpdateChannel,
};

use super::{ChannelOutcome, GROUP, Output, Session, Setup};
use crate::{
    open_channel::{ChannelId, EXTRANONCE_BYTES, Kind, OpenChannel},
    reply,
};

/// A channel that waits for the pool's answer.
#[derive(Debug)]
pub(super) struct Opening {
    ticket: u64,
    request_id: u32,
    kind: Kind,
    address: String,
    worker: WorkerName,
    pinned: Option<ShareDifficulty>,
    wishes: Wishes,
}

/// What a client says of its speed.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    /// Hashes per second; nothing if it does not say.
    speed: Option<f32>,
    /// The hardest that its largest target allows to be easy: no share may be worth less.
    least: ShareDifficulty,
}

/// What is asked for when a channel is opened, whichever kind it is.
struct Wanted<'a> {
    request_id: u32,
    kind: Kind,
    user: &'a [u8],
    hash_rate: f32,
    max_target: U256,
}

type ErrorCode = &'static str;

/// The protocol has no word for a token that is missing or wrong, and `unknown-user` sends people to look at their address.
const ERROR_CODE_BAD_TOKEN: ErrorCode = "invalid-worker-token";

fn refused(user: String, worker: Option<WorkerName>, reason: String) -> Output {
    Output::Common(bq_channel::Output::login_refused(user, worker, reason))
}

impl Session {
    pub(super) fn open_standard(&mut self, open: &OpenStandardMiningChannel<'_>) {
        self.open(&Wanted {
            request_id: open.request_id,
            kind: Kind::Standard,
            user: open.user_identity.as_bytes(),
            hash_rate: open.nominal_hash_rate,
            max_target: U256::from_le_bytes(*open.max_target.as_array()),
        });
    }

    pub(super) fn open_extended(&mut self, setup: Setup, open: &OpenExtendedMiningChannel<'_>) {
        if setup.wants_standard_jobs {
            let code = ERROR_CODE_OPEN_MINING_CHANNEL_EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS;
            return self.reply(reply::open_error(open.request_id, code));
        }
        if open.min_extranonce_size > EXTRANONCE_BYTES {
            let code = ERROR_CODE_OPEN_MINING_CHANNEL_MIN_EXTRANONCE_SIZE_TOO_LARGE;
            return self.reply(reply::open_error(open.request_id, code));
        }
        self.open(&Wanted {
            request_id: open.request_id,
            kind: Kind::Extended,
            user: open.user_identity.as_bytes(),
            hash_rate: open.nominal_hash_rate,
            max_target: U256::from_le_bytes(*open.max_target.as_array()),
        });
    }

    fn open(&mut self, wanted: &Wanted<'_>) {
        if let Err(code) = self.ask(wanted) {
            self.reply(reply::open_error(wanted.request_id, code));
        }
    }

    /// Asks whether the channel may be opened.
    fn ask(&mut self, wanted: &Wanted<'_>) -> Result<(), ErrorCode> {
        if self.channels() >= self.policy.channels_max.max(1) {
            return Err(ERROR_CODE_OPEN_MINING_CHANNEL_CHANNEL_CAPACITY_EXHAUSTED);
        }
        let wishes = Wishes::read(wanted.hash_rate, wanted.max_target)
            .ok_or(ERROR_CODE_OPEN_MINING_CHANNEL_INVALID_NOMINAL_HASHRATE)?;
        let invalid = ERROR_CODE_OPEN_MINING_CHANNEL_INVALID_USER_IDENTITY;
        let user = std::str::from_utf8(wanted.user).map_err(|_| invalid)?;
        // What V1 has in the password follows the name here.
        let (name, options) = split_options(user);
        let read = Login::parse(name).and_then(|login| Ok((login.wanted(options, parse_units)?, login)));
        let (pinned, login) = read.map_err(|error| {
            self.outputs.push_back(refused(name.to_owned(), None, error.to_string()));
            invalid
        })?;
        let token = password_token(options);
        let worker = login.worker.clone().unwrap_or_default();
        let ticket = self.next_ticket();
        let (request_id, kind) = (wanted.request_id, wanted.kind);
        let address = login.address.clone();
        self.opening.push(Opening { ticket, request_id, kind, address, worker: worker.clone(), pinned, wishes });
        self.outputs.push_back(Output::Open { ticket: LoginTicket(ticket), address: login.address, worker, token });
        Ok(())
    }

    /// The answer to [`Output::Open`].
    pub fn handle_channel(&mut self, now: UnixMs, ticket: LoginTicket, outcome: ChannelOutcome) {
        let Some(index) = self.opening.iter().position(|opening| opening.ticket == ticket.0) else { return };
        let opening = self.opening.swap_remove(index);
        let refusal = match outcome {
            ChannelOutcome::Granted { prefix, payee, remembered } => {
                // No message of V2 has a field that would bring a ticket back (SPEC 11.14, 7).
                let stake = Stake { payee, pinned: opening.pinned, remembered, trust: None };
                let own = ChannelSeed { prefix, first_job_id: self.seed.first_job_id };
                return self.granted(now, opening, own, stake);
            }
            ChannelOutcome::Unavailable => return self.close(CloseReason::Unavailable),
            ChannelOutcome::Refused(reason) => {
                self.outputs.push_back(refused(opening.address, Some(opening.worker), reason));
                ERROR_CODE_OPEN_MINING_CHANNEL_UNKNOWN_USER
            }
            ChannelOutcome::BadToken(reason) => {
                self.outputs.push_back(refused(opening.address, Some(opening.worker), reason));
                ERROR_CODE_BAD_TOKEN
            }
            ChannelOutcome::Full => ERROR_CODE_OPEN_MINING_CHANNEL_CHANNEL_CAPACITY_EXHAUSTED,
        };
        self.reply(reply::open_error(opening.request_id, refusal));
    }

    fn granted(&mut self, now: UnixMs, opening: Opening, own: ChannelSeed, stake: Stake) {
        let Opening { request_id, kind, worker, wishes, .. } = opening;
        let mut channel = Channel::new(now, Algorithm::Sha256d, Arc::clone(&self.policy.common), own);
        channel.set_template(now, self.template.clone());
        channel.grant(now, stake);
        if let (Some(speed), None, None) = (wishes.speed, stake.pinned, stake.remembered) {
            channel.suggest(now, self.seeking_difficulty(speed));
        }
        let is_kept = wishes.least == ShareDifficulty::MIN || channel.want_at_least(Some(wishes.least));
        let Some(told) = channel.next_difficulty().filter(|_| is_kept) else {
            let code = ERROR_CODE_OPEN_MINING_CHANNEL_MAX_TARGET_OUT_OF_RANGE;
            self.outputs.push_back(Output::Closed { prefix: own.prefix, settled: None });
            return self.reply(reply::open_error(request_id, code));
        };
        let Some(id) = self.new_channel_id() else { return self.close(CloseReason::WorkExhausted) };
        self.presence.note_login(now);
        let prefix = OpenChannel::extranonce_prefix(kind, own.prefix);
        self.reply(reply::opened(request_id, id, GROUP, kind, &prefix, told));
        self.channels.insert(id, OpenChannel::new(channel, kind, (stake.payee, worker), told));
        self.push_job(now, id);
    }

    /// Numbers are never used twice on a connection: what is on its way to a closed channel must not reach another.
    fn new_channel_id(&mut self) -> Option<ChannelId> {
        self.last_channel = self.last_channel.checked_add(1)?;
        Some(ChannelId(self.last_channel))
    }

    /// A miner of this speed is measured with shares that come as fast as those of any other that seeks (SPEC 11.8).
    fn seeking_difficulty(&self, speed: f32) -> ShareDifficulty {
        let span_ms = u32::try_from(self.policy.common.vardiff.seek_interval_ms).unwrap_or(u32::MAX);
        let hashes = f64::from(speed) * f64::from(span_ms) / 1_000.0;
        from_units(hashes / UNIT).unwrap_or(ShareDifficulty::MIN)
    }

    pub(super) fn update_channel(&mut self, now: UnixMs, update: &UpdateChannel<'_>) {
        let id = ChannelId(update.channel_id);
        let max_target = U256::from_le_bytes(*update.maximum_target.as_array());
        if let Err(code) = self.update(now, id, update.nominal_hash_rate, max_target) {
            return self.reply(reply::update_error(id, code));
        }
        self.push_job(now, id);
    }

    fn update(&mut self, now: UnixMs, id: ChannelId, hash_rate: f32, max_target: U256) -> Result<(), ErrorCode> {
        let wishes = Wishes::read(hash_rate, max_target).ok_or(ERROR_CODE_UPDATE_CHANNEL_INVALID_NOMINAL_HASHRATE)?;
        let suggestion = wishes.speed.map(|speed| self.seeking_difficulty(speed));
        let open = self.channels.get_mut(&id).ok_or(ERROR_CODE_UPDATE_CHANNEL_INVALID_CHANNEL_ID)?;
        let before = open.channel.least_wanted();
        if !open.channel.want_at_least(Some(wishes.least)) {
            open.channel.want_at_least(before);
            return Err(ERROR_CODE_UPDATE_CHANNEL_MAX_TARGET_OUT_OF_RANGE);
        }
        if let Some(difficulty) = suggestion {
            open.channel.suggest(now, difficulty);
        }
        Ok(())
    }

    /// The client wants a channel closed, or all of its group.
    pub(super) fn close_channels(&mut self, id: ChannelId) {
        let ids: Vec<ChannelId> = if id == GROUP { self.channels.keys().copied().collect() } else { vec![id] };
        for id in ids {
            self.forget(id);
        }
    }

    /// The caller wants the channel of this number closed and its client told `why`. Returns account and machine; nothing if no channel
    /// has the number.
    pub fn end_channel_of(&mut self, prefix: ExtranoncePrefix, why: &str) -> Option<(KeyHash, WorkerName)> {
        let mut open = self.channels.iter().filter(|(_, open)| open.channel.prefix() == prefix);
        let (id, payee, worker) = open.next().map(|(id, open)| (*id, open.payee, open.worker.clone()))?;
        self.end_channel(id, why);
        Some((payee, worker))
    }

    /// A channel cannot go on.
    pub(super) fn end_channel(&mut self, id: ChannelId, why: &str) {
        if let Some(open) = self.channels.get_mut(&id) {
            let accepted = open.acknowledge(id);
            self.reply(accepted);
        }
        self.send(FrameKind::Control, reply::close(id, why));
        self.forget(id);
    }

    fn forget(&mut self, id: ChannelId) {
        if let Some(open) = self.channels.remove(&id) {
            self.outputs.push_back(Output::Closed { prefix: open.channel.prefix(), settled: open.settled() });
        }
    }
}

/// Hashes in the unit of [`from_units`].
const UNIT: f64 = 4_294_967_296.0;

impl Wishes {
    /// Nothing if the speed is no number that a machine can have.
    fn read(hash_rate: f32, max_target: U256) -> Option<Self> {
        let is_speed = hash_rate.is_finite() && hash_rate >= 0.0;
        let least = least_of(max_target);
        is_speed.then(|| Self { speed: Some(hash_rate).filter(|speed| *speed > 0.0), least })
    }
}

/// The easiest difficulty whose target is not above `max_target`.
fn least_of(max_target: U256) -> ShareDifficulty {
    let least = of_target(max_target);
    if reply::told_target(least).0 <= max_target {
        least
    } else {
        ShareDifficulty::from_hashes(least.hashes().saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_never_easier_than_the_largest_target() {
        let told = |hashes| reply::told_target(ShareDifficulty::from_hashes(hashes)).0;
        for hashes in [1_u64, 2, 3, 1_000, 1 << 24, (1 << 40) + 7] {
            assert_eq!(least_of(told(hashes)), ShareDifficulty::from_hashes(hashes), "{hashes}");
            let least = least_of(told(hashes) - U256::ONE);
            assert_eq!(least, ShareDifficulty::from_hashes(hashes + 1), "{hashes}");
        }
        assert_eq!(least_of(U256::MAX), ShareDifficulty::MIN);
        assert_eq!(least_of(U256::ZERO), ShareDifficulty::from_hashes(u64::MAX));
    }
}

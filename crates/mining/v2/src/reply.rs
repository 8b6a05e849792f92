//! What a pool says, as plain frames. Each function is one message; nothing here decides.

use binary_sv2::{GetSize, Serialize, Str0255Owned, Sv2OptionOwned};
use bq_primitives::{ShareDifficulty, Target};
use bq_share::{Job, JobWork, share_target};
use common_messages_sv2::{
    MESSAGE_TYPE_SETUP_CONNECTION_ERROR, MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, SetupConnectionErrorOwned,
    SetupConnectionSuccess,
};
use framing_sv2::framing::{EncodableFrame as _, MessageFrame};
use mining_sv2::{
    CHANNEL_BIT_CLOSE_CHANNEL, CHANNEL_BIT_MINING_SET_NEW_PREV_HASH, CHANNEL_BIT_NEW_EXTENDED_MINING_JOB,
    CHANNEL_BIT_NEW_MINING_JOB, CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS,
    CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR, CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS,
    CHANNEL_BIT_SET_CUSTOM_MINING_JOB_ERROR, CHANNEL_BIT_SET_TARGET, CHANNEL_BIT_SUBMIT_SHARES_ERROR,
    CHANNEL_BIT_SUBMIT_SHARES_SUCCESS, CHANNEL_BIT_UPDATE_CHANNEL_ERROR, CloseChannelOwned, MESSAGE_TYPE_CLOSE_CHANNEL,
    MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, MESSAGE_TYPE_NEW_MINING_JOB,
    MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS, MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR,
    MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS, MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_ERROR,
    MESSAGE_TYPE_SET_TARGET, MESSAGE_TYPE_SUBMIT_SHARES_ERROR, MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS,
    MESSAGE_TYPE_UPDATE_CHANNEL_ERROR, NewExtendedMiningJobOwned, NewMiningJobOwned,
    OpenExtendedMiningChannelSuccessOwned, OpenMiningChannelErrorOwned, OpenStandardMiningChannelSuccessOwned,
    SetCustomMiningJobErrorOwned, SetNewPrevHashOwned, SetTargetOwned, SubmitSharesErrorOwned, SubmitSharesSuccess,
    UpdateChannelErrorOwned,
};

use crate::open_channel::{ChannelId, EXTRANONCE_BYTES, Kind};

/// Zeros where miners roll, as for V1.
pub(crate) const JOB_VERSION: u32 = 0x2000_0000;
/// The version of the protocol that is spoken.
pub(crate) const PROTOCOL_VERSION: u16 = 2;

pub(crate) fn setup_success() -> Option<Vec<u8>> {
    let message = SetupConnectionSuccess { used_version: PROTOCOL_VERSION, flags: 0 };
    frame(message, MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, false)
}

pub(crate) fn setup_error(flags: u32, code: &str) -> Option<Vec<u8>> {
    let message = SetupConnectionErrorOwned { flags, error_code: text(code)? };
    frame(message, MESSAGE_TYPE_SETUP_CONNECTION_ERROR, false)
}

pub(crate) fn opened(
    request_id: u32,
    channel: ChannelId,
    group: ChannelId,
    kind: Kind,
    prefix: &[u8],
    difficulty: ShareDifficulty,
) -> Option<Vec<u8>> {
    let (extranonce_prefix, target) = (prefix.to_vec().try_into().ok()?, target_bytes(told_target(difficulty)).into());
    let (channel_id, group_channel_id) = (channel.0, group.0);
    match kind {
        Kind::Standard => frame(
            OpenStandardMiningChannelSuccessOwned {
                request_id,
                channel_id,
                target,
                extranonce_prefix,
                group_channel_id,
            },
            MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS,
            CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS,
        ),
        Kind::Extended => frame(
            OpenExtendedMiningChannelSuccessOwned {
                request_id,
                channel_id,
                target,
                extranonce_size: EXTRANONCE_BYTES,
                extranonce_prefix,
                group_channel_id,
            },
            MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS,
            CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS,
        ),
    }
}

pub(crate) fn open_error(request_id: u32, code: &str) -> Option<Vec<u8>> {
    let message = OpenMiningChannelErrorOwned { request_id, error_code: text(code)? };
    frame(message, MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR, CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR)
}

pub(crate) fn update_error(channel: ChannelId, code: &str) -> Option<Vec<u8>> {
    let message = UpdateChannelErrorOwned { channel_id: channel.0, error_code: text(code)? };
    frame(message, MESSAGE_TYPE_UPDATE_CHANNEL_ERROR, CHANNEL_BIT_UPDATE_CHANNEL_ERROR)
}

pub(crate) fn close(channel: ChannelId, reason: &str) -> Option<Vec<u8>> {
    let message = CloseChannelOwned { channel_id: channel.0, reason_code: text(reason)? };
    frame(message, MESSAGE_TYPE_CLOSE_CHANNEL, CHANNEL_BIT_CLOSE_CHANNEL)
}

pub(crate) fn custom_job_error(channel_id: u32, request_id: u32, code: &str) -> Option<Vec<u8>> {
    let message = SetCustomMiningJobErrorOwned { channel_id, request_id, error_code: text(code)? };
    frame(message, MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_ERROR, CHANNEL_BIT_SET_CUSTOM_MINING_JOB_ERROR)
}

pub(crate) fn set_target(channel: ChannelId, difficulty: ShareDifficulty) -> Option<Vec<u8>> {
    let maximum_target = target_bytes(told_target(difficulty)).into();
    let message = SetTargetOwned { channel_id: channel.0, maximum_target };
    frame(message, MESSAGE_TYPE_SET_TARGET, CHANNEL_BIT_SET_TARGET)
}

/// A job for one standard channel. `is_future`: it waits for its [`new_prev_hash`].
pub(crate) fn standard_job(channel: ChannelId, job: &Job, is_future: bool) -> Option<Vec<u8>> {
    let JobWork::Sha256d { head, ntime } = job.work else { return None };
    let message = NewMiningJobOwned {
        channel_id: channel.0,
        job_id: job.id.0,
        min_ntime: Sv2OptionOwned::new((!is_future).then_some(ntime)),
        version: JOB_VERSION,
        merkle_root: work_root(job, head).into(),
    };
    frame(message, MESSAGE_TYPE_NEW_MINING_JOB, CHANNEL_BIT_NEW_MINING_JOB)
}

/// A job for an extended channel or a whole group. The four bytes of X that are the job's end the prefix; the channel's own
/// follow them as its extranonce prefix (SPEC 11.10).
pub(crate) fn extended_job(channel: ChannelId, job: &Job, is_future: bool) -> Option<Vec<u8>> {
    let JobWork::Sha256d { head: [a, b, c, d, ..], ntime } = job.work else { return None };
    let parts = bq_pow::coinbase_parts(&job.template.seal_hash, job.template.header.height);
    let prefix = [parts.prefix.as_slice(), &[a, b, c, d]].concat();
    let message = NewExtendedMiningJobOwned {
        channel_id: channel.0,
        job_id: job.id.0,
        min_ntime: Sv2OptionOwned::new((!is_future).then_some(ntime)),
        version: JOB_VERSION,
        version_rolling_allowed: true,
        merkle_path: Vec::new().try_into().ok()?,
        coinbase_tx_prefix: prefix.try_into().ok()?,
        coinbase_tx_suffix: parts.suffix.to_vec().try_into().ok()?,
    };
    frame(message, MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, CHANNEL_BIT_NEW_EXTENDED_MINING_JOB)
}

pub(crate) fn new_prev_hash(channel: ChannelId, job: &Job) -> Option<Vec<u8>> {
    let JobWork::Sha256d { ntime, .. } = job.work else { return None };
    let header = &job.template.header;
    let message = SetNewPrevHashOwned {
        channel_id: channel.0,
        job_id: job.id.0,
        prev_hash: header.parent_id.0.into(),
        min_ntime: ntime,
        nbits: header.bits.0,
    };
    frame(message, MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, CHANNEL_BIT_MINING_SET_NEW_PREV_HASH)
}

pub(crate) fn shares_accepted(message: SubmitSharesSuccess) -> Option<Vec<u8>> {
    frame(message, MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS, CHANNEL_BIT_SUBMIT_SHARES_SUCCESS)
}

pub(crate) fn share_refused(channel_id: u32, sequence_number: u32, code: &str) -> Option<Vec<u8>> {
    let message = SubmitSharesErrorOwned { channel_id, sequence_number, error_code: text(code)? };
    frame(message, MESSAGE_TYPE_SUBMIT_SHARES_ERROR, CHANNEL_BIT_SUBMIT_SHARES_ERROR)
}

/// The largest value that is a share: what the judge compares with, not one more (SPEC 11.10).
pub(crate) fn told_target(difficulty: ShareDifficulty) -> Target {
    share_target(bq_primitives::Algorithm::Sha256d, difficulty)
}

fn target_bytes(target: Target) -> [u8; 32] {
    target.0.to_le_bytes()
}

/// A standard channel rolls nothing of X: the miner's half is zero.
fn work_root(job: &Job, [a, b, c, d, e, f, g, h]: [u8; 8]) -> [u8; 32] {
    let extranonce = bq_primitives::ExtraNonce([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]);
    bq_pow::sha256d_work_root(&job.template.seal_hash, job.template.header.height, &extranonce)
}

fn text(words: &str) -> Option<Str0255Owned> {
    words.try_into().ok()
}

/// Nothing if a message cannot be written, which none of these can be.
fn frame<T: Serialize + GetSize>(message: T, kind: u8, channel_bit: bool) -> Option<Vec<u8>> {
    let frame = MessageFrame::from_message(message, kind, 0, channel_bit).ok()?;
    let mut bytes = vec![0; frame.encoded_length()];
    frame.encode_into(&mut bytes).ok()?;
    Some(bytes)
}

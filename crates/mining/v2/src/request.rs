//! What a client says.

use binary_sv2::{Deserialize, from_bytes};
use common_messages_sv2::{MESSAGE_TYPE_SETUP_CONNECTION, SetupConnection};
use framing_sv2::header::Header;
use mining_sv2::{
    CloseChannel, MESSAGE_TYPE_CLOSE_CHANNEL, MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL,
    MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL, MESSAGE_TYPE_SET_CUSTOM_MINING_JOB, MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED,
    MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, MESSAGE_TYPE_UPDATE_CHANNEL, OpenExtendedMiningChannel,
    OpenStandardMiningChannel, SetCustomMiningJob, SubmitSharesExtended, SubmitSharesStandard, UpdateChannel,
};

use crate::HEADER_BYTES;

/// A message that a pool is sent.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    Setup(SetupConnection<'a>),
    OpenStandard(OpenStandardMiningChannel<'a>),
    OpenExtended(OpenExtendedMiningChannel<'a>),
    Update(UpdateChannel<'a>),
    Close(CloseChannel<'a>),
    SubmitStandard(SubmitSharesStandard),
    SubmitExtended(SubmitSharesExtended<'a>),
    CustomJob(SetCustomMiningJob<'a>),
}

/// Why a frame is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A message or an extension that this end does not know, or one that only pools send.
    Unknown,
    /// A `SetupConnection` for a protocol that nobody has heard of.
    UnknownProtocol,
    /// The payload is not what its type says.
    Malformed,
}

impl<'a> Request<'a> {
    /// Reads a whole frame.
    pub(crate) fn parse(frame: &'a mut [u8]) -> Result<Self, Unreadable> {
        let header = Header::from_bytes(frame).map_err(|_| Unreadable::Malformed)?;
        let payload = frame.get_mut(HEADER_BYTES..).ok_or(Unreadable::Malformed)?;
        if header.ext_type_without_channel_msg() != 0 {
            return Err(Unreadable::Unknown);
        }
        match header.msg_type() {
            MESSAGE_TYPE_SETUP_CONNECTION => from_bytes(payload).map(Self::Setup).map_err(|error| match error {
                binary_sv2::Error::ValueIsNotAValidProtocol(_) => Unreadable::UnknownProtocol,
                _ => Unreadable::Malformed,
            }),
            MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL => read(payload).map(Self::OpenStandard),
            MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL => read(payload).map(Self::OpenExtended),
            MESSAGE_TYPE_UPDATE_CHANNEL => read(payload).map(Self::Update),
            MESSAGE_TYPE_CLOSE_CHANNEL => read(payload).map(Self::Close),
            MESSAGE_TYPE_SUBMIT_SHARES_STANDARD => read(payload).map(Self::SubmitStandard),
            MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED => read(payload).map(Self::SubmitExtended),
            MESSAGE_TYPE_SET_CUSTOM_MINING_JOB => read(payload).map(Self::CustomJob),
            _ => Err(Unreadable::Unknown),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(payload: &'a mut [u8]) -> Result<T, Unreadable> {
    from_bytes(payload).map_err(|_| Unreadable::Malformed)
}

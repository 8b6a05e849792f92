//! A mining device of Stratum V2, made of the public crates alone: their Noise initiator and codec, their messages, and hashing by the
//! `sha2` crate. It works on whatever channels it opens and knows nothing of the pool but its authority key.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use binary_sv2::{Deserialize, GetSize, Serialize, Str0255, Str0255Owned, from_bytes};
use codec_sv2::{
    Decrypted, ExpectsHandshakeMessage as _, Handshake, InitiatorSent, MessageFrame, NoiseDecoder, NoiseEncoder,
    TransportDecryptState, TransportEncryptState,
};
use common_messages_sv2::{Protocol, SetupConnectionOwned};
use framing_sv2::framing::SerializedFrame;
use mining_sv2::{
    CloseChannel, NewExtendedMiningJob, NewMiningJob, OpenExtendedMiningChannelOwned, OpenExtendedMiningChannelSuccess,
    OpenMiningChannelError, OpenStandardMiningChannelOwned, OpenStandardMiningChannelSuccess, SetNewPrevHash,
    SetTarget, SubmitSharesError, SubmitSharesExtendedOwned, SubmitSharesStandard, SubmitSharesSuccess,
};
use noise_sv2::Initiator;
use sha2::{Digest as _, Sha256};

/// One connection.
pub struct Device {
    stream: TcpStream,
    encoder: NoiseEncoder,
    encrypt: TransportEncryptState,
    decoder: NoiseDecoder,
    decrypt: Option<TransportDecryptState>,
    /// By number.
    pub channels: BTreeMap<u32, DeviceChannel>,
    sequence: u32,
    request: u32,
}

/// A channel as its miner sees it.
#[derive(Clone, Debug)]
pub struct DeviceChannel {
    /// Bytes that it rolls itself; none on a standard channel.
    pub extranonce_size: usize,
    /// What comes before them.
    pub prefix: Vec<u8>,
    /// Which group it belongs to.
    pub group: u32,
    /// Little-endian.
    pub target: [u8; 32],
    /// What it was told to work on, oldest first.
    pub jobs: Vec<DeviceJob>,
    /// Parent, least time, bits.
    pub prev_hash: Option<([u8; 32], u32, u32)>,
    /// The job to work on.
    pub active: Option<u32>,
}

/// A job as it came.
#[derive(Clone, Debug)]
pub struct DeviceJob {
    /// Its name.
    pub id: u32,
    /// Least time, if it is active at once.
    pub min_ntime: Option<u32>,
    version: u32,
    content: Content,
    /// The target when it came.
    pub target: [u8; 32],
    /// It came to the whole group.
    pub is_of_group: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Root([u8; 32]),
    Coinbase { prefix: Vec<u8>, suffix: Vec<u8>, path: Vec<[u8; 32]> },
}

/// What a device found.
#[derive(Clone, Debug)]
pub struct DeviceShare {
    /// Its channel.
    pub channel: u32,
    /// Its job.
    pub job: u32,
    /// What it rolled.
    pub extranonce: Vec<u8>,
    /// What it rolled.
    pub ntime: u32,
    /// What it rolled.
    pub version: u32,
    /// What it rolled.
    pub nonce: u32,
    /// It meets the network's target too.
    pub is_block: bool,
}

/// What the pool said.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named as in the protocol")]
pub enum Said {
    Opened {
        request: u32,
        channel: u32,
    },
    Refused {
        request: u32,
        code: String,
    },
    /// Something to work on, for one channel or a group.
    Work,
    Accepted {
        channel: u32,
        last_sequence: u32,
        count: u32,
    },
    Rejected {
        channel: u32,
        sequence: u32,
        code: String,
    },
    Closed {
        channel: u32,
        reason: String,
    },
    Other {
        kind: u8,
    },
}

/// Whatever is awaited comes within this.
const PATIENCE: Duration = Duration::from_secs(60);
/// A device that wants its own job on each channel.
pub const REQUIRES_STANDARD_JOBS: u32 = 1;

impl Device {
    /// Shakes hands and checks that the pool's certificate was signed by `authority`, as base58 writes it in a pool's URL.
    ///
    /// # Errors
    /// The socket, the handshake, or another's signature.
    pub fn connect(address: SocketAddr, authority: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let initiator = Initiator::from_raw_k(public_key(authority)?).map_err(|error| anyhow!("{error:?}"))?;
        let (first, sent) = Handshake::initiator(initiator).step_0().map_err(|error| anyhow!("{error}"))?;
        stream.write_all(first.payload())?;
        let mut answer = [0; InitiatorSent::EXPECTED_MESSAGE_SIZE];
        stream.read_exact(&mut answer).context("the pool's half of the handshake")?;
        let (encrypt, decrypt) = sent.step_2(answer).map_err(|error| anyhow!("{error}"))?.split();
        Ok(Self {
            stream,
            encoder: NoiseEncoder::new(),
            encrypt,
            decoder: NoiseDecoder::new(),
            decrypt: Some(decrypt),
            channels: BTreeMap::new(),
            sequence: 0,
            request: 0,
        })
    }

    /// [`Device::connect`] and the protocol's first exchange.
    ///
    /// # Errors
    /// The pool does not take it.
    pub fn set_up(address: SocketAddr, authority: &str, flags: u32) -> Result<Self> {
        let mut device = Self::connect(address, authority)?;
        device.send(setup_connection(flags), 0x00, false)?;
        let (kind, payload) = device.read()?;
        ensure!(kind == 0x01, "SetupConnection was answered by {kind:#x} {payload:?}");
        Ok(device)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The socket.
    pub fn send<T: Serialize + GetSize>(&mut self, message: T, kind: u8, of_channel: bool) -> Result<()> {
        let frame = MessageFrame::from_message(message, kind, 0, of_channel).map_err(|error| anyhow!("{error:?}"))?;
        let bytes = self.encoder.encode_transport(frame, &mut self.encrypt).map_err(|error| anyhow!("{error}"))?;
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// Sends a payload that no message has.
    ///
    /// # Errors
    /// The socket.
    pub fn send_payload(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let [a, b, c, _] = u32::try_from(payload.len())?.to_le_bytes();
        let frame = SerializedFrame::from_bytes([&[0, 0, kind, a, b, c], payload].concat())
            .map_err(|hint| anyhow!("{hint}"))?;
        let bytes = self.encoder.encode_transport(frame, &mut self.encrypt).map_err(|error| anyhow!("{error}"))?;
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// Sends bytes as they are, encrypted by nobody.
    ///
    /// # Errors
    /// The socket.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next message: its type and payload.
    ///
    /// # Errors
    /// The pool closed, or said nothing for a minute.
    pub fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            let writable = self.decoder.writable();
            if !writable.is_empty() {
                self.stream.read_exact(writable)?;
            }
            let state = self.decrypt.take().context("the session ended")?;
            match self.decoder.next_transport_frame(state).map_err(|error| anyhow!("{error}"))? {
                Decrypted::Frame(mut frame, state) => {
                    self.decrypt = Some(state);
                    return Ok((frame.header().msg_type(), frame.payload().to_vec()));
                }
                Decrypted::Incomplete(_, state) => self.decrypt = Some(state),
            }
        }
    }

    /// The pool closed the connection.
    ///
    /// # Errors
    /// It said something instead, or nothing for a minute.
    pub fn expect_closed(&mut self) -> Result<()> {
        match self.read() {
            Ok((kind, _)) => bail!("the pool said {kind:#x} instead of closing"),
            Err(error) => match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Asks for a standard channel, without waiting.
    ///
    /// # Errors
    /// The socket.
    pub fn ask_standard(&mut self, user: &str, hash_rate: f32, max_target: [u8; 32]) -> Result<u32> {
        self.request += 1;
        let message = OpenStandardMiningChannelOwned {
            request_id: self.request,
            user_identity: text(user)?,
            nominal_hash_rate: hash_rate,
            max_target: max_target.into(),
        };
        self.send(message, 0x10, false)?;
        Ok(self.request)
    }

    /// Asks for an extended channel, without waiting.
    ///
    /// # Errors
    /// The socket.
    pub fn ask_extended(&mut self, user: &str, min_extranonce_size: u16) -> Result<u32> {
        self.request += 1;
        let message = OpenExtendedMiningChannelOwned {
            request_id: self.request,
            user_identity: text(user)?,
            nominal_hash_rate: 0.0,
            max_target: [0xff; 32].into(),
            min_extranonce_size,
        };
        self.send(message, 0x13, false)?;
        Ok(self.request)
    }

    /// The answer to a request for a channel: its number, or why not.
    ///
    /// # Errors
    /// The connection ended.
    pub fn opened(&mut self, request: u32) -> Result<Result<u32, String>> {
        loop {
            match self.hear()? {
                Said::Opened { request: of, channel } if of == request => return Ok(Ok(channel)),
                Said::Refused { request: of, code } if of == request => return Ok(Err(code)),
                _ => {}
            }
        }
    }

    /// A standard channel for any target.
    ///
    /// # Errors
    /// The connection ended, or the pool refused.
    pub fn open_standard(&mut self, user: &str) -> Result<u32> {
        let request = self.ask_standard(user, 0.0, [0xff; 32])?;
        self.opened(request)?.map_err(|code| anyhow!("{code}"))
    }

    /// An extended channel.
    ///
    /// # Errors
    /// The connection ended, or the pool refused.
    pub fn open_extended(&mut self, user: &str) -> Result<u32> {
        let request = self.ask_extended(user, 4)?;
        self.opened(request)?.map_err(|code| anyhow!("{code}"))
    }

    /// Takes in one message.
    ///
    /// # Errors
    /// The connection ended, or the pool broke the order that the protocol asks for.
    pub fn hear(&mut self) -> Result<Said> {
        let (kind, mut payload) = self.read()?;
        match kind {
            0x11 => {
                let opened: OpenStandardMiningChannelSuccess<'_> = decode(&mut payload)?;
                let prefix = opened.extranonce_prefix.as_bytes().to_vec();
                let channel = DeviceChannel::new(0, prefix, opened.group_channel_id, opened.target.to_array());
                self.channels.insert(opened.channel_id, channel);
                Ok(Said::Opened { request: opened.request_id, channel: opened.channel_id })
            }
            0x14 => {
                let opened: OpenExtendedMiningChannelSuccess<'_> = decode(&mut payload)?;
                let prefix = opened.extranonce_prefix.as_bytes().to_vec();
                let size = usize::from(opened.extranonce_size);
                let channel = DeviceChannel::new(size, prefix, opened.group_channel_id, opened.target.to_array());
                self.channels.insert(opened.channel_id, channel);
                Ok(Said::Opened { request: opened.request_id, channel: opened.channel_id })
            }
            0x12 => {
                let refused: OpenMiningChannelError<'_> = decode(&mut payload)?;
                Ok(Said::Refused { request: refused.request_id, code: words(&refused.error_code) })
            }
            0x15 | 0x1f | 0x20 | 0x21 => self.hear_work(kind, &mut payload).map(|()| Said::Work),
            0x1c => {
                let accepted: SubmitSharesSuccess = decode(&mut payload)?;
                let (channel, count) = (accepted.channel_id, accepted.new_submits_accepted_count);
                Ok(Said::Accepted { channel, last_sequence: accepted.last_sequence_number, count })
            }
            0x1d => {
                let refused: SubmitSharesError<'_> = decode(&mut payload)?;
                let (channel, sequence) = (refused.channel_id, refused.sequence_number);
                Ok(Said::Rejected { channel, sequence, code: words(&refused.error_code) })
            }
            0x18 => {
                let closed: CloseChannel<'_> = decode(&mut payload)?;
                self.channels.remove(&closed.channel_id);
                Ok(Said::Closed { channel: closed.channel_id, reason: words(&closed.reason_code) })
            }
            kind => Ok(Said::Other { kind }),
        }
    }

    fn hear_work(&mut self, kind: u8, payload: &mut [u8]) -> Result<()> {
        match kind {
            0x15 => {
                let job: NewMiningJob<'_> = decode(payload)?;
                let content = Content::Root(job.merkle_root.to_array());
                self.take_job(job.channel_id, job.job_id, job.min_ntime.into_inner(), job.version, &content)
            }
            0x1f => {
                let job: NewExtendedMiningJob<'_> = decode(payload)?;
                let content = Content::Coinbase {
                    prefix: job.coinbase_tx_prefix.as_bytes().to_vec(),
                    suffix: job.coinbase_tx_suffix.as_bytes().to_vec(),
                    path: job.merkle_path.into_inner().iter().map(|hash| *hash.as_array()).collect(),
                };
                self.take_job(job.channel_id, job.job_id, job.min_ntime.into_inner(), job.version, &content)
            }
            0x20 => {
                let new: SetNewPrevHash<'_> = decode(payload)?;
                for channel in of_channel_or_group(&mut self.channels, new.channel_id) {
                    let job = channel.jobs.iter().find(|job| job.id == new.job_id).context("no such future job")?;
                    ensure!(job.min_ntime.is_none(), "SetNewPrevHash names a job that is active already");
                    channel.prev_hash = Some((new.prev_hash.to_array(), new.min_ntime, new.nbits));
                    channel.active = Some(new.job_id);
                }
                Ok(())
            }
            _ => {
                let new: SetTarget<'_> = decode(payload)?;
                for channel in of_channel_or_group(&mut self.channels, new.channel_id) {
                    channel.target = new.maximum_target.to_array();
                }
                Ok(())
            }
        }
    }

    fn take_job(&mut self, to: u32, id: u32, min_ntime: Option<u32>, version: u32, content: &Content) -> Result<()> {
        for channel in of_channel_or_group(&mut self.channels, to) {
            ensure!(min_ntime.is_none() || channel.prev_hash.is_some(), "an active job before any SetNewPrevHash");
            ensure!(channel.jobs.iter().all(|job| job.id != id), "a job's name came twice");
            let (target, is_of_group) = (channel.target, channel.group == to);
            channel.jobs.push(DeviceJob { id, min_ntime, version, content: content.clone(), target, is_of_group });
            if min_ntime.is_some() {
                channel.active = Some(id);
            }
        }
        Ok(())
    }

    /// Until a channel has something to work on.
    ///
    /// # Errors
    /// The connection ended.
    pub fn wait_for_work(&mut self, channel: u32) -> Result<()> {
        while self.channels.get(&channel).context("no such channel")?.active.is_none() {
            self.hear()?;
        }
        Ok(())
    }

    /// Searches the active job of a channel for a share, or a block if `wants_block`, from a place given by `start`.
    ///
    /// # Errors
    /// There is nothing to work on, or nothing was found.
    pub fn search(&self, channel: u32, start: u32, wants_block: bool) -> Result<DeviceShare> {
        let work = self.channels.get(&channel).context("no such channel")?;
        work.search(channel, start, wants_block)
    }

    /// Does what the share's channel and job make of its bytes meet the job's target, whoever found it?
    ///
    /// # Errors
    /// Its channel or its job is not there.
    pub fn meets(&self, share: &DeviceShare) -> Result<bool> {
        let work = self.channels.get(&share.channel).context("no such channel")?;
        let job = work.jobs.iter().find(|job| job.id == share.job).context("no such job")?;
        let (parent, _, nbits) = work.prev_hash.context("nothing to work on")?;
        let root = work.root(job, &share.extranonce);
        Ok(is_at_most(&hash(&header(share.version, &parent, &root, share.ntime, nbits, share.nonce)), &job.target))
    }

    /// Hands a share in; returns the number under which it will be answered.
    ///
    /// # Errors
    /// The socket.
    pub fn submit(&mut self, share: &DeviceShare) -> Result<u32> {
        self.sequence += 1;
        let (channel_id, sequence_number, job_id) = (share.channel, self.sequence, share.job);
        let (nonce, ntime, version) = (share.nonce, share.ntime, share.version);
        if share.extranonce.is_empty() {
            self.send(SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version }, 0x1a, true)?;
        } else {
            let extranonce = share.extranonce.clone().try_into().map_err(|_| anyhow!("extranonce"))?;
            let submit =
                SubmitSharesExtendedOwned { channel_id, sequence_number, job_id, nonce, ntime, version, extranonce };
            self.send(submit, 0x1b, true)?;
        }
        Ok(self.sequence)
    }

    /// The answer to a share: accepted, or why not.
    ///
    /// # Errors
    /// The connection ended.
    pub fn answer(&mut self, sequence: u32) -> Result<Result<(), String>> {
        loop {
            match self.hear()? {
                Said::Accepted { last_sequence, .. } if last_sequence >= sequence => return Ok(Ok(())),
                Said::Rejected { sequence: of, code, .. } if of == sequence => return Ok(Err(code)),
                _ => {}
            }
        }
    }

    /// Searches, hands in, and waits for the answer.
    ///
    /// # Errors
    /// As [`Device::search`] and [`Device::answer`].
    pub fn mine(&mut self, channel: u32, start: u32) -> Result<Result<DeviceShare, String>> {
        self.wait_for_work(channel)?;
        let share = self.search(channel, start, false)?;
        let sequence = self.submit(&share)?;
        Ok(self.answer(sequence)?.map(|()| share))
    }
}

impl DeviceChannel {
    const fn new(extranonce_size: usize, prefix: Vec<u8>, group: u32, target: [u8; 32]) -> Self {
        Self { extranonce_size, prefix, group, target, jobs: Vec::new(), prev_hash: None, active: None }
    }

    fn search(&self, channel: u32, start: u32, wants_block: bool) -> Result<DeviceShare> {
        let active = self.active.context("nothing to work on")?;
        let job = self.jobs.iter().find(|job| job.id == active).context("nothing to work on")?;
        let (parent, min_ntime, nbits) = self.prev_hash.context("nothing to work on")?;
        let extranonce = vec![0x5a; self.extranonce_size];
        let root = self.root(job, &extranonce);
        let ntime = job.min_ntime.unwrap_or(min_ntime);
        // All that a device may roll, so that the pool is seen to allow it.
        let version = job.version | 0x1fff_ffe0;
        let network = expand(nbits);
        let target = if wants_block { network } else { job.target };
        for nonce in (start..).take(1 << 28) {
            let value = hash(&header(version, &parent, &root, ntime, nbits, nonce));
            if is_at_most(&value, &target) {
                let is_block = is_at_most(&value, &network);
                return Ok(DeviceShare { channel, job: job.id, extranonce, ntime, version, nonce, is_block });
            }
        }
        bail!("no share in 2^28 hashes")
    }

    fn root(&self, job: &DeviceJob, extranonce: &[u8]) -> [u8; 32] {
        match &job.content {
            Content::Root(root) => *root,
            Content::Coinbase { prefix, suffix, path } => {
                let coinbase = [prefix.as_slice(), &self.prefix, extranonce, suffix].concat();
                path.iter().fold(hash(&coinbase), |root, next| hash(&[root, *next].concat()))
            }
        }
    }
}

/// What a device says first.
#[must_use]
pub fn setup_connection(flags: u32) -> SetupConnectionOwned {
    let empty = || Str0255Owned::try_from("").unwrap_or_else(|_| unreachable!("it is short"));
    SetupConnectionOwned {
        protocol: Protocol::MiningProtocol,
        min_version: 2,
        max_version: 2,
        flags,
        endpoint_host: empty(),
        endpoint_port: 0,
        vendor: empty(),
        hardware_version: empty(),
        firmware: empty(),
        device_id: empty(),
    }
}

fn of_channel_or_group(
    channels: &mut BTreeMap<u32, DeviceChannel>,
    to: u32,
) -> impl Iterator<Item = &mut DeviceChannel> {
    channels.iter_mut().filter(move |(id, channel)| **id == to || channel.group == to).map(|(_, channel)| channel)
}

fn decode<'a, T: Deserialize<'a>>(payload: &'a mut [u8]) -> Result<T> {
    from_bytes(payload).map_err(|error| anyhow!("{error}"))
}

fn text(words: &str) -> Result<Str0255Owned> {
    words.try_into().map_err(|_| anyhow!("{words:?} is too long"))
}

fn words(text: &Str0255<'_>) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

fn header(version: u32, parent: &[u8; 32], root: &[u8; 32], ntime: u32, nbits: u32, nonce: u32) -> Vec<u8> {
    let numbers = [ntime, nbits, nonce].map(u32::to_le_bytes).concat();
    [version.to_le_bytes().as_slice(), parent, root, &numbers].concat()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// Both little-endian.
fn is_at_most(value: &[u8; 32], target: &[u8; 32]) -> bool {
    value.iter().rev().le(target.iter().rev())
}

fn expand(nbits: u32) -> [u8; 32] {
    let ([a, b, c, _], exponent) = (nbits.to_le_bytes(), usize::from(nbits.to_le_bytes()[3]));
    let mut target = [0; 32];
    for (offset, byte) in [a, b, c].into_iter().enumerate() {
        if let Some(place) = (exponent + offset).checked_sub(3).and_then(|index| target.get_mut(index)) {
            *place = byte;
        }
    }
    target
}

/// The x-only key in what stands behind the slash of a `stratum2+tcp` URL.
fn public_key(text: &str) -> Result<[u8; 32]> {
    const DIGITS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut number = [0_u8; 38];
    for letter in text.bytes() {
        let digit = DIGITS.iter().position(|known| *known == letter).context("not base58")?;
        let mut carry = u32::try_from(digit)?;
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        ensure!(carry == 0, "too long for a key");
    }
    let (body, sum) = number.split_at(34);
    ensure!(hash(body)[..4] == *sum && body[..2] == [1, 0], "not a public key");
    Ok(body[2..].try_into()?)
}

use std::sync::Arc;

use rustls::{
    ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{AppDataRecord, ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};

/// One end of TLS without a socket: encrypted bytes go in and come out, and what waits for the other end is here. rustls would keep a
/// buffer of 4 KiB for what is read next, for ever; here nothing is kept that is empty, and most miners say nothing most of the time.
pub(crate) struct TlsSession {
    session: UnbufferedServerConnection,
    /// Encrypted bytes that are no whole record yet.
    received: Vec<u8>,
    /// Decrypted, not asked for yet.
    plain: Vec<u8>,
    /// Encrypted, not taken by the socket yet.
    unsent: Vec<u8>,
    /// The other end said that nothing more comes.
    has_ended: bool,
    /// What came could not be understood. rustls takes it for a fault of ours to be asked once more.
    has_failed: bool,
}

/// The longest record, with its head. What is longer unfinished is a handshake in pieces, longer than any that is needed here.
const RECEIVED_BYTES_MAX: usize = 5 + 16_384 + 2_048;
/// Plain bytes that are taken at once: one record.
const PLAIN_BYTES_MAX: usize = 16_384;
/// What a record adds at most.
const RECORD_OVERHEAD_BYTES: usize = 64;

impl TlsSession {
    /// # Errors
    /// The configuration is of no use to a server.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let session = UnbufferedServerConnection::new(config)?;
        Ok(Self {
            session,
            received: Vec::new(),
            plain: Vec::new(),
            unsent: Vec::new(),
            has_ended: false,
            has_failed: false,
        })
    }

    /// Nothing but the handshake can be said yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// There is something to read, or it is known that nothing comes.
    pub(crate) const fn is_readable(&self) -> bool {
        !self.plain.is_empty() || self.has_ended
    }

    /// What the socket should take next; empty: nothing waits.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.unsent
    }

    /// So many bytes of it are gone.
    pub(crate) fn sent(&mut self, count: usize) {
        self.unsent.drain(..count.min(self.unsent.len()));
        let_go(&mut self.unsent);
    }

    /// Takes in what came.
    ///
    /// # Errors
    /// It is no TLS, or not encrypted for this session. The alert that says why is [`TlsSession::unsent`].
    pub(crate) fn receive(&mut self, came: &[u8]) -> Result<(), rustls::Error> {
        if self.has_failed {
            return Err(over());
        }
        self.received.extend_from_slice(came);
        let done = self.go_on();
        if let Err(error) = done {
            self.has_failed = true;
            self.take_alert();
            return Err(error);
        }
        match self.received.len() {
            ..=RECEIVED_BYTES_MAX => Ok(()),
            _ => Err(rustls::Error::General("a handshake is too long".to_owned())),
        }
    }

    /// Moves what was decrypted, as much as fits. 0 while [`TlsSession::is_readable`]: nothing more comes.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.plain.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        let_go(&mut self.plain);
        count
    }

    /// Encrypts one record's worth of `bytes`, and says how many these were.
    ///
    /// # Errors
    /// The handshake is not done, the session has ended, or its keys are used up.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, rustls::Error> {
        let bytes = &bytes[..bytes.len().min(PLAIN_BYTES_MAX)];
        let room = bytes.len().saturating_add(RECORD_OVERHEAD_BYTES);
        self.encode(room, |session, received, out| match session.process_tls_records(received).state? {
            ConnectionState::WriteTraffic(mut traffic) => Ok(traffic.encrypt(bytes, out)),
            _ => Err(rustls::Error::HandshakeNotComplete),
        })?;
        Ok(bytes.len())
    }

    /// Tells the other end that this is the end and not a cut.
    pub(crate) fn say_goodbye(&mut self) {
        let _gone = self.encode(RECORD_OVERHEAD_BYTES, |session, received, out| {
            match session.process_tls_records(received).state? {
                ConnectionState::WriteTraffic(mut traffic) => Ok(traffic.queue_close_notify(out)),
                _ => Err(rustls::Error::HandshakeNotComplete),
            }
        });
    }

    /// Has `encode` write into room at the end of what is unsent, and once more where that was too little.
    fn encode(
        &mut self,
        room: usize,
        mut encode: impl FnMut(
            &mut UnbufferedServerConnection,
            &mut [u8],
            &mut [u8],
        ) -> Result<Result<usize, EncryptError>, rustls::Error>,
    ) -> Result<(), rustls::Error> {
        if self.has_failed {
            return Err(over());
        }
        let (start, mut room) = (self.unsent.len(), room);
        loop {
            self.unsent.resize(start.saturating_add(room), 0);
            let done = encode(&mut self.session, &mut self.received, &mut self.unsent[start..]);
            let written = done.as_ref().map_or(0, |done| *done.as_ref().unwrap_or(&0));
            self.unsent.truncate(start.saturating_add(written));
            match done? {
                Ok(_) => return Ok(()),
                Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => {
                    room = needed.required_size;
                }
                Err(error) => return Err(rustls::Error::General(error.to_string())),
            }
        }
    }

    /// What tells the other end of an error is handed out before anything else is looked at.
    fn take_alert(&mut self) {
        if self.session.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) =
                self.session.process_tls_records(&mut self.received).state
        {
            append(&mut self.unsent, |out| data.encode(out));
        }
    }

    /// Does what can be done with what was received.
    fn go_on(&mut self) -> Result<(), rustls::Error> {
        let mut start = 0;
        let done = loop {
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(&mut self.received[start..]);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let AppDataRecord { discard: more, payload, .. } = record?;
                        discard = discard.saturating_add(more);
                        self.plain.extend_from_slice(payload);
                    }
                    Ok(true)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.unsent, |out| data.encode(out));
                    Ok(true)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // They go out with the rest, in order.
                    data.done();
                    Ok(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    Ok(true)
                }
                // It wants more, or had enough.
                Ok(_) => Ok(false),
                Err(error) => Err(error),
            };
            start = start.saturating_add(discard);
            match goes_on {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.received.drain(..start.min(self.received.len()));
        let_go(&mut self.received);
        done
    }
}

fn append(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let start = out.len();
    let needed = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
        Ok(_) | Err(EncodeError::AlreadyEncoded) => return,
    };
    out.resize(start.saturating_add(needed), 0);
    let written = encode(&mut out[start..]).unwrap_or(0);
    out.truncate(start.saturating_add(written));
}

fn over() -> rustls::Error {
    rustls::Error::General("the session is over".to_owned())
}

/// Keeps no memory for nothing.
fn let_go(buffer: &mut Vec<u8>) {
    if buffer.is_empty() {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
        pki_types::PrivateKeyDer,
        server::NoServerSessionStorage,
        version::{TLS12, TLS13},
    };

    use super::*;
    use crate::certificates::provider;

    fn pair(version: &'static SupportedProtocolVersion) -> (ClientConnection, TlsSession) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        (client, TlsSession::new(Arc::new(server)).unwrap())
    }

    /// Carries bytes both ways, `step` at a time, until both are silent; what the client read.
    fn carry(client: &mut ClientConnection, server: &mut TlsSession, step: usize) -> Vec<u8> {
        let mut said = Vec::new();
        while client.wants_write() || !server.unsent().is_empty() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            for piece in bytes.chunks(step) {
                server.receive(piece).unwrap();
            }
            while !server.unsent().is_empty() {
                let mut piece = &server.unsent()[..server.unsent().len().min(step)];
                let count = client.read_tls(&mut piece).unwrap();
                server.sent(count);
                client.process_new_packets().unwrap();
            }
            let _not_yet = client.reader().read_to_end(&mut said);
        }
        said
    }

    fn heard(server: &mut TlsSession) -> Vec<u8> {
        let (mut heard, mut buffer) = (Vec::new(), [0; 1_000]);
        loop {
            match server.read(&mut buffer) {
                0 => return heard,
                count => heard.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn kept(server: &TlsSession) -> usize {
        server.received.capacity() + server.plain.capacity() + server.unsent.capacity()
    }

    #[test]
    fn both_ends_hear_each_other_however_the_bytes_are_cut() {
        for version in [&TLS12, &TLS13] {
            for step in [1, 7, 4_096, 1 << 20] {
                let (mut client, mut server) = pair(version);
                assert!(server.write(b"early").is_err(), "nothing is said in clear");
                carry(&mut client, &mut server, step);
                assert!(!server.is_handshaking() && !client.is_handshaking());
                let long: Vec<u8> = (0..60_000_u32).map(|n| n.to_le_bytes()[0]).collect();
                client.writer().write_all(&long).unwrap();
                carry(&mut client, &mut server, step);
                assert!(server.is_readable());
                assert_eq!(heard(&mut server), long);
                let mut answer = Vec::new();
                let mut rest = &long[..];
                while !rest.is_empty() {
                    rest = &rest[server.write(rest).unwrap()..];
                    answer.extend(carry(&mut client, &mut server, step));
                }
                assert_eq!(answer, long);
            }
        }
    }

    #[test]
    fn a_session_that_is_silent_keeps_no_buffer() {
        for version in [&TLS12, &TLS13] {
            let (mut client, mut server) = pair(version);
            carry(&mut client, &mut server, 1 << 20);
            for _ in 0..3 {
                client.writer().write_all(&[1; 5_000]).unwrap();
                carry(&mut client, &mut server, 1 << 20);
                heard(&mut server);
                server.write(&[2; 5_000]).unwrap();
                carry(&mut client, &mut server, 1 << 20);
                assert_eq!(kept(&server), 0);
            }
        }
    }

    #[test]
    fn new_keys_are_gone_along_with() {
        let (mut client, mut server) = pair(&TLS13);
        carry(&mut client, &mut server, 1 << 20);
        for _ in 0..3 {
            client.refresh_traffic_keys().unwrap();
            client.writer().write_all(b"with new keys").unwrap();
            carry(&mut client, &mut server, 1 << 20);
            assert_eq!(heard(&mut server), b"with new keys");
            server.write(b"so do I").unwrap();
            assert_eq!(carry(&mut client, &mut server, 1 << 20), b"so do I");
        }
    }

    #[test]
    fn an_end_is_an_end_and_comes_after_what_was_said() {
        for version in [&TLS12, &TLS13] {
            let (mut client, mut server) = pair(version);
            carry(&mut client, &mut server, 1 << 20);
            client.writer().write_all(b"bye").unwrap();
            client.send_close_notify();
            carry(&mut client, &mut server, 1 << 20);
            assert_eq!(heard(&mut server), b"bye");
            assert!(server.is_readable() && server.read(&mut [0; 8]) == 0);
            server.say_goodbye();
            let mut piece = server.unsent();
            client.read_tls(&mut piece).unwrap();
            assert!(client.process_new_packets().unwrap().peer_has_closed());
        }
    }

    #[test]
    fn what_is_no_tls_ends_with_an_alert_and_nothing_is_hoarded() {
        let (_, mut server) = pair(&TLS13);
        assert!(server.receive(b"\x16\x03\x01\x00\x04n\0\0\0").is_err());
        assert_eq!(server.unsent().first(), Some(&0x15), "an alert");
        // Pieces of a hello of 64 KiB that never ends: each is a whole record of 10 bytes.
        let (_, mut server) = pair(&TLS13);
        let mut taken = 0;
        let mut piece: &[u8] = b"\x16\x03\x01\x00\x0a\x01\x00\xff\x00\x03\x03\x00\x00\x00\x00";
        while server.receive(piece).is_ok() {
            piece = b"\x16\x03\x01\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
            taken += piece.len();
            assert!(taken <= RECEIVED_BYTES_MAX, "bounded");
        }
        let (mut client, mut server) = pair(&TLS13);
        carry(&mut client, &mut server, 1 << 20);
        assert!(server.receive(b"\x17\x03\x03\x00\x20not encrypted for this session..").is_err());
        assert_eq!(server.unsent().first(), Some(&0x17), "an encrypted alert");
        assert!(server.write(b"more").is_err() && server.receive(b"more").is_err(), "it is over");
        let said = server.unsent().len();
        server.say_goodbye();
        assert_eq!(server.unsent().len(), said);
    }

    /// Neither what a miner says in the clear nor what stands where a record should makes rustls give up on itself.
    #[test]
    fn no_bytes_make_a_session_panic() {
        for version in [&TLS12, &TLS13] {
            let mut hello = Vec::new();
            pair(version).0.write_tls(&mut hello).unwrap();
            for place in 0..hello.len() {
                let mut wrong = hello.clone();
                wrong[place] ^= 0x41;
                let (_, mut server) = pair(version);
                for piece in wrong.chunks(100) {
                    let _refused = server.receive(piece);
                }
                let _refused = server.write(b"whatever");
                server.say_goodbye();
            }
        }
    }
}

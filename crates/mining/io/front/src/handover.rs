//! What a server leaves to the process that replaces it (SPEC 11.13).

use std::{
    io,
    net::{IpAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::Arc,
};

use bq_mining_message::{AccountScheme, SharePay};
use bq_primitives::{Algorithm, Decoder, Header, PowKey, SealHash, Target, Transaction, U256, UnsealedBody};
use bq_share::{Templates, WorkTemplate};
use bq_stratum_v1::{SessionSeed, SessionState};
use serde::{Deserialize, Serialize};

use crate::{access::Login, port::Port};

/// Of what is handed over: the states of sessions and all that they are made of. Both processes must have the same.
pub const HANDOVER_VERSION: u32 = 5;

/// What a server leaves to its successor: sockets, and opaque bytes that only [`crate::StratumServer::resume`] reads.
#[derive(Debug, Default)]
pub struct Handover {
    /// The open ports. What connects meanwhile waits in them.
    pub listeners: Vec<(Port, TcpListener)>,
    /// The work that open jobs are on.
    pub work: Vec<Vec<u8>>,
    /// Miners' connections.
    pub connections: Vec<HandedConnection>,
}

/// A miner's socket, and what is known about it.
#[derive(Debug)]
pub struct HandedConnection {
    /// Open.
    pub socket: OwnedFd,
    /// Of the session on it.
    pub state: Vec<u8>,
}

/// Bytes of a predecessor that cannot be read: it is another program.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Not of this version.
    #[error("what the other process says of a connection cannot be read: {0}")]
    State(#[from] postcard::Error),
    /// Its socket is none of ours.
    #[error("a socket of the other process cannot be used: {0}")]
    Socket(#[from] io::Error),
    /// A block template that is none.
    #[error("work of the other process cannot be read")]
    Work,
}

/// What is known about a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConnectionState {
    pub(crate) algorithm: Algorithm,
    /// How its port says that it is paid.
    pub(crate) port_scheme: Option<AccountScheme>,
    pub(crate) address: IpAddr,
    pub(crate) seed: SessionSeed,
    pub(crate) logins: Vec<Login>,
    /// A share of it was accepted.
    pub(crate) is_proven: bool,
    pub(crate) session: SessionState,
    /// Bytes that were read and not understood yet.
    pub(crate) unread: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct WorkState {
    header: Vec<u8>,
    seal_hash: SealHash,
    target: [u8; 32],
    key: PowKey,
    transactions: Vec<Vec<u8>>,
    pay: SharePay,
}

impl HandedConnection {
    pub(crate) fn new(stream: tokio::net::TcpStream, state: &ConnectionState) -> Result<Self, HandoverError> {
        Ok(Self { socket: stream.into_std()?.into(), state: postcard::to_stdvec(state)? })
    }

    /// The socket as the runtime wants it, and what is known.
    pub(crate) fn open(self) -> Result<(tokio::net::TcpStream, ConnectionState), HandoverError> {
        let stream = TcpStream::from(self.socket);
        stream.set_nonblocking(true)?;
        Ok((tokio::net::TcpStream::from_std(stream)?, postcard::from_bytes(&self.state)?))
    }
}

/// One piece of work, for a successor.
pub(crate) fn write_work(work: &WorkTemplate) -> Result<Vec<u8>, HandoverError> {
    let state = WorkState {
        header: work.header.to_bytes().to_vec(),
        seal_hash: work.seal_hash,
        target: work.target.0.to_be_bytes(),
        key: work.key,
        transactions: work.body.iter().map(Transaction::to_bytes).collect(),
        pay: work.pay,
    };
    Ok(postcard::to_stdvec(&state)?)
}

/// All work of a predecessor.
pub(crate) fn read_work(work: &[Vec<u8>]) -> Result<Templates, HandoverError> {
    let read = |bytes: &Vec<u8>| {
        let work = read_one(bytes)?;
        Ok((work.id(), Arc::new(work)))
    };
    work.iter().map(read).collect()
}

fn read_one(bytes: &[u8]) -> Result<WorkTemplate, HandoverError> {
    let WorkState { header, seal_hash, target, key, transactions, pay } = postcard::from_bytes(bytes)?;
    let header = Header::decode(&mut Decoder::new(&header)).map_err(|_| HandoverError::Work)?;
    let transaction = |bytes: &Vec<u8>| Transaction::decode(&mut Decoder::new(bytes)).map_err(|_| HandoverError::Work);
    let transactions = transactions.iter().map(transaction).collect::<Result<Vec<_>, _>>()?;
    let body = UnsealedBody::of_transactions(transactions).ok_or(HandoverError::Work)?;
    let target = Target(U256::from_be_bytes(target));
    Ok(WorkTemplate::with_seal_hash(header, seal_hash, target, key, body).paid_by(pay))
}

#[cfg(test)]
mod tests {
    use bq_primitives::{
        BlockId, CompactTarget, Height, KeyHash, MerkleRoot, Timestamp, TxOut, WorkerName, tagged_hash,
    };
    use bq_share::{ExtranoncePrefix, SessionTicket, SessionTicketId, UnixMs};
    use bq_stratum_v1::{JobTemplate, LoginOutcome, Output, Session};

    use super::*;

    fn header(algorithm: Algorithm) -> Header {
        Header {
            version: 1,
            parent_id: BlockId([1; 32]),
            tx_root: MerkleRoot([2; 32]),
            witness_root: MerkleRoot([3; 32]),
            time: Timestamp(1_800_000_000),
            height: Height(7),
            bits: CompactTarget(0x207f_ffff),
            algorithm,
        }
    }

    /// A process of another program would read something else in the same bytes.
    #[test]
    fn bytes_of_another_shape_are_of_another_version() {
        let (now, payee) = (UnixMs(1_800_000_000_000), KeyHash([5; 32]));
        let prefix = ExtranoncePrefix { server_id: 3, connection: 4 };
        let ticket = SessionTicket { id: SessionTicketId(5), tag: [6; 16] };
        let seed = SessionSeed { session_id: 1, first_job_id: 2, prefix, ticket };
        let mut session = Session::new(now, Algorithm::Sha256d, Arc::default(), seed);
        let template =
            JobTemplate::new(header(Algorithm::Sha256d), Target::MAX, PowKey::Sha256d, UnsealedBody::default());
        session.handle_template(now, template.map(Arc::new));
        session.handle_line(now, br#"{"id":1,"method":"mining.subscribe","params":[]}"#);
        session.handle_line(now, br#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
        while let Some(output) = session.poll_output() {
            if let Output::Authorize { ticket, .. } = output {
                session.handle_login(now, ticket, LoginOutcome::Granted { payee, remembered: None, trust: None });
            }
        }
        let worker = WorkerName::new("rig1").unwrap();
        let state = ConnectionState {
            algorithm: Algorithm::Sha256d,
            port_scheme: None,
            address: [192, 0, 2, 1].into(),
            seed,
            logins: vec![Login { payee, worker, at: now, token: None, channel: None }],
            is_proven: true,
            session: session.state().unwrap(),
            unread: b"{".to_vec(),
        };
        let bytes = postcard::to_stdvec(&state).unwrap();
        let read: ConnectionState = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(read.session, state.session);
        let shape = tagged_hash("BQ/handover", &[&bytes]);
        assert_eq!(
            (HANDOVER_VERSION, hex::encode(&shape[..8])),
            (5, "f9a82c7f6cd2a4d6".to_owned()),
            "raise HANDOVER_VERSION"
        );
    }

    #[test]
    fn work_comes_out_as_it_went_in() {
        let header = header(Algorithm::RandomX);
        let paid = TxOut { amount: bq_primitives::Amount::from_atoms(5).unwrap(), key_hash: KeyHash([4; 32]) };
        let coinbase = Transaction::coinbase(Height(7), vec![paid], vec![1, 2, 3]);
        let key = PowKey::RandomX(BlockId([9; 32]));
        let work = WorkTemplate::new(
            header,
            Target(U256::MAX >> 9),
            key,
            UnsealedBody::of_transactions(vec![coinbase]).unwrap(),
        );
        let work = work.paid_by(SharePay::Tides);
        let read = read_work(&[write_work(&work).unwrap()]).unwrap();
        let read = &read[&work.id()];
        assert_eq!((read.header, read.target, read.key), (work.header, work.target, work.key));
        assert_eq!((read.network_difficulty, &read.body, read.pay), (work.network_difficulty, &work.body, work.pay));
        for damaged in [&[][..], &[0; 40], &write_work(&work).unwrap()[..60]] {
            assert!(read_work(&[damaged.to_vec()]).is_err());
        }
    }
}

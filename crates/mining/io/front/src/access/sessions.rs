use std::{collections::BTreeMap, sync::Arc};

use bq_access::TokenId;
use bq_mining_message::SessionInfo;
use bq_primitives::{Address, Algorithm, KeyHash, Network, WorkerName};
use bq_share::{Peer, UnixMs};

use crate::places::Seat;

/// Numbers connections from the start of the process.
pub(crate) type ConnectionNumber = u64;

/// Who is logged in, on which connection, and since when.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_connection: BTreeMap<ConnectionNumber, Session>,
}

#[derive(Debug)]
struct Session {
    line: Line,
    logins: Vec<Login>,
}

/// A connection, for whoever looks at the list or ends it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) algorithm: Algorithm,
    /// As its dialect names it to the miner.
    pub(crate) id: u32,
    pub(crate) peer: Option<Peer>,
    pub(crate) seat: Arc<Seat>,
}

/// A machine that was let in.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Login {
    pub(crate) payee: KeyHash,
    pub(crate) worker: WorkerName,
    pub(crate) at: UnixMs,
    pub(crate) token: Option<TokenId>,
}

impl Sessions {
    /// A machine was let in; one that logs in again is let in anew. As many as a connection may have.
    pub(crate) fn begin(&mut self, number: ConnectionNumber, line: impl FnOnce() -> Line, login: Login) {
        let session =
            self.by_connection.entry(number).or_insert_with(|| Session { line: line(), logins: Vec::with_capacity(1) });
        session.logins.retain(|known| (known.payee, &known.worker) != (login.payee, &login.worker));
        session.logins.push(login);
    }

    /// A machine was let in too early.
    pub(crate) fn forget(&mut self, number: ConnectionNumber, payee: KeyHash, worker: &WorkerName) {
        if let Some(session) = self.by_connection.get_mut(&number) {
            session.logins.retain(|known| (known.payee, &known.worker) != (payee, worker));
        }
    }

    /// A connection ended.
    pub(crate) fn end(&mut self, number: ConnectionNumber) {
        self.by_connection.remove(&number);
    }

    /// Who is logged in on a connection.
    pub(crate) fn logins(&self, number: ConnectionNumber) -> Vec<Login> {
        self.by_connection.get(&number).map_or_else(Vec::new, |session| session.logins.clone())
    }

    /// The seats of those whose logins are as `is_meant` says.
    pub(crate) fn seats(&self, is_meant: impl Fn(&Login) -> bool) -> Vec<Arc<Seat>> {
        let meant = self.by_connection.values().filter(|session| session.logins.iter().any(&is_meant));
        meant.map(|session| Arc::clone(&session.line.seat)).collect()
    }

    /// The seats of those who connect from `peer`.
    pub(crate) fn seats_of_peer(&self, peer: Peer) -> Vec<Arc<Seat>> {
        let meant = self.by_connection.values().filter(|session| session.line.peer == Some(peer));
        meant.map(|session| Arc::clone(&session.line.seat)).collect()
    }

    /// Everybody, or those who mine to `payee`, those that came first first.
    pub(crate) fn list(&self, network: Network, payee: Option<KeyHash>, limit: usize) -> Vec<SessionInfo> {
        let of = |session: &Session| -> Vec<_> {
            let meant = session.logins.iter().filter(|login| payee.is_none_or(|payee| login.payee == payee));
            meant.map(|login| login.info(network, &session.line)).collect()
        };
        self.by_connection.values().flat_map(of).take(limit).collect()
    }
}

impl Login {
    fn info(&self, network: Network, line: &Line) -> SessionInfo {
        SessionInfo {
            id: format!("{:08x}", line.id),
            algorithm: line.algorithm.to_string(),
            address: Address { network, key_hash: self.payee }.to_string(),
            worker: self.worker.to_string(),
            peer: line.peer.map(|peer| peer.to_string()),
            authorised: self.at.timestamp().0,
            token: self.token.map(|token| token.to_string()),
        }
    }
}

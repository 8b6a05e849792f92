use std::{collections::BTreeMap, sync::Arc};

use bq_access::TokenId;
use bq_mining_message::SessionInfo;
use bq_primitives::{Address, Algorithm, KeyHash, Network, WorkerName};
use bq_share::{ExtranoncePrefix, Peer, UnixMs};

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
    /// Taken back, and not known to the connection yet.
    ended: Vec<Login>,
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
    /// The number of its channel, in V2.
    pub(crate) channel: Option<ExtranoncePrefix>,
}

impl Sessions {
    /// A machine was let in; one that logs in again is let in anew, in V2 one on each channel. As many as a connection may have.
    pub(crate) fn begin(&mut self, number: ConnectionNumber, line: impl FnOnce() -> Line, login: Login) {
        let new = || Session { line: line(), logins: Vec::with_capacity(1), ended: Vec::new() };
        let session = self.by_connection.entry(number).or_insert_with(new);
        session.forget(|known| known.is_of(&login));
        session.logins.push(login);
    }

    /// A machine was let in too early, or its channel closed.
    pub(crate) fn forget(&mut self, number: ConnectionNumber, is_meant: impl Fn(&Login) -> bool) {
        if let Some(session) = self.by_connection.get_mut(&number) {
            session.forget(is_meant);
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

    /// Takes back the logins that are as `is_meant` says. Returns how many, and the seats of the connections that have to hear of it.
    pub(crate) fn take_back(&mut self, is_meant: impl Fn(&Login) -> bool) -> (usize, Vec<Arc<Seat>>) {
        let (mut count, mut seats): (usize, _) = (0, Vec::new());
        for session in self.by_connection.values_mut() {
            let before = session.ended.len();
            session.ended.extend(session.logins.extract_if(.., |login| is_meant(login)));
            if session.ended.len() > before {
                count = count.saturating_add(session.ended.len() - before);
                seats.push(Arc::clone(&session.line.seat));
            }
        }
        (count, seats)
    }

    /// What was taken back from a connection since the last call.
    pub(crate) fn ended(&mut self, number: ConnectionNumber) -> Vec<Login> {
        self.by_connection.get_mut(&number).map(|session| std::mem::take(&mut session.ended)).unwrap_or_default()
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

impl Session {
    fn forget(&mut self, is_meant: impl Fn(&Login) -> bool) {
        self.logins.retain(|login| !is_meant(login));
        self.ended.retain(|login| !is_meant(login));
    }
}

impl Login {
    /// Of the same machine, and in V2 of the same channel.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        (self.payee, &self.worker, self.channel) == (other.payee, &other.worker, other.channel)
    }

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

//! Logins.

use std::sync::Arc;

use bq_channel::{Login, ReadDifficulty, Stake, password_token};
use bq_primitives::{KeyHash, WorkerName};
use bq_share::{SessionTicket, UnixMs};

use super::{Exchange, PendingLogin};
use crate::{CloseReason, LoginOutcome, LoginTicket, Output, job::Miner, request::RequestId};

impl Exchange {
    /// Reads a login and asks for it to be checked.
    ///
    /// # Errors
    /// What is wrong with it; the request is not answered yet.
    pub(in crate::session) fn login(
        &mut self,
        id: &RequestId,
        text: &str,
        worker: Option<&str>,
        (password, read): (&str, ReadDifficulty),
    ) -> Result<(), String> {
        let asked = self.ask(id, text, worker, (password, read));
        if let Err(reason) = &asked {
            self.outputs.push_back(Output::login_refused(text.to_owned(), None, reason.clone()));
        }
        asked
    }

    fn ask(
        &mut self,
        id: &RequestId,
        text: &str,
        worker: Option<&str>,
        (password, read): (&str, ReadDifficulty),
    ) -> Result<(), String> {
        let login = Login::parse(text).map_err(|error| error.to_string())?;
        let difficulty = login.wanted(password, read).map_err(|error| error.to_string())?;
        let worker = login.machine(worker).map_err(|error| error.to_string())?;
        let address = login.address;
        let is_known = self.miners.iter().any(|miner| miner.address == address && miner.worker == worker);
        let most = self.policy.logins_per_connection_max.max(1);
        if !is_known && self.logins.len().saturating_add(self.miners.len()) >= most {
            return Err(format!("this connection has {most} machines: log this one in on another"));
        }
        let ticket = self.next_ticket();
        let pending = PendingLogin { ticket, id: id.clone(), difficulty, worker, address };
        self.replies.wait(ticket);
        self.outputs.push_back(Output::Authorize {
            ticket: LoginTicket(ticket),
            address: pending.address.clone(),
            worker: pending.worker.clone(),
            token: password_token(password),
            comes_back: self.offered.filter(|_| self.miners.is_empty()),
        });
        self.logins.push(pending);
        Ok(())
    }

    /// What the miner showed when it subscribed: the ticket of a connection that it comes back to, or nothing.
    pub(in crate::session) fn offer(&mut self, ticket: Option<SessionTicket>) {
        self.offered = ticket;
    }

    /// A login waits for its answer.
    pub(in crate::session) fn login_is_pending(&self) -> bool {
        !self.logins.is_empty()
    }

    /// Takes in the answer to a login: the login, and why it was refused after all.
    pub(in crate::session) fn finish_login(
        &mut self,
        now: UnixMs,
        ticket: LoginTicket,
        outcome: LoginOutcome,
    ) -> Option<(PendingLogin, Option<String>)> {
        let index = self.logins.iter().position(|login| login.ticket == ticket.0)?;
        let login = self.logins.remove(index);
        match outcome {
            LoginOutcome::Unavailable => {
                self.close(CloseReason::Unavailable);
                None
            }
            LoginOutcome::Refused(text) => Some(self.refused(login, text)),
            LoginOutcome::Granted { payee, remembered, trust } => {
                if self.miners.first().is_some_and(|first| first.payee != payee) {
                    return Some(self.refused(login, "one account per connection".to_owned()));
                }
                self.presence.note_login(now);
                if self.miners.is_empty() {
                    self.channel.grant(now, Stake { payee, pinned: login.difficulty, remembered, trust });
                    self.offered = None;
                }
                let miner = Miner { payee, address: login.address.clone(), worker: login.worker.clone() };
                self.gone.retain(|gone| **gone != miner);
                if !self.miners.iter().any(|known| **known == miner) {
                    self.miners.push(Arc::new(miner));
                }
                Some((login, None))
            }
        }
    }

    /// See [`crate::Session::end_login`].
    pub(in crate::session) fn end_login(&mut self, payee: KeyHash, worker: &WorkerName) -> bool {
        let is_meant = |miner: &Arc<Miner>| miner.payee == payee && miner.worker == *worker;
        if self.miners.iter().all(is_meant) {
            return self.miners.is_empty();
        }
        self.gone.extend(self.miners.extract_if(.., |miner| is_meant(miner)));
        // Each was one of so many that were logged in at a time.
        let most = self.policy.logins_per_connection_max.max(1);
        self.gone.drain(..self.gone.len().saturating_sub(most));
        true
    }

    /// Whether this machine's login was taken back.
    pub(in crate::session) fn is_gone(&self, address: &str, worker: &str) -> bool {
        self.gone.iter().any(|miner| miner.address == address && miner.worker.as_str() == worker)
    }

    fn refused(&mut self, login: PendingLogin, reason: String) -> (PendingLogin, Option<String>) {
        let (address, worker) = (login.address.clone(), Some(login.worker.clone()));
        self.outputs.push_back(Output::login_refused(address, worker, reason.clone()));
        (login, Some(reason))
    }

    pub(in crate::session) fn first_miner(&self) -> Option<&Arc<Miner>> {
        self.miners.first()
    }

    /// The logged-in machine that a submit names. A submit that names none, or none that is known under its address, is
    /// the first machine's, if `strict` does not forbid it.
    pub(in crate::session) fn miner_named(
        &self,
        login: &str,
        worker: Option<&str>,
        strict: bool,
    ) -> Option<Arc<Miner>> {
        let login = Login::parse(login).ok()?;
        let worker = login.worker.as_ref().map(WorkerName::as_str).or(worker);
        if self.is_gone(&login.address, worker.unwrap_or("default")) {
            return None;
        }
        let of_address = || self.miners.iter().filter(|miner| miner.address == login.address);
        let exact = of_address().find(|miner| miner.worker.as_str() == worker.unwrap_or("default"));
        let lenient = || if strict { None } else { of_address().next() };
        exact.or_else(lenient).cloned()
    }

    pub(in crate::session) fn next_ticket(&mut self) -> u64 {
        self.tickets = self.tickets.saturating_add(1);
        self.tickets
    }
}

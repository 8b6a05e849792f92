//! Machines and front end meet: bytes go over wires that break, proofs are judged and booked, and what counts is what the
//! client saw.

use std::{sync::Arc, time::Duration};

use bq_mining_message::{AccountScheme, AuthorizeError};
use bq_primitives::{Address, Algorithm, KeyHash};
use bq_share::UnixMs;
use bq_stratum_client::{EthashDialect, Found, Job, Login};

use crate::{
    front::{ConnectionId, Counts},
    lottery::meets,
    machine::{Answered, Machine, Submitted},
    node::{NETWORK, block_target},
    world::{MINERS, World, miner},
};

/// What machines of an honest miner ask for: one of them each.
pub(crate) const RIGS: [u64; 4] = [7, 50, 110, 300];
/// How those of Ethash speak. EthereumStratum/1.0.0 has no word for numbers as small as these.
const DIALECTS: [EthashDialect; 4] =
    [EthashDialect::Stratum, EthashDialect::EthProxy, EthashDialect::Version2, EthashDialect::Stratum];
/// One in so many exchanges of bytes ends with a broken wire.
const WIRE_BREAKS_ONE_IN: u64 = 250;
/// The longest piece in which bytes arrive.
const PIECE_BYTES_MAX: u64 = 400;

/// A share that could not be written, and what it was found for.
pub(crate) struct OwedAgain {
    at: usize,
    job: Job,
    found: Found,
}

/// Figures of machines and front ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Shares that were handed in once more, for the disk had been full.
    pub(crate) again: u64,
    /// The longest that a share waited for the disk.
    pub(crate) waited_max: Duration,
    /// Wires that broke.
    pub(crate) wires: u64,
    pub(crate) front: Counts,
}

/// Every machine of the honest miners, one after the other.
pub(crate) fn honest_machines() -> Vec<Machine> {
    let all = (1..=MINERS).flat_map(|number| (0..RIGS.len()).map(move |rig| (number, rig)));
    all.map(|(number, rig)| {
        let algorithm = match number % 4 {
            3 => Algorithm::RandomX,
            0 => Algorithm::Ethash,
            _ => Algorithm::Sha256d,
        };
        let password = wish(algorithm, RIGS[rig]);
        let login = Login { user: format!("{}.rig{rig}", address(miner(number))), password, first_nonce: 0 };
        Machine::new(algorithm, DIALECTS[rig], miner(number), login, number.into())
    })
    .collect()
}

/// Honest machines come first.
fn is_honest(at: usize) -> bool {
    at < usize::from(MINERS) * RIGS.len()
}

pub(crate) fn address(key_hash: KeyHash) -> Address {
    Address { network: NETWORK, key_hash }
}

/// A password that asks for a difficulty.
fn wish(algorithm: Algorithm, hashes: u64) -> String {
    match algorithm {
        Algorithm::Sha256d => format!("d={}", hashes as f64 / 4_294_967_296.0),
        Algorithm::RandomX | Algorithm::Ethash => format!("d={hashes}"),
    }
}

impl World {
    /// A front end's time never jumps.
    pub(crate) fn now(&self) -> UnixMs {
        UnixMs(self.clock.started_ms())
    }

    pub(crate) fn lot(&mut self, bound: u64) -> u64 {
        self.lots.between(0, bound.saturating_sub(1))
    }

    /// A template reaches the front end, if the node has one.
    pub(crate) fn refresh_work(&mut self) {
        let fresh = self.pool.as_ref().and_then(|pool| pool.template().ok().flatten());
        if let Some(fresh) = fresh {
            self.front.hand_out(self.now(), &fresh);
            self.template = Some(Arc::clone(&fresh.shared));
        }
    }

    /// If nobody looked at proofs for a while, and queues filled, they are looked at now.
    pub(crate) fn catch_up(&mut self) {
        if !std::mem::take(&mut self.is_desk_busy) {
            return;
        }
        self.judge();
        for at in 0..usize::from(MINERS) * RIGS.len() {
            if self.machines[at].line.is_some() {
                self.exchange(at);
            }
        }
    }

    /// An honest machine of a miner finds a share, or a block, of the newest job that it has, and hands it in.
    pub(crate) fn machine_finds(&mut self, number: u8, rig: usize, is_block: bool) {
        let at = (usize::from(number) - 1) * RIGS.len() + rig;
        self.connect(at);
        self.exchange(at);
        let Some(job) = self.machines[at].newest_job() else { return };
        let machine = &mut self.machines[at];
        let Some(found) = machine.find(&job, &block_target(), is_block) else { return };
        if is_block {
            let height = self.template.as_ref().map_or(0, |template| template.height.0);
            self.tell(format!("miner {number} finds a block at height {height}"));
        }
        if self.lot(16) == 0 {
            // It takes a while to say so: meanwhile there may be other work.
            self.clock.pass(Duration::from_secs(20));
            self.refresh_work();
            self.exchange(at);
        }
        self.hand_in(at, &job, &found);
        self.exchange(at);
    }

    /// Writes a submit on the machine's wire, if there is one.
    pub(crate) fn hand_in(&mut self, at: usize, job: &Job, found: &Found) {
        let machine = &mut self.machines[at];
        let Some(line) = machine.line.as_mut() else { return };
        line.submit(job, found);
        self.proofs.note_told(machine.payee, found.value, job.target);
    }

    /// Shares for which there was no room are handed in once more, as long as their jobs are known.
    pub(crate) fn hand_in_again(&mut self) {
        for OwedAgain { at, job, found } in std::mem::take(&mut self.owed_again) {
            self.exchange(at);
            let knows = |machine: &Machine| {
                machine.line.as_ref().is_some_and(|line| line.jobs.iter().any(|known| known.id == job.id))
            };
            if knows(&self.machines[at]) {
                self.tally.again += 1;
                self.hand_in(at, &job, &found);
                self.exchange(at);
            }
        }
    }

    /// Opens the machine's connection, if it has none and is let in.
    pub(crate) fn connect(&mut self, at: usize) -> bool {
        if self.pool.is_none() || self.death.is_dead() {
            return false;
        }
        if self.machines[at].line.as_ref().is_some_and(|line| line.gave_up) {
            self.hang_up(at);
        }
        if self.machines[at].line.is_none() {
            let (now, port) = (self.now(), self.port_of(at));
            let machine = &mut self.machines[at];
            let Some(connection) = self.front.admit(now, (machine.algorithm, port), machine.address) else {
                if is_honest(at) {
                    self.proofs.complain("an honest machine was turned away".to_owned());
                }
                return false;
            };
            machine.connected(connection);
        }
        true
    }

    /// Honest machines come back at another port now and then, which says how they are paid.
    fn port_of(&mut self, at: usize) -> Option<AccountScheme> {
        if !self.plan.schemes || !is_honest(at) {
            return None;
        }
        let drawn = self.lot(AccountScheme::ALL.len() as u64 + 1) as usize;
        AccountScheme::ALL.get(drawn).copied()
    }

    /// The wire breaks, or an end lets go of it.
    pub(crate) fn hang_up(&mut self, at: usize) {
        if let Some(line) = self.machines[at].line.take() {
            self.front.hang_up(line.connection);
        }
    }

    /// Bytes go to and fro between a machine and the front end, proofs are judged, until nobody has anything to say.
    pub(crate) fn exchange(&mut self, at: usize) {
        const TURNS_MAX: u32 = 64;
        if self.death.is_dead() {
            return;
        }
        self.front.tick(self.now());
        for _ in 0..TURNS_MAX {
            let has_said = self.send(at);
            if !self.is_desk_busy {
                self.judge();
            }
            if self.death.is_dead() {
                // Front end and pool are one process.
                return;
            }
            if !self.receive(at) && !has_said {
                break;
            }
        }
        if is_honest(at) {
            self.check_served(at);
        }
    }

    /// Whoever has an open connection and nothing more to say has work, if there is any, and an answer to every submit.
    fn check_served(&mut self, at: usize) {
        let Machine { algorithm, line: Some(line), .. } = &self.machines[at] else { return };
        let is_served = (line.is_answered() || !self.front.is_idle())
            && (!line.jobs.is_empty() || !self.front.has_work_for(*algorithm));
        if !is_served {
            self.proofs.complain("an honest machine waits for an answer".to_owned());
        }
    }

    /// The front end reads what the machine wrote. Whether that was anything.
    pub(crate) fn send(&mut self, at: usize) -> bool {
        let breaks = self.lot(WIRE_BREAKS_ONE_IN) == 0;
        let Some(line) = self.machines[at].line.as_mut() else { return false };
        let (connection, mut bytes) = (line.connection, std::mem::take(&mut line.said));
        if breaks {
            let arrives = self.lot(bytes.len() as u64 + 1) as usize;
            bytes.truncate(arrives);
        }
        let has_said = !bytes.is_empty();
        while !bytes.is_empty() {
            let piece = (self.lot(PIECE_BYTES_MAX) as usize + 1).min(bytes.len());
            let rest = bytes.split_off(piece);
            self.front_reads(connection, &bytes);
            bytes = rest;
        }
        self.front_reads(connection, &[]);
        if breaks {
            self.tally.wires += 1;
            self.hang_up(at);
        }
        has_said
    }

    pub(crate) fn front_reads(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let now = self.now();
        let pool = self.pool.as_ref();
        let authorize = |address: &str| match pool {
            Some(pool) => pool.authorize(address).map(|payee| (payee, pool.look(|state| state.scheme_of(&payee)))),
            None => Err(AuthorizeError::Unavailable("there is no pool".to_owned())),
        };
        self.front.read(now, connection, bytes, &authorize);
    }

    /// The machine reads what the front end wrote. Whether that was anything.
    fn receive(&mut self, at: usize) -> bool {
        let breaks = self.lot(WIRE_BREAKS_ONE_IN) == 0;
        let Some(connection) = self.machines[at].line.as_ref().map(|line| line.connection) else { return false };
        let (mut bytes, is_closed) = self.front.take_bytes(connection);
        let has_heard = !bytes.is_empty();
        if breaks {
            let arrives = self.lot(bytes.len() as u64 + 1) as usize;
            bytes.truncate(arrives);
        }
        let answered = self.machines[at].line.as_mut().map(|line| line.hear(&bytes)).unwrap_or_default();
        for answer in answered {
            self.note_answer(at, answer);
        }
        if breaks || is_closed {
            self.hang_up(at);
        }
        has_heard
    }

    /// What the client saw: from here on the share must never be lost.
    fn note_answer(&mut self, at: usize, answer: Answered) {
        let Answered { submitted, refused } = answer;
        let value = submitted.value;
        match refused {
            None => match self.proofs.serial_of(&value).and_then(|serial| self.shares.get_mut(&serial)) {
                Some((_, acknowledged)) => *acknowledged = true,
                None => self.proofs.complain("a share was acknowledged that was not booked".to_owned()),
            },
            Some(reason) if is_honest(at) => self.note_refusal(at, submitted, &reason),
            Some(_) => {}
        }
    }

    /// An honest share may come too late, and may find the disk full; then it is handed in once more.
    fn note_refusal(&mut self, at: usize, submitted: Submitted, reason: &str) {
        let is_block = meets(self.machines[at].algorithm, &submitted.value, &block_target());
        // Also one that was in time may be read late, behind one that waits for room.
        let is_late = self.machines[at].newest_job().is_some_and(|newest| newest.id != submitted.job.id);
        match reason {
            "Server busy" if is_block && !self.proofs.was_handed(&submitted.value) => {
                self.proofs.complain("a block was refused unseen".to_owned());
            }
            "Server busy" => {
                self.owed_again.push(OwedAgain { at, job: submitted.job, found: submitted.found });
            }
            "Job not found" | "Stale share" if is_late && !is_block => {}
            _ => self.proofs.complain(format!("an honest share was refused: {reason}")),
        }
    }
}

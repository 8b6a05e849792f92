//! Miners who would like to be paid for more than they prove, or to be a nuisance: one of each kind.

use std::time::Duration;

use bq_pow::ethash_final;
use bq_primitives::{Algorithm, KeyHash, PowHash};
use bq_stratum_client::{EthashDialect, Found, Job, Login, Proof, Work};

use crate::{
    front::ConnectionId,
    lottery::{Drawer, meets},
    machine::Machine,
    mining::{RIGS, address},
    node::block_target,
    signer::POOL,
    world::{MINERS, World, miner},
};

/// Accounts of hostile miners; their keys repeat their numbers.
pub(crate) const HOSTILE: std::ops::RangeInclusive<u8> = 101..=108;
/// Of these, who never prove anything: they must not have an account.
pub(crate) const NEVER_PROVE: [u8; 3] = [105, 106, 107];

/// Their machines, in this order behind the honest ones.
#[derive(Clone, Copy)]
enum Hostile {
    Resubmits,
    ResubmitsAsAnother,
    MinesStale,
    Hops,
    Forges,
    ForgesMixes,
    Floods,
    PoolsAddress,
    LogsInOnly,
    CutsOff,
}

/// A share of the tip before that waits to be handed in.
pub(crate) struct Held {
    connection: ConnectionId,
    job: Job,
    found: Found,
}

/// Lots that a hostile miner draws at a time.
const LOTS: u64 = 300;

pub(crate) fn hostile_machines() -> Vec<Machine> {
    use Algorithm::{Ethash, RandomX, Sha256d};
    use EthashDialect::{EthProxy, Stratum};
    let of = |algorithm, dialect, payee: KeyHash, host: u16| {
        let login = Login { user: format!("{}.h{host}", address(payee)), password: "x".to_owned(), first_nonce: 0 };
        Machine::new(algorithm, dialect, payee, login, 256 + host)
    };
    vec![
        of(RandomX, Stratum, miner(101), 1),
        of(RandomX, Stratum, miner(102), 1),
        of(Sha256d, Stratum, miner(103), 2),
        of(Sha256d, Stratum, miner(104), 3),
        of(RandomX, Stratum, miner(105), 4),
        of(Ethash, Stratum, miner(105), 4),
        of(Sha256d, Stratum, miner(106), 5),
        of(RandomX, Stratum, POOL, 6),
        of(Sha256d, Stratum, miner(107), 7),
        of(Ethash, EthProxy, miner(108), 8),
    ]
}

const fn at(hostile: Hostile) -> usize {
    MINERS as usize * RIGS.len() + hostile as usize
}

impl World {
    /// Now and then one of them does what it does.
    pub(crate) fn hostile_act(&mut self) {
        if self.lot(3) != 0 {
            return;
        }
        match self.lot(8) {
            0 => self.resubmit(),
            1 => self.mine_stale(),
            2 => self.hop(),
            3 => self.forge(),
            4 => self.flood(),
            5 => self.claim_pools_address(),
            6 => self.log_in_only(),
            _ => self.cut_off(),
        }
    }

    /// The same share again: on its connection, on the next, and for another account.
    fn resubmit(&mut self) {
        let (one, other) = (at(Hostile::Resubmits), at(Hostile::ResubmitsAsAnother));
        if let Some((job, found)) = self.handed_in_before.take()
            && self.connect(one)
        {
            // Perhaps the pool has been started again since.
            self.exchange(one);
            self.hand_in(one, &job, &found);
            self.exchange(one);
        }
        let Some((job, found)) = self.hostile_finds(one) else { return };
        self.handed_in_before = Some((job.clone(), found.clone()));
        for _ in 0..2 {
            self.hand_in(one, &job, &found);
            self.exchange(one);
        }
        self.hang_up(one);
        for machine in [one, other] {
            if self.connect(machine) {
                self.exchange(machine);
                self.hand_in(machine, &job, &found);
                self.exchange(machine);
            }
        }
    }

    /// Work of the tip before, found in time and handed in late.
    fn mine_stale(&mut self) {
        let machine = at(Hostile::MinesStale);
        let connection = |world: &Self| world.machines[machine].line.as_ref().map(|line| line.connection);
        if let Some(Held { connection: then, job, found }) = self.held.take()
            && connection(self) == Some(then)
        {
            self.refresh_work();
            self.exchange(machine);
            let is_block = meets(Algorithm::Sha256d, &found.value, &block_target());
            let moved = self.machines[machine].newest_job().is_some_and(|newest| parent_of(&newest) != parent_of(&job));
            if moved && !is_block {
                self.proofs.forbid(found.value, "work of the tip before");
            }
            self.hand_in(machine, &job, &found);
            self.exchange(machine);
        }
        let found = self.hostile_finds(machine);
        self.held = found.and_then(|(job, found)| Some(Held { connection: connection(self)?, job, found }));
    }

    /// Asks for another difficulty before and after finding, and hands in what it found for one job as another's.
    fn hop(&mut self) {
        let machine = at(Hostile::Hops);
        self.suggest(machine);
        let Some((job, found)) = self.hostile_finds(machine) else { return };
        self.suggest(machine);
        self.hand_in(machine, &job, &found);
        self.exchange(machine);
        let Some(newest) = self.machines[machine].newest_job().filter(|newest| newest.id != job.id) else { return };
        if let Proof::Sha256d { nonce, .. } = found.proof {
            // The same fields are another lot there.
            let guess = Drawer::new(&newest.work, 0).draw(nonce);
            self.note_drawn(machine, 1, &newest);
            self.hand_in(machine, &newest, &guess);
            self.exchange(machine);
        }
    }

    fn suggest(&mut self, machine: usize) {
        if !self.connect(machine) {
            return;
        }
        self.exchange(machine);
        self.clock.pass(Duration::from_secs(61));
        let units = [1, 10, 100, 1000][self.lot(4) as usize] as f64 / 4_294_967_296.0;
        self.say(machine, &format!("{{\"id\":9,\"method\":\"mining.suggest_difficulty\",\"params\":[{units}]}}\n"));
        self.exchange(machine);
        self.clock.pass(Duration::from_secs(3));
        self.exchange(machine);
    }

    /// Results and mixes that look low and are not what the work comes to, until nobody lets it in any more.
    fn forge(&mut self) {
        for machine in [at(Hostile::Forges), at(Hostile::ForgesMixes)].repeat(2) {
            if !self.connect(machine) {
                continue;
            }
            self.exchange(machine);
            let Some(job) = self.machines[machine].newest_job() else { continue };
            for _ in 0..3 {
                let nonce = self.lots.next_u64();
                if let Some(found) = forged(&job, nonce) {
                    self.hand_in(machine, &job, &found);
                    self.exchange(machine);
                }
            }
        }
    }

    /// Lines that say nothing, or too much.
    fn flood(&mut self) {
        let machine = at(Hostile::Floods);
        if !self.connect(machine) {
            return;
        }
        let text = match self.lot(5) {
            0 => "\n".repeat(600),
            1 => "{\"id\":1}\n".repeat(300),
            2 => format!("{}\n", "x".repeat(9_000)),
            3 => format!("{}\n", "[".repeat(4_000)).repeat(2),
            _ => "{\"id\":{},\"method\":\"mining.submit\",\"params\":[1,2,3,4,5]}\n\u{1}\u{2}\n".repeat(50),
        };
        if self.lot(2) == 0 {
            self.exchange(machine);
        }
        self.say(machine, &text);
        self.exchange(machine);
    }

    /// Logs in as the pool itself, and hands something in whatever the answer was.
    fn claim_pools_address(&mut self) {
        let machine = at(Hostile::PoolsAddress);
        if self.connect(machine) {
            let result = "0".repeat(64);
            self.say(machine, &format!(
                "{{\"id\":100,\"method\":\"submit\",\"params\":{{\"id\":\"00000001\",\"job_id\":\"00000001\",\"nonce\":\"00000000\",\"result\":\"{result}\"}}}}\n"
            ));
            self.exchange(machine);
            self.hang_up(machine);
        }
    }

    /// Logs in with many machines and, on other connections, as many strangers; hands nothing in.
    fn log_in_only(&mut self) {
        let machine = at(Hostile::LogsInOnly);
        if !self.connect(machine) {
            return;
        }
        self.exchange(machine);
        for number in 0..20 {
            let stranger = address(KeyHash([120 + number; 32]));
            let own = address(miner(107));
            self.say(machine, &format!(
                "{{\"id\":{number},\"method\":\"mining.authorize\",\"params\":[\"{own}.w{number}\",\"x\"]}}\n{{\"id\":{number},\"method\":\"mining.authorize\",\"params\":[\"{stranger}\",\"x\"]}}\n"
            ));
        }
        self.exchange(machine);
        if self.lot(2) == 0 {
            self.hang_up(machine);
        }
    }

    /// Hands a share in and is gone before the answer; then tries it again.
    fn cut_off(&mut self) {
        let machine = at(Hostile::CutsOff);
        let Some((job, found)) = self.hostile_finds(machine) else { return };
        self.hand_in(machine, &job, &found);
        self.send(machine);
        self.hang_up(machine);
        self.judge();
        if self.connect(machine) {
            self.exchange(machine);
            self.hand_in(machine, &job, &found);
            self.exchange(machine);
        }
    }

    /// A share that was truly drawn: every lot counts.
    fn hostile_finds(&mut self, machine: usize) -> Option<(Job, Found)> {
        if !self.connect(machine) {
            return None;
        }
        self.exchange(machine);
        let job = self.machines[machine].newest_job()?;
        let algorithm = self.machines[machine].algorithm;
        let fits = |value: &PowHash| meets(algorithm, value, &job.target);
        let (drawn, found) = self.machines[machine].search(&job, LOTS, fits);
        self.note_drawn(machine, drawn, &job);
        found.map(|found| (job, found))
    }

    fn note_drawn(&mut self, machine: usize, lots: u64, job: &Job) {
        self.proofs.note_drawn(self.machines[machine].payee, lots, job.target);
    }

    /// Bytes that no client of ours would write.
    fn say(&mut self, machine: usize, text: &str) {
        if let Some(line) = self.machines[machine].line.as_mut() {
            line.said.extend(text.bytes());
        }
    }
}

/// What a SHA-256d job builds on.
fn parent_of(job: &Job) -> Option<[u8; 32]> {
    match &job.work {
        Work::Sha256d(template) => Some(template.prev_hash),
        Work::RandomX { .. } | Work::Ethash { .. } => None,
    }
}

/// A proof whose claim is low and false.
fn forged(job: &Job, nonce: u64) -> Option<Found> {
    match &job.work {
        Work::RandomX { .. } => {
            let mut value = [0; 32];
            value[..8].copy_from_slice(&nonce.to_le_bytes());
            Some(Found { proof: Proof::RandomX { nonce: nonce as u32 }, value: PowHash(value) })
        }
        Work::Ethash { work_hash, .. } => {
            let mix = |n: u16| {
                let mut mix = [7; 32];
                mix[..2].copy_from_slice(&n.to_be_bytes());
                mix
            };
            let value = |mix: &[u8; 32]| ethash_final(work_hash, nonce, mix);
            let mix = (0..2000).map(mix).find(|mix| meets(Algorithm::Ethash, &value(mix), &job.target))?;
            Some(Found { value: value(&mix), proof: Proof::Ethash { nonce, mix } })
        }
        Work::Sha256d(_) => None,
    }
}

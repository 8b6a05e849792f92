//! What happens to a pool.

use std::{sync::Arc, time::Duration};

use bq_pool_machine::Commitment;
use bq_primitives::{Height, Transaction, Witness};

use crate::{
    chain::MATURITY,
    mining::RIGS,
    node::{NETWORK_DIFFICULTY, STRANGER, SUBSIDY, output},
    signer::{COMMITMENT_KEY, POOL},
    world::{Backup, MINERS, World},
};

/// Deeper than ordinary reorganisations reach.
const BURIED: u32 = 3;

impl World {
    /// One thing happens.
    pub(crate) fn happen(&mut self) -> Result<(), String> {
        match self.below(40) {
            0..=15 => self.mine_shares(),
            16..=25 => {
                self.foreign_blocks(1);
            }
            26 => self.short_reorganisation(),
            // The reserve bears what they cost: with more of them nothing would ever be paid out of it.
            27 if self.one_in(4) && (!self.plan.schemes || self.lot(6) == 0) => self.deep_reorganisation(),
            28 => self.gift(),
            29 => self.lose_mempools(),
            30 => self.arm(),
            31 => self.switch_disk(),
            32 => self.switch_link(),
            33 => self.switch_node(),
            34 => self.jump_clock(),
            35 if self.one_in(20) => self.steal(),
            36 if self.one_in(12) => self.lose_chain_store(),
            37 => self.operator_acts(),
            38 => self.back_up_or_restore()?,
            39 if self.one_in(4) => self.rot()?,
            _ => self.clock.pass(Duration::from_secs(600)),
        }
        let mut net = self.net.lock();
        if let Some(upto) = net.resyncing {
            net.resyncing = Some(upto + 20);
        }
        net.exchange();
        Ok(())
    }

    /// Miners hand in shares; by lottery one may be a block.
    pub(crate) fn mine_shares(&mut self) {
        // Front ends of a new life have no old work.
        if self.template.is_none() || !self.one_in(4) || !self.front.has_work() {
            self.refresh_work();
        }
        self.hand_in_again();
        self.is_desk_busy = self.lot(4) == 0;
        for _ in 0..self.rng.between(1, 6) {
            self.mine_share();
        }
        self.catch_up();
    }

    fn mine_share(&mut self) {
        let number = self.rng.between(1, MINERS.into()) as u8;
        let rig = self.below(RIGS.len() as u64) as usize;
        let is_block = self.below(NETWORK_DIFFICULTY) < RIGS[rig];
        self.machine_finds(number, rig, is_block);
    }

    pub(crate) fn foreign_blocks(&mut self, count: u32) {
        for _ in 0..count {
            let mut net = self.net.lock();
            let tip = net.theirs.tip().id();
            net.foreign_block(tip, true);
        }
    }

    fn short_reorganisation(&mut self) {
        let depth = self.rng.between(1, 3) as u32;
        self.reorganise(depth);
    }

    fn deep_reorganisation(&mut self) {
        let depth = self.rng.between(1, u64::from(3 * MATURITY)) as u32;
        self.reorganise(depth);
    }

    /// Somebody had a longer chain of their own.
    fn reorganise(&mut self, depth: u32) {
        let takes = !self.one_in(3);
        if self.is_restored_unheard {
            return;
        }
        let mut net = self.net.lock();
        let Height(height) = net.theirs.tip().header.height;
        let depth = depth.min(height);
        if depth == 0 {
            return;
        }
        let linked = std::mem::replace(&mut net.is_linked, false);
        let mut parent = net.theirs.best()[(height - depth) as usize];
        for _ in 0..=depth {
            match net.foreign_block(parent, takes) {
                Some(id) => parent = id,
                None => break,
            }
        }
        net.is_linked = linked;
        drop(net);
        self.tell(format!("a longer chain takes {depth} blocks back"));
    }

    /// A stranger sends the pool coins, sometimes not worth keeping.
    fn gift(&mut self) {
        let amount = self.rng.between(1, 300_000);
        // More than a tenth of a subsidy now and then, which FPPS does not count.
        let fee = if self.plan.schemes { self.lots.between(0, SUBSIDY / 5) } else { 0 };
        let mut net = self.net.lock();
        let coin = net.theirs.coins().values().find(|coin| coin.output.key_hash == STRANGER && !coin.is_coinbase);
        let fresh = |coin: &&bq_chain_api::Coin| {
            coin.output.key_hash == STRANGER
                && coin.is_coinbase
                && net.theirs.tip().header.height.0 - coin.height.0 + 1 >= MATURITY
        };
        let coin = coin.or_else(|| net.theirs.coins().values().find(fresh));
        let Some(coin) = coin.filter(|coin| coin.output.amount.atoms() > amount + fee).cloned() else { return };
        let outputs = vec![output(amount, POOL), output(coin.output.amount.atoms() - amount - fee, STRANGER)];
        // Somebody else may have spent that coin in the mempool already.
        let _ = net.theirs.offer(plain(vec![coin.outpoint], outputs));
    }

    fn lose_mempools(&mut self) {
        let mut net = self.net.lock();
        net.ours.mempool.clear();
        net.theirs.mempool.clear();
    }

    /// The pool will die at one of its next effects.
    fn arm(&mut self) {
        let (effects, after) = (self.below(12) as u32, self.one_in(2));
        self.death.arm(effects, after);
    }

    fn switch_disk(&mut self) {
        let full = !self.death.is_full() && self.one_in(2);
        if full != self.death.is_full() {
            self.tell(if full { "the disk is full" } else { "the disk has room again" });
        }
        self.death.set_full(full);
    }

    /// The disk turns slow, or fast again.
    pub(crate) fn switch_speed(&mut self) {
        if self.lot(40) != 0 {
            return;
        }
        if self.speed.is_slow() {
            self.speed.set_slow(Duration::ZERO);
            self.tell("the disk is as fast as ever");
        } else {
            let sync = Duration::from_millis(self.lots.between(500, 8_000));
            self.speed.set_slow(sync);
            self.tell(format!("the disk is slow: a sync takes {} ms", sync.as_millis()));
        }
    }

    fn switch_link(&mut self) {
        if self.is_restored_unheard {
            return;
        }
        let linked = !self.net.lock().is_linked || !self.one_in(2);
        let was = std::mem::replace(&mut self.net.lock().is_linked, linked);
        if was != linked {
            self.tell(if linked { "the pool's node is connected again" } else { "the pool's node is cut off" });
        }
    }

    fn switch_node(&mut self) {
        let down = !self.net.lock().is_down && self.one_in(2);
        let was = std::mem::replace(&mut self.net.lock().is_down, down);
        if was != down {
            self.tell(if down { "the pool's node does not answer" } else { "the pool's node answers again" });
        }
    }

    fn jump_clock(&mut self) {
        let by = self.rng.between(0, 20_000_000).cast_signed() - 10_000_000;
        self.clock.jump(by);
        self.tell(format!("the machine's clock jumps by {} s", by / 1000));
    }

    /// Somebody has the pool's key and spends with it.
    fn steal(&mut self) {
        let mut net = self.net.lock();
        let height = net.theirs.tip().header.height.0;
        let is_free = |coin: &&bq_chain_api::Coin| {
            coin.output.key_hash == POOL && (!coin.is_coinbase || height - coin.height.0 + 1 >= MATURITY)
        };
        let Some(coin) = net.theirs.coins().values().find(is_free).cloned() else { return };
        let theft = plain(vec![coin.outpoint], vec![output(coin.output.amount.atoms(), STRANGER)]);
        net.theirs.mempool.retain(|other| !other.inputs.contains(&coin.outpoint));
        let taken = net.theirs.offer(theft).is_ok();
        drop(net);
        if taken {
            self.is_short = true;
            self.tell(format!("a thief spends {} coins of the pool", coin.output.amount));
        }
    }

    fn lose_chain_store(&mut self) {
        if self.is_restored_unheard {
            return;
        }
        let mut net = self.net.lock();
        if net.resyncing.is_none() && net.is_linked {
            net.lose_store();
            drop(net);
            self.tell("the pool's node lost its chain and reads it again");
        }
    }

    /// A copy of the books is made, or an old one is put in their place.
    fn back_up_or_restore(&mut self) -> Result<(), String> {
        let copy = self.folder.path().join("copy.sqlite");
        if self.plan.restores
            && self.one_in(6)
            && let Some(backup) = self.backup.clone()
            && self.is_noticed(&backup)
        {
            let alone = self.credited_alone()?;
            self.pool = None;
            let books = self.books_path();
            for end in ["-wal", "-shm"] {
                let mut name = books.clone().into_os_string();
                name.push(end);
                let _ = std::fs::remove_file(name);
            }
            std::fs::copy(&copy, &books).map_err(|error| error.to_string())?;
            let replaced = std::mem::replace(&mut self.matured, backup.matured);
            let forgotten = replaced.into_values().filter(|candidate| !self.is_known(candidate));
            let forgotten: Vec<_> = forgotten.filter(|candidate| !self.forgotten.contains(candidate)).collect();
            self.forgotten.extend(forgotten);
            self.is_restored_unheard = true;
            self.doubts_books = true;
            self.tell("an old copy of the books is put in their place");
            self.open()?;
            let kept = self.credited_alone()?;
            for (key, credited) in alone {
                let lost = credited.saturating_sub(kept.get(&key).copied().unwrap_or(0));
                *self.forgotten_alone.entry(key).or_default() += lost;
            }
            self.observe();
            return self.check_shares(None);
        }
        let Some(pool) = &self.pool else { return Ok(()) };
        let _ = std::fs::remove_file(&copy);
        if pool.back_up(&copy).is_ok() {
            let head = pool.look(|state| state.head().number);
            self.backup = Some(Backup { matured: self.matured.clone(), head, height: self.our_height() });
        }
        Ok(())
    }

    /// A block of the pool lies buried on the chain that was made after the copy and names an event that the copy does not have.
    /// Without one nothing on the chain tells the copy from the newest books, and no driver could notice; a full disk, for one,
    /// holds up events while blocks go on.
    fn is_noticed(&self, backup: &Backup) -> bool {
        let (net, config) = (self.net.lock(), self.config());
        if !net.is_linked || net.resyncing.is_some() {
            return false;
        }
        let buried = net.ours.tip().header.height.0.saturating_sub(BURIED) as usize;
        let mut above = net.ours.best().iter().take(buried + 1).skip(backup.height as usize + 2);
        above.any(|id| {
            let said = net.ours.block(id).and_then(|block| {
                let (coinbase, parent) = (block.transactions.first()?, &block.header.parent_id);
                let pool = coinbase.outputs.last()?.key_hash;
                Commitment::read(coinbase, &config.pool_tag, &COMMITMENT_KEY, parent, &pool)
            });
            said.is_some_and(|(Commitment(seen), _)| seen.number > backup.head)
        })
    }

    /// A bit of the share log rots: the start must notice, or the shares must be what they were.
    fn rot(&mut self) -> Result<(), String> {
        self.rounds(3)?;
        let log = self.pool.as_ref().and_then(|pool| pool.shares().ok()).unwrap_or_default();
        let told = self.told();
        if log.last().is_none_or(|(last, _)| last.next() != told) || self.death.is_full() {
            return Ok(());
        }
        self.pool = None;
        let sound = self.platter.lock().clone();
        let flipped = self.platter.lock().flip(&mut self.rng);
        self.death = Arc::default();
        let outcome = self.try_open();
        let shares = outcome.as_ref().map(|pool| pool.shares());
        let is_same = !matches!(&shares, Ok(Ok(shares)) if *shares != log);
        drop(outcome);
        *self.platter.lock() = sound;
        if !is_same {
            return Err(format!("a flipped bit changed shares unnoticed: {flipped:?}"));
        }
        self.tell("a bit of the share log rots; the file is restored");
        self.open()
    }
}

fn plain(inputs: Vec<bq_primitives::OutPoint>, outputs: Vec<bq_primitives::TxOut>) -> Transaction {
    let witness = Witness { public_key: Box::new([0; 1952]), signature: Box::new([0; 3309]) };
    let witnesses = vec![witness; inputs.len()];
    Transaction { version: 1, inputs, outputs, lock_height: Height(0), coinbase_data: vec![], witnesses }
}

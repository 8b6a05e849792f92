use std::collections::{BTreeMap, BTreeSet};

use mining_sv2::{CloseChannelOwned, UpdateChannelOwned};
use proptest::prelude::*;

use super::*;

/// Something that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    Frame(Vec<u8>),
    Template(u8, u8),
    NoTemplate,
    Pass(u64),
    Verdict(bool),
}

fn frames() -> Vec<Vec<u8>> {
    let submit = SubmitSharesStandard {
        channel_id: 2,
        sequence_number: 1,
        job_id: 0x1f,
        nonce: 7,
        ntime: 0x6a00_0003,
        version: 0x2000_0000,
    };
    let update = UpdateChannelOwned { channel_id: 2, nominal_hash_rate: 1e9, maximum_target: [0xff; 32].into() };
    vec![
        frame(setup(0), 0x00),
        frame(setup(1), 0x00),
        frame(standard(1, "a.rig", 1e6, [0xff; 32]), 0x10),
        frame(standard(2, "nobody", 0.0, [0xff; 32]), 0x10),
        frame(extended(3, "b.rig", 4), 0x13),
        frame(submit, 0x1a),
        frame(update, 0x16),
        frame(CloseChannelOwned { channel_id: 2, reason_code: text("") }, 0x18),
        frame(CloseChannelOwned { channel_id: 1, reason_code: text("bye") }, 0x18),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let known = (0..frames().len()).prop_map(|index| Step::Frame(frames().swap_remove(index)));
    let broken = (0..frames().len(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(index, at, byte)| {
        let mut bytes = frames().swap_remove(index);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        Step::Frame(bytes)
    });
    prop_oneof![
        8 => known,
        3 => broken,
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Step::Frame),
        2 => (1_u8..4, 0_u8..3).prop_map(|(tip, body)| Step::Template(tip, body)),
        1 => Just(Step::NoTemplate),
        2 => (0_u64..20_000).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Verdict),
    ]
}

/// What a client holds the pool to.
#[derive(Default)]
struct Device {
    /// Of each open channel: the jobs that it was told, and whether it has a previous hash.
    channels: BTreeMap<u32, (BTreeSet<u32>, bool)>,
    /// Whose part of X is whose, of all channels that there ever were.
    prefixes: BTreeMap<Vec<u8>, u32>,
    waiting: Option<(u32, u32)>,
}

impl Device {
    fn of(&mut self, to: u32) -> impl Iterator<Item = &mut (BTreeSet<u32>, bool)> {
        self.channels.iter_mut().filter(move |(id, _)| to == 1 || **id == to).map(|(_, channel)| channel)
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Opened { channel, prefix, rolls, .. } => {
                assert_eq!(prefix.len() + usize::from(rolls), 12, "all of a group have as many bytes");
                let before = self.prefixes.insert(prefix[..4].to_vec(), channel);
                assert_eq!(before, None, "no two channels share a part of X");
                assert!(self.channels.insert(channel, Default::default()).is_none() && channel > 1);
            }
            Said::Job { channel, job, is_future, .. } => {
                assert_eq!(self.waiting, None, "a future job is followed by its previous hash at once");
                for (jobs, has_prev_hash) in self.of(channel) {
                    assert!(jobs.insert(job), "a job's name came twice");
                    assert!(is_future || *has_prev_hash, "an active job before any previous hash");
                }
                self.waiting = is_future.then_some((channel, job));
            }
            Said::PrevHash { channel, job, .. } => {
                assert_eq!(self.waiting.take(), Some((channel, job)));
                self.of(channel).for_each(|(_, has_prev_hash)| *has_prev_hash = true);
            }
            Said::Target { channel, .. } => assert!(self.channels.contains_key(&channel)),
            Said::Closed { channel, .. } => drop(self.channels.remove(&channel)),
            _ => {}
        }
    }

    /// It closed these itself.
    fn forget(&mut self, freed: &[ExtranoncePrefix]) {
        for prefix in freed {
            if let Some(channel) = self.prefixes.get(prefix.extranonce1().as_slice()) {
                self.channels.remove(channel);
            }
        }
    }
}

fn run(rig: &mut Rig, step: Step) {
    match step {
        Step::Frame(bytes) => {
            if rig.session.reads_at().is_some() {
                rig.frame(bytes);
            }
        }
        Step::Template(tip, body) => rig.template(&template(tip, body, 40)),
        Step::NoTemplate => {
            rig.session.handle_template(rig.now, None);
            rig.drive();
        }
        Step::Pass(span_ms) => rig.pass(span_ms),
        Step::Verdict(good) if !rig.shares.is_empty() => {
            let bad = Verdict::Rejected(Reject::LowDifficulty);
            rig.verdict(if good { Verdict::Accepted { block: false } } else { bad });
        }
        Step::Verdict(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever arrives in whatever order: no panic, nothing is said after the end, and a device that follows the protocol to the letter
    /// finds the order that it asks for.
    #[test]
    fn the_order_of_the_protocol_is_kept_whatever_comes(steps in proptest::collection::vec(step(), 1..80)) {
        let mut rig = Rig::new(policy(1 << 24));
        rig.frame(frames().swap_remove(0));
        let mut device = Device::default();
        for step in steps {
            let was_closed = rig.closed.is_some();
            run(&mut rig, step);
            let said = rig.take();
            prop_assert!(!was_closed || said.is_empty(), "{:?}", said);
            for said in said {
                device.hear(said);
            }
            device.forget(&rig.freed);
            prop_assert_eq!(device.waiting, None);
            prop_assert!(rig.session.channels() <= 20);
            if rig.closed.is_none() {
                prop_assert!(rig.session.next_timeout() >= UnixMs(1_778_384_896_000));
            }
        }
    }
}

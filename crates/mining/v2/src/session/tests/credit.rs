//! What a hash earns (SPEC 11.3, 11.10): no more than 1 in expectation, for a client that opens as many channels as it likes, sees all
//! their jobs and submits what it found to any of them.

use std::collections::{BTreeMap, BTreeSet};

use bq_share::ShareKey;
use mining_sv2::{CloseChannelOwned, UpdateChannelOwned};
use proptest::prelude::*;
use ruint::Uint;

use super::*;

type Wide = Uint<384, 6>;

/// One way to submit a hash: what it earns, and the largest value that earns it.
type Offer = (ShareDifficulty, Target);

/// Times 2^256: what a hash of random value earns when it is submitted under the best of `offers` that it meets.
fn expected_credit(offers: &BTreeSet<Offer>) -> Wide {
    let mut easiest_first: Vec<&Offer> = offers.iter().collect();
    easiest_first.sort_by_key(|(difficulty, target)| (std::cmp::Reverse(*target), *difficulty));
    let count = |target: &Target| Wide::from(target.0) + Wide::from(1);
    let mut expected = Wide::ZERO;
    for (index, (_, target)) in easiest_first.iter().enumerate() {
        // Values in (next.target, target] meet the first `index + 1` offers.
        let harder = easiest_first.get(index + 1).map_or(Wide::ZERO, |(_, next)| count(next));
        let best = easiest_first[..=index].iter().map(|(difficulty, _)| difficulty.hashes()).max().unwrap();
        expected += (count(target) - harder) * Wide::from(best);
    }
    expected
}

#[derive(Clone, Debug)]
enum Move {
    Pass(u64),
    OpenStandard(f32),
    OpenExtended,
    Close(usize),
    Update(usize, f32),
    Body(u8),
    Tip(u8),
    Accept(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0_u64..40_000).prop_map(Move::Pass),
        2 => (0.0_f32..1e9).prop_map(Move::OpenStandard),
        2 => Just(Move::OpenExtended),
        1 => (0_usize..4).prop_map(Move::Close),
        2 => (0_usize..4, 0.0_f32..1e12).prop_map(|(channel, rate)| Move::Update(channel, rate)),
        2 => (0_u8..3).prop_map(Move::Body),
        1 => (0_u8..3).prop_map(Move::Tip),
        2 => (0_usize..4).prop_map(Move::Accept),
    ];
    proptest::collection::vec(one, 1..60)
}

/// What the client knows.
#[derive(Default)]
struct Client {
    /// Which of them roll their own bytes.
    channels: BTreeMap<u32, bool>,
    /// Whatever it was ever told, of whatever channel.
    jobs: BTreeSet<u32>,
}

impl Client {
    fn hear(&mut self, rig: &mut Rig) {
        for said in rig.take() {
            match said {
                Said::Opened { channel, rolls, .. } => drop(self.channels.insert(channel, rolls > 0)),
                Said::Closed { channel, .. } => drop(self.channels.remove(&channel)),
                Said::Job { job, .. } => drop(self.jobs.insert(job)),
                _ => {}
            }
        }
    }

    fn nth(&self, index: usize) -> Option<u32> {
        self.channels.keys().nth(index).copied()
    }

    fn submit(&self, rig: &mut Rig, channel: u32, job: u32, nonce: u32) {
        match self.channels.get(&channel) {
            Some(true) => rig.submit_extended(channel, 1, job, nonce),
            _ => rig.submit(channel, 1, job, nonce),
        }
    }
}

/// The same rolled bytes under every job of every channel.
fn offers_of(rig: &mut Rig, client: &Client, offers: &mut BTreeMap<ShareKey, BTreeSet<Offer>>) {
    let channels: Vec<u32> = client.channels.keys().copied().collect();
    for channel in channels {
        for job in &client.jobs {
            if rig.closed.is_none() {
                client.submit(rig, channel, *job, 1);
            }
            while let Some(share) = rig.shares.pop() {
                let offer = (share.difficulty, share.share_target);
                offers.entry(ShareKey::of(&share.template, &share.seal)).or_default().insert(offer);
                // Not accepted: vardiff is left alone.
                rig.session.handle_verdict(rig.now, share.ticket, Verdict::Rejected(Reject::Duplicate));
                rig.drive();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_hash_earns_more_than_one_on_any_channel(flags in 0_u32..2, moves in moves()) {
        let mut policy = policy(1 << 24);
        policy.common =
            Arc::new(SessionPolicy { lines_per_second: 1_000_000, job_gap_ms: 0, ..(*policy.common).clone() });
        policy.channels_max = 4;
        let mut rig = Rig::set_up(policy, flags);
        let (mut client, mut offers) = (Client::default(), BTreeMap::new());
        let (mut tip, mut body) = (1, 0);
        for step in moves {
            match step {
                Move::Pass(span_ms) => rig.pass(span_ms),
                Move::OpenStandard(rate) => rig.message(standard(1, "a", rate, [0xff; 32]), 0x10),
                Move::OpenExtended => rig.message(extended(1, "b", 8), 0x13),
                Move::Close(index) => {
                    if let Some(channel_id) = client.nth(index) {
                        client.channels.remove(&channel_id);
                        rig.message(CloseChannelOwned { channel_id, reason_code: text("") }, 0x18);
                    }
                }
                Move::Update(index, nominal_hash_rate) => {
                    if let Some(channel_id) = client.nth(index) {
                        let maximum_target = [0xff; 32].into();
                        rig.message(UpdateChannelOwned { channel_id, nominal_hash_rate, maximum_target }, 0x16);
                    }
                }
                Move::Body(next) => { body = next; rig.template(&template(tip, body, 40)); }
                Move::Tip(next) => { tip = next; rig.template(&template(tip, body, 40)); }
                Move::Accept(index) => {
                    if let (Some(channel), Some(job)) = (client.nth(index), client.jobs.last().copied()) {
                        client.submit(&mut rig, channel, job, 2);
                        while !rig.shares.is_empty() {
                            rig.verdict(Verdict::Accepted { block: false });
                        }
                    }
                }
            }
            client.hear(&mut rig);
            offers_of(&mut rig, &client, &mut offers);
            client.hear(&mut rig);
        }
        for offers in offers.values() {
            prop_assert_eq!(offers.len(), 1, "a hash is the share of one job at most: {:?}", offers);
            prop_assert!(expected_credit(offers) <= Wide::from(1) << 256, "{:?}", offers);
        }
    }
}

#[test]
fn the_measure_finds_two_channels_that_share_their_work() {
    let offer = |exponent: u32| {
        let difficulty = ShareDifficulty::from_hashes(1 << exponent);
        (difficulty, bq_share::share_target(Algorithm::Sha256d, difficulty))
    };
    assert_eq!(expected_credit(&BTreeSet::from([offer(20)])), Wide::from(1) << 256);
    assert!(expected_credit(&BTreeSet::from([offer(20), offer(30)])) > Wide::from(1) << 256);
}

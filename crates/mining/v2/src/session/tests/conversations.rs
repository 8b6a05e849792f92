//! Whole exchanges, and what is said in answer.

use bq_share::share_target;
use mining_sv2::{CloseChannelOwned, UpdateChannelOwned};

use super::*;

fn told(hashes: u64) -> U256 {
    share_target(Algorithm::Sha256d, ShareDifficulty::from_hashes(hashes)).0
}

fn refused(rig: &mut Rig, code: &str) {
    let said = rig.take();
    assert!(
        matches!(said.as_slice(), [Said::Refused { code: found, .. } | Said::ShareRefused { code: found, .. }] if found == code),
        "{code}: {said:?}"
    );
}

#[test]
fn the_first_job_waits_for_its_previous_hash_and_the_next_on_the_same_tip_does_not() {
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    let channel = rig.open_standard("a.rig1");
    let prefix = [vec![0, 0, 0, 101], vec![0; 8]].concat();
    assert_eq!(
        rig.take(),
        [
            Said::Opened { request: 1, channel, group: 1, target: told(1 << 24), prefix, rolls: 0 },
            Said::Job { channel, job: 0x1f, is_future: true, is_extended: false },
            Said::PrevHash { channel, job: 0x1f, parent: [1; 32] },
        ]
    );
    rig.template(&template(1, 1, 40));
    assert_eq!(rig.take(), [], "not so soon after the last");
    rig.pass(2_000);
    assert_eq!(rig.take().last(), Some(&Said::Job { channel, job: 0x20, is_future: false, is_extended: false }));
    rig.template(&template(2, 0, 40));
    let said = rig.take();
    let news = [
        Said::Job { channel, job: 0x21, is_future: true, is_extended: false },
        Said::PrevHash { channel, job: 0x21, parent: [2; 32] },
    ];
    assert_eq!(said, news);
}

#[test]
fn a_job_to_a_group_is_one_message_and_each_channel_has_its_own_difficulty() {
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    // Fast, and slow.
    rig.message(standard(1, "a.fast", 1e12, [0xff; 32]), 0x10);
    let slow = rig.open_extended("b.slow");
    let fast = slow - 1;
    rig.take();
    rig.template(&template(2, 0, 40));
    let said = rig.take();
    let [Said::Job { channel: 1, job, is_future: true, is_extended: true }, Said::PrevHash { channel: 1, job: of, .. }] =
        said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert_eq!((*job, of), (0x20, job), "one number that both had left");
    let job = *job;
    rig.submit(fast, 1, job, 7);
    rig.submit_extended(slow, 2, job, 7);
    let worth: Vec<u64> = rig.shares.iter().map(|share| share.difficulty.hashes()).collect();
    assert_eq!(worth[1], 1 << 24);
    assert_eq!(worth[0], (1 << 40) / 10, "a third of a second of its work would be more than a tenth of a block");
    let heads: Vec<_> = rig.shares.iter().map(|share| share.seal).collect();
    assert_ne!(heads[0], heads[1], "the same bytes rolled, but another part of X");
    rig.verdict(Verdict::Accepted { block: false });
    rig.verdict(Verdict::Accepted { block: false });
    let accepted = [(fast, 1), (slow, 2)].map(|(channel, last)| Said::Accepted { channel, last, count: 1 });
    assert_eq!(rig.take(), accepted);
}

#[test]
fn who_needs_standard_jobs_gets_no_group_and_no_extended_channel() {
    let mut rig = Rig::set_up(policy(1 << 24), 1);
    rig.message(extended(1, "a", 4), 0x13);
    refused(&mut rig, "extended-channels-not-supported-for-standard-jobs");
    let channels = [rig.open_standard("a.1"), rig.open_standard("a.2")];
    rig.take();
    rig.template(&template(2, 0, 40));
    let jobs = channels.map(|channel| {
        [
            Said::Job { channel, job: 0x20, is_future: true, is_extended: false },
            Said::PrevHash { channel, job: 0x20, parent: [2; 32] },
        ]
    });
    assert_eq!(rig.take(), jobs.concat());
}

#[test]
fn accepted_shares_are_acknowledged_together_and_refused_ones_by_name() {
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    let channel = rig.open_standard("a.rig1");
    rig.take();
    for sequence in 1..=4 {
        rig.submit(channel, sequence, 0x1f, sequence);
    }
    let tickets: Vec<_> = rig.shares.drain(..).map(|share| share.ticket).collect();
    for (ticket, sequence) in tickets.into_iter().zip(1..) {
        let verdict =
            if sequence == 3 { Verdict::Rejected(Reject::LowDifficulty) } else { Verdict::Accepted { block: false } };
        rig.session.handle_verdict(rig.now, ticket, verdict);
    }
    rig.drive();
    let refused = Said::ShareRefused { channel, sequence: 3, code: "difficulty-too-low".to_owned() };
    assert_eq!(rig.take(), [refused, Said::Accepted { channel, last: 4, count: 3 }]);
    // It may come again only if it was not credited.
    rig.submit(channel, 5, 0x1f, 1);
    rig.submit(channel, 6, 0x1f, 3);
    let duplicate = Said::ShareRefused { channel, sequence: 5, code: "duplicate-share".to_owned() };
    assert_eq!((rig.take(), rig.shares.len()), (vec![duplicate], 1));
    assert_eq!(rig.rejected, [Reject::LowDifficulty, Reject::Duplicate]);
}

#[test]
fn what_is_wrong_with_a_channel_is_told_in_the_protocols_words() {
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    for (user, code) in [
        ("nobody.rig", "unknown-user"),
        ("token.rig", "invalid-worker-token"),
        ("full", "channel-capacity-exhausted"),
        ("", "invalid-user-identity"),
        ("a.<script>", "invalid-user-identity"),
        ("a+much", "invalid-user-identity"),
    ] {
        rig.message(standard(1, user, 0.0, [0xff; 32]), 0x10);
        refused(&mut rig, code);
    }
    for rate in [f32::NAN, f32::INFINITY, -1.0] {
        rig.message(standard(1, "a", rate, [0xff; 32]), 0x10);
        refused(&mut rig, "invalid-nominal-hashrate");
    }
    rig.message(standard(1, "a", 0.0, [0; 32]), 0x10);
    refused(&mut rig, "max-target-out-of-range");
    assert_eq!(rig.freed.len(), 1, "its number goes back");
    rig.message(extended(1, "a", 9), 0x13);
    refused(&mut rig, "min-extranonce-size-too-large");
    for _ in 0..20 {
        rig.open_extended("a");
    }
    rig.take();
    rig.message(standard(1, "a", 0.0, [0xff; 32]), 0x10);
    refused(&mut rig, "channel-capacity-exhausted");
    rig.message(CloseChannelOwned { channel_id: 5, reason_code: text("") }, 0x18);
    rig.open_standard("a");
    assert_eq!(rig.closed, None);
    rig.message(CloseChannelOwned { channel_id: 1, reason_code: text("") }, 0x18);
    assert_eq!((rig.session.channels(), rig.freed.len()), (0, 22), "a group goes as a whole");
    rig.message(standard(1, "later", 0.0, [0xff; 32]), 0x10);
    assert_eq!(rig.closed, Some(CloseReason::Unavailable));
}

#[test]
fn a_largest_target_is_kept_and_speed_is_where_vardiff_begins() {
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    let least = told(1 << 30);
    rig.message(standard(1, "a", 0.0, least.to_le_bytes()), 0x10);
    let Some(Said::Opened { target, channel, .. }) = rig.take().first().cloned() else { panic!("refused") };
    assert_eq!(target, least);
    let update = |hashes: u64, rate| UpdateChannelOwned {
        channel_id: channel,
        nominal_hash_rate: rate,
        maximum_target: told(hashes).to_le_bytes::<32>().into(),
    };
    rig.message(update(1 << 32, 0.0), 0x16);
    let said = rig.take();
    assert!(
        matches!(said[..], [Said::Target { target, .. }, Said::Job { is_future: false, .. }] if target == told(1 << 32)),
        "{said:?}"
    );
    rig.message(update(1 << 50, 0.0), 0x16);
    assert_eq!(rig.take(), [Said::Other(0x17)], "harder than any job may be");
    rig.message(update(1 << 32, -1.0), 0x16);
    assert_eq!(rig.take(), [Said::Other(0x17)]);
    rig.message(update(1, 1e12), 0x16);
    let said = rig.take();
    assert!(
        matches!(said[..], [Said::Target { target, .. }, Said::Job { .. }] if target == told((1 << 40) / 10)),
        "{said:?}"
    );
}

#[test]
fn a_channel_whose_promise_cannot_be_kept_any_longer_is_closed_and_the_others_go_on() {
    let mut rig = Rig::set_up(policy(1 << 10), 0);
    rig.message(standard(1, "a", 0.0, told(1 << 30).to_le_bytes()), 0x10);
    let other = rig.open_standard("b");
    rig.take();
    // Blocks take 2^20 hashes now.
    rig.template(&template(2, 0, 20));
    let said = rig.take();
    assert_eq!(said[0], Said::Closed { channel: other - 1, code: "inexpressible".to_owned() });
    assert!(said.iter().any(|said| matches!(said, Said::PrevHash { .. })) && rig.closed.is_none(), "{said:?}");
    rig.submit(other, 1, 0x20, 1);
    assert_eq!(rig.shares.len(), 1);
}

#[test]
fn what_comes_first_is_a_setup_or_the_end() {
    let endings = |message: Vec<u8>| {
        let mut rig = Rig::new(policy(1 << 24));
        rig.frame(message);
        (rig.take(), rig.closed)
    };
    let with = |change: fn(&mut SetupConnectionOwned)| {
        let mut setup = setup(0);
        change(&mut setup);
        endings(frame(setup, 0x00))
    };
    let refused = |code: &str| (vec![Said::SetupRefused(code.to_owned())], Some(CloseReason::Refused));
    assert_eq!(with(|setup| setup.flags = 0b10), refused("unsupported-feature-flags"));
    assert_eq!(with(|setup| setup.min_version = 3), refused("protocol-version-mismatch"));
    assert_eq!(with(|setup| setup.protocol = Protocol::JobDeclarationProtocol), refused("unsupported-protocol"));
    let mut unheard_of = frame(setup(0), 0x00);
    unheard_of[6] = 9;
    assert_eq!(endings(unheard_of), refused("unsupported-protocol"));
    let not_stratum = (vec![], Some(CloseReason::NotStratum));
    assert_eq!(endings(frame(standard(1, "a", 0.0, [0; 32]), 0x10)), not_stratum);
    assert_eq!(endings(vec![0, 0, 0x7f, 0, 0, 0]), not_stratum);
    assert_eq!(endings(vec![0, 0, 0, 1, 0, 0, 0]), not_stratum);
    assert_eq!(with(|setup| setup.flags = 0b101), (vec![Said::SetUp], None));
}

#[test]
fn nonsense_is_put_up_with_five_times_and_what_is_unknown_for_ever() {
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    for _ in 0..100 {
        rig.frame(vec![0, 0, 0x7f, 0, 0, 0]);
        rig.frame(vec![1, 0, 0x10, 0, 0, 0]);
    }
    for _ in 0..5 {
        rig.frame(vec![0, 0, 0x1a, 1, 0, 0, 0]);
    }
    assert_eq!((rig.take(), rig.closed), (vec![], None));
    rig.message(setup(0), 0x00);
    assert_eq!(rig.closed, Some(CloseReason::Malformed));
}

#[test]
fn a_connection_ends_without_a_first_message_a_channel_or_a_request_for_too_long() {
    let mut rig = Rig::new(policy(1 << 24));
    rig.pass(10_000);
    assert_eq!(rig.closed, Some(CloseReason::FirstLineTimeout));
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    rig.pass(30_000);
    assert_eq!(rig.closed, Some(CloseReason::AuthorizeTimeout));
    let mut rig = Rig::set_up(policy(1 << 24), 0);
    let channel = rig.open_standard("a");
    rig.message(CloseChannelOwned { channel_id: channel, reason_code: text("") }, 0x18);
    rig.pass(599_999);
    // What is unknown is no progress.
    rig.frame(vec![0, 0, 0x7f, 0, 0, 0]);
    assert_eq!(rig.closed, None);
    rig.pass(1);
    assert_eq!(rig.closed, Some(CloseReason::IdleTimeout));
}

#[test]
fn shares_in_verification_are_counted_for_the_whole_connection() {
    let mut policy = policy(1 << 24);
    let mut common = (*policy.common).clone();
    (common.judge.shares_in_flight_max, common.judge.unproven_in_flight_max) = (4, 4);
    policy.common = Arc::new(common);
    let mut rig = Rig::set_up(policy, 0);
    let channels = [rig.open_standard("a"), rig.open_standard("b")];
    for (sequence, channel) in channels.into_iter().cycle().take(4).enumerate() {
        assert!(rig.session.reads_at().is_some());
        rig.submit(channel, 1, 0x1f, u32::try_from(sequence).unwrap());
    }
    assert_eq!(rig.session.reads_at(), None);
    // A channel that closes takes its own with it only once they are judged: they may be blocks.
    rig.message(CloseChannelOwned { channel_id: channels[0], reason_code: text("") }, 0x18);
    assert_eq!(rig.session.reads_at(), None);
    rig.take();
    rig.verdict(Verdict::Accepted { block: true });
    assert!(rig.session.reads_at().is_some());
    assert_eq!(rig.take(), [], "nobody is left to be told");
}

#[test]
fn a_connection_that_used_up_its_numbers_ends() {
    let mut policy = policy(1 << 24);
    policy.common = Arc::new(SessionPolicy { job_gap_ms: 0, ..(*policy.common).clone() });
    let mut rig = Rig::set_up(policy, 0);
    rig.open_standard("a");
    rig.open_extended("b");
    for body in 0..70_000_u32 {
        let [a, b, c, _] = body.to_le_bytes();
        let mut header = template(1, 0, 40).header;
        header.tx_root = MerkleRoot([[a, b, c].as_slice(), &[0; 29]].concat().try_into().unwrap());
        let work =
            WorkTemplate::new(header, Target(U256::MAX >> 40), PowKey::Sha256d, bq_primitives::UnsealedBody::default());
        rig.template(&Arc::new(work));
        rig.take();
        if rig.closed.is_some() {
            assert!(body > 65_000, "{body}");
            break;
        }
    }
    assert_eq!(rig.closed, Some(CloseReason::WorkExhausted));
}

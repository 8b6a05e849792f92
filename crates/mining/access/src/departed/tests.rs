use proptest::prelude::*;

use super::*;

const KEPT_MS: u64 = 1_000;
const MOST: usize = 4;
const POLICY: DepartedPolicy = DepartedPolicy { kept_ms: KEPT_MS, departures_max: MOST };

fn peer(n: u8) -> Option<Peer> {
    (n > 0).then(|| Peer::of([198, 51, 100, n].into()))
}

fn worker(n: u8) -> WorkerName {
    WorkerName::new(&format!("rig{n}")).unwrap()
}

fn departure(ticket: u64, account: u8, from: u8, ended: UnixMs) -> Departure {
    Departure {
        ticket: SessionTicketId(ticket),
        payee: KeyHash([account; 32]),
        worker: worker(account),
        peer: peer(from),
        ended,
        proved: UnixMs(ended.0.saturating_sub(5)),
        trust: Trust { verified: 20, forged: 1, proven: 7 },
        difficulty: (account > 0).then(|| ShareDifficulty::from_hashes(u64::from(account))),
    }
}

/// The same, slow and obvious.
#[derive(Default)]
struct Model(Vec<Departure>);

impl Model {
    fn depart(&mut self, now: UnixMs, new: Departure) {
        self.0.retain(|old| now.0 - old.ended.0 < KEPT_MS && old.ticket != new.ticket);
        self.0.push(new);
        if self.0.len() > MOST {
            let count = |peer: Option<Peer>| self.0.iter().filter(|one| one.peer == peer).count();
            let crowd = self.0.iter().map(|one| (count(one.peer), one.peer)).max().unwrap().1;
            let oldest = |(_, one): &(usize, &Departure)| (one.ended, one.ticket);
            let of_crowd = self.0.iter().enumerate().filter(|(_, one)| one.peer == crowd).min_by_key(oldest);
            let index = of_crowd.unwrap().0;
            self.0.remove(index);
        }
    }

    fn come_back(&mut self, now: UnixMs, ticket: u64, account: u8) -> Option<Departure> {
        let is_it = |one: &Departure| {
            one.ticket.0 == ticket && one.payee == KeyHash([account; 32]) && now.0 - one.ended.0 < KEPT_MS
        };
        let index = self.0.iter().position(is_it)?;
        Some(self.0.remove(index))
    }
}

#[derive(Clone, Debug)]
enum Move {
    Depart { account: u8, from: u8 },
    ComeBack { ticket: u64, account: u8 },
    Wait(u64),
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0_u8..3, 0_u8..4).prop_map(|(account, from)| Move::Depart { account, from }),
        4 => (0_u64..12, 0_u8..3).prop_map(|(ticket, account)| Move::ComeBack { ticket, account }),
        2 => (0_u64..600).prop_map(Move::Wait),
        1 => Just(Move::Restart),
    ];
    prop::collection::vec(one, 1..80)
}

proptest! {
    /// Whatever ends, comes back, waits and restarts: as the model, never more than may be, and each connection once at most.
    #[test]
    fn each_connection_is_come_back_to_once_at_most(moves in moves()) {
        let (mut departed, mut model, mut now) = (Departed::new(POLICY), Model::default(), UnixMs(10_000));
        let (mut tickets, mut came_back) = (0, BTreeSet::new());
        for one in moves {
            match one {
                Move::Depart { account, from } => {
                    departed.depart(now, departure(tickets, account, from, now));
                    model.depart(now, departure(tickets, account, from, now));
                    tickets += 1;
                }
                Move::ComeBack { ticket, account } => {
                    let left = departed.come_back(now, SessionTicketId(ticket), KeyHash([account; 32]), &worker(account));
                    prop_assert_eq!(&left, &model.come_back(now, ticket, account));
                    if let Some(left) = left {
                        prop_assert!(came_back.insert(left.ticket), "twice");
                    }
                }
                Move::Wait(ms) => now = now.after_ms(ms),
                Move::Restart => {
                    let text = departed.to_text();
                    departed = Departed::new(POLICY);
                    prop_assert_eq!(departed.restore(now, &text), Restored::default());
                }
            }
            prop_assert!(departed.len() <= MOST && departed.by_age.len() == departed.len());
            let [brought, peers] = departed.crowds.counts();
            prop_assert_eq!(brought, (departed.len(), departed.len()));
            prop_assert_eq!(peers.0, peers.1);
        }
    }

    /// Whoever reads the file is given nothing but lines: none of them stops the server.
    #[test]
    fn no_line_is_too_strange(text in "[0-9a-f* ./\u{e4}\n-]{0,200}") {
        let mut departed = Departed::new(POLICY);
        let unread = departed.restore(UnixMs(5), &text).unread;
        prop_assert!(unread + departed.len() <= text.lines().count());
    }
}

#[test]
fn another_account_or_machine_gets_nothing_and_takes_nothing_away() {
    let mut departed = Departed::new(POLICY);
    let (now, ticket) = (UnixMs(50), SessionTicketId(1));
    departed.depart(now, departure(1, 1, 1, now));
    assert_eq!(departed.come_back(now, ticket, KeyHash([2; 32]), &worker(1)), None);
    assert_eq!(departed.come_back(now, ticket, KeyHash([1; 32]), &worker(2)), None);
    assert_eq!(departed.come_back(now, SessionTicketId(2), KeyHash([1; 32]), &worker(1)), None);
    assert_eq!(departed.come_back(now, ticket, KeyHash([1; 32]), &worker(1)), Some(departure(1, 1, 1, now)));
    assert_eq!(departed.come_back(now, ticket, KeyHash([1; 32]), &worker(1)), None, "once");
    assert!(departed.is_empty());
}

/// SPEC 11.14.5: a crowd pushes out its own.
#[test]
fn one_address_pushes_out_only_what_it_brought_in() {
    let mut departed = Departed::new(POLICY);
    let now = UnixMs(50);
    departed.depart(now, departure(0, 1, 1, now));
    for ticket in 1..1_000 {
        departed.depart(now, departure(ticket, 2, 2, now));
    }
    assert_eq!(departed.len(), MOST);
    assert!(departed.come_back(now, SessionTicketId(0), KeyHash([1; 32]), &worker(1)).is_some());
}

#[test]
fn a_connection_is_kept_for_its_time_and_a_clock_that_goes_back_adds_none() {
    let mut departed = Departed::new(POLICY);
    departed.depart(UnixMs(0), departure(1, 1, 1, UnixMs(0)));
    let mut late = Departed::new(POLICY);
    assert_eq!(late.restore(UnixMs(KEPT_MS), &departed.to_text()), Restored::default());
    assert!(late.is_empty());
    let ahead = departure(2, 1, 1, UnixMs(1_000_000)).to_string();
    assert_eq!(late.restore(UnixMs(10), &ahead), Restored::default());
    assert!(late.come_back(UnixMs(10 + KEPT_MS), SessionTicketId(2), KeyHash([1; 32]), &worker(1)).is_none());
    assert!(departed.come_back(UnixMs(KEPT_MS - 1), SessionTicketId(1), KeyHash([1; 32]), &worker(1)).is_some());
    let mut off = Departed::new(DepartedPolicy { kept_ms: 0, ..POLICY });
    off.depart(UnixMs(5), departure(3, 1, 1, UnixMs(5)));
    assert!(off.is_empty());
}

#[test]
fn what_is_written_is_read_again_and_the_rest_is_passed_over() {
    for one in [departure(u64::MAX, 0, 0, UnixMs(7)), departure(1, 2, 3, UnixMs(u64::MAX))] {
        assert_eq!(one.to_string().parse(), Ok(one));
    }
    let line = departure(1, 2, 3, UnixMs(9)).to_string();
    for bad in ["", "0", &line[1..], &format!("{line} 1"), &line.replace("rig2", "r/g"), &line.replace(" 20 ", " -20 ")]
    {
        assert_eq!(bad.parse::<Departure>(), Err(ParseDepartureError), "{bad}");
    }
}

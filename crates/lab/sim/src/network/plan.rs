use bq_primitives::Algorithm;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How a node treats others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// By the rules. Only honest nodes mine.
    Honest,
    /// Announces a block without a proof to everybody, every twenty minutes.
    Forger,
    /// Announces blocks like everybody else and never hands one out.
    Mute,
}

/// Nobody hears anything from the other side for a while: packets vanish, nothing is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// When it starts.
    pub from_ms: u64,
    /// When it ends.
    pub to_ms: u64,
    /// How many honest nodes, drawn by lot, are on one side. Hostile nodes are on the other.
    pub nodes: usize,
}

/// The hash rate of an algorithm changes everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerChange {
    /// When.
    pub at_ms: u64,
    /// Whose.
    pub algorithm: Algorithm,
    /// To what multiple of the start.
    pub to: f64,
}

/// A network and what happens to it. Everything else is drawn from the seed: who is linked to whom, delays, who mines what.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPlan {
    /// Nodes that keep the rules.
    pub honest: usize,
    /// Nodes that do not.
    pub hostile: Vec<Conduct>,
    /// How long blocks count. The run goes on until all honest nodes agree.
    pub length_ms: u64,
    /// How many others each node dials.
    pub dials: usize,
    /// Mean time until a link breaks by itself.
    pub link_life_ms: u64,
    /// Parts that lose each other, one after the other.
    pub partitions: Vec<Partition>,
    /// Changes of the hash rate.
    pub powers: Vec<PowerChange>,
    /// How often two nodes swap what they mine.
    pub swap_ms: u64,
    /// How long a node that was cut off for silence is refused. Only lies cost an hour.
    pub pause_ms: u64,
}

impl NetworkPlan {
    /// A week of twenty honest nodes and two hostile ones: halves apart for ten minutes and for two hours, a third away for six
    /// hours, one node alone for a day; SHA-256d four times as strong for half a day, Ethash a quarter for another.
    #[must_use]
    pub fn week() -> Self {
        let part = |from_ms, length_ms, nodes| Partition { from_ms, to_ms: from_ms + length_ms, nodes };
        let power = |at_ms, algorithm, to| PowerChange { at_ms, algorithm, to };
        Self {
            partitions: vec![
                part(DAY_MS / 2, 10 * MINUTE_MS, 10),
                part(DAY_MS, 2 * HOUR_MS, 10),
                part(5 * DAY_MS / 2, 6 * HOUR_MS, 7),
                part(4 * DAY_MS, DAY_MS, 1),
            ],
            powers: vec![
                power(3 * DAY_MS / 2, Algorithm::Sha256d, 4.0),
                power(2 * DAY_MS, Algorithm::Sha256d, 1.0),
                power(11 * DAY_MS / 2, Algorithm::Ethash, 0.25),
                power(6 * DAY_MS, Algorithm::Ethash, 1.0),
            ],
            ..Self::calm(7 * DAY_MS)
        }
    }

    /// The same nodes for ten hours: halves apart for ten minutes, a third away for two hours.
    #[must_use]
    pub fn hours() -> Self {
        let partitions = vec![
            Partition { from_ms: HOUR_MS, to_ms: HOUR_MS + 10 * MINUTE_MS, nodes: 10 },
            Partition { from_ms: 4 * HOUR_MS, to_ms: 6 * HOUR_MS, nodes: 7 },
        ];
        Self { partitions, ..Self::calm(10 * HOUR_MS) }
    }

    fn calm(length_ms: u64) -> Self {
        Self {
            honest: 20,
            hostile: vec![Conduct::Forger, Conduct::Mute],
            length_ms,
            dials: 3,
            link_life_ms: DAY_MS,
            partitions: Vec::new(),
            powers: Vec::new(),
            swap_ms: 12 * HOUR_MS,
            pause_ms: MINUTE_MS,
        }
    }

    /// The plan cut off after so many milliseconds: what would start later does not happen.
    #[must_use]
    pub fn shortened(mut self, length_ms: u64) -> Self {
        self.length_ms = length_ms;
        self.partitions.retain(|partition| partition.to_ms < length_ms);
        self.powers.retain(|power| power.at_ms < length_ms);
        self
    }
}

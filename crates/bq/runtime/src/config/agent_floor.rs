use bq_primitives::{Algorithm, ShareDifficulty};

/// Clients of one kind get no job below so much (SPEC 11.8, 10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFloor {
    /// How such a client's name for itself begins.
    pub name: String,
    /// Where it mines.
    pub algorithm: Algorithm,
    /// What its jobs are worth at least.
    pub least: ShareDifficulty,
}

/// No client needs more to be known.
const NAME_CHARS_MAX: usize = 64;

impl AgentFloor {
    /// Reads `NAME ALGORITHM HASHES`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let [name, algorithm, hashes] = text.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        let hashes = hashes.parse().ok().filter(|hashes| *hashes > 0)?;
        let floor = Self {
            name: name.to_owned(),
            algorithm: algorithm.parse().ok()?,
            least: ShareDifficulty::from_hashes(hashes),
        };
        (name.len() <= NAME_CHARS_MAX).then_some(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words_and_a_number_above_zero() {
        let floor = AgentFloor::parse(" NiceHash/1  randomx 400000 ").unwrap();
        assert_eq!(
            (floor.name.as_str(), floor.algorithm, floor.least.hashes()),
            ("NiceHash/1", Algorithm::RandomX, 400_000)
        );
        let long = format!("{} randomx 1", "n".repeat(65));
        for text in
            ["", "a", "a randomx", "a scrypt 5", "a randomx 0", "a randomx -1", "a randomx 1e5", "a randomx 5 6", &long]
        {
            assert_eq!(AgentFloor::parse(text), None, "{text:?}");
        }
    }
}

use bq_primitives::ShareDifficulty;

/// A kind of client that gets no easy job: a service that rents out miners refuses a pool whose difficulty falls below its own bound, at
/// first or later (SPEC 11.8, 10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFloor {
    /// How the client's name for itself begins, in whatever case.
    pub name: String,
    /// Its jobs are worth at least this.
    pub least: ShareDifficulty,
}

/// What jobs for a client of that name are worth at least: the greatest of the floors that are about it.
pub(crate) fn floor_of(floors: &[AgentFloor], agent: &str) -> Option<ShareDifficulty> {
    let is_about = |floor: &&AgentFloor| {
        agent.get(..floor.name.len()).is_some_and(|start| start.eq_ignore_ascii_case(&floor.name))
    };
    floors.iter().filter(is_about).map(|floor| floor.least).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_how_its_name_begins() {
        let floor =
            |name: &str, hashes| AgentFloor { name: name.to_owned(), least: ShareDifficulty::from_hashes(hashes) };
        let floors = [floor("nicehash/2", 7), floor("NiceHash", 5)];
        let least = |agent: &str| floor_of(&floors, agent).map(ShareDifficulty::hashes);
        assert_eq!(["NiceHash/1.0.0", "NICEHASH", "NiceHash/2.1"].map(least), [Some(5), Some(5), Some(7)]);
        assert_eq!(["", "Nice", "xNiceHash", "Nic\u{e9}Hash"].map(least), [None; 4]);
    }
}

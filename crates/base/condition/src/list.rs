use std::sync::Arc;

use crate::Condition;

/// How to ask a part for its conditions. Cheap, and may be called from any thread.
pub type ConditionReader = Arc<dyn Fn() -> Vec<Condition> + Send + Sync>;

/// The parts of a process and their conditions: the one list that health, metrics, RPC, status line and page read.
#[derive(Clone, Default)]
pub struct ConditionList {
    components: Vec<(&'static str, ConditionReader)>,
}

/// What one part says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Which part, in `snake_case`.
    pub name: &'static str,
    /// What it cannot do at present.
    pub conditions: Vec<Condition>,
}

/// How well a part, or the whole, does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// All of it.
    Ok,
    /// Something that a person should know; work goes on.
    Degraded,
    /// Whoever waits for readiness has to wait.
    Down,
}

impl ConditionList {
    /// Adds a part.
    #[must_use]
    pub fn with(mut self, component: &'static str, reader: ConditionReader) -> Self {
        self.components.push((component, reader));
        self
    }

    /// What every part says now, in the order in which they were added.
    #[must_use]
    pub fn read(&self) -> Vec<Component> {
        self.components.iter().map(|(name, reader)| Component { name, conditions: reader() }).collect()
    }
}

impl std::fmt::Debug for ConditionList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.components.iter().map(|(name, _)| name)).finish()
    }
}

impl Component {
    /// The worst of its conditions.
    #[must_use]
    pub fn state(&self) -> HealthState {
        match self.conditions.iter().any(|condition| condition.blocks_readiness) {
            true => HealthState::Down,
            false if self.conditions.is_empty() => HealthState::Ok,
            false => HealthState::Degraded,
        }
    }
}

impl HealthState {
    /// The worst of all parts.
    #[must_use]
    pub fn of(components: &[Component]) -> Self {
        components.iter().map(Component::state).max().unwrap_or(Self::Ok)
    }

    /// `ok`, `degraded` or `down`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(name: &'static str, blocks_readiness: bool) -> Condition {
        Condition { name, reason: "why".to_owned(), since_ms: 1, blocks_readiness }
    }

    #[test]
    fn the_worst_condition_counts() {
        let list = ConditionList::default().with("node", Arc::new(Vec::new));
        assert_eq!(HealthState::of(&list.read()), HealthState::Ok);
        let list = list.with("pool", Arc::new(|| vec![condition("paused", false)]));
        assert_eq!(HealthState::of(&list.read()), HealthState::Degraded);
        let list = list.with("stratum", Arc::new(|| vec![condition("mild", false), condition("grave", true)]));
        let components = list.read();
        assert_eq!(HealthState::of(&components), HealthState::Down);
        let states: Vec<_> = components.iter().map(|component| (component.name, component.state().name())).collect();
        assert_eq!(states, [("node", "ok"), ("pool", "degraded"), ("stratum", "down")]);
    }
}

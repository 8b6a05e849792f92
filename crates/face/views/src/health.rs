use std::collections::BTreeMap;

use bq_condition::{Component, Condition, HealthState};
use serde::{Deserialize, Serialize};

/// `GET /health` and `getconditions`: the one list of what a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// `ok`, `degraded` or `down`: the worst of all components.
    pub status: String,
    /// By component: `node`, `pool`, `stratum`.
    pub components: BTreeMap<String, ComponentView>,
}

/// One part of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentView {
    /// `ok`, `degraded` or `down`.
    pub state: String,
    /// What it cannot do at present; empty when all is well.
    pub conditions: Vec<ConditionView>,
}

/// Something that a part cannot do at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionView {
    /// Never changes from release to release.
    pub name: String,
    /// Why, and what ends it.
    pub reason: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// `/health/ready` is 503 while it lasts.
    pub blocks_readiness: bool,
}

impl HealthView {
    /// Of what all parts say.
    #[must_use]
    pub fn new(components: &[Component]) -> Self {
        let view = |component: &Component| ComponentView {
            state: component.state().name().to_owned(),
            conditions: component.conditions.iter().map(ConditionView::from).collect(),
        };
        Self {
            status: HealthState::of(components).name().to_owned(),
            components: components.iter().map(|component| (component.name.to_owned(), view(component))).collect(),
        }
    }

    /// Every condition, with its component.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, &ConditionView)> {
        self.components
            .iter()
            .flat_map(|(name, component)| component.conditions.iter().map(move |condition| (name.as_str(), condition)))
    }
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        Self {
            name: condition.name.to_owned(),
            reason: condition.reason.clone(),
            since: condition.since_ms / 1000,
            blocks_readiness: condition.blocks_readiness,
        }
    }
}

use bq_primitives::Amount;
use serde::{Deserialize, Serialize};

/// An amount in JSON: atoms as a decimal string, so that no reader rounds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AtomsView(pub String);

impl From<Amount> for AtomsView {
    fn from(amount: Amount) -> Self {
        Self(amount.atoms().to_string())
    }
}

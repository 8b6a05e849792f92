//! Values in JSON as the text that people and other languages read: an id in hex, a number that is too large for a double in
//! decimal digits.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use bq_primitives::{Algorithm, U256, Work};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// As the value prints itself.
pub(crate) mod printed {
    use super::*;

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(reader: D) -> Result<T, D::Error> {
        String::deserialize(reader)?.parse().map_err(D::Error::custom)
    }
}

/// Expected hashes in decimal digits.
pub(crate) mod hashes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(work: &Work, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&work.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Work, D::Error> {
        read(&String::deserialize(reader)?).map_err(D::Error::custom)
    }

    pub(super) fn read(text: &str) -> Result<Work, String> {
        U256::from_str_radix(text, 10).map(Work).map_err(|error| format!("{text:?} are no hashes: {error:?}"))
    }
}

/// Expected hashes in decimal digits; empty for none.
pub(crate) mod hashes_if_any {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(work: &Option<Work>, serializer: S) -> Result<S::Ok, S::Error> {
        match work {
            Some(work) => hashes::serialize(work, serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Work>, D::Error> {
        let text = String::deserialize(reader)?;
        (!text.is_empty()).then(|| hashes::read(&text)).transpose().map_err(D::Error::custom)
    }
}

/// What there is of each algorithm, by name and in the order of the names.
pub(crate) mod by_name {
    use super::*;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        table: &BTreeMap<Algorithm, T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let named: BTreeMap<&str, &T> = table.iter().map(|(algorithm, value)| (algorithm.name(), value)).collect();
        named.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        reader: D,
    ) -> Result<BTreeMap<Algorithm, T>, D::Error> {
        let named = BTreeMap::<String, T>::deserialize(reader)?.into_iter();
        named.map(|(name, value)| Ok((name.parse().map_err(D::Error::custom)?, value))).collect()
    }
}

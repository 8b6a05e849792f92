use std::{fmt, str::FromStr};

use bq_primitives::{Address, Amount};

use crate::{SchemeWish, SettingRefusal, Webhook, Wishes};

/// The last line of a request about settings: `settings POOL NUMBER minimum M scheme S lock L webhook W`, or
/// `cancel POOL NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingWish {
    /// The pool's own address: to another pool it says nothing.
    pub pool: Address,
    /// Its number among the account's; each counts once, and only after all lower ones.
    pub sequence: u64,
    /// What is wanted.
    pub change: SettingChange,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingChange {
    /// These, all of them.
    Set(Wishes),
    /// What waits does not come.
    Cancel,
}

const NOT_SO: &str = "the last line is settings POOL NUMBER minimum M scheme S lock L webhook W, or cancel POOL NUMBER";

impl SettingWish {
    /// Whether a line is meant for this, well formed or not.
    #[must_use]
    pub fn is_meant(line: &str) -> bool {
        matches!(line.split(' ').next(), Some("settings" | "cancel"))
    }
}

impl fmt::Display for SettingWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, sequence, change } = self;
        match change {
            SettingChange::Set(Wishes { minimum, scheme, locked, webhook }) => {
                write!(f, "settings {pool} {sequence} minimum ")?;
                match minimum {
                    Some(minimum) => write!(f, "{}", minimum.atoms())?,
                    None => f.write_str("default")?,
                }
                let lock = if *locked { "on" } else { "off" };
                let webhook = webhook.as_ref().map_or("none", Webhook::as_str);
                write!(f, " scheme {} lock {lock} webhook {webhook}", scheme.name())
            }
            SettingChange::Cancel => write!(f, "cancel {pool} {sequence}"),
        }
    }
}

impl FromStr for SettingWish {
    type Err = SettingRefusal;

    fn from_str(line: &str) -> Result<Self, SettingRefusal> {
        let bad = || SettingRefusal::Wish(NOT_SO);
        let words: Vec<&str> = line.split(' ').collect();
        let (pool, sequence, change) = match *words.as_slice() {
            ["cancel", pool, sequence] => (pool, sequence, SettingChange::Cancel),
            [
                "settings",
                pool,
                sequence,
                "minimum",
                minimum,
                "scheme",
                scheme,
                "lock",
                lock @ ("on" | "off"),
                "webhook",
                webhook,
            ] => {
                let scheme =
                    SchemeWish::of_name(scheme).ok_or_else(|| SettingRefusal::UnknownScheme(scheme.to_owned()))?;
                let wishes = Wishes {
                    minimum: minimum_of(minimum)?,
                    scheme,
                    locked: lock == "on",
                    webhook: webhook_of(webhook)?,
                };
                (pool, sequence, SettingChange::Set(wishes))
            }
            _ => return Err(bad()),
        };
        let pool = Address::parse_any(pool).map_err(|_| SettingRefusal::Wish("POOL is the pool's address"))?;
        let wish = Self { pool, sequence: sequence.parse().map_err(|_| bad())?, change };
        // One wish, one line: what was signed is what is shown.
        if wish.to_string() == line { Ok(wish) } else { Err(bad()) }
    }
}

fn minimum_of(text: &str) -> Result<Option<Amount>, SettingRefusal> {
    if text == "default" {
        return Ok(None);
    }
    let amount = text.parse().ok().and_then(|atoms| Amount::from_atoms(atoms).ok());
    amount.map(Some).ok_or(SettingRefusal::Wish("minimum is a number of atoms, or default"))
}

fn webhook_of(text: &str) -> Result<Option<Webhook>, SettingRefusal> {
    if text == "none" { Ok(None) } else { Webhook::new(text).map(Some) }
}

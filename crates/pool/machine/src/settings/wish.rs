use std::{fmt, str::FromStr};

use bq_primitives::{Address, Amount};

use crate::{SchemeWish, SettingRefusal, Webhook, WishChanges, Wishes};

/// The last line of a request about settings: `settings POOL NUMBER minimum M scheme S lock L webhook W`, or
/// `cancel POOL NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingWish {
    /// The pool's own address: to another pool it says nothing.
    pub pool: Address,
    /// Its number among the account's: the one after the newest.
    pub sequence: u64,
    /// What is wanted.
    pub change: SettingChange,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingChange {
    /// These.
    Set(WishChanges),
    /// What waits does not come.
    Cancel,
}

/// In place of a wish that does not change.
const KEEP: &str = "keep";
const NOT_SO: &str = "the last line is settings POOL NUMBER minimum M scheme S lock L webhook W, or cancel POOL NUMBER";

impl SettingWish {
    /// Whether a line is meant for this, well formed or not.
    #[must_use]
    pub fn is_meant(line: &str) -> bool {
        matches!(line.split(' ').next(), Some("settings" | "cancel"))
    }
}

impl SettingChange {
    /// All four wishes, whatever holds.
    #[must_use]
    pub fn all(wishes: Wishes) -> Self {
        Self::Set(wishes.into())
    }
}

impl fmt::Display for SettingWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, sequence, change } = self;
        match change {
            SettingChange::Set(WishChanges { minimum, scheme, locked, webhook }) => {
                write!(f, "settings {pool} {sequence} minimum ")?;
                match minimum {
                    Some(Some(minimum)) => write!(f, "{}", minimum.atoms())?,
                    Some(None) => f.write_str("default")?,
                    None => f.write_str(KEEP)?,
                }
                let scheme = scheme.map_or(KEEP, SchemeWish::name);
                let lock = locked.map_or(KEEP, |locked| if locked { "on" } else { "off" });
                let webhook = webhook.as_ref().map_or(KEEP, |webhook| webhook.as_ref().map_or("none", Webhook::as_str));
                write!(f, " scheme {scheme} lock {lock} webhook {webhook}")
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
                lock @ ("on" | "off" | KEEP),
                "webhook",
                webhook,
            ] => {
                let changes = WishChanges {
                    minimum: unless_kept(minimum, minimum_of)?,
                    scheme: unless_kept(scheme, scheme_of)?,
                    locked: unless_kept(lock, |lock| Ok(lock == "on"))?,
                    webhook: unless_kept(webhook, webhook_of)?,
                };
                (pool, sequence, SettingChange::Set(changes))
            }
            _ => return Err(bad()),
        };
        let pool = Address::parse_any(pool).map_err(|_| SettingRefusal::Wish("POOL is the pool's address"))?;
        let wish = Self { pool, sequence: sequence.parse().map_err(|_| bad())?, change };
        // One wish, one line: what was signed is what is shown.
        if wish.to_string() == line { Ok(wish) } else { Err(bad()) }
    }
}

fn unless_kept<T>(
    word: &str,
    read: impl FnOnce(&str) -> Result<T, SettingRefusal>,
) -> Result<Option<T>, SettingRefusal> {
    if word == KEEP { Ok(None) } else { read(word).map(Some) }
}

fn scheme_of(name: &str) -> Result<SchemeWish, SettingRefusal> {
    SchemeWish::of_name(name).ok_or_else(|| SettingRefusal::UnknownScheme(name.to_owned()))
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

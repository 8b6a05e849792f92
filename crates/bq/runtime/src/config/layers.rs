use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use bq_primitives::Network;
use toml::{Table, Value};

use super::{
    build::build,
    error::ConfigError,
    fields::{FIELDS, Field},
    raw::RawConfig,
    values::Config,
};

/// Where a value came from, weakest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What a configuration is made from. Fill in what there is.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Values given on the command line.
    pub flags: RawConfig,
    /// The process environment, or what a test puts in its place. Names outside `BQ_*` are ignored.
    pub environment: Vec<(String, String)>,
    /// The file to read, if any.
    pub file: Option<PathBuf>,
}

/// A checked configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// One per field that has a value, in the order of the file: what `bq config explain` prints.
    pub explained: Vec<Explained>,
    /// `BQ_*` variables that name no field: worth a warning, since most are typing mistakes.
    pub unknown_environment: Vec<String>,
}

/// One value and its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Dotted name.
    pub field: &'static str,
    /// The value as TOML.
    pub value: String,
    /// Where it came from.
    pub from: Source,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}  # {}", self.field, self.value, self.from)
    }
}

pub(super) type Values = BTreeMap<&'static str, (Value, Source)>;

/// Reads and merges the layers (flags over environment over file over defaults) and checks the result.
///
/// # Errors
/// See [`ConfigError`]; each names the field and what is allowed, or the file.
pub fn load(layers: &Layers) -> Result<Loaded, ConfigError> {
    let mut given = Values::new();
    add_file(&mut given, layers)?;
    let unknown_environment = add_environment(&mut given, &layers.environment);
    add_table(&mut given, &flag_table(&layers.flags)?, &Source::Flag)?;
    check(&given)?;
    let values = with_defaults(given);
    let config = build(&values)?;
    let explained = FIELDS
        .iter()
        .filter_map(|field| {
            let (value, from) = values.get(field.name)?;
            Some(Explained { field: field.name, value: value.to_string(), from: from.clone() })
        })
        .collect();
    Ok(Loaded { config, explained, unknown_environment })
}

fn add_file(values: &mut Values, layers: &Layers) -> Result<(), ConfigError> {
    let Some(path) = &layers.file else { return Ok(()) };
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::Syntax { path: path.clone(), reason: error.to_string() })?;
    add_table(values, &table, &Source::File(path.clone()))
}

fn add_environment(values: &mut Values, environment: &[(String, String)]) -> Vec<String> {
    let by_name: BTreeMap<String, &'static Field> = FIELDS.iter().map(|field| (field.env(), field)).collect();
    let mut unknown = Vec::new();
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with("BQ_")) {
        match by_name.get(name) {
            Some(field) => {
                values.insert(field.name, (field.read_env(text), Source::Environment(name.clone())));
            }
            None => unknown.push(name.clone()),
        }
    }
    unknown
}

fn flag_table(flags: &RawConfig) -> Result<Table, ConfigError> {
    let path = PathBuf::from("flags");
    Table::try_from(flags).map_err(|error| ConfigError::Syntax { path, reason: error.to_string() })
}

/// Adds every leaf; a leaf that is no field is an error.
fn add_table(values: &mut Values, table: &Table, from: &Source) -> Result<(), ConfigError> {
    let mut leaves = Vec::new();
    flatten("", table, &mut leaves);
    for (name, value) in leaves {
        let field = FIELDS.iter().find(|field| field.name == name);
        let field = field.ok_or_else(|| ConfigError::Unknown { field: name, from: from.clone() })?;
        values.insert(field.name, (value.clone(), from.clone()));
    }
    Ok(())
}

fn flatten<'a>(prefix: &str, table: &'a Table, leaves: &mut Vec<(String, &'a Value)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&name, inner, leaves),
            leaf => leaves.push((name, leaf)),
        }
    }
}

fn check(values: &Values) -> Result<(), ConfigError> {
    for field in &FIELDS {
        if let Some((value, from)) = values.get(field.name)
            && !field.accepts(value)
        {
            let (got, from) = (value.to_string(), from.clone());
            return Err(ConfigError::Value { field: field.name, got, allowed: field.allowed(), from });
        }
    }
    Ok(())
}

/// Defaults depend on the network, which is therefore settled first. Without a word it is devnet: nothing with value
/// happens by accident.
fn with_defaults(mut values: Values) -> Values {
    let named = values.get("network").and_then(|(value, _)| value.as_str()?.parse().ok());
    let network: Network = named.unwrap_or(Network::Devnet);
    for field in &FIELDS {
        if let Some(value) = field.default_on(network) {
            values.entry(field.name).or_insert((value, Source::Default));
        }
    }
    values
}

//! The one table of fields: name, allowed values, meaning, risk and default. The file, the environment, `explain` and
//! every error message are made from it, so they cannot disagree.

mod defaults;
mod table;

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use bq_mining_message::AccountScheme;
use bq_primitives::{Algorithm, Network};
use ipnet::IpNet;
use toml::Value;

use defaults::default_value;

use super::{AgentFloor, SchemePort};

pub use table::FIELDS;

/// A configurable value.
#[derive(Clone, Debug)]
pub struct Field {
    /// Dotted name in the file, such as `pool.fee_bp`.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What can go wrong with an unwise value; empty if nothing.
    pub risk: &'static str,
    pub(super) kind: Kind,
}

/// What a field may hold.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Integer(RangeInclusive<i64>),
    Flag,
    Choice(&'static [&'static str]),
    Path,
    Address,
    Peers,
    Networks,
    AgentFloors,
    SchemePorts,
    Algorithms,
    Schemes,
    PayoutAddress,
    LogFilter,
    Eras,
}

impl Field {
    /// The field's environment variable: `BQ_` and the name in capitals with `_` for `.`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("BQ_{}", self.name.to_uppercase().replace('.', "_"))
    }

    /// What may be set, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        match &self.kind {
            Kind::Integer(range) => format!("{} to {}", range.start(), range.end()),
            Kind::Flag => "true or false".to_owned(),
            Kind::Choice(choices) => choices.join(", "),
            Kind::Path => "a path".to_owned(),
            Kind::Address => "IP:PORT, such as 127.0.0.1:8080 or [::1]:0".to_owned(),
            Kind::Peers => "a list of HOST:PORT".to_owned(),
            Kind::Networks => "a list of networks or addresses, such as 10.0.0.0/8 or 2001:db8::7".to_owned(),
            Kind::AgentFloors => "a list of NAME ALGORITHM HASHES, such as \"NiceHash randomx 400000\"".to_owned(),
            Kind::SchemePorts => {
                "a list of SCHEME ALGORITHM IP:PORT, each pair once, such as \"solo sha256d 0.0.0.0:3343\"".to_owned()
            }
            Kind::Algorithms => "a list of at least one of sha256d, randomx, ethash".to_owned(),
            Kind::Schemes => "a list of pps, fpps, solo, tides; pplns is always there".to_owned(),
            Kind::PayoutAddress => "an address of the network".to_owned(),
            Kind::LogFilter => "error, warn, info, debug, trace, off, or a filter such as info,bq_net=debug".to_owned(),
            Kind::Eras => {
                "a table per era: start = height, algorithms = [names], optional bits = { name = \"207fffff\" }; \
                 the first start is 1, starts increase"
                    .to_owned()
            }
        }
    }

    /// The value without any other layer, if there is one.
    #[must_use]
    pub fn default_on(&self, network: Network) -> Option<Value> {
        default_value(self.name, network)
    }

    pub(super) fn accepts(&self, value: &Value) -> bool {
        let list = |test: &dyn Fn(&str) -> bool| {
            value.as_array().is_some_and(|items| items.iter().all(|item| item.as_str().is_some_and(test)))
        };
        match &self.kind {
            Kind::Integer(range) => value.as_integer().is_some_and(|number| range.contains(&number)),
            Kind::Flag => value.is_bool(),
            Kind::Choice(choices) => value.as_str().is_some_and(|text| choices.contains(&text)),
            Kind::Path | Kind::PayoutAddress => value.as_str().is_some_and(|text| !text.is_empty()),
            Kind::Address => value.as_str().is_some_and(|text| text.parse::<SocketAddr>().is_ok()),
            Kind::Peers => list(&is_peer),
            Kind::Networks => list(&|text| read_network(text).is_some()),
            Kind::AgentFloors => list(&|text| AgentFloor::parse(text).is_some()),
            Kind::SchemePorts => {
                let texts = |items: &Vec<Value>| {
                    items
                        .iter()
                        .map(Value::as_str)
                        .collect::<Option<Vec<_>>>()
                        .map(|texts| SchemePort::parse_all(&texts).is_some())
                };
                value.as_array().and_then(texts) == Some(true)
            }
            Kind::Algorithms => {
                list(&|name| name.parse::<Algorithm>().is_ok()) && value.as_array().is_some_and(|a| !a.is_empty())
            }
            Kind::Schemes => list(&|name| name.parse::<AccountScheme>().is_ok()),
            Kind::LogFilter => value.as_str().is_some_and(|text| crate::logging::parse_filter(text).is_some()),
            Kind::Eras => value.is_array(),
        }
    }

    /// The value that the text of an environment variable means; text of the wrong form stays text and is refused by
    /// [`Field::accepts`].
    pub(super) fn read_env(&self, text: &str) -> Value {
        let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let as_text = || Value::String(text.to_owned());
        match &self.kind {
            Kind::Integer(_) => text.trim().parse().map_or_else(|_| as_text(), Value::Integer),
            Kind::Flag => match text.trim() {
                "true" | "1" => Value::Boolean(true),
                "false" | "0" => Value::Boolean(false),
                _ => as_text(),
            },
            Kind::Peers | Kind::Networks | Kind::AgentFloors | Kind::SchemePorts | Kind::Algorithms | Kind::Schemes => {
                words().map(|word| Value::String(word.to_owned())).collect::<Vec<_>>().into()
            }
            _ => as_text(),
        }
    }
}

/// A network, or an address as a network of its own. One of version 4 in the words of version 6 is one of version 4: addresses are looked at as such.
pub(super) fn read_network(text: &str) -> Option<IpNet> {
    const MAPPED_BITS: u8 = 96;
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let bits = network.prefix_len().checked_sub(MAPPED_BITS);
    match (network.addr().to_canonical(), bits) {
        (address @ IpAddr::V4(_), Some(bits)) if network.addr().is_ipv6() => IpNet::new(address, bits).ok(),
        _ => Some(network),
    }
}

fn is_peer(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// `bq config init`: a file with every field, its meaning, range and risk, and its default commented out.
#[must_use]
pub fn default_file(network: Network) -> String {
    let mut out = String::from(
        "# Configuration of bq. Every line that is commented out shows a default.\n\
         # Flags win over the environment (BQ_*), which wins over this file.\n",
    );
    let mut section = "";
    for field in &FIELDS {
        let (in_section, key) = field.name.rsplit_once('.').unwrap_or(("", field.name));
        if in_section != section {
            section = in_section;
            let _ = write!(out, "\n[{section}]\n");
        }
        let _ = write!(out, "\n# {}\n# Allowed: {}. Environment: {}\n", field.meaning, field.allowed(), field.env());
        if !field.risk.is_empty() {
            let _ = writeln!(out, "# Risk: {}", field.risk);
        }
        let _ = match field.default_on(network) {
            // The network is not a default here but what the file was asked for.
            Some(value) if field.name == "network" => writeln!(out, "{key} = {value}"),
            Some(value) => writeln!(out, "#{key} = {value}"),
            None => writeln!(out, "#{key} = (not set)"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::read_network;

    #[test]
    fn a_network_of_version_4_is_one_in_whatever_words() {
        let read = |text: &str| read_network(text).map(|network| network.to_string());
        let networks = [
            "10.0.0.0/8",
            "192.0.2.7",
            "::ffff:127.77.0.0/112",
            "::ffff:192.0.2.7",
            "::ffff:0:0/96",
            "2001:db8::/32",
            "::/0",
        ];
        let expected =
            ["10.0.0.0/8", "192.0.2.7/32", "127.77.0.0/16", "192.0.2.7/32", "0.0.0.0/0", "2001:db8::/32", "::/0"];
        assert_eq!(networks.map(read), expected.map(|text| Some(text.to_owned())));
        assert_eq!(["", "10.0.0.0/33", "::ffff:10.0.0.0/129", "host"].map(read), [const { None }; 4]);
    }
}

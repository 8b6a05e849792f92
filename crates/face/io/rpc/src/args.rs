use std::str::FromStr;

use bq_primitives::{Address, Network};
use jsonrpsee::types::Params;
use serde_json::Value;

use crate::fault::{Code, Fault};

/// A call's parameters by name, whether they came in a list or by name. What is `null` counts as missing.
#[derive(Debug)]
pub(crate) struct Args {
    names: &'static [&'static str],
    values: Vec<Value>,
}

impl Args {
    /// Sorts the parameters under `names`, the order of a list. More, or others, are an error: a mistyped name must not
    /// silently mean the default.
    pub(crate) fn new(names: &'static [&'static str], params: &Params<'_>) -> Result<Self, Fault> {
        let wrong = |problem: String| Fault::new(Code::InvalidParams, problem);
        let parsed: Value = params.parse().map_err(|error| wrong(error.to_string()))?;
        let values = match parsed {
            Value::Null => Vec::new(),
            Value::Array(list) => {
                if list.len() > names.len() {
                    return Err(wrong(format!("{} parameters, at most {} expected", list.len(), names.len())));
                }
                list
            }
            Value::Object(mut map) => {
                let values = names.iter().map(|name| map.remove(*name).unwrap_or(Value::Null)).collect();
                if let Some(name) = map.keys().next() {
                    return Err(wrong(format!("unknown parameter {name:?}; known are {names:?}")));
                }
                values
            }
            _ => return Err(wrong("parameters are a list or an object".to_owned())),
        };
        Ok(Self { names, values })
    }

    /// Takes a parameter out.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        let at = self.names.iter().position(|known| *known == name)?;
        self.values.get_mut(at).map(Value::take).filter(|value| !value.is_null())
    }

    fn required(&mut self, name: &'static str) -> Result<Value, Fault> {
        self.take(name).ok_or_else(|| Fault::new(Code::InvalidParams, format!("parameter {name:?} is missing")))
    }

    /// Refuses what was given and not taken.
    pub(crate) fn refuse_rest(&self) -> Result<(), Fault> {
        let given = self.names.iter().zip(&self.values).find(|(_, value)| !value.is_null());
        given.map_or(Ok(()), |(name, _)| Err(Fault::parameter(name, "does not belong to this command")))
    }

    /// A JSON value of the type `T`, if given.
    pub(crate) fn optional<T: serde::de::DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, Fault> {
        let wrong = |error: serde_json::Error| Fault::new(Code::InvalidParams, format!("{name}: {error}"));
        self.take(name).map(serde_json::from_value).transpose().map_err(wrong)
    }

    /// A JSON value of the type `T`.
    pub(crate) fn value<T: serde::de::DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Fault> {
        let wrong = |error: serde_json::Error| Fault::new(Code::InvalidParams, format!("{name}: {error}"));
        serde_json::from_value(self.required(name)?).map_err(wrong)
    }

    /// A hash.
    pub(crate) fn hash<H: FromStr>(&mut self, name: &'static str) -> Result<H, Fault>
    where
        H::Err: std::fmt::Display,
    {
        parse(name, &self.value::<String>(name)?)
    }

    /// Bytes in hex, at most `max` of them.
    pub(crate) fn hex(&mut self, name: &'static str, max: usize) -> Result<Vec<u8>, Fault> {
        hex_bytes(name, &self.value::<String>(name)?, max)
    }

    /// An address of `network`.
    pub(crate) fn address(&mut self, name: &'static str, network: Network) -> Result<Address, Fault> {
        let text: String = self.value(name)?;
        Address::parse(&text, network).map_err(|error| Fault::not_found(format!("{name}: {error}")))
    }
}

/// Reads a text parameter.
pub(crate) fn parse<T: FromStr>(name: &str, text: &str) -> Result<T, Fault>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Fault::parameter(name, error))
}

/// Reads hex, at most `max` bytes of it.
pub(crate) fn hex_bytes(name: &str, text: &str, max: usize) -> Result<Vec<u8>, Fault> {
    if text.len() / 2 > max {
        return Err(Fault::parameter(name, format!("{} bytes, at most {max} allowed", text.len() / 2)));
    }
    hex::decode(text).map_err(|error| Fault::parameter(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["first", "second"];

    fn args(json: Option<&str>) -> Result<Args, Fault> {
        Args::new(NAMES, &Params::new(json))
    }

    #[test]
    fn lists_and_names_mean_the_same() {
        for json in [r#"["a", 2]"#, r#"{"second": 2, "first": "a"}"#] {
            let mut args = args(Some(json)).unwrap();
            assert_eq!(args.value::<String>("first").unwrap(), "a");
            assert_eq!(args.optional::<u32>("second").unwrap(), Some(2));
        }
        for json in [None, Some("[]"), Some("[null]"), Some("{}")] {
            let mut args = args(json).unwrap();
            assert_eq!(args.optional::<u32>("second").unwrap(), None);
            assert_eq!(args.value::<String>("first").unwrap_err().code, Code::InvalidParams);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for json in ["[1, 2, 3]", r#"{"third": 1}"#] {
            assert_eq!(args(Some(json)).unwrap_err().code, Code::InvalidParams, "{json}");
        }
        assert_eq!(args(Some("[1]")).unwrap().value::<String>("first").unwrap_err().code, Code::InvalidParams);
        assert_eq!(args(Some(r#"["zz"]"#)).unwrap().hex("first", 9).unwrap_err().code, Code::InvalidParameter);
        assert_eq!(args(Some(r#"["0011"]"#)).unwrap().hex("first", 1).unwrap_err().code, Code::InvalidParameter);
        assert_eq!(args(Some(r#"["0011"]"#)).unwrap().hex("first", 2).unwrap(), [0, 0x11]);
    }
}

use bq_share::JobId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A request's id as JSON text, to be echoed; nothing when it was absent or null, which must not be answered: BFGMiner sends
/// such a line before it subscribes, and takes the next line it reads for the answer to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(Option<Box<str>>);

impl RequestId {
    /// The id of an answer to a line whose own id could not be read: null, as JSON-RPC 2.0 asks.
    pub(crate) fn of_unreadable() -> Self {
        Self(Some("null".into()))
    }

    /// The JSON to echo.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// One line from a miner.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) method: String,
    pub(crate) params: Value,
    /// EthProxy and ethminer name the machine beside the parameters.
    pub(crate) worker: Option<String>,
}

/// Why a line is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not a JSON object in which the known members have their types.
    NotJson,
    /// JSON, but of a size that no miner needs.
    TooComplex,
    /// A miner's answer to something: fine, and of no interest.
    Response,
}

/// Values that a line may hold: xmrig's list of algorithms is the longest honest one.
const VALUES_MAX: usize = 256;
/// Lists and objects that a line may open.
const CONTAINERS_MAX: usize = 32;
const ID_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    worker: Option<Value>,
}

impl Unreadable {
    /// What to tell the miner.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::NotJson | Self::Response => "Malformed line",
            Self::TooComplex => "Line is too complex",
        }
    }
}

impl Request {
    /// Reads a line. What it allocates is bounded by the counts above, checked before parsing.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, Unreadable> {
        let count = |wanted: &[u8]| line.iter().filter(|byte| wanted.contains(byte)).count();
        if count(b",") > VALUES_MAX || count(b"[{") > CONTAINERS_MAX {
            return Err(Unreadable::TooComplex);
        }
        let line: Line<'_> = serde_json::from_slice(line).map_err(|_| Unreadable::NotJson)?;
        let method = line.method.ok_or(Unreadable::Response)?;
        let worker = line.worker.and_then(|worker| worker.as_str().map(str::to_owned));
        Ok(Self { id: request_id(line.id)?, method, params: line.params, worker })
    }

    /// The `index`th parameter, if it is a text.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.params.get(index)?.as_str()
    }

    /// The parameter called `name`, if it is a text.
    pub(crate) fn named(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// How many positional parameters there are.
    pub(crate) fn count(&self) -> usize {
        self.params.as_array().map_or(0, Vec::len)
    }

    /// The `index`th parameter as a number, also when it is written as a text.
    pub(crate) fn number(&self, index: usize) -> Option<f64> {
        let value = self.params.get(index)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }
}

/// Whatever value it is, as it was written: whoever made it up compares with what it made up (SPEC 11.7).
fn request_id(id: Option<&RawValue>) -> Result<RequestId, Unreadable> {
    let Some(text) = id.map(RawValue::get) else { return Ok(RequestId(None)) };
    if text.len() > ID_BYTES_MAX { Err(Unreadable::TooComplex) } else { Ok(RequestId(Some(text.into()))) }
}

/// The `N` bytes that exactly `2 N` hex digits of either case stand for.
pub(crate) fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The number that 1 to 8 hex digits of either case stand for: some firmware prints no leading zeros (`"10b41"`; SPEC 11.7).
/// Where a field is bytes (an extranonce, a RandomX nonce), digits cannot be missing: which ones would be anyone's guess.
pub(crate) fn hex_number(text: &str) -> Option<u32> {
    // The standard parser would take a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && text.len() <= 8).then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// As [`hex_bytes`], with or without `0x`.
pub(crate) fn hex_bytes_0x<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex_bytes(text.strip_prefix("0x").unwrap_or(text))
}

/// A job's id as the miner wrote it; nothing if no job has such an id.
pub(crate) fn job_id(text: &str) -> Option<JobId> {
    hex_bytes(text).map(u32::from_be_bytes).map(JobId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_echoed_as_they_came() {
        let plain = ["1", "-7", "2.5", "\"auth\"", "\"tx\\\"list\"", "18446744073709551615", "true", "[1,\"a\"]", "{}"];
        let long = format!("1{}", "0".repeat(60));
        let odd = ["-0", "18446744073709551616", "1.0", "1e2", "1E999", "\"\\u0041\"", "[ 1 ]", &long];
        for id in plain.into_iter().chain(odd) {
            let request = Request::parse(format!(r#"{{"id":{id},"method":"m"}}"#).as_bytes()).unwrap();
            assert_eq!(request.id.text(), Some(id));
        }
        for line in [r#"{"id":null,"method":"m"}"#, r#"{"method":"m"}"#] {
            assert_eq!(Request::parse(line.as_bytes()).unwrap().id.text(), None);
        }
    }

    #[test]
    fn bombs_are_refused_before_parsing() {
        let check = |line: String, expected| assert_eq!(Request::parse(line.as_bytes()).unwrap_err(), expected);
        check("[".repeat(8000), Unreadable::TooComplex);
        check(format!(r#"{{"params":[{}1]}}"#, "1,".repeat(300)), Unreadable::TooComplex);
        check(format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(100)), Unreadable::TooComplex);
        check(format!(r#"{{"id":[{}1],"method":"m"}}"#, "1,".repeat(40)), Unreadable::TooComplex);
        check(r#"{"id":1,"method":7}"#.into(), Unreadable::NotJson);
        check("GET / HTTP/1.1".into(), Unreadable::NotJson);
        check(r#"{"id":1,"result":true}"#.into(), Unreadable::Response);
    }

    #[test]
    fn hex_is_of_exact_length_and_any_case() {
        assert_eq!(hex_bytes::<4>("0aBc12Ff"), Some([0x0a, 0xbc, 0x12, 0xff]));
        for text in ["0abc12f", "0abc12ff0", "0abc12fg", " abc12ff", "0x0abc12", "+abc12ff", ""] {
            assert_eq!(hex_bytes::<4>(text), None, "{text:?}");
        }
        assert_eq!(["1", "10b41", "00010b41", "FFFFffff"].map(hex_number), [1, 0x10b41, 0x10b41, u32::MAX].map(Some));
        for text in ["", "0x1", "+1", "-1", " 1", "1g", "000010b41", "\u{ff11}"] {
            assert_eq!(hex_number(text), None, "{text:?}");
        }
        assert_eq!(hex_bytes_0x::<2>("0xBEef"), hex_bytes_0x("beef"));
        assert_eq!(hex_bytes_0x::<2>("0x0xbeef"), None);
    }
}

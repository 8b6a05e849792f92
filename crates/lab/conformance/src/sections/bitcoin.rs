//! Headers of Bitcoin's chain: real data for double SHA-256, byte order, compact targets and work.

use bq_consensus::U512;
use bq_pow::sha256d;
use bq_primitives::{Algorithm, Decoder, PowHash, PowValue, Target, U256, Work};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ConformanceError,
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    run::{Progress, Run},
    tables::Tables,
    values::{Array, Bits, TargetBits, Unsigned, Wide},
};

/// Hashes are written last byte first, as Bitcoin shows them.
#[derive(Deserialize)]
struct HeaderCase {
    header: Array<80>,
    hash: Array<32>,
    version: Option<u32>,
    prev: Option<Array<32>>,
    merkle: Option<Array<32>>,
    time: Option<u32>,
    bits: Option<Bits>,
    nonce: Option<u32>,
    target: Option<Wide>,
    work: Option<Wide>,
    #[serde(default)]
    linked_to_previous_entry: bool,
}

pub(super) fn headers(run: &mut Run, section: &str, value: &Value) -> Result<(), ConformanceError> {
    let mut progress = Progress::new(section);
    let mut previous = None;
    for (index, value) in run.items(section, value)?.iter().enumerate() {
        let case: HeaderCase = run.decode(section, index, value)?;
        let hash = run.agreed(section, index, case.check(previous))?;
        previous = Some(hash);
        progress.add(Outcome::Ran);
    }
    run.add(progress);
    Ok(())
}

impl HeaderCase {
    fn check(&self, previous: Option<PowHash>) -> Result<PowHash, Fault> {
        let hash = sha256d(&self.header.0);
        same_bytes("hash", &reversed(&hash.0), &self.hash.0)?;
        let mut decoder = Decoder::new(&self.header.0);
        let version = decoder.u32().map_err(malformed)?;
        let parent: [u8; 32] = decoder.array().map_err(malformed)?;
        let root: [u8; 32] = decoder.array().map_err(malformed)?;
        let (time, bits) = (decoder.u32().map_err(malformed)?, decoder.u32().map_err(malformed)?);
        let (bits, nonce) = (bq_primitives::CompactTarget(bits), decoder.u32().map_err(malformed)?);
        same("version", version, self.version.unwrap_or(version))?;
        same("time", time, self.time.unwrap_or(time))?;
        same("bits", bits, self.bits.map_or(bits, |bits| bits.0))?;
        same("nonce", nonce, self.nonce.unwrap_or(nonce))?;
        same_bytes("prev", &reversed(&parent), &self.prev.map_or(reversed(&parent), |hash| hash.0))?;
        same_bytes("merkle", &reversed(&root), &self.merkle.map_or(reversed(&root), |hash| hash.0))?;
        let target = bits.decode().map_err(malformed)?;
        same("target", target, self.target.map_or(target, |target| Target(target.0)))?;
        let work = Work::of_target(target);
        same("work", work, self.work.map_or(work, |work| Work(work.0)))?;
        same("hash meets target", PowValue::of(Algorithm::Sha256d, &hash).meets(&target), true)?;
        if let (true, Some(previous)) = (self.linked_to_previous_entry, previous) {
            same_bytes("prev of the linked entry", &parent, &previous.0)?;
        }
        Ok(hash)
    }
}

fn reversed(hash: &[u8; 32]) -> [u8; 32] {
    let mut hash = *hash;
    hash.reverse();
    hash
}

/// Bitcoin's own retarget rule, for the sake of its arithmetic: multiply, divide, truncate.
#[derive(Deserialize)]
pub(super) struct Retarget {
    first_time: Unsigned,
    last_time: Unsigned,
    old_bits: TargetBits,
    new_bits: Bits,
    span: Option<u64>,
}

impl Case for Retarget {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        const WEEKS_2: u64 = 1_209_600;
        let span = self.last_time.0.checked_sub(self.first_time.0).ok_or_else(|| malformed("time runs backwards"))?;
        same("span", span, self.span.unwrap_or(span))?;
        let span = U512::from(span.clamp(WEEKS_2 / 4, WEEKS_2.saturating_mul(4)));
        let scaled = U512::from(self.old_bits.0.0).saturating_mul(span).checked_div(U512::from(WEEKS_2));
        let target = Target(U256::saturating_from(scaled.unwrap_or(U512::ZERO)));
        same("new bits", target.to_compact(), self.new_bits.0)?;
        Ok(Outcome::Ran)
    }
}

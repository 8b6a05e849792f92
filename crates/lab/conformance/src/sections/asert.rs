//! ASERT as other chains run it, by the double in [`CubicAsert`].

use bq_primitives::Target;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ConformanceError, CubicAsert, HeightCount,
    case::{Fault, Outcome, malformed, same},
    run::{Fields, Progress, Run},
    values::{Bits, Signed, TargetBits, Wide},
};

/// Constants of aserti3-2d on the network of the run files.
const SPACING_SECS: i64 = 600;
const HALF_LIFE_SECS: i64 = 172_800;
const LIMIT_BITS: bq_primitives::CompactTarget = bq_primitives::CompactTarget(0x1d00_ffff);

fn aserti3(anchor: Target) -> Result<CubicAsert, Fault> {
    Ok(CubicAsert {
        anchor,
        limit: LIMIT_BITS.decode().map_err(malformed)?,
        spacing_secs: SPACING_SECS,
        half_life_secs: HALF_LIFE_SECS,
        count: HeightCount::FromAnchorParent,
    })
}

fn check_next(asert: &CubicAsert, seconds: i128, blocks: i128, expected: Bits) -> Result<(), Fault> {
    let bits = asert.next_bits(seconds, blocks).ok_or_else(|| malformed("time or height out of range"))?;
    same("bits", bits, expected.0)
}

/// A run file: `##` lines that name the anchor, then lines of `iteration height time bits`.
pub(crate) fn run_lines(run: &mut Run, bytes: &[u8]) -> Result<(), ConformanceError> {
    const SECTION: &str = "run";
    let text = std::str::from_utf8(bytes).map_err(|error| run.file_error(&error))?;
    let anchor = Anchor::from_header(text).map_err(|what| run.file_error(&what))?;
    let asert = aserti3(anchor.target);
    let asert = run.agreed(SECTION, 0, asert)?;
    let mut progress = Progress::new(SECTION);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (index, line) in lines.enumerate() {
        let (height, time, bits) =
            run_line(line).ok_or_else(|| run.malformed(SECTION, index, &format!("{line:?} is not a run line")))?;
        let (seconds, blocks) = (time.saturating_sub(anchor.parent_time), height.saturating_sub(anchor.height));
        run.agreed(SECTION, index, check_next(&asert, seconds, blocks, bits))?;
        progress.add(Outcome::Ran);
    }
    run.add(progress);
    Ok(())
}

struct Anchor {
    height: i128,
    parent_time: i128,
    target: Target,
}

impl Anchor {
    fn from_header(text: &str) -> Result<Self, String> {
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix("##"));
            let value = lines.filter_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix(':')).next();
            value.map(str::trim).ok_or_else(|| format!("no line \"## {name}:\""))
        };
        let number = |name: &str| {
            field(name)?
                .parse::<i64>()
                .map(i128::from)
                .or_else(|_| field(name)?.parse::<u64>().map(i128::from).map_err(|error| format!("{name}: {error}")))
        };
        let bits = parse_bits(field("anchor nBits")?).ok_or("anchor nBits: not 8 hex digits")?;
        Ok(Self {
            height: number("anchor height")?,
            parent_time: number("anchor parent time")?,
            target: bits.0.decode().map_err(|error| error.to_string())?,
        })
    }
}

/// Height, time and bits of a line; the iteration is not needed.
fn run_line(line: &str) -> Option<(i128, i128, Bits)> {
    let mut words = line.split_ascii_whitespace();
    let _iteration: u64 = words.next()?.parse().ok()?;
    let height: u64 = words.next()?.parse().ok()?;
    let time: i64 = words.next()?.parse().ok()?;
    let bits = parse_bits(words.next()?)?;
    words.next().is_none().then_some((height.into(), time.into(), bits))
}

fn parse_bits(text: &str) -> Option<Bits> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u32::from_str_radix(digits, 16).ok().map(|bits| Bits(bq_primitives::CompactTarget(bits)))
}

#[derive(Deserialize)]
struct BlockAnchor {
    height: Signed,
    bits: TargetBits,
    prev_time: Signed,
}

#[derive(Deserialize)]
struct AnchoredBlock {
    parent_height: Signed,
    parent_time: Signed,
    bits: Bits,
}

/// Real blocks after a known anchor.
pub(super) fn anchored_blocks(
    run: &mut Run,
    fields: &Fields,
    section: &str,
    value: &Value,
) -> Result<(), ConformanceError> {
    let anchor: BlockAnchor = run.decode("anchor", 0, fields.get("anchor").unwrap_or(&Value::Null))?;
    let asert = aserti3(anchor.bits.0);
    let asert = run.agreed("anchor", 0, asert)?;
    let mut progress = Progress::new(section);
    for (index, value) in run.items(section, value)?.iter().enumerate() {
        let block: AnchoredBlock = run.decode(section, index, value)?;
        let seconds = block.parent_time.0.saturating_sub(anchor.prev_time.0);
        let blocks = block.parent_height.0.saturating_sub(anchor.height.0);
        run.agreed(section, index, check_next(&asert, seconds, blocks, block.bits))?;
        progress.add(Outcome::Ran);
    }
    run.add(progress);
    Ok(())
}

/// One set of constants of DCP-0011.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScenarioParams {
    pow_limit: Wide,
    target_secs_per_block: i64,
    half_life_secs: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scenario {
    params: String,
    start_diff_bits: TargetBits,
    start_height: Signed,
    start_time: Signed,
    tests: Vec<ScenarioTest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScenarioTest {
    height: Signed,
    timestamp: Signed,
    expected_diff_bits: Bits,
}

/// DCP-0011. A case is one test; the place named in an error counts tests over all scenarios.
pub(super) fn scenarios(run: &mut Run, fields: &Fields, section: &str, value: &Value) -> Result<(), ConformanceError> {
    let mut progress = Progress::new(section);
    let mut index = 0_usize;
    for value in run.items(section, value)? {
        let scenario: Scenario = run.decode(section, index, value)?;
        let constants = fields.get("params").and_then(|params| params.get(&scenario.params)).unwrap_or(&Value::Null);
        let constants: ScenarioParams = run.decode("params", 0, constants)?;
        let asert = CubicAsert {
            anchor: scenario.start_diff_bits.0,
            limit: Target(constants.pow_limit.0),
            spacing_secs: constants.target_secs_per_block,
            half_life_secs: constants.half_life_secs,
            count: HeightCount::FromAnchor,
        };
        for test in &scenario.tests {
            let seconds = test.timestamp.0.saturating_sub(scenario.start_time.0);
            let blocks = test.height.0.saturating_sub(scenario.start_height.0);
            run.agreed(section, index, check_next(&asert, seconds, blocks, test.expected_diff_bits))?;
            progress.add(Outcome::Ran);
            index = index.saturating_add(1);
        }
    }
    run.add(progress);
    Ok(())
}

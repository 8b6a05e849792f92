//! Compact targets and their work (SPEC 3.1, SPEC 4.1).

use bq_primitives::{Target, Work};
use serde::Deserialize;

use crate::{
    case::{Case, Fault, Outcome, same},
    tables::Tables,
    values::{Bits, TargetBits, Wide},
};

#[derive(Deserialize)]
pub(super) struct Decode {
    bits: Bits,
    target: Option<Wide>,
    negative: Option<bool>,
    overflow: Option<bool>,
    reencode: Option<Bits>,
    valid_for_pow: Option<bool>,
}

impl Case for Decode {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let Bits(bits) = self.bits;
        let parts = bits.parts();
        same("negative", parts.negative, self.negative.unwrap_or(parts.negative))?;
        same("overflow", parts.overflow, self.overflow.unwrap_or(parts.overflow))?;
        let decodes = bits.decode().is_ok();
        same("valid_for_pow", decodes, self.valid_for_pow.unwrap_or(decodes))?;
        if let (Some(Wide(expected)), false) = (self.target, parts.overflow) {
            same("target", parts.target, Target(expected))?;
        }
        if let (Some(Bits(expected)), false) = (self.reencode, parts.overflow) {
            same("reencode", parts.target.to_compact(), expected)?;
        }
        Ok(Outcome::Ran)
    }
}

#[derive(Deserialize)]
pub(super) struct Encode {
    target: Wide,
    bits: Bits,
    decoded: Option<Wide>,
}

impl Case for Encode {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let bits = Target(self.target.0).to_compact();
        same("bits", bits, self.bits.0)?;
        if let Some(Wide(expected)) = self.decoded {
            same("decoded", bits.parts().target, Target(expected))?;
        }
        Ok(Outcome::Ran)
    }
}

#[derive(Deserialize)]
pub(super) struct WorkOfBits {
    bits: TargetBits,
    work: Wide,
}

impl Case for WorkOfBits {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        same("work", Work::of_target(self.bits.0), Work(self.work.0))?;
        Ok(Outcome::Ran)
    }
}

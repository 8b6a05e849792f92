use bq_primitives::{Amount, Decoder};
use serde::{Deserialize, Serialize};

use crate::MessageError;

/// What a share is paid by: frozen with the job, as its difficulty is, so that a change of an account's scheme never moves past shares
/// (SPEC 8.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SharePay {
    /// By the blocks in whose window of the lane it lies (SPEC 8.2).
    #[default]
    Window,
    /// For itself.
    PerShare(SharePrice),
    /// By the block that it is, if it is one.
    Solo,
    /// By the blocks in whose TIDES window it lies.
    Tides,
}

/// What a share that is paid for itself was promised, but for its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SharePrice {
    /// Of a block at the job's height.
    pub subsidy: Amount,
    /// What a block counts for beyond that: the average of fees with FPPS; nothing with PPS.
    pub fees: Option<Amount>,
    /// The fee that it is paid less, in hundredths of a percent, at most 10,000.
    pub fee_bp: u16,
}

const PPS: u8 = 1;
const FPPS: u8 = 2;
const SOLO: u8 = 3;
const TIDES: u8 = 4;

impl SharePay {
    /// The longest encoding.
    pub const BYTES_MAX: usize = 1 + 8 + 8 + 2;

    /// Appends a byte that says which, and of one that is paid for itself its price: subsidy, fees where there are any, and fee.
    /// Integers little-endian. Nothing for [`SharePay::Window`], which is told by another version of what holds it.
    pub fn encode(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Window => {}
            Self::PerShare(SharePrice { subsidy, fees, fee_bp }) => {
                bytes.push(if fees.is_some() { FPPS } else { PPS });
                bytes.extend(subsidy.atoms().to_le_bytes());
                bytes.extend(fees.iter().flat_map(|fees| fees.atoms().to_le_bytes()));
                bytes.extend(fee_bp.to_le_bytes());
            }
            Self::Solo => bytes.push(SOLO),
            Self::Tides => bytes.push(TIDES),
        }
    }

    /// Reads what [`SharePay::encode`] wrote of any but [`SharePay::Window`].
    ///
    /// # Errors
    /// [`MessageError`]: no such way, or a price out of range.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, MessageError> {
        let which = decoder.u8()?;
        let mut price = |has_fees: bool| {
            let subsidy = amount(decoder)?;
            let fees = if has_fees { Some(amount(decoder)?) } else { None };
            let fee_bp = decoder.u16()?;
            let is_possible = fee_bp <= 10_000 && subsidy.checked_add(fees.unwrap_or_default()).is_ok();
            if is_possible { Ok(Self::PerShare(SharePrice { subsidy, fees, fee_bp })) } else { Err(IMPOSSIBLE) }
        };
        match which {
            PPS => price(false),
            FPPS => price(true),
            SOLO => Ok(Self::Solo),
            TIDES => Ok(Self::Tides),
            _ => Err(IMPOSSIBLE),
        }
    }
}

const IMPOSSIBLE: MessageError = MessageError::Field("pay");

fn amount(decoder: &mut Decoder<'_>) -> Result<Amount, MessageError> {
    let atoms = decoder.u64()?;
    Amount::from_atoms(atoms).map_err(|_| IMPOSSIBLE)
}

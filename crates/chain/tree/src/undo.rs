use bq_consensus::Coin;
use bq_primitives::{Amount, DecodeError, Decoder, KeyHash, TxOut, put_compact_size};

/// The coins a block spent, in the order of its inputs: with the block itself, all that disconnecting it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockUndo {
    /// One coin per input, coinbase excepted.
    pub spent: Vec<Coin>,
}

/// Amount 8, key hash 32, height 4, coinbase flag 1.
const COIN_BYTES: usize = 45;

impl BlockUndo {
    /// Count, then 45 bytes per coin; integers little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.spent.len().saturating_mul(COIN_BYTES).saturating_add(9));
        put_compact_size(&mut out, self.spent.len());
        for coin in &self.spent {
            put_coin(&mut out, coin);
        }
        out
    }

    /// Reads a whole record and nothing after it.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let spent = (0..decoder.count(COIN_BYTES)?).map(|_| decode_coin(&mut decoder)).collect::<Result<_, _>>()?;
        decoder.finish()?;
        Ok(Self { spent })
    }
}

/// Appends a coin's 45 bytes.
pub fn put_coin(out: &mut Vec<u8>, coin: &Coin) {
    out.extend(coin.output.amount.atoms().to_le_bytes());
    out.extend(coin.output.key_hash.0);
    out.extend(coin.height.0.to_le_bytes());
    out.push(u8::from(coin.is_coinbase));
}

/// Reads a coin's 45 bytes.
///
/// # Errors
/// See [`DecodeError`]; a flag byte other than 0 and 1 is refused, so that one coin has one encoding.
pub fn decode_coin(decoder: &mut Decoder<'_>) -> Result<Coin, DecodeError> {
    let amount = Amount::from_atoms(decoder.u64()?)?;
    let key_hash = KeyHash(decoder.array()?);
    let height = decoder.height()?;
    let is_coinbase = match decoder.u8()? {
        0 => false,
        1 => true,
        flag => return Err(DecodeError::CountTooLarge { got: u64::from(flag), max: 1 }),
    };
    Ok(Coin { output: TxOut { amount, key_hash }, height, is_coinbase })
}

use crate::{
    Amount, BlockId, BlockWeight, DecodeError, Decoder, Height, KeyHash, SigHash, TxId, WeightError, WtxId,
    codec::put_compact_size, hash::tagged_hash,
};

/// Bytes of an ML-DSA-65 public key (FIPS 204).
pub const PUBLIC_KEY_BYTES: usize = 1952;
/// Bytes of an ML-DSA-65 signature (FIPS 204).
pub const SIGNATURE_BYTES: usize = 3309;
/// The most free data a coinbase may carry.
pub const COINBASE_DATA_BYTES_MAX: usize = 96;

const OUTPOINT_BYTES: usize = 36;
const OUTPUT_BYTES: usize = 40;

/// Names one output of an earlier transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct OutPoint {
    /// The transaction that made the output. Zero in a coinbase input.
    pub txid: TxId,
    /// Position among its outputs. The block's height in a coinbase input.
    pub index: u32,
}

/// An amount and the key that may spend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TxOut {
    /// How much.
    pub amount: Amount,
    /// Hash of the public key that may spend it.
    pub key_hash: KeyHash,
}

/// The right to spend one input: a public key and its signature over the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// ML-DSA-65 public key.
    pub public_key: Box<[u8; PUBLIC_KEY_BYTES]>,
    /// ML-DSA-65 signature, empty context.
    pub signature: Box<[u8; SIGNATURE_BYTES]>,
}

/// A transfer of coins (SPEC 6.1). A coinbase has one input with a zero txid, free data, and no witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Format of the transaction.
    pub version: u32,
    /// Outputs that are spent.
    pub inputs: Vec<OutPoint>,
    /// Outputs that are made.
    pub outputs: Vec<TxOut>,
    /// The lowest height of a block that may contain this transaction.
    pub lock_height: Height,
    /// Free data, at most [`COINBASE_DATA_BYTES_MAX`] bytes; encoded in a coinbase only, empty elsewhere.
    pub coinbase_data: Vec<u8>,
    /// One per input, in order; none in a coinbase.
    pub witnesses: Vec<Witness>,
}

impl Transaction {
    /// The transaction that creates a block's new coins.
    #[must_use]
    pub fn coinbase(height: Height, outputs: Vec<TxOut>, data: Vec<u8>) -> Self {
        Self {
            version: 1,
            inputs: vec![OutPoint { txid: TxId::ZERO, index: height.0 }],
            outputs,
            lock_height: Height::GENESIS,
            coinbase_data: data,
            witnesses: Vec::new(),
        }
    }

    /// One input, and its txid is zero. No output can have a zero txid, so nothing else looks like this.
    #[must_use]
    pub fn is_coinbase(&self) -> bool {
        matches!(self.inputs.as_slice(), [OutPoint { txid: TxId::ZERO, .. }])
    }

    /// The part that the txid and the signatures commit to.
    #[must_use]
    pub fn base_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.base_len());
        out.extend(self.version.to_le_bytes());
        put_compact_size(&mut out, self.inputs.len());
        for input in &self.inputs {
            out.extend(input.txid.0);
            out.extend(input.index.to_le_bytes());
        }
        put_compact_size(&mut out, self.outputs.len());
        for output in &self.outputs {
            out.extend(output.amount.atoms().to_le_bytes());
            out.extend(output.key_hash.0);
        }
        out.extend(self.lock_height.0.to_le_bytes());
        if self.is_coinbase() {
            put_compact_size(&mut out, self.coinbase_data.len());
            out.extend(&self.coinbase_data);
        }
        out
    }

    /// Length of [`Transaction::base_bytes`].
    #[must_use]
    pub fn base_len(&self) -> usize {
        let list = |count: usize, each: usize| compact_size_len(count).saturating_add(count.saturating_mul(each));
        let data = if self.is_coinbase() { list(self.coinbase_data.len(), 1) } else { 0 };
        8_usize
            .saturating_add(list(self.inputs.len(), OUTPOINT_BYTES))
            .saturating_add(list(self.outputs.len(), OUTPUT_BYTES))
            .saturating_add(data)
    }

    /// The public keys and signatures, in input order.
    #[must_use]
    pub fn witness_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for witness in &self.witnesses {
            out.extend(witness.public_key.as_slice());
            out.extend(witness.signature.as_slice());
        }
        out
    }

    /// Base part and witness: the form on the wire and on disk.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.base_bytes();
        out.extend(self.witness_bytes());
        out
    }

    /// Reads one transaction. The witness has no length of its own: it holds one entry per input.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let version = decoder.u32()?;
        let inputs = (0..decoder.count(OUTPOINT_BYTES)?)
            .map(|_| Ok(OutPoint { txid: TxId(decoder.array()?), index: decoder.u32()? }))
            .collect::<Result<_, DecodeError>>()?;
        let outputs = (0..decoder.count(OUTPUT_BYTES)?)
            .map(|_| {
                let amount = Amount::from_atoms(decoder.u64()?)?;
                Ok(TxOut { amount, key_hash: KeyHash(decoder.array()?) })
            })
            .collect::<Result<_, DecodeError>>()?;
        let lock_height = decoder.height()?;
        let mut transaction =
            Self { version, inputs, outputs, lock_height, coinbase_data: Vec::new(), witnesses: Vec::new() };
        if transaction.is_coinbase() {
            transaction.coinbase_data = decode_coinbase_data(decoder)?;
        } else {
            transaction.witnesses = decode_witnesses(transaction.inputs.len(), decoder)?;
        }
        Ok(transaction)
    }

    /// `T("BQIP0002/tx", base)`.
    #[must_use]
    pub fn txid(&self) -> TxId {
        TxId(tagged_hash("BQIP0002/tx", &[&self.base_bytes()]))
    }

    /// `T("BQIP0002/wtx", base || witness)`, without copying the witness: it may have 40 MB.
    #[must_use]
    pub fn wtxid(&self) -> WtxId {
        let base = self.base_bytes();
        let witness = self.witnesses.iter().flat_map(|one| [one.public_key.as_slice(), one.signature.as_slice()]);
        let parts: Vec<&[u8]> = std::iter::once(base.as_slice()).chain(witness).collect();
        WtxId(tagged_hash("BQIP0002/wtx", &parts))
    }

    /// What every input signs: the network's genesis, the base part, and each spent output in input order, so that a
    /// signature holds on one network and for known amounts only (SPEC 6.2).
    #[must_use]
    pub fn sighash(&self, genesis: &BlockId, spent: &[TxOut]) -> SigHash {
        let mut outputs = Vec::with_capacity(spent.len().saturating_mul(OUTPUT_BYTES));
        for output in spent {
            outputs.extend(output.amount.atoms().to_le_bytes());
            outputs.extend(output.key_hash.0);
        }
        SigHash(tagged_hash("BQIP0002/sighash", &[&genesis.0, &self.base_bytes(), &outputs]))
    }

    /// `4 * base length + 384 * signatures` (SPEC 6.5).
    ///
    /// # Errors
    /// [`WeightError`] when it leaves 64 bits, which no decodable transaction does.
    pub fn weight(&self) -> Result<BlockWeight, WeightError> {
        BlockWeight::of(self.base_len(), self.witnesses.len())
    }
}

const fn compact_size_len(value: usize) -> usize {
    match value {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

fn decode_coinbase_data(decoder: &mut Decoder<'_>) -> Result<Vec<u8>, DecodeError> {
    let length = decoder.count(1)?;
    if length > COINBASE_DATA_BYTES_MAX {
        let got = u64::try_from(length).unwrap_or(u64::MAX);
        return Err(DecodeError::CountTooLarge { got, max: COINBASE_DATA_BYTES_MAX });
    }
    Ok(decoder.bytes(length)?.to_vec())
}

fn decode_witnesses(count: usize, decoder: &mut Decoder<'_>) -> Result<Vec<Witness>, DecodeError> {
    // The input count was bounded by 36-byte items; a witness is far longer, so bound it again before allocating.
    let needed = count.saturating_mul(PUBLIC_KEY_BYTES.saturating_add(SIGNATURE_BYTES));
    if needed > decoder.remaining() {
        return Err(DecodeError::UnexpectedEnd { needed, left: decoder.remaining() });
    }
    (0..count)
        .map(|_| {
            let public_key = Box::new(decoder.array()?);
            Ok(Witness { public_key, signature: Box::new(decoder.array()?) })
        })
        .collect()
}

use bq_pool_proof::{SignedStatement, Statement, StatementFault};
use bq_primitives::{BlockId, DecodeError, Decoder, KeyHash, SigHash, Transaction, TxId, TxOut, Witness, key_hash};
use bq_signature::verify;

/// Why bytes are not the signed transaction that was asked for. They are not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// They are no transaction.
    #[error("they are no transaction: {0}")]
    Decode(#[from] DecodeError),
    /// Something stands behind it.
    #[error("{0} bytes stand behind the transaction")]
    TooMany(usize),
    /// It is another one.
    #[error("they are transaction {got}, {expected} was asked for")]
    Other {
        /// What it is.
        got: TxId,
        /// What was asked for.
        expected: TxId,
    },
    /// An input lacks a signature, or has two.
    #[error("{got} signatures for {expected} inputs")]
    Count {
        /// How many there are.
        got: usize,
        /// How many inputs.
        expected: usize,
    },
    /// A signature is not the key's.
    #[error("the signature of input {0} is not the key's")]
    Signature(usize),
}

/// Whether what a signer answered is the statement that was asked for, signed by the key that it names.
///
/// # Errors
/// [`StatementFault`]; of another statement [`StatementFault::Signature`], for this one was not signed.
pub fn check_stated(signed: &SignedStatement, asked: &Statement) -> Result<(), StatementFault> {
    let statement = signed.verify(verify)?;
    if statement == asked { Ok(()) } else { Err(StatementFault::Signature) }
}

/// Reads what a signer answered: the transaction that was asked for, each of whose inputs `owner` signed. `spent` is the output behind
/// each.
///
/// # Errors
/// [`SignedError`].
pub fn check_signed(
    bytes: &[u8],
    unsigned: &Transaction,
    genesis: &BlockId,
    spent: &[TxOut],
    owner: KeyHash,
) -> Result<Transaction, SignedError> {
    let mut decoder = Decoder::new(bytes);
    let signed = Transaction::decode(&mut decoder)?;
    if decoder.remaining() > 0 {
        return Err(SignedError::TooMany(decoder.remaining()));
    }
    let (got, expected) = (signed.txid(), unsigned.txid());
    if got != expected {
        return Err(SignedError::Other { got, expected });
    }
    let (got, expected) = (signed.witnesses.len(), signed.inputs.len());
    if got != expected {
        return Err(SignedError::Count { got, expected });
    }
    let message = signed.sighash(genesis, spent);
    let mut good: Option<&Witness> = None;
    for (input, witness) in signed.witnesses.iter().enumerate() {
        // One key signs the same message for every input: usually one signature serves all.
        if good != Some(witness) && !is_by(owner, witness, &message) {
            return Err(SignedError::Signature(input));
        }
        good = Some(witness);
    }
    Ok(signed)
}

fn is_by(owner: KeyHash, witness: &Witness, message: &SigHash) -> bool {
    key_hash(witness.public_key.as_slice()) == owner && verify(&witness.public_key, message, &witness.signature)
}

use std::path::Path;

use bq_primitives::{
    Address, Amount, BlockId, KeyHash, Network, SigHash, Transaction, TxOut, Witness, account_request_hash, tagged_hash,
};
use bq_signature::{KeyPair, SEED_BYTES, SignatureError, verify};
use zeroize::Zeroizing;

use crate::{
    Password, SignError, WalletError,
    key_file::{KdfCost, KeyFile, random},
};

/// One unlocked key on one network.
#[derive(Debug)]
pub struct Wallet {
    network: Network,
    keys: KeyPair,
    commitment_key: CommitmentKey,
}

/// A secret that follows from the seed; forgotten with the wallet.
struct CommitmentKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for CommitmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CommitmentKey(..)")
    }
}

impl Wallet {
    /// Makes a key from system randomness and writes it to a new file (mode 0600) under `password`. Takes about 64 MiB
    /// and a noticeable part of a second, on purpose: that is the price of every guess.
    ///
    /// # Errors
    /// [`WalletError::Exists`] when there is a file already, which stays untouched; [`WalletError::EmptyPassword`];
    /// trouble with disk or randomness.
    pub fn create(network: Network, path: &Path, password: &Password) -> Result<Self, WalletError> {
        Self::create_at_cost(network, path, password, KdfCost::STANDARD)
    }

    pub(crate) fn create_at_cost(
        network: Network,
        path: &Path,
        password: &Password,
        cost: KdfCost,
    ) -> Result<Self, WalletError> {
        if password.as_bytes().is_empty() {
            return Err(WalletError::EmptyPassword(path.to_owned()));
        }
        let seed = Zeroizing::new(random::<SEED_BYTES>()?);
        let wallet = Self::from_seed(network, &seed)?;
        KeyFile::encrypt(&seed, wallet.address(), password, cost)?.write_new(path)?;
        Ok(wallet)
    }

    /// Unlocks a key file.
    ///
    /// # Errors
    /// [`WalletError::WrongPassword`], also for a changed file; [`WalletError::Format`]; [`WalletError::Io`].
    pub fn open(path: &Path, password: &Password) -> Result<Self, WalletError> {
        let file = KeyFile::read(path)?;
        let address = file.address(path)?;
        let wallet = Self::from_seed(address.network, &*file.decrypt(password, path)?)?;
        if wallet.address() == address {
            Ok(wallet)
        } else {
            let reason = "its address belongs to another key".to_owned();
            Err(WalletError::Format { path: path.to_owned(), reason })
        }
    }

    /// Unlocks a key file and insists on its network.
    ///
    /// # Errors
    /// As [`Wallet::open`], and [`WalletError::WrongNetwork`].
    pub fn open_on(expected: Network, path: &Path, password: &Password) -> Result<Self, WalletError> {
        let got = KeyFile::read(path)?.address(path)?.network;
        if got == expected {
            Self::open(path, password)
        } else {
            Err(WalletError::WrongNetwork { path: path.to_owned(), got, expected })
        }
    }

    /// The wallet of a known seed, without a file: for tests and for keys made elsewhere.
    ///
    /// # Errors
    /// [`WalletError::Signature`] when the signature library fails.
    pub fn from_seed(network: Network, seed: &[u8; SEED_BYTES]) -> Result<Self, WalletError> {
        let commitment_key = CommitmentKey(Zeroizing::new(tagged_hash("BQIP0002/commitment-key", &[seed])));
        Ok(Self { network, keys: KeyPair::from_seed(seed)?, commitment_key })
    }

    /// The network its coins live on.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Where to send coins for this wallet.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { network: self.network, key_hash: self.key_hash() }
    }

    /// A secret that follows from the key: with it a pool seals what its coinbases say, and nobody can sign or spend with it.
    #[must_use]
    pub fn commitment_key(&self) -> [u8; 32] {
        *self.commitment_key.0
    }

    /// What outputs of this wallet carry.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        self.keys.key_hash()
    }

    /// Signs every input (SPEC 6.2). `genesis` names the network, `spent` is the output behind each input in input
    /// order. All inputs must be this wallet's.
    ///
    /// # Errors
    /// See [`SignError`]. Nothing is signed that spends more than it has.
    pub fn sign_transaction(
        &self,
        genesis: &BlockId,
        mut transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignError> {
        self.check_spends(&transaction, spent)?;
        let message = transaction.sighash(genesis, spent);
        let witness = self.keys.witness(&message)?;
        // A signature is public for ever: one that a fault made wrong must not leave the machine.
        if !verify(&witness.public_key, &message, &witness.signature) {
            return Err(SignatureError::Signing.into());
        }
        // Every input signs the same message with the same key, so one signature serves all of them.
        transaction.witnesses = vec![witness; transaction.inputs.len()];
        Ok(transaction)
    }

    /// Signs what its address's owner asks of a pool (SPEC 11.11): under a tag of its own, so that it can never spend anything.
    ///
    /// # Errors
    /// The signature library failed.
    pub fn sign_request(&self, text: &str) -> Result<Witness, SignatureError> {
        let message = account_request_hash(text);
        let witness = self.keys.witness(&message)?;
        let is_good = verify(&witness.public_key, &message, &witness.signature);
        if is_good { Ok(witness) } else { Err(SignatureError::Signing) }
    }

    /// Signs a hash that was made under a tag of its own, so that it can never spend anything: what a pool states of its books
    /// (SPEC 8.10.7). The caller has made the hash itself.
    ///
    /// # Errors
    /// The signature library failed.
    pub fn sign_tagged(&self, message: &SigHash) -> Result<Witness, SignatureError> {
        let witness = self.keys.witness(message)?;
        let is_good = verify(&witness.public_key, message, &witness.signature);
        if is_good { Ok(witness) } else { Err(SignatureError::Signing) }
    }

    fn check_spends(&self, transaction: &Transaction, spent: &[TxOut]) -> Result<(), SignError> {
        if transaction.is_coinbase() {
            return Err(SignError::Coinbase);
        }
        if spent.len() != transaction.inputs.len() {
            let (got, expected) = (spent.len(), transaction.inputs.len());
            return Err(SignError::SpentCount { got, expected });
        }
        let ours = self.key_hash();
        if let Some(input) = spent.iter().position(|output| output.key_hash != ours) {
            return Err(SignError::NotOurs { input, owner: spent[input].key_hash });
        }
        let sum = |outputs: &[TxOut]| Amount::sum(outputs.iter().map(|output| output.amount));
        match (sum(spent), sum(&transaction.outputs)) {
            (Ok(inputs), Ok(outputs)) if inputs >= outputs => Ok(()),
            _ => Err(SignError::Unbalanced),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bq_primitives::{Height, OutPoint, TxId};
    use serde_json::Value;

    use super::*;

    const CHEAP: KdfCost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };
    const GENESIS: BlockId = BlockId([3; 32]);

    fn password() -> Password {
        Password::new("correct horse")
    }

    fn coins(atoms: u64, key_hash: KeyHash) -> TxOut {
        TxOut { amount: Amount::from_atoms(atoms).unwrap(), key_hash }
    }

    fn spending(inputs: u32, outputs: Vec<TxOut>) -> Transaction {
        Transaction {
            version: 1,
            inputs: (0..inputs).map(|index| OutPoint { txid: TxId([9; 32]), index }).collect(),
            outputs,
            lock_height: Height::GENESIS,
            coinbase_data: Vec::new(),
            witnesses: Vec::new(),
        }
    }

    #[test]
    fn a_created_wallet_opens_with_its_password_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let made = Wallet::create_at_cost(Network::Devnet, &path, &password(), CHEAP).unwrap();
        let opened = Wallet::open(&path, &password()).unwrap();
        assert_eq!(opened.address(), made.address());
        assert_eq!(opened.network(), Network::Devnet);
        let wrong = Wallet::open(&path, &Password::new("correct horsf")).unwrap_err();
        assert!(matches!(wrong, WalletError::WrongPassword(_)), "{wrong}");
        let other = Wallet::open_on(Network::Mainnet, &path, &password()).unwrap_err();
        assert!(matches!(other, WalletError::WrongNetwork { .. }), "{other}");
    }

    #[test]
    fn the_standard_cost_is_written_and_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let made = Wallet::create(Network::Regtest, &path, &password()).unwrap();
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(file["kdf"]["memory_kib"], 65536);
        assert_eq!(file["kdf"]["passes"], 3);
        assert_eq!(file["address"], made.address().to_string());
        assert_eq!(Wallet::open(&path, &password()).unwrap().key_hash(), made.key_hash());
    }

    #[test]
    fn a_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        fs::write(&path, "precious").unwrap();
        let error = Wallet::create_at_cost(Network::Devnet, &path, &password(), CHEAP).unwrap_err();
        assert!(matches!(error, WalletError::Exists(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn an_empty_password_protects_nothing_and_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let error = Wallet::create_at_cost(Network::Devnet, &path, &Password::new(""), CHEAP);
        assert!(matches!(error, Err(WalletError::EmptyPassword(_))));
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        Wallet::create_at_cost(Network::Devnet, &path, &password(), CHEAP).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_seed_is_not_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let seed = [0x5a; SEED_BYTES];
        let address = Wallet::from_seed(Network::Devnet, &seed).unwrap().address();
        KeyFile::encrypt(&seed, address, &password(), CHEAP).unwrap().write_new(&path).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("5a5a5a5a"));
        assert_eq!(Wallet::open(&path, &password()).unwrap().address(), address);
    }

    /// Every field is either authenticated or checked: no edit yields a wallet.
    #[test]
    fn every_changed_field_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        Wallet::create_at_cost(Network::Devnet, &path, &password(), CHEAP).unwrap();
        let other = Wallet::from_seed(Network::Devnet, &[1; 32]).unwrap().address();
        let original: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let edits: [(&str, Value); 13] = [
            ("/version", 2.into()),
            ("/network", "testnet".into()),
            ("/network", "nonet".into()),
            ("/address", other.to_string().into()),
            ("/kdf/name", "scrypt".into()),
            ("/kdf/memory_kib", 65.into()),
            ("/kdf/memory_kib", u32::MAX.into()),
            ("/kdf/passes", 2.into()),
            ("/kdf/salt", "00112233445566778899aabbccddeeff".into()),
            ("/kdf/salt", "00".into()),
            ("/cipher/nonce", "00".repeat(24).into()),
            ("/cipher/ciphertext", "00".repeat(48).into()),
            ("/cipher/ciphertext", "zz".into()),
        ];
        for (pointer, value) in edits {
            let mut edited = original.clone();
            *edited.pointer_mut(pointer).unwrap() = value.clone();
            fs::write(&path, edited.to_string()).unwrap();
            assert!(Wallet::open(&path, &password()).is_err(), "{pointer} = {value}");
        }
        fs::write(&path, " ".repeat(17 * 1024)).unwrap();
        assert!(matches!(Wallet::open(&path, &password()), Err(WalletError::Format { .. })));
    }

    #[test]
    fn a_signed_transaction_carries_a_valid_witness_per_input() {
        let wallet = Wallet::from_seed(Network::Devnet, &[5; 32]).unwrap();
        let spent = [coins(700, wallet.key_hash()), coins(400, wallet.key_hash())];
        let unsigned = spending(2, vec![coins(1000, KeyHash([1; 32]))]);
        let signed = wallet.sign_transaction(&GENESIS, unsigned.clone(), &spent).unwrap();
        assert_eq!(signed.txid(), unsigned.txid());
        assert_eq!(signed.witnesses.len(), 2);
        let message = signed.sighash(&GENESIS, &spent);
        for witness in &signed.witnesses {
            assert_eq!(bq_primitives::key_hash(witness.public_key.as_slice()), wallet.key_hash());
            assert!(verify(&witness.public_key, &message, &witness.signature));
            let elsewhere = signed.sighash(&BlockId([4; 32]), &spent);
            assert!(!verify(&witness.public_key, &elsewhere, &witness.signature));
        }
    }

    #[test]
    fn nothing_unsound_is_signed() {
        let wallet = Wallet::from_seed(Network::Devnet, &[5; 32]).unwrap();
        let ours = coins(1000, wallet.key_hash());
        let theirs = coins(1000, KeyHash([1; 32]));
        let sign = |transaction, spent: &[TxOut]| wallet.sign_transaction(&GENESIS, transaction, spent).unwrap_err();
        let coinbase = Transaction::coinbase(Height(7), vec![ours], Vec::new());
        assert_eq!(sign(coinbase, &[ours]), SignError::Coinbase);
        let missing = sign(spending(2, vec![theirs]), &[ours]);
        assert_eq!(missing, SignError::SpentCount { got: 1, expected: 2 });
        let foreign = sign(spending(2, vec![theirs]), &[ours, theirs]);
        assert_eq!(foreign, SignError::NotOurs { input: 1, owner: theirs.key_hash });
        let greedy = sign(spending(1, vec![theirs, coins(1, ours.key_hash)]), &[ours]);
        assert_eq!(greedy, SignError::Unbalanced);
    }
}

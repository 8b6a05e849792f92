use sha3::{Digest, Keccak256, Keccak512};

const CACHE_BYTES_FIRST: usize = 1 << 24;
const CACHE_BYTES_STEP: usize = 1 << 17;
const DATASET_BYTES_FIRST: usize = 1 << 30;
const DATASET_BYTES_STEP: usize = 1 << 23;
const ROW_BYTES: usize = 64;
const MIX_BYTES: usize = 128;
const CACHE_ROUNDS: usize = 3;
const DATASET_PARENTS: u32 = 256;
const ACCESSES: u32 = 64;
const EPOCHS_MAX: usize = 32_640;

type Row = [u32; 16];

/// Ethash by the light cache only, written as the definition reads and just fast enough for tests.
#[derive(Clone, Debug)]
pub struct LightEthash {
    cache: Vec<Row>,
    dataset_rows: u32,
}

impl LightEthash {
    /// The cache of the epoch whose seed this is; nothing when no epoch has it.
    #[must_use]
    pub fn of_seed(seed: [u8; 32]) -> Option<Self> {
        let mut candidate = [0; 32];
        let epoch = (0..EPOCHS_MAX).find(|_| {
            let found = candidate == seed;
            candidate = Keccak256::digest(candidate).into();
            found
        })?;
        let cache_bytes = prime_multiple(CACHE_BYTES_FIRST + CACHE_BYTES_STEP * epoch, ROW_BYTES);
        let dataset_bytes = prime_multiple(DATASET_BYTES_FIRST + DATASET_BYTES_STEP * epoch, MIX_BYTES);
        let dataset_rows = u32::try_from(dataset_bytes / ROW_BYTES).ok()?;
        Some(Self { cache: make_cache(cache_bytes / ROW_BYTES, seed), dataset_rows })
    }

    /// `(mix, final)` of a header hash and nonce.
    #[must_use]
    pub fn hash(&self, header_hash: &[u8; 32], nonce: u64) -> ([u8; 32], [u8; 32]) {
        let seed = keccak512(&[header_hash.as_slice(), &nonce.to_le_bytes()].concat());
        let seed_words = words(&seed);
        let mut mix = [seed_words, seed_words].concat();
        let pages = self.dataset_rows / 2;
        for access in 0..ACCESSES {
            let slot = usize::try_from(access).unwrap_or(0) % mix.len();
            let page = fnv(access ^ seed_words[0], mix[slot]) % pages;
            let fresh = [self.dataset_row(page * 2), self.dataset_row(page * 2 + 1)].concat();
            for (word, new) in mix.iter_mut().zip(fresh) {
                *word = fnv(*word, new);
            }
        }
        let mut digest = [0; 32];
        for (four, out) in mix.chunks(4).zip(digest.chunks_mut(4)) {
            let word = four[1..].iter().fold(four[0], |sum, word| fnv(sum, *word));
            out.copy_from_slice(&word.to_le_bytes());
        }
        (digest, Keccak256::digest([seed.as_slice(), &digest].concat()).into())
    }

    fn dataset_row(&self, index: u32) -> Row {
        let rows = u32::try_from(self.cache.len()).unwrap_or(u32::MAX);
        let mut mix = self.row(index % rows);
        mix[0] ^= index;
        mix = words(&keccak512(&bytes(&mix)));
        for parent in 0..DATASET_PARENTS {
            let slot = usize::try_from(parent % 16).unwrap_or(0);
            let other = self.row(fnv(index ^ parent, mix[slot]) % rows);
            for (word, new) in mix.iter_mut().zip(other) {
                *word = fnv(*word, new);
            }
        }
        words(&keccak512(&bytes(&mix)))
    }

    fn row(&self, index: u32) -> Row {
        self.cache[usize::try_from(index).unwrap_or(0)]
    }
}

fn make_cache(rows: usize, seed: [u8; 32]) -> Vec<Row> {
    let mut cache = vec![keccak512(&seed)];
    while cache.len() < rows {
        let last = keccak512(&cache[cache.len() - 1]);
        cache.push(last);
    }
    for _ in 0..CACHE_ROUNDS {
        for index in 0..rows {
            let before = cache[(index + rows - 1) % rows];
            let first = usize::try_from(words(&cache[index])[0]).unwrap_or(0);
            let picked = cache[first % rows];
            let mixed: Vec<u8> = before.iter().zip(picked).map(|(left, right)| left ^ right).collect();
            cache[index] = keccak512(&mixed);
        }
    }
    cache.iter().map(words).collect()
}

/// The largest multiple of `unit` below `bytes` whose quotient is prime.
fn prime_multiple(bytes: usize, unit: usize) -> usize {
    let mut count = bytes / unit - 1;
    while !is_prime(count) {
        count -= 1;
    }
    count * unit
}

fn is_prime(number: usize) -> bool {
    number > 1 && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

const fn fnv(left: u32, right: u32) -> u32 {
    left.wrapping_mul(0x0100_0193) ^ right
}

fn keccak512(input: &[u8]) -> [u8; 64] {
    Keccak512::digest(input).into()
}

fn words(row: &[u8; 64]) -> Row {
    let mut words = [0; 16];
    for (word, four) in words.iter_mut().zip(row.chunks(4)) {
        *word = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    }
    words
}

fn bytes(row: &Row) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (four, word) in bytes.chunks_mut(4).zip(row) {
        four.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::LightEthash;

    /// Published values of block 0: header hash and nonce to mix and final.
    #[test]
    fn agrees_with_the_published_hashes_of_epoch_0() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/ethash.json");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let ethash = LightEthash::of_seed([0; 32]).unwrap();
        let cases = file["hashimoto"].as_array().unwrap().iter();
        let first_epoch = cases.filter(|case| case["block_number"].as_u64().unwrap() < 30_000);
        let mut checked = 0;
        for case in first_epoch {
            let text = |name: &str| case[name].as_str().unwrap().to_owned();
            let header = hex::decode(text("header_hash")).unwrap().try_into().unwrap();
            let nonce = u64::from_str_radix(&text("nonce"), 16).unwrap();
            let (mix, last) = ethash.hash(&header, nonce);
            assert_eq!((hex::encode(mix), hex::encode(last)), (text("mix_hash"), text("final_hash")));
            checked += 1;
        }
        assert!(checked > 0);
    }

    #[test]
    fn refuses_a_seed_that_no_epoch_has() {
        assert!(LightEthash::of_seed([7; 32]).is_none());
    }
}

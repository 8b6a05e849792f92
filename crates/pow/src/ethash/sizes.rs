const NODE_BYTES: u64 = 64;
const PAGE_BYTES: u64 = 128;

/// Bytes of the light cache of `epoch`: 16 MiB and 128 KiB an epoch, down to a prime number of nodes.
#[must_use]
pub const fn ethash_cache_bytes(epoch: u32) -> u64 {
    largest_prime_multiple((1 << 24) + (1 << 17) * (epoch as u64), NODE_BYTES)
}

/// Bytes of the full dataset of `epoch`: 1 GiB and 8 MiB an epoch, down to a prime number of 128-byte pages.
#[must_use]
pub const fn ethash_dataset_bytes(epoch: u32) -> u64 {
    largest_prime_multiple((1 << 30) + (1 << 23) * (epoch as u64), PAGE_BYTES)
}

/// The largest `unit * prime` below `limit`, where `limit / unit` is even and above 2.
const fn largest_prime_multiple(limit: u64, unit: u64) -> u64 {
    let mut count = limit / unit - 1;
    while !is_odd_prime(count) {
        count -= 2;
    }
    count * unit
}

/// Trial division; at most some 25,000 steps for the sizes that occur.
const fn is_odd_prime(odd: u64) -> bool {
    let mut divisor = 3;
    while divisor * divisor <= odd {
        if odd.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/ethash.json")).unwrap();
        let cases = vectors["dataset_sizes"].as_array().unwrap();
        assert_eq!(cases.len(), 54);
        for case in cases {
            let epoch = u32::try_from(case["epoch"].as_u64().unwrap()).unwrap();
            assert_eq!(ethash_cache_bytes(epoch), case["light_cache_bytes"].as_u64().unwrap(), "epoch {epoch}");
            assert_eq!(ethash_dataset_bytes(epoch), case["full_dataset_bytes"].as_u64().unwrap(), "epoch {epoch}");
        }
    }
}

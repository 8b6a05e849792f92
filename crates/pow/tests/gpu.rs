//! The GPU's host side and kernels without a GPU: a stand-in for the driver, whose devices run the kernels' own sources
//! compiled for this processor, or interpret the committed PTX. What it cannot show is how a GPU runs that PTX; `gpu::tests`
//! does so on a machine that has one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    ffi::CString,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock},
};

use bq_pow::{EthashCache, EthashProof, EthashTask, EthashWorkHash, GpuDevice, GpuError, Sha256dWork};
use bq_primitives::{Algorithm, PowValue, Target, U256};
use proptest::prelude::*;

/// The stand-in, in this process for good.
struct Emulation {
    live_objects: extern "C" fn(i32) -> i32,
    break_later: extern "C" fn(),
}

/// Builds and loads the stand-in before anything asks for a driver: the name in it makes the loader take it for `libcuda.so`.
#[expect(clippy::disallowed_methods, reason = "the test compiles its stand-in and loads it")]
fn emulation() -> &'static Emulation {
    static LOADED: OnceLock<Emulation> = OnceLock::new();
    LOADED.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libcuda-{}.so", std::process::id()));
        let built = Command::new("c++")
            .args(["-std=c++17", "-O2", "-Wall", "-Werror", "-Wno-unknown-pragmas"])
            .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so", "-I"])
            .arg(here.join("src/gpu/kernels"))
            .arg("-o")
            .args([&library, &here.join("tests/gpu/driver.cpp")])
            .output()
            .expect("a C++ compiler, which building RandomX needs too");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let path = CString::new(library.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the library is our own; its initialisers set up standard containers only.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        std::fs::remove_file(&library).unwrap();
        assert!(!handle.is_null(), "the stand-in does not load");
        let symbol = |name: &str| {
            let name = CString::new(name).unwrap();
            // SAFETY: the handle is live for ever, and the name ends in a zero byte.
            let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!address.is_null());
            address
        };
        // SAFETY: functions of these types in the stand-in, which is never unloaded.
        unsafe {
            Emulation {
                live_objects: std::mem::transmute::<*mut libc::c_void, extern "C" fn(i32) -> i32>(symbol(
                    "emulated_live_objects",
                )),
                break_later: std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(symbol("emulated_break")),
            }
        }
    })
}

/// The emulated device of that name, as a test may expect it to behave.
fn open(name: &str) -> Result<GpuDevice, GpuError> {
    emulation();
    let devices = GpuDevice::list().unwrap();
    let device = devices.into_iter().find(|device| device.name == name).unwrap();
    GpuDevice::open(device.index)
}

/// The devices that compute rightly, each opened once: one runs the sources, one the PTX.
fn sound() -> impl Iterator<Item = MutexGuard<'static, GpuDevice>> {
    static DEVICES: [OnceLock<Mutex<GpuDevice>>; 2] = [OnceLock::new(), OnceLock::new()];
    DEVICES
        .iter()
        .zip(["Emulated", "Interpreted"])
        .map(|(device, name)| device.get_or_init(|| Mutex::new(open(name).unwrap())).lock().unwrap())
}

/// Awkward sizes, and larger than those of the self-test.
fn small_cache(epoch: u32) -> EthashCache {
    let seed = [u8::try_from(epoch).unwrap(); 32];
    EthashCache::of_sizes(&seed, 1021 * 64, 521 * 128).unwrap()
}

/// Plain evaluation of each nonce.
fn model(
    cache: &EthashCache,
    work_hash: EthashWorkHash,
    target: Target,
    first: u64,
    count: u32,
) -> Vec<(u64, EthashProof)> {
    (0..count)
        .map(|offset| first.wrapping_add(offset.into()))
        .map(|nonce| (nonce, cache.hash_batch(&[EthashTask { work_hash, nonce }])[0]))
        .filter(|(_, proof)| PowValue::of(Algorithm::Ethash, &proof.value).meets(&target))
        .collect()
}

/// About one value in `2^shift` meets it, and its lower words are neither all ones nor zero.
fn target(shift: usize, noise: u64) -> Target {
    Target((U256::MAX >> shift) - (U256::from(noise) << 100))
}

#[test]
fn devices_are_listed_and_the_sound_one_opens() {
    emulation();
    let devices = GpuDevice::list().unwrap();
    let first = &devices[0];
    assert_eq!(first.to_string(), "0: Emulated, compute 7.0, 2 multiprocessors, 64 MiB");
    assert_eq!(first.memory_bytes_per_sec, Some(128_000_000_000));
    let device = GpuDevice::open(0).unwrap();
    assert_eq!((device.info(), device.ethash_epoch()), (first, None));
    let count = devices.len();
    assert_eq!(GpuDevice::open(count).err(), Some(GpuError::NoSuchDevice { got: count, count }));
    assert!(matches!(GpuDevice::open(usize::MAX), Err(GpuError::NoSuchDevice { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sha256d_finds_what_the_reference_finds(
        header in proptest::collection::vec(any::<u8>(), 80), first: u32, count in 0..3000_u32, shift in 0..12_usize, noise: u64,
    ) {
        let header = header.try_into().unwrap();
        let work = Sha256dWork::new(&header, target(shift, noise));
        let expected = work.search(first, count);
        for mut device in sound() {
            prop_assert_eq!(&device.search_sha256d(&work, first, count).unwrap(), &expected, "{}", device.info());
        }
    }
}

#[test]
fn sha256d_headers_of_the_vectors_are_found_again() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/bitcoin_headers.json")).unwrap();
    let cases = vectors["headers"].as_array().unwrap();
    assert_eq!(cases.len(), 33);
    for case in cases {
        let header: [u8; 80] = hex::decode(case["header"].as_str().unwrap()).unwrap().try_into().unwrap();
        let nonce = u32::from_le_bytes(header[76..].try_into().unwrap());
        let bits = bq_primitives::CompactTarget(u32::from_le_bytes(header[72..76].try_into().unwrap()));
        let work = Sha256dWork::new(&header, bits.decode().unwrap());
        for mut device in sound() {
            let before = device.counters();
            let hits = device.search_sha256d(&work, nonce.wrapping_sub(501), 1003).unwrap();
            assert_eq!(hits, [(nonce, bq_pow::sha256d(&header))], "{}", device.info());
            let after = device.counters();
            assert_eq!((after.hashes - before.hashes, after.hits - before.hits, after.bad_hits), (1003, 1, 0));
        }
    }
}

#[test]
fn more_hits_than_fit_are_all_found() {
    let work = Sha256dWork::new(&[3; 80], Target::MAX);
    let expected = work.search(u32::MAX - 4000, 9001);
    assert_eq!(expected.len(), 9001);
    for mut device in sound() {
        assert_eq!(device.search_sha256d(&work, u32::MAX - 4000, 9001).unwrap(), expected);
        assert_eq!(device.search_sha256d(&work, 5, 0), Ok(vec![]));
    }
}

#[test]
fn ethash_finds_what_the_reference_finds() {
    let cache = small_cache(0);
    for (first, count, shift) in
        [(0, 1, 0), (7, 32, 0), (u64::MAX - 50, 129, 1), (u64::from(u32::MAX) - 3, 77, 3), (9, 0, 0)]
    {
        let work_hash = EthashWorkHash(std::array::from_fn(|i| u8::try_from(i * 7 + shift).unwrap()));
        let target = target(shift, 0x0123_4567_89ab_cdef);
        let expected = model(&cache, work_hash, target, first, count);
        for mut device in sound() {
            device.prepare_ethash(&cache).unwrap();
            let found = device.search_ethash(&cache, &work_hash, target, first, count).unwrap();
            assert_eq!(found, expected, "{count} nonces from {first} on {}", device.info());
            assert_eq!(device.counters().bad_hits, 0);
        }
    }
}

/// A target that only the lower words of a value decide: the GPU sees the top word alone, and the CPU the rest.
#[test]
fn a_value_just_above_the_target_is_no_hit_and_no_fault() {
    let cache = small_cache(0);
    let (header, work_hash) = ([0x5a; 80], EthashWorkHash([0x11; 32]));
    let hash = Sha256dWork::new(&header, Target::MAX).hash(40);
    let proof = model(&cache, work_hash, Target::MAX, 40, 1)[0];
    let one = U256::from(1);
    for mut device in sound() {
        let value = U256::from_le_bytes(hash.0);
        for (target, expected) in [(value, vec![(40, hash)]), (value - one, vec![])] {
            assert_eq!(device.search_sha256d(&Sha256dWork::new(&header, Target(target)), 40, 1), Ok(expected));
        }
        device.prepare_ethash(&cache).unwrap();
        let value = U256::from_be_bytes(proof.1.value.0);
        for (target, expected) in [(value, vec![proof]), (value - one, vec![])] {
            assert_eq!(device.search_ethash(&cache, &work_hash, Target(target), 40, 1), Ok(expected));
        }
        assert_eq!(device.counters().bad_hits, 0);
    }
}

#[test]
fn an_ethash_search_needs_its_dataset() {
    let mut device = open("Emulated").unwrap();
    let cache = small_cache(0);
    let search = |device: &mut GpuDevice| device.search_ethash(&cache, &EthashWorkHash([1; 32]), Target::MAX, 0, 3);
    assert_eq!(search(&mut device), Err(GpuError::NoDataset { epoch: 0 }));
    device.prepare_ethash(&cache).unwrap();
    assert_eq!(search(&mut device).unwrap().len(), 3);
}

#[test]
fn faulty_devices_are_refused() {
    for (name, what) in [
        ("Emulated, wrong hits", "what a SHA-256d search finds"),
        ("Emulated, too many hits", "more hits than nonces"),
        ("Emulated, wrong nodes", "the Ethash dataset"),
    ] {
        assert_eq!(open(name).err(), Some(GpuError::Wrong { what }), "{name}");
    }
    let text = "emulated failure".to_owned();
    let failed = GpuError::Driver { call: "cuLaunchKernel", code: 719, text };
    assert_eq!(open("Emulated, fails to launch").err(), Some(failed));
    let name = "Emulated, too old";
    assert_eq!(open(name).err(), Some(GpuError::OldDevice { name: name.to_owned(), compute: (6, 1) }));
}

#[test]
fn a_device_that_goes_wrong_is_given_up() {
    let mut device = open("Emulated, wrong hits later").unwrap();
    // One hit in 4096, so that a wrong one is none.
    let work = Sha256dWork::new(&[9; 80], target(12, 0));
    let good = device.search_sha256d(&work, 0, 10_000).unwrap();
    assert_eq!(good, work.search(0, 10_000));
    (emulation().break_later)();
    let mut first = 0;
    let error = loop {
        match device.search_sha256d(&work, first, 10_000) {
            Ok(found) => assert!(found.iter().all(|hit| *hit == (hit.0, work.hash(hit.0)))),
            Err(error) => break error,
        }
        first += 10_000;
        assert!(first < 1_000_000, "bad hits were not noticed");
    };
    let bad_hits = device.counters().bad_hits;
    assert!(bad_hits >= 3);
    assert_eq!(error, GpuError::Unreliable { bad_hits });
}

#[test]
fn a_dataset_that_does_not_fit_leaves_sha256d_to_mine() {
    let mut device = open("Emulated, little memory").unwrap();
    let cache = EthashCache::of_sizes(&[1; 32], 1 << 16, 2 << 20).unwrap();
    let refused = device.prepare_ethash(&cache);
    assert!(
        matches!(refused, Err(GpuError::Memory { what: "the Ethash dataset", bytes: 0x20_0000, free }) if free < 1 << 20)
    );
    let work = Sha256dWork::new(&[9; 80], target(6, 0));
    assert_eq!(device.search_sha256d(&work, 0, 1000).unwrap(), work.search(0, 1000));
    // No other test uses this device: two modules, the list of hits and the context are in use, and given back in the end.
    let number = i32::try_from(device.info().index).unwrap();
    assert_eq!((emulation().live_objects)(number), 4);
    drop(device);
    assert_eq!((emulation().live_objects)(number), 0);
}

use sha2::{Digest, Sha256};

use super::{GpuDevice, GpuError, ethash, ethash::Divisor, hits::HITS_MAX, sha256d};

/// PTX and the source that it must have been made from.
const KERNELS: [(&str, &str); 2] =
    [(sha256d::PTX, include_str!("kernels/sha256d.cu")), (ethash::PTX, include_str!("kernels/ethash.cu"))];

#[test]
fn the_ptx_is_made_from_the_source_beside_it() {
    for (ptx, source) in KERNELS {
        let digest = hex::encode(Sha256::digest(source));
        let named = ptx.lines().find_map(|line| line.strip_prefix("// Source SHA-256: ")).unwrap();
        assert_eq!(named, digest, "a kernel was changed: run `make gpu-kernels`");
        assert!(source.contains(&format!("#define HITS_MAX {HITS_MAX}\n")) && ptx.contains(".target sm_70"));
    }
}

/// The sizes of the parameters that the host passes, in order, are those that the compiled kernels take.
#[test]
fn the_ptx_takes_what_the_host_passes() {
    const POINTER: usize = 8;
    let word = size_of::<u32>();
    let divisor = size_of::<Divisor>();
    for (ptx, entry, sizes) in [
        (sha256d::PTX, "sha256d_search", vec![size_of::<sha256d::Sha256dParams>(), word, word, POINTER]),
        (ethash::PTX, "ethash_generate", vec![POINTER, divisor, POINTER, word, word]),
        (ethash::PTX, "ethash_search", vec![POINTER, divisor, size_of::<ethash::EthashParams>(), word, POINTER]),
    ] {
        let start = ptx.find(&format!(".visible .entry {entry}(")).unwrap();
        let parameters = ptx[start..].split_once(')').unwrap().0.lines().skip(1).filter(|line| !line.is_empty());
        let taken: Vec<usize> = parameters.map(parameter_bytes).collect();
        assert_eq!(taken, sizes, "{entry}");
    }
}

/// Bytes of a `.param` declaration.
fn parameter_bytes(line: &str) -> usize {
    let line = line.trim().trim_end_matches(',');
    match line.rsplit_once('[') {
        Some((_, bytes)) => bytes.trim_end_matches(']').parse().unwrap(),
        None if line.contains(" .u32 ") => 4,
        None if line.contains(" .u64 ") => 8,
        None => panic!("{line}"),
    }
}

/// On a machine with a GPU this runs the kernels on it; on others it shows that the absence is told and nothing panics.
#[test]
fn a_gpu_of_this_machine_computes_rightly_or_its_absence_is_told() {
    match GpuDevice::list() {
        Err(error) => {
            assert!(error.is_absence() || matches!(error, GpuError::Driver { .. } | GpuError::OldDriver { .. }));
            assert_eq!(GpuDevice::open(0).err(), Some(error.clone()));
            assert!(!error.to_string().is_empty());
        }
        Ok(devices) => {
            assert!(!devices.is_empty());
            for info in devices {
                match GpuDevice::open(info.index) {
                    Ok(mut device) => {
                        let work = crate::Sha256dWork::new(&[0x5a; 80], bq_primitives::Target::MAX);
                        let hits = device.search_sha256d(&work, 7, 5000).unwrap();
                        assert_eq!(hits, work.search(7, 5000));
                    }
                    Err(error) => assert!(matches!(error, GpuError::OldDevice { .. }), "{info}: {error}"),
                }
            }
        }
    }
}

#[test]
fn errors_name_what_is_missing() {
    assert_eq!(GpuError::NoDriver.to_string(), "no CUDA driver (libcuda.so.1 not found)");
    assert_eq!(GpuError::NoDevice.to_string(), "the CUDA driver finds no GPU");
    let old = GpuError::OldDevice { name: "Old".to_owned(), compute: (6, 1) };
    assert_eq!(old.to_string(), "Old has compute capability 6.1, at least 7.0 is needed");
}

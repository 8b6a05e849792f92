//! What several fuzz targets share.

mod stratum;
mod stratum_v2;

pub use stratum::fuzz_session;
pub use stratum_v2::fuzz_session_v2;

/// Memory where there is any: thousands of files a second.
pub fn scratch() -> &'static str {
    if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }
}

//! What several fuzz targets share.

mod stratum;

pub use stratum::fuzz_session;

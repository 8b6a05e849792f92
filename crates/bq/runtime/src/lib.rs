//! What surrounds the parts of the binary: configuration in layers, logging, the clock, the data directory and its
//! lock, shutdown, limits of the operating system.
//!
//! What this crate is not: it starts no service and knows no rule of chain or pool; the parts receive values, never the
//! configuration file. Read [`Config`] and [`Shutdown`] first.

mod clock;
mod config;
mod data_dir;
mod limits;
mod logging;
mod shutdown;
mod successor;

pub use clock::{now, now_ms};
pub use config::{
    AccountSettingsConfig, AgentFloor, AuthConfig, ChainConfig, Config, ConfigError, Explained, FIELDS, Field, Layers,
    Loaded, LogConfig, LogFormat, MinerConfig, MinerPatience, NoticesConfig, PayoutMode, PoolConfig, RandomXConfig,
    RandomXMode, RawAuth, RawChain, RawConfig, RawEra, RawLane, RawLog, RawMiner, RawPool, RawRandomX, RawRegtest,
    RawSigner, RawStratum, RawVerify, RegtestConfig, RegtestEra, SchemePort, ShareDifficultyConfig, SignerConfig,
    Source, StratumLimits, VerifyLimits, default_file, load,
};
pub use data_dir::{DataDir, DataDirError};
pub use limits::{OpenFiles, disk_free_bytes, open_files_max, raise_file_limit};
pub use logging::{LogError, init_logging};
pub use shutdown::{Hangups, Shutdown, ShutdownTrigger, on_signals};
pub use successor::{OtherProcess, SuccessorLink, SuccessorPort, is_gone};

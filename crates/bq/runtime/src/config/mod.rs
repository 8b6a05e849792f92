//! Configuration: four layers (flags, environment, file, defaults) become one checked [`Config`].

mod agent_floor;
mod build;
mod error;
mod fields;
mod layers;
mod raw;
mod scheme_port;
mod values;

pub use agent_floor::AgentFloor;
pub use error::ConfigError;
pub use fields::{FIELDS, Field, default_file};
pub use layers::{Explained, Layers, Loaded, Source, load};
pub use raw::{
    RawAuth, RawChain, RawConfig, RawEra, RawLane, RawLog, RawMiner, RawPool, RawRandomX, RawRegtest, RawSigner,
    RawStratum, RawVerify,
};
pub use scheme_port::SchemePort;
pub use values::{
    AccountSettingsConfig, AuthConfig, ChainConfig, Config, LogConfig, LogFormat, MinerConfig, MinerPatience,
    NoticesConfig, PayoutMode, PoolConfig, RandomXConfig, RandomXMode, RegtestConfig, RegtestEra,
    ShareDifficultyConfig, SignerConfig, StratumLimits, VerifyLimits,
};

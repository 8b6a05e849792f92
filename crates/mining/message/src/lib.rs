//! What passes between a pool and those who mine for it: shares and verdicts through [`PoolApi`], and the controls of the
//! built-in miner; and what those who run the pool or mine at it may ask about access ([`AccessApi`]). [`Share`] is the one value that travels from the judge to the books, [`FrameHeader`] what binds a run of them.
//!
//! No rule lives here and nothing here does IO.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod access;
mod control;
mod pool;
mod pool_template;

pub use access::{
    AccessApi, AccessError, BanInfo, NewToken, RefusalInfo, RequestDone, SessionInfo, SettingsTaken, TOKEN_PREFIX,
    TokenInfo, TokenWish, WhyInfo,
};
pub use bq_request::SignedRequest;
pub use bq_share_record::{
    AccountScheme, BootEpoch, FRAME_SHARES_MAX, FrameDigest, FrameHeader, FrontEndId, MessageError, ParseSchemeError,
    SchemePays, Share, SharePay, SharePosition, SharePrice, ShareSequence,
};
pub use control::{
    AlgorithmMining, MiningChange, MiningControl, MiningControlError, MiningMode, MiningModeError, MiningStatus,
};
pub use pool::{AuthorizeError, PoolApi, RecordShareError, ShareReject};
pub use pool_template::PoolTemplate;

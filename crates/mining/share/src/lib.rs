//! What a connection may work on and what its shares are worth (SPEC 11): jobs, work, claims, and the judge that decides,
//! once and in one order, why a share is refused.
//!
//! Nothing here knows a wire, a socket, a clock or the books. A dialect reads a line into a [`Submit`]; the connection's
//! [`Judge`] makes a [`ShareCandidate`] of it or says why not; whoever hashes it asks [`prove`] what that proves; and the judge
//! hears the verdict. Read [`Judge`] first, then [`Job`].
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

mod allowance;
mod ban;
mod bans;
mod claim;
mod claim_pile;
mod credit;
mod evaluator;
mod extranonce;
mod handed_over;
mod job;
mod judge;
mod peer;
mod proof;
mod queueing;
mod refusal;
mod restored;
mod session_ticket;
mod standing;
mod stranger_time;
mod submit;
mod subnet;
mod template;
mod trust;
mod unix_ms;

pub use allowance::{AllowancePolicy, Allowances, CpuTime};
pub use ban::{Ban, BanReason, ParseBanError};
pub use bans::{BanPolicy, Bans, ClaimTurn, Strike};
pub use claim::{Claim, Claimed};
pub use claim_pile::ClaimPile;
pub use credit::{randomx_bound, share_target};
pub use evaluator::Evaluator;
pub use extranonce::{ExtranonceAllocator, ExtranoncePrefix};
pub use handed_over::{JobOwner, JudgeState, Templates, WorkId};
pub use job::{Job, JobId, JobWork};
pub use judge::{Judge, JudgePolicy, Judged};
pub use peer::Peer;
pub use proof::{Evaluation, Proven, prove};
pub use queueing::{QUEUE_CLASSES, QueueTurns, STRANGERS_CLAIMS, TRUSTED_CLASSES, WithoutRoom, strangers_room};
pub use refusal::{Reject, Verdict};
pub use restored::Restored;
pub use session_ticket::{ParseSessionTicketError, SessionTicket, SessionTicketId};
pub use stranger_time::{StrangerTime, StrangerTimePolicy};
pub use submit::{Rolled, ShareCandidate, ShareKey, ShareTicket, Submit};
pub use subnet::Subnet;
pub use template::WorkTemplate;
pub use trust::Trust;
pub use unix_ms::UnixMs;

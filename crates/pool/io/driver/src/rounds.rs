//! What is done again and again: shares are told, the chain is followed, commands are carried out.

use std::time::Duration;

use crate::{PoolError, follow::Progress, keeper::Keeper, trouble::Trouble};

/// How soon the books are tried again after something failed. As below: a try costs little, and an operator who waits for the end of a
/// trouble should see it at once, so none of these is a setting.
pub(crate) const BOOKS_RETRY: Duration = Duration::from_secs(1);
/// How often commands are looked for without a new tip: sending again what the node lost costs it work.
const CARRY_OUT_INTERVAL: Duration = Duration::from_secs(1);
/// How often gauges are brought up to date.
const SHOW_INTERVAL: Duration = Duration::from_secs(1);

/// What is remembered from one round to the next: when each was done last, on the keeper's clock.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    compared: Option<Duration>,
    carried_out: Option<Duration>,
    /// The log stood where the node does.
    was_in_step: bool,
    shown: Option<Duration>,
}

impl Rounds {
    /// One round: shares, chain, commands. A step that fails is said and tried again; what depends on it waits. Returns the
    /// pause until the next round.
    pub(crate) fn round(&mut self, keeper: &Keeper) -> Duration {
        let outcome = self.steps(keeper);
        if is_over(keeper, self.shown, SHOW_INTERVAL) {
            self.shown = Some(keeper.clock.running());
            keeper.show_metrics();
        }
        match outcome {
            Ok(Progress::More) => Duration::ZERO,
            Ok(Progress::InStep) => keeper.config.settle_interval,
            Ok(Progress::Waiting) => BOOKS_RETRY,
            Err(()) => {
                keeper.metrics.settle_failed();
                BOOKS_RETRY
            }
        }
    }

    fn steps(&mut self, keeper: &Keeper) -> Result<Progress, ()> {
        note(keeper, Trouble::Disk, keeper.catch_up_disk())?;
        note(keeper, Trouble::Disk, keeper.tell_frames())?;
        let before = keeper.state.read().tip();
        let progress = note(keeper, Trouble::Node, keeper.follow())?;
        let moved = keeper.state.read().tip() != before;
        keeper.announce_tip();
        note(keeper, Trouble::Node, keeper.adopt_forgotten())?;
        let compares = moved || is_over(keeper, self.compared, keeper.config.compare_interval);
        if progress == Progress::InStep && compares {
            self.compared = Some(keeper.clock.running());
            note(keeper, Trouble::Node, keeper.compare_coins())?;
        }
        // What may only be done in step is looked for as soon as that is so.
        if progress == Progress::InStep && keeper.owes_a_template() {
            keeper.template_now.notify_one();
        }
        note(keeper, Trouble::Disk, keeper.tell_per_share())?;
        let was_in_step = std::mem::replace(&mut self.was_in_step, progress == Progress::InStep);
        let is_new_step = self.was_in_step && !was_in_step;
        if moved || is_new_step || is_over(keeper, self.carried_out, CARRY_OUT_INTERVAL) {
            self.carried_out = Some(keeper.clock.running());
            note(keeper, Trouble::Books, keeper.carry_out())?;
        }
        note(keeper, Trouble::Books, keeper.tell_credits())?;
        if progress == Progress::InStep {
            note(keeper, Trouble::Books, keeper.state_liabilities())?;
        }
        note(keeper, Trouble::Disk, keeper.checkpoint(false))?;
        keeper.drop_old_shares();
        Ok(progress)
    }
}

fn is_over(keeper: &Keeper, last: Option<Duration>, interval: Duration) -> bool {
    last.is_none_or(|last| keeper.clock.running().saturating_sub(last) >= interval)
}

/// Notes a trouble or its end under the name that fits.
fn note<T>(keeper: &Keeper, usual: Trouble, outcome: Result<T, PoolError>) -> Result<T, ()> {
    let error = match outcome {
        Ok(value) => {
            keeper.trouble(usual, None);
            return Ok(value);
        }
        Err(error) => error,
    };
    let trouble = match &error {
        PoolError::Node(_) => Trouble::Node,
        PoolError::Store(_) | PoolError::AppendShare(_) if error.is_transient() => Trouble::Disk,
        _ if error.is_transient() => usual,
        _ => Trouble::Books,
    };
    if trouble == Trouble::Books {
        tracing::error!(%error, "the books cannot go on: a person must look");
    } else {
        tracing::warn!(%error, "the books go on later");
    }
    keeper.trouble(trouble, Some(error.to_string()));
    Err(())
}

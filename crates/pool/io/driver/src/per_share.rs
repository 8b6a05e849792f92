//! What the log is told of shares that are paid for themselves (SPEC 8.9), and what is reckoned from it for new jobs.

use std::collections::BTreeMap;

use bq_chain_api::Template;
use bq_mining_message::ShareSequence;
use bq_pool_machine::{Event, PerShareEvent};
use bq_primitives::{Amount, BlockId, Height};

use crate::{PoolError, keeper::Keeper};

/// What waits to be told.
#[derive(Debug, Default)]
pub(crate) struct PerShareNotes {
    /// Fees and subsidy of the last template of a height.
    templates: BTreeMap<Height, (Amount, Amount)>,
    /// The tip at which shares were settled last.
    settled_at: Option<BlockId>,
}

/// Heights that may wait: while the books cannot be written, templates are made all the same.
const TEMPLATES_MAX: usize = 1000;

impl Keeper {
    /// The pool made a template.
    pub(crate) fn note_template(&self, template: &Template) -> Result<Amount, PoolError> {
        let subsidy = template.reward.checked_sub(template.fees).map_err(bq_pool_machine::Fault::from)?;
        let mut notes = self.per_share.lock();
        notes.templates.insert(template.height, (template.fees, subsidy));
        while notes.templates.len() > TEMPLATES_MAX {
            notes.templates.pop_first();
        }
        Ok(subsidy)
    }

    /// Tells of templates that none of the same height will follow, and settles what was earned since the last block.
    pub(crate) fn tell_per_share(&self) -> Result<(), PoolError> {
        let events = self.per_share_events();
        if !events.is_empty() {
            self.tell_all(&events, Vec::new())?;
        }
        Ok(())
    }

    fn per_share_events(&self) -> Vec<Event> {
        let state = self.state.read();
        let mut notes = self.per_share.lock();
        let mut events = Vec::new();
        let is_first = state.offer().pays_per_share() && state.subsidy() == Amount::ZERO;
        let newest = notes.templates.last_key_value().map(|(height, _)| *height);
        let told: Vec<Height> =
            notes.templates.keys().copied().filter(|height| is_first || Some(*height) != newest).collect();
        for height in told {
            let Some((fees, subsidy)) = notes.templates.remove(&height) else { continue };
            if state.offer().pays_per_share() {
                events.push(PerShareEvent::Template { height, fees, subsidy });
            }
        }
        let front_end = self.config.front_end;
        let next = state.front_end(front_end).map_or(ShareSequence::FIRST, |head| head.next);
        let tip = state.tip().map(|tip| tip.id);
        let is_behind = state.unsettled_from(front_end).is_some_and(|from| from < next);
        if is_behind && tip != notes.settled_at {
            notes.settled_at = tip;
            events.push(PerShareEvent::Settled { front_end, end: next });
        }
        events.into_iter().map(Event::PerShare).collect()
    }
}

//! Accounts' own settings (SPEC 8.11): takes what was signed, tells what the bounds are, and shows both.

use std::time::Duration;

use bq_mining_message::{AccessError, SettingsTaken, SignedRequest};
use bq_pool_machine::{
    AccountSettings, Event, Fault, PendingWishes, SchemeWish, SettingBounds, SettingChange, SettingEvent,
    SettingRefusal, SettingWish, SignedSetting, State, Wishes,
};
use bq_primitives::{AccountId, Address, KeyHash};
use bq_request::Request;
use bq_views::{NoticesView, PendingSettingsView, SettingsView, WishesView};

use crate::{PoolError, keeper::Keeper, miner_views::Miner};

/// Hours' worth of settings that may be taken at once.
const HOURS_AT_ONCE: u32 = 5;

/// How many settings the log may still take: it keeps every one for ever, and an account costs one share.
#[derive(Debug, Default)]
pub(crate) struct SettingsRoom {
    /// Of these so many were taken, less what time has forgiven since `at`.
    taken: f64,
    at: Duration,
}

impl SettingsRoom {
    /// One more, if there is room.
    fn take(&mut self, running: Duration, hour_max: u32) -> bool {
        let forgiven = running.saturating_sub(self.at).as_secs_f64() / 3600.0 * f64::from(hour_max);
        (self.taken, self.at) = ((self.taken - forgiven).max(0.0), running);
        let is_room = self.taken + 1.0 <= f64::from(hour_max.saturating_mul(HOURS_AT_ONCE));
        self.taken += f64::from(u8::from(is_room));
        is_room
    }
}

impl Keeper {
    /// Tells the log what accounts may set, if that changed.
    pub(crate) fn tell_bounds(&self) -> Result<(), PoolError> {
        let (minimum_max, delay_blocks) = (self.config.settings_minimum_max, self.config.settings_delay_blocks);
        let bounds = SettingBounds { minimum_max, delay_blocks };
        let known = self.state.read().setting_bounds().copied();
        if !self.config.settings || known == Some(bounds) {
            return Ok(());
        }
        self.tell(&Event::Setting(Box::new(SettingEvent::Bounds(bounds))), Vec::new()).map(|_| ())
    }

    /// Takes a signed setting; nothing if the request is about something else.
    pub(crate) fn change_settings(
        &self,
        request: &SignedRequest,
        may_verify: &dyn Fn(KeyHash) -> bool,
    ) -> Option<Result<SettingsTaken, AccessError>> {
        let wish = request.request.lines().nth(4).unwrap_or_default();
        SettingWish::is_meant(wish).then(|| self.take_setting(request, may_verify))
    }

    fn take_setting(
        &self,
        request: &SignedRequest,
        may_verify: &dyn Fn(KeyHash) -> bool,
    ) -> Result<SettingsTaken, AccessError> {
        if !self.config.settings {
            return Err(refused(&SettingRefusal::NotTaken));
        }
        let proof = request.proof().map_err(|error| refused(&error.into()))?;
        let time_ms = self.now_ms();
        let signed = SignedSetting {
            request: request.request.clone(),
            public_key: proof.public_key.to_vec(),
            signature: proof.signature.to_vec(),
            time_ms,
        };
        // Before it is anybody's turn to write: what is refused costs nobody else anything.
        let (account, read, is_cancel) = self.judge(&signed)?;
        if !may_verify(read.address.key_hash) {
            return Err(AccessError::TooFast);
        }
        signed.verify(&read).map_err(|refusal| refused(&refusal))?;
        // Of what is signed alone: whoever forges takes nobody's room. What waits was counted when it was taken: stopping it is free.
        if !is_cancel && !self.settings_room.lock().take(self.clock.running(), self.config.settings_hour_max) {
            let reason = "this pool takes no more settings at the moment: try again in some minutes".to_owned();
            return Err(AccessError::Setting { name: "too_many", reason });
        }
        let event = Event::Setting(Box::new(SettingEvent::Signed(signed)));
        match self.tell(&event, Vec::new()) {
            Ok(_) => self.taken(account).ok_or_else(|| AccessError::Disk("the account is gone".to_owned())),
            Err(PoolError::Fault(Fault::Setting(refusal))) => Err(refused(&refusal)),
            Err(error) => {
                tracing::warn!(%error, "a setting was not written");
                Err(AccessError::Disk("the books cannot be written now".to_owned()))
            }
        }
    }

    /// Whose it is and whether it cancels, if it would be taken now and is signed. What needs a clock is decided here, everything else by the machine.
    fn judge(&self, signed: &SignedSetting) -> Result<(AccountId, Request, bool), AccessError> {
        let state = self.state.read();
        let (account, request, wish) = state.judge_unverified(signed).map_err(|refusal| refused(&refusal))?;
        let (now, time) = (signed.time_ms, request.time_ms);
        let window_ms = ms(self.config.settings_window);
        if now.abs_diff(time) > window_ms {
            let reason = format!("time {time} is not within {} s of {now}", window_ms / 1000);
            return Err(AccessError::Setting { name: "time", reason });
        }
        let is_cancel = wish.change == SettingChange::Cancel;
        let newest = state.settings_of(account).map(|settings| settings.taken_ms);
        let interval_ms = ms(self.config.settings_interval);
        if !is_cancel && newest.is_some_and(|newest| now.abs_diff(newest) < interval_ms) {
            let reason = format!("an account's settings change once in {} s", interval_ms / 1000);
            return Err(AccessError::Setting { name: "too_fast", reason });
        }
        Ok((account, request, is_cancel))
    }

    fn taken(&self, account: AccountId) -> Option<SettingsTaken> {
        let state = self.state.read();
        let (settings, key_hash) = (state.settings_of(account)?, state.accounts().key(account)?);
        Some(SettingsTaken {
            address: Address { network: self.config.network, key_hash }.to_string(),
            number: settings.sequence,
            locked: settings.current.locked,
            pending_from: settings.pending.as_ref().map(|pending| pending.from.0),
        })
    }

    /// What an account set and what may be set. Of a webhook only that there is one: its text may hold a secret.
    pub(crate) fn settings_view(&self, miner: Miner) -> SettingsView {
        let state = self.state.read();
        let network = self.config.network;
        let settings = miner.account.and_then(|account| state.settings_of(account));
        let bounds = state.setting_bounds().filter(|_| self.config.settings);
        let address = |key_hash| Address { network, key_hash }.to_string();
        let counts = self.notices.counts(miner.key);
        SettingsView {
            address: address(miner.key),
            has_account: miner.account.is_some(),
            genesis: self.node.genesis_id().to_string(),
            pool: state.opened().map(|opened| address(opened.key)),
            is_taken: bounds.is_some(),
            next_number: settings.map_or(1, |settings| settings.sequence.saturating_add(1)),
            minimum_least: self.config.payout_min.into(),
            minimum_most: self.config.settings_minimum_max.into(),
            delay_blocks: bounds.map_or(0, |bounds| bounds.delay_blocks),
            schemes: offered(&state),
            current: wishes_view(&settings.map(|settings| settings.current.clone()).unwrap_or_default()),
            pending: settings.and_then(|settings| self.pending_view(&state, settings)),
            changed: settings.map(|settings| settings.taken_ms / 1000),
            notices: NoticesView {
                sent: counts.sent,
                failed: counts.failed,
                left_out: counts.left_out,
                last_failure: counts.last_failure,
            },
        }
    }

    fn pending_view(&self, state: &State, settings: &AccountSettings) -> Option<PendingSettingsView> {
        let PendingWishes { from, wishes } = settings.pending.as_ref()?;
        let left = from.0.saturating_sub(state.tip().map_or(0, |tip| tip.height.0));
        let left_secs = u64::from(left).saturating_mul(self.config.settings_block_secs);
        Some(PendingSettingsView {
            from_height: from.0,
            blocks_left: left,
            about: (self.now_ms() / 1000).saturating_add(left_secs),
            changes_webhook: wishes.webhook != settings.current.webhook,
            wishes: wishes_view(wishes),
        })
    }

    /// Whether an account's own setting locks its address.
    pub(crate) fn is_locked(&self, payee: &KeyHash) -> bool {
        let state = self.state.read();
        let account = state.accounts().find(payee);
        account.and_then(|account| state.settings_of(account)).is_some_and(|settings| settings.current.locked)
    }
}

fn offered(state: &State) -> Vec<String> {
    let offers = |scheme: &SchemeWish| state.offers(*scheme);
    SchemeWish::ALL.into_iter().filter(offers).map(|scheme| scheme.name().to_owned()).collect()
}

fn wishes_view(wishes: &Wishes) -> WishesView {
    WishesView {
        minimum: wishes.minimum.map(Into::into),
        scheme: wishes.scheme.name().to_owned(),
        locked: wishes.locked,
        webhook: wishes.webhook.is_some(),
    }
}

fn refused(refusal: &SettingRefusal) -> AccessError {
    AccessError::Setting { name: refusal.name(), reason: refusal.to_string() }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

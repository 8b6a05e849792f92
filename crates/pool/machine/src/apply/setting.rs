//! Accounts' own settings (SPEC 8.11): what may be set, what holds at once and what waits.

use bq_primitives::{AccountId, Amount, Height};
use bq_request::{Request, RequestError};

use super::Step;
use crate::{
    AccountSettings, Fault, LogNumber, PendingWishes, SettingBounds, SettingChange, SettingEvent, SettingRefusal,
    SettingWish, SignedSetting, State, WishChanges,
};

impl State {
    pub(super) fn setting(&mut self, step: &mut Step<'_>, event: &SettingEvent) -> Result<(), Fault> {
        match event {
            SettingEvent::Bounds(bounds) => self.set_bounds(step.number, *bounds),
            SettingEvent::Signed(signed) => self.change_setting(step, signed),
        }
    }

    fn set_bounds(&mut self, number: LogNumber, bounds: SettingBounds) -> Result<(), Fault> {
        let refuse = |field, reason| Err(SettingRefusal::Bounds { field, reason }.into());
        if bounds.minimum_max == Amount::ZERO {
            return refuse("minimum_max", "must be at least one atom");
        }
        if bounds.delay_blocks == 0 {
            return refuse("delay_blocks", "must be at least 1");
        }
        self.settings.bounds = Some(bounds);
        self.queue_due(number);
        Ok(())
    }

    fn change_setting(&mut self, step: &mut Step<'_>, signed: &SignedSetting) -> Result<(), Fault> {
        let (account, _, wish) = self.judge_setting(signed)?;
        let bounds = self.settings.bounds.ok_or(SettingRefusal::NotTaken)?;
        let before = self.settings.of(account);
        let held = before.map(|settings| settings.current.clone()).unwrap_or_default();
        let webhook = held.webhook.clone();
        let waited = before.and_then(|settings| settings.pending.as_ref()).map(|pending| pending.from);
        let (current, pending) = match wish.change {
            SettingChange::Set(changes) => {
                let wishes = changes.of(&held);
                let current = held.raised_to(&wishes);
                let from = self.tip.map_or(Height(0), |tip| tip.height).0.saturating_add(bounds.delay_blocks);
                let pending = (current != wishes).then_some(PendingWishes { from: Height(from), wishes });
                (current, pending)
            }
            SettingChange::Cancel => (held, None),
        };
        if let Some(from) = waited {
            self.settings.waiting.remove(&(from, account));
        }
        if let Some(pending) = &pending {
            self.settings.waiting.insert((pending.from, account));
        }
        let (sequence, taken_ms) = (wish.sequence, signed.time_ms);
        self.settings.accounts.insert(account, AccountSettings { sequence, taken_ms, current, pending });
        self.note_due(step.number, account);
        step.applied.settings.insert(account, webhook);
        Ok(())
    }

    /// Whose a signed setting is and what it says, if this state would take it. The signature is checked last.
    ///
    /// # Errors
    /// [`SettingRefusal`].
    pub fn judge_setting(&self, signed: &SignedSetting) -> Result<(AccountId, Request, SettingWish), SettingRefusal> {
        let judged = self.judge_unverified(signed)?;
        signed.verify(&judged.1)?;
        Ok(judged)
    }

    /// The same but for the signature, which alone costs something: [`SignedSetting::verify`] is left.
    ///
    /// # Errors
    /// [`SettingRefusal`].
    pub fn judge_unverified(
        &self,
        signed: &SignedSetting,
    ) -> Result<(AccountId, Request, SettingWish), SettingRefusal> {
        let opened = self.opened.ok_or(SettingRefusal::NotTaken)?;
        let request = Request::read(&signed.request)?;
        request.check_chain(opened.network, opened.genesis)?;
        let wish: SettingWish = request.wish.parse()?;
        let (got, expected) = (wish.pool.key_hash, opened.key);
        if wish.pool.network != opened.network || got != expected {
            return Err(SettingRefusal::OtherPool { got, expected });
        }
        let account = self.accounts.find(&request.address.key_hash).ok_or(SettingRefusal::UnknownAccount)?;
        self.check_order(account, wish.sequence)?;
        match &wish.change {
            SettingChange::Set(changes) => self.check_wishes(changes)?,
            SettingChange::Cancel if self.settings.of(account).is_none_or(|settings| settings.pending.is_none()) => {
                return Err(SettingRefusal::NothingToCancel(account));
            }
            SettingChange::Cancel => {}
        }
        let other_key = || RequestError::Signature(request.address.to_string());
        request.check_key(signed.public_key.as_slice().try_into().map_err(|_| other_key())?)?;
        Ok((account, request, wish))
    }

    fn check_order(&self, account: AccountId, got: u64) -> Result<(), SettingRefusal> {
        let newest = self.settings.of(account).map_or(0, |known| known.sequence);
        let next = newest.saturating_add(1);
        match got {
            _ if got == newest => Err(SettingRefusal::Replayed { got }),
            _ if got < newest => Err(SettingRefusal::Older { got, newest }),
            // A number out of reach would be the last one, and nothing could be cancelled after it.
            _ if got > next => Err(SettingRefusal::Skipped { got, next }),
            _ => Ok(()),
        }
    }

    /// What stays as it holds was taken before.
    fn check_wishes(&self, changes: &WishChanges) -> Result<(), SettingRefusal> {
        let most = self.settings.bounds.ok_or(SettingRefusal::NotTaken)?.minimum_max;
        let terms = self.terms().ok_or(SettingRefusal::NotTaken)?;
        if let Some(Some(got)) = changes.minimum {
            let least = terms.payouts.payout_min;
            if got < least {
                return Err(SettingRefusal::MinimumBelow { got, least });
            }
            if got > most {
                return Err(SettingRefusal::MinimumAbove { got, most });
            }
        }
        match changes.scheme.filter(|scheme| !self.offers(*scheme)) {
            None => Ok(()),
            Some(scheme) => Err(SettingRefusal::SchemeNotOffered(scheme.name())),
        }
    }

    /// Wishes that waited up to a height hold from now on, also if the chain goes back below it.
    pub(super) fn hold_settings(&mut self, step: &mut Step<'_>, height: Height) {
        while let Some((from, account)) = self.settings.waiting.first().copied().filter(|(from, _)| *from <= height) {
            self.settings.waiting.remove(&(from, account));
            let Some(settings) = self.settings.accounts.get_mut(&account) else { continue };
            let Some(pending) = settings.pending.take() else { continue };
            let before = std::mem::replace(&mut settings.current, pending.wishes);
            step.applied.settings.insert(account, before.webhook);
            self.note_due(step.number, account);
        }
    }
}

impl SignedSetting {
    /// Makes sure that the key of its address signed what was read of it.
    ///
    /// # Errors
    /// [`SettingRefusal`].
    pub fn verify(&self, request: &Request) -> Result<(), SettingRefusal> {
        let other_key = || RequestError::Signature(request.address.to_string());
        let public_key = self.public_key.as_slice().try_into().map_err(|_| other_key())?;
        let signature = self.signature.as_slice().try_into().map_err(|_| other_key())?;
        Ok(request.check_signature(public_key, signature)?)
    }
}

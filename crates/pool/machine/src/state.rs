use std::{collections::BTreeMap, fmt};

use bq_ledger::{Accrual, Books, Cause, FeeAverage, LedgerAccount, Transfer};
use bq_mining_message::{AccountScheme, BootEpoch, FrontEndId, SharePosition, ShareSequence};
use bq_primitives::{AccountId, Algorithm, Amount, AmountError, BlockId, Height, KeyHash, OutPoint, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::{
    AccountSettings, Accounts, Attempts, BlockState, Event, EventError, Fault, LogHead, LogNumber, Offer, Opened,
    Origin, Payout, PayoutId, PoolBlock, PoolCoin, Scheme, SettingBounds, Terms, TermsFrom, Tip, cold::ColdState,
    offer::OfferFrom, settings::Settings, terms::covers,
};

/// All that the events of a log come to. Only [`State::apply`] changes it; everything else is read from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) head: LogHead,
    pub(crate) opened: Option<Opened>,
    pub(crate) tip: Option<Tip>,
    pub(crate) terms: Vec<TermsFrom>,
    pub(crate) accounts: Accounts,
    pub(crate) books: Books,
    pub(crate) paid: BTreeMap<AccountId, u64>,
    pub(crate) due_since: BTreeMap<AccountId, LogNumber>,
    pub(crate) front_ends: BTreeMap<FrontEndId, FrontEndHead>,
    pub(crate) blocks: BTreeMap<BlockId, PoolBlock>,
    pub(crate) coins: BTreeMap<OutPoint, PoolCoin>,
    pub(crate) payouts: BTreeMap<PayoutId, Payout>,
    pub(crate) newest_payout: PayoutId,
    pub(crate) round: PayoutRound,
    pub(crate) paused: Option<Paused>,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) keys_given_up: Vec<KeyGivenUp>,
    /// Gifts that an open payout spends and that left the chain, and the height of the tip when they did.
    pub(crate) lost_gifts: BTreeMap<OutPoint, Height>,
    /// What accounts got by payouts that came back after they had been paid otherwise; it is among the missing coins.
    pub(crate) overpaid: BTreeMap<AccountId, u64>,
    pub(crate) per_share: PerShareState,
    pub(crate) direct: DirectState,
    /// What accounts want for themselves.
    pub(crate) settings: Settings,
    /// What became of payouts that were signed.
    pub(crate) attempts: BTreeMap<PayoutId, Attempts>,
    /// Coins that another key holds; behind the rest in bytes, and only where there ever was such a key.
    #[serde(skip)]
    pub(crate) cold: ColdState,
}

/// Where those stand whom coinbases pay later (SPEC 8.8.3, 8.8.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirectState {
    /// Accounts whose carried balance alone comes to the least that a coinbase pays, and the event since which it does, or which paid a part.
    pub(crate) waiting_since: BTreeMap<AccountId, LogNumber>,
    /// Height of the tip when the last lane that was direct ceased to be; nothing while one is.
    pub(crate) ended: Option<Height>,
}

/// Schemes beside those of the lanes, and where shares stand that are paid for themselves (SPEC 8.9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PerShareState {
    pub(crate) offers: Vec<OfferFrom>,
    /// Shares of new jobs may be paid so.
    pub(crate) is_open: bool,
    /// What was earned and is not credited; none of it is zero.
    pub(crate) accruals: BTreeMap<(AccountId, Algorithm), Accrual>,
    /// The first share of each front end that is not settled; of one that is not named, none can be paid so.
    pub(crate) settled: BTreeMap<FrontEndId, ShareSequence>,
    /// Of the pool's own templates.
    pub(crate) fees: FeeAverage,
    /// That of the newest of them.
    pub(crate) subsidy: Amount,
}

/// Layout of a state in bytes: the first of them. A checkpoint of another layout is not compared, for it cannot be made again.
pub(crate) const STATE_LAYOUT: u8 = 3;
/// The same, and what the state knows of cold keys behind it.
pub(crate) const STATE_LAYOUT_COLD: u8 = 4;
/// The layout before accounts could choose anything, which is otherwise the same.
const LAYOUT_WITHOUT_CHOICES: u8 = 2;

/// How far a front end's shares are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontEndHead {
    /// The start that cut its newest frame.
    pub epoch: BootEpoch,
    /// Position after its newest share.
    pub next: ShareSequence,
}

/// The payouts that were planned together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutRound {
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// How many transactions it has so far.
    pub payouts: u32,
}

/// A person stopped payouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub since_ms: u64,
}

/// The log lost its end and goes on all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The event that began it.
    pub event: LogNumber,
    /// The newest commitment of the lost end. Commitments up to it alarm nobody any more, in blocks up to `height`.
    pub seen: LogHead,
    /// Height of the tip when it began. What a later block says is of the log that went on, and may be lost in its turn.
    pub height: Height,
    /// Coins that a forgotten payout may spend are left, or their fence is not final.
    pub open: bool,
}

/// A key of the pool that nobody has any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGivenUp {
    /// Its hash.
    pub key: KeyHash,
    /// The newest payout that was signed with it.
    pub payouts_to: PayoutId,
}

/// `T("BQIP0002/pool-state", state)`: equal states and only those have equal digests.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest(pub [u8; 32]);

impl Recovery {
    /// Whether a commitment to an event, in a block at a height, is of the lost end.
    #[must_use]
    pub fn explains(&self, number: LogNumber, height: Height) -> bool {
        number <= self.seen.number && height <= self.height
    }
}

impl State {
    /// The newest event that was applied.
    #[must_use]
    pub const fn head(&self) -> LogHead {
        self.head
    }

    /// What the log belongs to; nothing before its first event.
    #[must_use]
    pub const fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// The end of the chain as far as the log was told.
    #[must_use]
    pub const fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// The lowest height of which the state still knows all blocks of the pool: older ones may be forgotten.
    #[must_use]
    pub fn kept_from(&self) -> Height {
        let horizon = self.opened.map_or(0, |opened| opened.horizon);
        Height(self.tip.map_or(0, |tip| tip.height.0.saturating_sub(horizon)))
    }

    /// The terms in force; nothing before the first were set.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.last().map(|from| &from.terms)
    }

    /// The terms that held for a share.
    #[must_use]
    pub fn terms_of(&self, share: SharePosition) -> Option<&Terms> {
        let held = self.terms.iter().rev().find(|from| from.covers(share));
        held.or_else(|| self.terms.first()).map(|from| &from.terms)
    }

    /// What accounts may choose now.
    #[must_use]
    pub fn offer(&self) -> Offer {
        self.per_share.offers.last().map(|from| from.offer).unwrap_or_default()
    }

    /// The newest offer of a scheme up to a share that is paid by it: its job was sent while that was offered, whatever was taken from
    /// the list since.
    pub(crate) fn offer_with(&self, scheme: AccountScheme, share: SharePosition) -> Offer {
        let mut held = self.per_share.offers.iter().rev().filter(|from| covers(&from.shares, share));
        held.find(|from| from.offer.has(scheme)).map(|from| from.offer).unwrap_or_default()
    }

    /// What accounts may set; nothing if they may set nothing.
    #[must_use]
    pub const fn setting_bounds(&self) -> Option<&SettingBounds> {
        self.settings.bounds.as_ref()
    }

    /// What an account set; nothing if it never did.
    #[must_use]
    pub fn settings_of(&self, account: AccountId) -> Option<&AccountSettings> {
        self.settings.of(account)
    }

    /// The minimum that an account chose, as far as it may.
    #[must_use]
    pub fn own_minimum(&self, account: AccountId) -> Option<Amount> {
        let most = self.settings.bounds?.minimum_max;
        self.settings.of(account)?.current.minimum.map(|minimum| minimum.min(most))
    }

    /// The atoms that an account must be owed to be due: the pool's minimum or a higher one of its own.
    #[must_use]
    pub fn payout_min(&self, account: AccountId) -> u64 {
        let of_pool = self.terms().map_or(u64::MAX, |terms| terms.payouts.payout_min.atoms());
        self.own_minimum(account).map_or(of_pool, |own| own.atoms().max(of_pool))
    }

    /// Who is credited.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Every balance.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// What an account was ever sent.
    #[must_use]
    pub fn paid(&self, account: AccountId) -> u64 {
        self.paid.get(&account).copied().unwrap_or(0)
    }

    /// What all accounts were ever sent.
    #[must_use]
    pub fn paid_in_all(&self) -> u64 {
        self.paid.values().fold(0, |sum, paid| sum.saturating_add(*paid))
    }

    /// Accounts that have reached the minimum, and the event that made them.
    pub fn due(&self) -> impl Iterator<Item = (AccountId, LogNumber)> + '_ {
        self.due_since.iter().map(|(account, since)| (*account, *since))
    }

    /// How far a front end's shares are in the log; nothing for one that sent none.
    #[must_use]
    pub fn front_end(&self, id: FrontEndId) -> Option<FrontEndHead> {
        self.front_ends.get(&id).copied()
    }

    /// One pool block, while it is kept.
    #[must_use]
    pub fn block(&self, id: &BlockId) -> Option<&PoolBlock> {
        self.blocks.get(id)
    }

    /// Pool blocks that the chain may still move.
    pub fn blocks(&self) -> impl Iterator<Item = &PoolBlock> + '_ {
        self.blocks.values()
    }

    /// The pool's coins on the best chain, spent ones too while they are kept.
    pub fn coins(&self) -> impl Iterator<Item = (OutPoint, &PoolCoin)> + '_ {
        self.coins.iter().map(|(outpoint, coin)| (*outpoint, coin))
    }

    /// One coin.
    #[must_use]
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&PoolCoin> {
        self.coins.get(outpoint)
    }

    /// One payout, while it is kept.
    #[must_use]
    pub fn payout(&self, id: PayoutId) -> Option<&Payout> {
        self.payouts.get(&id)
    }

    /// Payouts, oldest first: open ones, and others while they are kept.
    pub fn payouts(&self) -> impl Iterator<Item = &Payout> + '_ {
        self.payouts.values()
    }

    /// Number of the newest payout; 0 before the first.
    #[must_use]
    pub const fn newest_payout(&self) -> PayoutId {
        self.newest_payout
    }

    /// The payouts that were planned last.
    #[must_use]
    pub const fn round(&self) -> PayoutRound {
        self.round
    }

    /// Why a person stopped payouts, if one did.
    #[must_use]
    pub const fn paused(&self) -> Option<&Paused> {
        self.paused.as_ref()
    }

    /// The lost end of the log, if it ever lost one.
    #[must_use]
    pub const fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// Keys that were given up. Their coins may still be inputs of payouts that were signed before.
    #[must_use]
    pub fn keys_given_up(&self) -> &[KeyGivenUp] {
        &self.keys_given_up
    }

    /// Whether a payout was signed with a key that was given up: nobody can spend its change, nor its inputs otherwise.
    pub(crate) fn is_given_up(&self, payout: PayoutId) -> bool {
        self.keys_given_up.last().is_some_and(|given_up| payout <= given_up.payouts_to)
    }

    /// The fee income that no reorganisation short of maturity can take away.
    #[must_use]
    pub fn earned_fees(&self, lane: Algorithm) -> u64 {
        let account = LedgerAccount::FeeIncome(lane);
        let immature = self.immature(account);
        self.books.balance(account).saturating_sub(immature)
    }

    /// What the seed holds beyond one full window at the reward of the lane's newest block: what the pool itself may take.
    #[must_use]
    pub fn seed_surplus(&self, lane: Algorithm) -> u64 {
        let account = LedgerAccount::Seed(lane);
        // Of a block whose shares are lost the books know the pool's own part only.
        let of_lane = self.blocks.values().filter(|block| block.candidate.winning != crate::Winning::Lost);
        let of_lane = of_lane.filter(|block| block.candidate.algorithm == lane);
        let newest = of_lane.max_by_key(|block| block.candidate.height).and_then(|block| block.candidate.reward().ok());
        let units = self.terms().map_or(0, |terms| u64::from(terms.window(lane).units()));
        // Without a block to measure by, nothing is a surplus.
        let reserve = newest.map_or(u64::MAX, |reward| reward.atoms().saturating_mul(units));
        self.books.balance(account).saturating_sub(self.immature(account)).saturating_sub(reserve)
    }

    /// What the operator may take out: what the pool earned, less what it bears and coins that are missing. Whatever leaves must
    /// not be what miners are owed.
    #[must_use]
    pub fn withdrawable(&self) -> Vec<(LedgerAccount, u64)> {
        self.earned_less(self.losses().saturating_add(self.books.balance(LedgerAccount::Missing)))
    }

    /// What is held of rewards that no reorganisation short of maturity can take away.
    #[must_use]
    pub fn matured_suspense(&self) -> u64 {
        let account = LedgerAccount::Suspense;
        self.books.balance(account).saturating_sub(self.immature(account))
    }

    /// What the pool has to bear out of what it earned: lost rewards, coins given up, fees of its own transactions.
    #[must_use]
    pub fn losses(&self) -> u64 {
        let accounts = [LedgerAccount::OrphanLoss, LedgerAccount::WriteOff, LedgerAccount::NetFeeExpense];
        accounts.into_iter().fold(0, |sum, account| sum.saturating_add(self.books.balance(account)))
    }

    /// What the losses exceed all that the pool earned by: so much is owed, the reserve of the seeds included, that no coin is
    /// there for.
    #[must_use]
    pub fn shortfall(&self) -> u64 {
        let earned = self.earned_less(0).into_iter().fold(0_u64, |sum, (_, amount)| sum.saturating_add(amount));
        self.losses().saturating_sub(earned)
    }

    /// Earned fees, gifts and what the seeds hold beyond their purpose, of which `burden` is taken off in this order.
    pub(crate) fn earned_less(&self, burden: u64) -> Vec<(LedgerAccount, u64)> {
        let fees = Algorithm::ALL.map(|lane| (LedgerAccount::FeeIncome(lane), self.earned_fees(lane)));
        let gifts = (LedgerAccount::GiftIncome, self.books.balance(LedgerAccount::GiftIncome));
        let seeds = Algorithm::ALL.map(|lane| (LedgerAccount::Seed(lane), self.seed_surplus(lane)));
        let mut burden = burden;
        let less = |(account, amount): (LedgerAccount, u64)| {
            let taken = burden.min(amount);
            burden = burden.saturating_sub(taken);
            (account, amount.saturating_sub(taken))
        };
        fees.into_iter().chain([gifts]).chain(seeds).map(less).filter(|(_, amount)| *amount > 0).collect()
    }

    /// The least worth of a coin that the books know for certain. A stranger's coin below the `gift_min` of its time was left
    /// alone, also when a lower one holds now.
    #[must_use]
    pub fn gift_floor(&self) -> Amount {
        self.terms.iter().map(|from| from.terms.payouts.gift_min).max().unwrap_or(Amount::ZERO)
    }

    /// Whether a coin may be the input of a payout.
    #[must_use]
    pub fn is_spendable(&self, outpoint: &OutPoint, coin: &PoolCoin) -> bool {
        let is_free = coin.payout.is_none() && coin.spent.is_none();
        is_free && self.books_as(outpoint, coin) == Some(LedgerAccount::ChainSpendable)
    }

    /// The digest of all of it.
    ///
    /// # Errors
    /// None in practice: every state can be written.
    pub fn digest(&self) -> Result<StateDigest, Fault> {
        Ok(StateDigest(tagged_hash("BQIP0002/pool-state", &[&self.to_bytes()?])))
    }

    /// The event that holds this state's digest.
    ///
    /// # Errors
    /// As [`State::digest`].
    pub fn checkpoint_event(&self) -> Result<Event, Fault> {
        Ok(Event::Checkpoint { layout: self.layout(), digest: self.digest()? })
    }

    /// The state in bytes, for a checkpoint: its layout, then postcard.
    ///
    /// # Errors
    /// None in practice: every state can be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        let content = |error: postcard::Error| Fault::from(EventError::Content(error.to_string()));
        let bytes = postcard::to_extend(self, vec![self.layout()]).map_err(content)?;
        match self.layout() {
            STATE_LAYOUT_COLD => postcard::to_extend(&self.cold, bytes).map_err(content),
            _ => Ok(bytes),
        }
    }

    /// How it is laid out in bytes: as before there were cold keys where there never was one, so that its digest stays the same.
    pub(crate) fn layout(&self) -> u8 {
        if self.cold.keys.is_empty() { STATE_LAYOUT } else { STATE_LAYOUT_COLD }
    }

    /// A state of [`State::to_bytes`]. The caller compares its digest with the log's.
    ///
    /// # Errors
    /// The bytes are no state, or one of another layout.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        match bytes.split_first() {
            Some((&STATE_LAYOUT, rest)) => {
                postcard::from_bytes(rest).map_err(|error| EventError::Content(error.to_string()).into())
            }
            Some((&STATE_LAYOUT_COLD, rest)) => {
                let content = |error: postcard::Error| Fault::from(EventError::Content(error.to_string()));
                let (state, rest) = postcard::take_from_bytes::<Self>(rest).map_err(content)?;
                Ok(Self { cold: postcard::from_bytes(rest).map_err(content)?, ..state })
            }
            Some((&LAYOUT_WITHOUT_CHOICES, rest)) => {
                let payouts: BTreeMap<PayoutId, Attempts> = BTreeMap::new();
                let since = (PerShareState::default(), DirectState::default(), Settings::default(), payouts);
                let bytes = postcard::to_extend(&since, rest.to_vec());
                let state = bytes.and_then(|bytes| postcard::from_bytes(&bytes));
                state.map_err(|error| EventError::Content(error.to_string()).into())
            }
            Some((layout, _)) => Err(EventError::Layout(*layout).into()),
            None => Err(EventError::Empty.into()),
        }
    }

    /// The chain account in which the books hold a coin; nothing for one that they do not hold (yet).
    pub(crate) fn books_as(&self, outpoint: &OutPoint, coin: &PoolCoin) -> Option<LedgerAccount> {
        let free = match coin.origin {
            Origin::Block(id) => {
                let block = self.blocks.get(&id);
                match block.map(|block| (block.state, block.candidate.algorithm)) {
                    Some((BlockState::Immature, lane)) => return Some(LedgerAccount::ChainImmature(lane)),
                    // A matured block is forgotten before its unspent coin is.
                    Some((BlockState::Matured, _)) | None => true,
                    Some((BlockState::Found | BlockState::Orphaned | BlockState::Lost, _)) => false,
                }
            }
            // While the payout is open, its inputs are in flight whole and the change is part of them.
            Origin::Change(payout) => self.payouts.get(&payout).is_none_or(|payout| !payout.is_open()),
            Origin::Stranger { booked, .. } => booked || self.is_filled(&outpoint.txid),
        };
        let is_buried = !matches!(coin.origin, Origin::Stranger { booked: false, .. });
        match coin.payout {
            _ if !free => None,
            Some(_) => Some(LedgerAccount::ChainInFlight),
            None if self.is_cold(outpoint) => Some(LedgerAccount::ChainCold),
            None if !is_buried => Some(LedgerAccount::ChainArriving),
            None => Some(LedgerAccount::ChainSpendable),
        }
    }

    pub(crate) fn key(&self) -> Result<KeyHash, Fault> {
        self.opened.map(|opened| opened.key).ok_or(Fault::NotOpened)
    }

    /// Books a batch and keeps the queue of due accounts.
    pub(crate) fn post(&mut self, number: LogNumber, lines: &[Transfer]) -> Result<(), Fault> {
        if lines.is_empty() {
            return Ok(());
        }
        self.books.apply(lines)?;
        for line in lines {
            for account in [line.debit, line.credit] {
                match account {
                    LedgerAccount::MinerPayable(miner) => self.note_due(number, miner),
                    LedgerAccount::MinerCarried(miner) => {
                        let is_paid = matches!(line.cause, Cause::BlockPaid { .. }) && line.debit == account;
                        self.note_carried(number, miner, is_paid);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// An account keeps its place among those who wait for a coinbase until one pays it, be it a part.
    pub(crate) fn note_carried(&mut self, number: LogNumber, account: AccountId, is_paid: bool) {
        let min = self.direct_min();
        if self.books.balance(LedgerAccount::MinerCarried(account)) < min {
            self.direct.waiting_since.remove(&account);
        } else if is_paid {
            self.direct.waiting_since.insert(account, number);
        } else {
            self.direct.waiting_since.entry(account).or_insert(number);
        }
    }

    /// The least that a coinbase pays; more than there are atoms while none pays miners.
    fn direct_min(&self) -> u64 {
        let schemes = self.terms().into_iter().flat_map(|terms| &terms.lanes).map(|lane| lane.scheme);
        let of_lane = |scheme| match scheme {
            Scheme::Direct { terms, .. } => Some(terms.min.atoms()),
            Scheme::Pplns { .. } => None,
        };
        schemes.filter_map(of_lane).min().unwrap_or(u64::MAX)
    }

    /// An account keeps its place in the queue while it stays above the minimum. The pool's own key never has one.
    pub(crate) fn note_due(&mut self, number: LogNumber, account: AccountId) {
        let payout_min = self.payout_min(account);
        let is_own = self.accounts.key(account) == self.opened.map(|opened| opened.key);
        if !is_own && self.books.balance(LedgerAccount::MinerPayable(account)) >= payout_min {
            self.due_since.entry(account).or_insert(number);
        } else {
            self.due_since.remove(&account);
        }
    }

    /// The part of an income that blocks brought which have not matured.
    fn immature(&self, account: LedgerAccount) -> u64 {
        let immature = self.blocks.values().filter(|block| block.state == BlockState::Immature);
        let lines = immature.flat_map(|block| &block.lines).filter(|line| line.credit == account);
        lines.fold(0, |sum, line| sum.saturating_add(line.amount.atoms()))
    }
}

/// `amount` out of `sources`, in their order; nothing when they do not hold that much.
pub(crate) fn take(sources: &[(LedgerAccount, u64)], amount: Amount) -> Option<Vec<(LedgerAccount, Amount)>> {
    let taken = take_up_to(sources, amount).ok()?;
    let sum = Amount::sum(taken.iter().map(|(_, part)| *part)).ok()?;
    (sum == amount).then_some(taken)
}

/// As much of `amount` as `sources` hold, in their order; none of the parts is zero.
pub(crate) fn take_up_to(
    sources: &[(LedgerAccount, u64)],
    amount: Amount,
) -> Result<Vec<(LedgerAccount, Amount)>, AmountError> {
    let mut left = amount.atoms();
    let mut taken = Vec::new();
    for (account, able) in sources {
        let part = left.min(*able);
        if part > 0 {
            left = left.saturating_sub(part);
            taken.push((*account, Amount::from_atoms(part)?));
        }
    }
    Ok(taken)
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateDigest({self})")
    }
}

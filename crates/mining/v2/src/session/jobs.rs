//! Jobs: to one channel, or to a group at once.

use bq_channel::{CloseReason, FrameKind};
use bq_share::UnixMs;

use super::{GROUP, Session};
use crate::{open_channel::ChannelId, reply};

impl Session {
    /// Gives out every job that is due. Where most channels want one and can take the same, one message serves all.
    pub(super) fn push_jobs(&mut self, now: UnixMs) {
        let due: Vec<ChannelId> =
            self.channels.iter().filter(|(_, open)| open.channel.job_is_due(now)).map(|(id, _)| *id).collect();
        let is_group = self.setup.is_some_and(|setup| !setup.wants_standard_jobs);
        if is_group && due.len() > 1 && due.len().saturating_mul(2) > self.channels.len() {
            return self.push_group_job(now);
        }
        for id in due {
            self.push_job(now, id);
        }
    }

    /// Gives one channel its job, if one is due.
    pub(super) fn push_job(&mut self, now: UnixMs, id: ChannelId) {
        let Some(open) = self.channels.get_mut(&id).filter(|open| open.channel.job_is_due(now)) else { return };
        let is_future = open.channel.tip_moved();
        let job = match open.channel.make_job(now) {
            Ok(Some(job)) => job,
            Ok(None) => return,
            Err(reason) => return self.give_up(id, reason),
        };
        let target = open.new_target(id, &job);
        let message = open.job_message(id, &job, is_future);
        self.send(FrameKind::Control, target);
        self.send(FrameKind::Work, message);
        if is_future {
            self.send(FrameKind::Control, reply::new_prev_hash(id, &job));
        }
    }

    /// Gives all channels the same job, each worth what suits it. They differ in their own part of X (SPEC 11.10).
    fn push_group_job(&mut self, now: UnixMs) {
        let number = self.channels.values().map(|open| open.channel.next_number()).max().unwrap_or(0);
        let is_future = self.channels.values().any(|open| open.channel.tip_moved());
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        let mut shared = None;
        for id in ids {
            let Some(open) = self.channels.get_mut(&id) else { continue };
            match open.channel.make_job_at(now, number) {
                Ok(Some(job)) => {
                    let target = open.new_target(id, &job);
                    self.send(FrameKind::Control, target);
                    shared = Some(job);
                }
                Ok(None) => {}
                Err(reason) => self.give_up(id, reason),
            }
        }
        let Some(job) = shared else { return };
        self.send(FrameKind::Work, reply::extended_job(GROUP, &job, is_future));
        if is_future {
            self.send(FrameKind::Control, reply::new_prev_hash(GROUP, &job));
        }
    }

    /// A channel can have no job: it ends, and the connection with it where all channels count the same jobs.
    fn give_up(&mut self, id: ChannelId, reason: CloseReason) {
        match reason {
            CloseReason::WorkExhausted => self.close(reason),
            _ => self.end_channel(id, reason.name()),
        }
    }
}

//! A verified film on its way into the library, and what goes there with it.

use super::super::ledger::{Original, Priority, Stage};
use super::super::machines::Place;
use super::asked::begun_anew;
use super::{Action, Film, One, Task};

impl One<'_> {
    /// What came late goes along, as long as no publisher has begun to copy what lies beside the film.
    pub(super) fn along(&mut self) {
        let publishes = self.own_jobs().iter().any(|(job, _)| job.task == Task::Publish) || self.files.published.is_some();
        let waits = matches!(self.film.stage, Stage::Claimed | Stage::Encoded | Stage::Held { .. }) && self.files.claimed.is_some();
        if let Some(late) = self.world.late.get(&self.film.id).filter(|_| waits && !publishes) {
            self.actions.push(Action::Along(self.film.id.clone(), late.clone()));
        }
    }

    pub(super) fn publish(&mut self) {
        if let Some(mut published) = self.files.published.clone() {
            if published.original {
                // It is encoded now, and replaces this one.
                let film = begun_anew(self.film, self.film.stamp, self.world.now, self.film.round + 1);
                let accepted = self.film.accepted;
                self.record(Film { original: Original::Published, earlier: Some(published), accepted, ..film });
                self.forget_all();
                return self.actions.push(Action::Discard(self.film.id.clone()));
            }
            let (told, took) = self.files.encoded.as_ref().map(|encoded| (encoded.machine.clone(), encoded.took)).unwrap_or_default();
            // What an encoder says of speed counts for the machine that it ran on: another one could be made to seem slow.
            published.speed = published.speed.filter(|_| self.film.host.is_some());
            let machine = self.film.host.clone().unwrap_or(told);
            let stage = Stage::Published { published, machine, took };
            self.record(Film { stage, original: Original::No, priority: Priority::Normal, ..self.film.clone() });
            return self.forget_all();
        }
        if let Some(stamp) = self.files.claimed.filter(|stamp| *stamp != self.film.stamp) {
            return self.changed(stamp);
        }
        if self.files.encoded.is_none() {
            // It was deleted from work/. The original is still there.
            self.forget_all();
            return self.record(Film { stage: Stage::Claimed, ..self.film.clone() });
        }
        if let Some(failure) = self.files.failure.clone() {
            // There is no limit for waiting for a full or unreachable library.
            return self.failed(&failure.reason, failure.permanent, false, failure.tail);
        }
        if self.jobs_of(Task::Publish) {
            let active = self.own_jobs().iter().any(|(_, state)| state.is_open());
            match (&self.files.ready, self.world.played.get(&self.film.id)) {
                (Some(_), Some(why)) => drop(self.waiting.insert(self.film.id.clone(), why.clone())),
                (Some(who), None) if active => self.actions.push(Action::Allow(self.film.id.clone(), who.clone())),
                _ => {}
            }
            return;
        }
        if let Some(seconds) = self.seconds_until(self.film.not_before) {
            let why = self.film.last_reason.as_deref().unwrap_or("encoded");
            self.waiting.insert(self.film.id.clone(), format!("{why}; next attempt in {seconds} s"));
            return;
        }
        if let Some(rename) = &self.film.rename {
            let why = format!("waiting until what is in the library is renamed to `{}`", rename.name);
            self.waiting.insert(self.film.id.clone(), why);
            return;
        }
        if let (Original::Published, Some(why)) = (self.film.original, self.world.played.get(&self.film.id)) {
            self.waiting.insert(self.film.id.clone(), why.clone());
            return;
        }
        self.begin(Task::Publish, Place::default());
    }
}

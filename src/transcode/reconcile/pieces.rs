//! A film that is encoded in pieces: a Job for each of them and one for the sound, then one that joins them.

use super::super::ledger::{Film, Original, Priority, Stage};
use super::super::machines::{Open, Place};
use super::super::record::Failure;
use super::super::split::{Plan, Work};
use super::{Action, FULL, Job, JobState, One, Task, WORDLESS, pause};

impl One<'_> {
    /// Machines that would be idle if one of them encoded this film as a whole, with that one. 0: it is not to be split.
    pub(super) fn idle_machines(&self) -> usize {
        let world = self.world;
        let film = self.film;
        if !world.splits.contains(&film.folder)
            || film.whole.is_some()
            || film.accepted
            || film.is_disc()
            || film.original == Original::Wanted
        {
            return 0;
        }
        // Pieces are there twice while they are joined.
        if world.free < film.stamp.size / 5 * 12 + world.limits.reserve {
            return 0;
        }
        let Ok(place) = world.machines.place(film.needs.as_deref()) else { return 0 };
        let busy = || world.jobs.iter().filter(|(job, state)| job.id != film.id && job.task.takes_machine() && state.is_open());
        let waits = |other: &&Film| {
            let idle = busy().all(|(job, _)| job.id != other.id);
            other.id != film.id && other.stage == Stage::Claimed && other.priority != Priority::Skipped && idle
        };
        let others = world.films.values().filter(waits).count();
        world.machines.ready(&place).saturating_sub(busy().count() + others)
    }

    pub(super) fn in_pieces(&mut self, plan: &Plan) {
        let id = self.film.id.clone();
        if self.film.priority == Priority::Skipped {
            self.waiting.insert(id, "skipped".to_owned());
            return self.forget_all();
        }
        if self.failed_parts() {
            return;
        }
        // The plan's own Job has ended, or is about to.
        let parts: Vec<(Work, Job, JobState)> = self.parts();
        let others: Vec<Job> =
            self.own_jobs().into_iter().map(|(job, _)| job).filter(|job| parts.iter().all(|(_, part, _)| part != *job)).cloned().collect();
        self.actions.extend(others.into_iter().map(Action::Forget));
        let family = hostler_core::films::settings::family(&plan.encoder).to_owned();
        let place = self.world.machines.place(Some(&family));
        let moved = |job: &Job| {
            let never = self.world.nevers.get(job).cloned().unwrap_or_default();
            self.held_back().is_some() || place.as_ref().map_or(true, |place| place.never != never)
        };
        // A Job that waits would start as soon as a machine is free, whatever has changed since.
        let stale: Vec<Job> =
            parts.iter().filter(|(_, job, state)| *state == JobState::Waiting && moved(job)).map(|(_, job, _)| job.clone()).collect();
        let open: Vec<Work> =
            parts.iter().filter(|(_, job, state)| state.is_open() && !stale.contains(job)).map(|(work, ..)| *work).collect();
        self.actions.extend(stale.into_iter().map(Action::Forget));
        let undone: Vec<Work> = plan.works().filter(|work| !self.files.done.contains(work)).collect();
        let next: Vec<Work> = if undone.is_empty() { vec![Work::Join] } else { undone };
        let next: Vec<Work> = next.into_iter().filter(|work| !open.contains(work)).collect();
        let why = match (self.waits(), place) {
            (None, Ok(place)) => self.begin_parts(&next, &place),
            (Some(why), _) | (None, Err(why)) => Some(why),
        };
        // While some pieces are encoded, the film is in work.
        if let Some(why) = why.filter(|_| open.is_empty()) {
            self.waiting.insert(id, why);
        }
    }

    /// Why nothing of it was begun.
    fn begin_parts(&mut self, parts: &[Work], place: &Place) -> Option<String> {
        let mut begun = false;
        for work in parts {
            let task = Task::Part(*work);
            if task.takes_machine() {
                if !self.world.machines.takes_another(place, self.busy, self.world.limits.at_once) {
                    continue;
                }
                self.busy.push(Open { never: place.never.clone(), waits: true });
            }
            if !begun && !self.files.prepared {
                self.actions.push(Action::Prepare(self.film.id.clone(), self.files.machines));
            }
            begun = true;
            self.begin(task, place.clone());
        }
        (!begun && !parts.is_empty()).then(|| "waiting for a free machine".to_owned())
    }

    /// Its Jobs for parts of the work, in this round; a part may have been begun in any attempt.
    fn parts(&self) -> Vec<(Work, Job, JobState)> {
        let own = self.own_jobs().into_iter().filter(|(job, _)| job.round == self.film.round);
        let part = |(job, state): (&Job, JobState)| match job.task {
            Task::Part(work) => Some((work, job.clone(), state)),
            _ => None,
        };
        own.filter_map(part).collect()
    }

    /// What to do about parts that failed; whether there are any. Another attempt at them alone follows, on any machine; what can't be done in
    /// pieces is encoded as a whole.
    fn failed_parts(&mut self) -> bool {
        let full = self.world.free < FULL;
        let wordless = |(work, _, state): &(Work, Job, JobState)| {
            !state.is_open() && !self.files.done.contains(work) && !self.files.failures.contains_key(work)
        };
        let parts = self.parts();
        let mut failed: Vec<(Work, Failure)> = self.files.failures.iter().map(|(work, failure)| (*work, failure.clone())).collect();
        failed.extend(parts.iter().filter(|part| wordless(part)).map(|(work, ..)| {
            let reason = if full { "the inbox is full" } else { WORDLESS };
            let failure = Failure {
                who: String::new(),
                permanent: false,
                outside: full,
                question: false,
                titles: Vec::new(),
                lacks: None,
                reason: reason.to_owned(),
                tail: Vec::new(),
                at: self.world.now,
            };
            (*work, failure)
        }));
        if failed.is_empty() {
            return false;
        }
        let of_film =
            |(work, failure): &&(Work, Failure)| failure.permanent || *work == Work::Join && !failure.outside && failure.lacks.is_none();
        if let Some((work, failure)) = failed.iter().find(of_film) {
            let reason = format!("{work}: {}", failure.reason);
            self.as_a_whole(reason);
            return true;
        }
        let counts = failed.iter().any(|(_, failure)| !failure.outside && failure.lacks.is_none());
        let (attempts, counted) = (self.film.attempts + 1, self.film.counted + u32::from(counts));
        let Some((work, failure)) = failed.first() else { return false };
        let reason = format!("{work}: {}", failure.reason);
        if counts && counted >= self.world.limits.attempts {
            self.as_a_whole(format!("{reason} (tried {counted} times)"));
            return true;
        }
        let needs = failed.iter().find_map(|(_, failure)| failure.lacks.clone()).or_else(|| self.film.needs.clone());
        let not_before = Some(self.world.now + pause(attempts - 1));
        self.record(Film { attempts, counted, needs, last_reason: Some(reason), not_before, ..self.film.clone() });
        let jobs = parts.into_iter().filter(|(work, ..)| failed.iter().any(|(other, _)| other == work)).map(|(_, job, _)| job);
        self.actions.extend(jobs.map(Action::Forget));
        self.actions.push(Action::ClearFailure(self.film.id.clone()));
        true
    }

    /// Its pieces can't be joined, or not made: they are removed, and it is encoded by one machine.
    fn as_a_whole(&mut self, reason: String) {
        let attempts = self.film.attempts + 1;
        let (last_reason, whole) = (Some(format!("encoded in one piece: {reason}")), Some(reason));
        self.record(Film { attempts, counted: 0, last_reason, whole, not_before: None, ..self.film.clone() });
        self.drop_pieces();
    }

    pub(super) fn drop_pieces(&mut self) {
        self.forget_all();
        self.actions.push(Action::Discard(self.film.id.clone()));
    }
}

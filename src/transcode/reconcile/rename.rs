//! A new name for a film that is in the library: a publisher's Job gives it that, besides whatever else is done with the film.

use jiff::Timestamp;

use super::super::ledger::{Film, Rename, Stage};
use super::super::record::{Published, Renamed};
use super::super::rename::renamed;
use super::{Action, Job, JobState, One, Task, pause};

/// The beginning of the remark about a name that was not possible.
const REFUSED: &str = "it could not be renamed to ";

impl One<'_> {
    /// Whether its record changes: nothing else is decided then.
    pub(super) fn rename(&mut self) -> bool {
        let is_own = |(job, _): &(&Job, &JobState)| job.id == self.film.id && job.task == Task::Rename;
        let jobs: Vec<(Job, JobState)> = self.world.jobs.iter().filter(is_own).map(|(job, state)| (job.clone(), *state)).collect();
        let Some(rename) = self.film.rename.clone() else {
            self.forget_jobs(&jobs);
            return false;
        };
        if self.film.renamable().is_none() {
            return false;
        }
        if let Some(Renamed { refused, .. }) = self.files.renamed.as_ref().filter(|renamed| renamed.asked == rename.asked) {
            self.record(named(self.film, &rename.name, refused.as_deref(), self.world.now));
            self.forget_jobs(&jobs);
            self.actions.push(Action::Renamed(self.film.id.clone()));
            return true;
        }
        if jobs.iter().any(|(_, state)| !state.is_open()) {
            let not_before = Some(self.world.now + pause(rename.tries));
            let rename = Some(Rename { tries: rename.tries + 1, not_before, ..rename });
            self.record(Film { rename, ..self.film.clone() });
            self.forget_jobs(&jobs);
            return true;
        }
        // What is being published is renamed afterwards.
        let publishes = self.own_jobs().iter().any(|(job, _)| job.task == Task::Publish);
        if jobs.is_empty() && !publishes && self.seconds_until(rename.not_before).is_none() {
            let (id, round) = (self.film.id.clone(), self.film.round);
            self.actions.push(Action::Begin(Job { id, task: Task::Rename, round, attempt: rename.tries }, super::Place::default()));
        }
        false
    }

    fn forget_jobs(&mut self, jobs: &[(Job, JobState)]) {
        self.actions.extend(jobs.iter().map(|(job, _)| Action::Forget(job.clone())));
    }
}

/// The film after a publisher said what became of its new name.
fn named(film: &Film, name: &str, refused: Option<&str>, now: Timestamp) -> Film {
    let mut film = Film { rename: None, ..film.clone() };
    let new = |published: &Published| {
        let mut published = published.clone();
        if refused.is_none() {
            published = renamed(&published, name);
            // Media servers know it by its former name.
            (published.media_server, published.media_server_failed, published.renamed) = (None, false, Some(now));
        }
        published.remarks.retain(|remark| !remark.starts_with(REFUSED));
        published.remarks.extend(refused.map(|why| format!("{REFUSED}`{name}`: {why}")));
        published
    };
    if refused.is_none() {
        film.name = Some(name.to_owned());
    }
    match &mut film.stage {
        Stage::Done { published, .. } => *published = new(published),
        _ => film.earlier = film.earlier.as_ref().map(new),
    }
    film
}

//! The next actions: a pure function of the ledger, the files and the Jobs.
//!
//! Every action is safe to repeat, and its effect is observed in the next round. So it does not matter where the watcher, or a film's encoder
//! or publisher, was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hostler_core::quantity::size;
use jiff::{SignedDuration, Timestamp};

use super::film::FilmId;
use super::ledger::{Film, Original, Priority, Stage};
use super::machines::{Machines, Open, Place};
use super::record::{Encoded, Failure, Published, Renamed, Stamp};
use super::split::{Plan, Work};

mod action;
mod asked;
mod job;
mod pieces;
mod publishing;
mod rename;

pub use action::Action;
use asked::{begun_anew, noticed, requested};
pub use job::{Job, JobState, Task};

/// The observed state.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    pub now: Timestamp,
    pub films: BTreeMap<FilmId, Film>,
    /// For films that have not ended, and for failed ones.
    pub files: BTreeMap<FilmId, Files>,
    /// Films whose record or files can't be read, and why: each is left alone, with all that is there of it.
    pub unreadable: BTreeMap<FilmId, String>,
    pub jobs: BTreeMap<Job, JobState>,
    /// Where Jobs must never run, of those that may not run everywhere.
    pub nevers: BTreeMap<Job, BTreeSet<String>>,
    /// The machines that Jobs ran on, as the cluster says.
    pub hosts: BTreeMap<Job, String>,
    pub machines: Machines,
    /// Complete films in `watch/`.
    pub dropped: Vec<Dropped>,
    /// Folders in `claim/`, `work/` and `publish/` without a record in the ledger.
    pub unknown: BTreeSet<FilmId>,
    /// Requests of users.
    pub requests: Vec<Request>,
    /// Why no film may be started: paused, or outside the hours.
    pub hold: Option<String>,
    pub paused: bool,
    /// Folders of `watch/` whose originals are published first.
    pub originals_first: BTreeSet<String>,
    /// Folders of `watch/` whose films may be encoded in hardware.
    pub in_hardware: BTreeSet<String>,
    /// Folders of `watch/` whose films may be encoded in pieces.
    pub splits: BTreeSet<String>,
    /// Why what is in the library must not be replaced now: somebody plays it, or that is not known.
    pub played: BTreeMap<FilmId, String>,
    /// Files in `watch/` that belong to a film which was claimed before they came.
    pub late: BTreeMap<FilmId, Vec<PathBuf>>,
    /// Free bytes of the inbox.
    pub free: u64,
    /// Bytes in its trash.
    pub trash: u64,
    pub limits: Limits,
}

/// From the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub at_once: usize,
    /// Bytes.
    pub reserve: u64,
    pub attempts: u32,
    pub stable: SignedDuration,
}

/// The files of a film.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Files {
    /// At its path in `watch/`.
    pub dropped: Option<Stamp>,
    pub claimed: Option<Stamp>,
    /// In the trash, for `redo`.
    pub trashed: Option<Stamp>,
    pub failed: Option<Stamp>,
    /// Whether `failed/` has the reason.
    pub reason: bool,
    /// Only if the film that it describes is next to it.
    pub encoded: Option<Encoded>,
    /// As its publisher says, and no encoder.
    pub published: Option<Published>,
    /// What its publisher says of a new name.
    pub renamed: Option<Renamed>,
    /// Of its publisher once it is encoded; before, of its encoder.
    pub failure: Option<Failure>,
    /// Whether the encoder finds in `work/<id>` what it is to do.
    pub prepared: bool,
    /// How many machines the encoder was told of, for a film in pieces.
    pub machines: usize,
    /// How it is encoded in pieces.
    pub plan: Option<Plan>,
    /// Whether there is such a plan, be it for another original.
    pub planned: bool,
    /// What is done of the plan.
    pub done: BTreeSet<Work>,
    /// Of attempts at parts of it.
    pub failures: BTreeMap<Work, Failure>,
    /// A publisher's attempt that waits for the word to replace what is in the library.
    pub ready: Option<String>,
    /// Whether attempts of its encoder left files that they worked on.
    pub left_over: bool,
    /// Whether `claim/<id>`, `work/<id>` or `publish/<id>` exists, whatever is in it.
    pub folders: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Relative to `watch/`.
    pub path: PathBuf,
    pub folder: String,
    pub stamp: Stamp,
    /// Whether it is a folder with the files of a disc, whatever it is called.
    pub flat: bool,
    /// What a disc lacks by its own tables of contents.
    pub lacks: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Retry a failed film.
    Retry(FilmId),
    /// Encode a finished film again from its original.
    Redo(FilmId),
    /// Call it this, without an extension.
    Name(FilmId, String),
    /// Encode these titles of a disc.
    Titles(FilmId, Vec<u32>),
    /// Take a failed film as it is.
    Accept(FilmId),
    /// A failed, held or skipped film is not wanted: its original goes to the trash.
    Dismiss(FilmId),
    /// Publish its original until it is encoded.
    Now(FilmId),
    /// Encode it in this order.
    Order(FilmId, Priority),
}

/// Why a film is waiting, for the page.
pub type Waiting = BTreeMap<FilmId, String>;

/// The next actions, in order. More may follow once they are done.
pub fn reconcile(world: &World) -> (Vec<Action>, Waiting) {
    let mut actions = Vec::new();
    let mut waiting = Waiting::new();
    let readable = |id: &FilmId| !world.unreadable.contains_key(id);
    for request in world.requests.iter().filter(|request| readable(request.id())) {
        actions.extend(requested(world, request));
        actions.push(Action::Answered(request.clone()));
    }
    let asked: BTreeSet<&FilmId> = world.requests.iter().map(Request::id).collect();
    for dropped in &world.dropped {
        actions.extend(noticed(world, dropped).map(|film| Action::Record(Box::new(film))));
    }
    let mut films: Vec<&Film> = world.films.values().filter(|film| !asked.contains(&film.id)).collect();
    waiting.extend(films.iter().filter_map(|film| Some((film.id.clone(), world.unreadable.get(&film.id)?.clone()))));
    films.sort_by_key(|film| (film.claimed, &film.id));
    // Of several drops for one path in the library, the earliest comes first: otherwise an older film could replace a newer one.
    let mut first: BTreeMap<PathBuf, &FilmId> = BTreeMap::new();
    // One that is skipped may wait for ever.
    let skipped = |film: &Film| film.priority == Priority::Skipped && film.stage == Stage::Claimed;
    for film in films.iter().filter(|film| !film.ended() && !skipped(film)) {
        if let Ok(place) = film.place() {
            first.entry(place).or_insert(&film.id);
        }
    }
    films.sort_by_key(|film| (film.priority, film.claimed, &film.id));
    let encoding = world.jobs.iter().filter(|(job, state)| job.task.takes_machine() && state.is_open());
    let open = |(job, state): (&Job, &JobState)| Open {
        never: world.nevers.get(job).cloned().unwrap_or_default(),
        waits: *state == JobState::Waiting,
    };
    let mut busy: Vec<Open> = encoding.map(open).collect();
    for film in films.into_iter().filter(|film| readable(&film.id)) {
        let files = world.files.get(&film.id).cloned().unwrap_or_default();
        let mut one = One { world, film, files: &files, first: &first, busy: &mut busy, actions: &mut actions, waiting: &mut waiting };
        one.stage();
    }
    for job in world.jobs.keys().filter(|job| !world.films.contains_key(&job.id) && readable(&job.id)) {
        actions.push(Action::Forget(job.clone()));
    }
    actions.extend(world.unknown.iter().filter(|id| readable(id)).cloned().map(Action::TakeUp));
    (actions, waiting)
}

/// Originals that are copied at once.
const ORIGINALS: usize = 2;

/// Bytes: with less, a disk is full.
const FULL: u64 = 16 << 20;

/// Why a Job failed whose pods said nothing.
const WORDLESS: &str = "the Job ended without a result: it may have run out of memory, or its machine may have failed";

/// Seconds.
const LONGEST_PAUSE: i64 = 900;

/// Time until the next attempt: half a minute, doubled each time, up to a quarter of an hour.
fn pause(attempts: u32) -> SignedDuration {
    SignedDuration::from_secs((30_i64 << attempts.min(5)).min(LONGEST_PAUSE))
}

struct One<'a> {
    world: &'a World,
    film: &'a Film,
    files: &'a Files,
    /// The film that comes first, by the path in the library.
    first: &'a BTreeMap<PathBuf, &'a FilmId>,
    /// Encoders' Jobs that have not ended.
    busy: &'a mut Vec<Open>,
    actions: &'a mut Vec<Action>,
    waiting: &'a mut Waiting,
}

impl One<'_> {
    fn stage(&mut self) {
        if self.rename() {
            return;
        }
        self.along();
        match &self.film.stage {
            Stage::Claimed => match self.files.claimed {
                None => self.missing(),
                Some(stamp) if stamp != self.film.stamp => self.changed(stamp),
                Some(_) => self.encode(),
            },
            Stage::Held { .. } => {
                self.forget_all();
                match self.files.claimed {
                    None => self.erase(),
                    Some(stamp) if stamp != self.film.stamp => self.changed(stamp),
                    Some(_) => {}
                }
            }
            Stage::Encoded => self.publish(),
            Stage::Published { published, machine, took } => {
                let (published, machine, took) = (published.clone(), machine.clone(), *took);
                self.finish(Action::TrashOriginal(self.film.id.clone()), Stage::Done { published, machine, took });
            }
            Stage::Failing { reason, at, .. } => {
                let ended = Stage::Failed { reason: reason.clone(), at: *at };
                if self.files.reason {
                    self.finish(Action::GiveUp(self.film.id.clone()), ended);
                } else {
                    self.actions.push(Action::GiveUp(self.film.id.clone()));
                }
            }
            Stage::Done { .. } => self.ended(self.files.trashed),
            // Its owner has removed it.
            Stage::Failed { .. } if self.files.failed.is_none() => self.erase(),
            Stage::Failed { .. } => self.ended(self.files.failed),
        }
    }

    /// `original`: where it was moved. A copy may have stalled for so long that the film seemed complete, and continue later.
    fn ended(&mut self, original: Option<Stamp>) {
        self.forget_all();
        if let Some(stamp) = original.filter(|stamp| *stamp != self.film.stamp) {
            let not_before = Some(self.world.now + self.world.limits.stable);
            let film = begun_anew(self.film, stamp, self.world.now, self.film.round + 1);
            self.record(Film { not_before, ..film });
        }
    }

    fn erase(&mut self) {
        self.forget_all();
        if self.files.folders {
            self.actions.push(Action::Tidy(self.film.id.clone()));
        } else {
            self.actions.push(Action::Erase(self.film.id.clone()));
        }
    }

    fn record(&mut self, film: Film) {
        self.actions.push(Action::Record(Box::new(film)));
    }

    /// All but one that renames it in the library, which does not concern its encoding.
    fn own_jobs(&self) -> Vec<(&Job, JobState)> {
        let own = self.world.jobs.iter().filter(|(job, _)| job.id == self.film.id && job.task != Task::Rename);
        own.map(|(job, state)| (job, *state)).collect()
    }

    fn forget_all(&mut self) {
        let own: Vec<Job> = self.own_jobs().into_iter().map(|(job, _)| job.clone()).collect();
        self.actions.extend(own.into_iter().map(Action::Forget));
    }

    /// Names of films that came from the same folder, and are not done.
    fn claimed_beside(&self) -> Vec<String> {
        let is_beside = |film: &&Film| film.id != self.film.id && film.path.parent() == self.film.path.parent() && !film.ended();
        self.world.films.values().filter(is_beside).map(Film::stem).collect()
    }

    /// Recorded, but not in `claim/`: the watcher was killed in between, or the film was requested again.
    fn missing(&mut self) {
        let id = || self.film.id.clone();
        match (self.files.dropped, self.files.failed, self.files.trashed) {
            (Some(stamp), ..) if stamp == self.film.stamp => self.actions.push(Action::Claim(id(), self.claimed_beside())),
            (Some(stamp), ..) => self.record(Film { stamp, ..self.film.clone() }),
            (None, Some(_), _) | (None, None, Some(_)) => self.actions.push(Action::Reclaim(id())),
            // Its owner has dismissed it.
            (None, None, None) if self.film.priority == Priority::Skipped => self.erase(),
            (None, None, None) => self.fail("the film was deleted: it is neither in watch/ nor in claim/", Vec::new()),
        }
    }

    /// A copy continued after the claim: results from the partial file are useless.
    fn changed(&mut self, stamp: Stamp) {
        let not_before = Some(self.world.now + self.world.limits.stable);
        // What is in the library is a part of it, too.
        let original = if self.film.original == Original::Published { Original::Wanted } else { self.film.original };
        self.record(Film { stamp, not_before, original, stage: Stage::Claimed, whole: None, accepted: false, ..self.film.clone() });
        self.forget_all();
        self.actions.push(Action::Discard(self.film.id.clone()));
    }

    fn encode(&mut self) {
        let task = if self.film.original == Original::Wanted { Task::Original } else { Task::Encode };
        if let Some(encoded) = &self.files.encoded {
            if encoded.source == self.film.stamp && (task == Task::Original || !encoded.original) {
                let host = self.world.hosts.get(&self.job(Task::Encode)).cloned();
                self.record(Film {
                    stage: Stage::Encoded,
                    host,
                    attempts: 0,
                    counted: 0,
                    last_reason: None,
                    not_before: None,
                    ..self.film.clone()
                });
                self.forget_all();
            } else {
                self.actions.push(Action::Discard(self.film.id.clone()));
            }
            return;
        }
        if self.files.left_over && self.own_jobs().iter().all(|(_, state)| !state.is_open()) {
            // They take the room that this film, or another one, waits for.
            self.actions.push(Action::Sweep(self.film.id.clone()));
        }
        if self.files.planned && task == Task::Encode {
            return match &self.files.plan {
                Some(plan) if self.film.whole.is_none() => self.in_pieces(plan),
                _ => self.drop_pieces(),
            };
        }
        if let Some(failure) = self.files.failure.clone() {
            if failure.question {
                return self.hold(failure.reason, failure.titles);
            }
            if let Some(family) = failure.lacks {
                return self.elsewhere(family, failure.reason);
            }
            return self.failed(&failure.reason, failure.permanent, !failure.outside, failure.tail);
        }
        if self.film.priority == Priority::Skipped {
            self.waiting.insert(self.film.id.clone(), "skipped".to_owned());
            return self.forget_all();
        }
        if let Some(hold) = self.held_back()
            && self.own_jobs().iter().any(|(_, state)| *state == JobState::Waiting)
        {
            // It would start as soon as a machine is free.
            self.waiting.insert(self.film.id.clone(), hold.clone());
            return self.forget_all();
        }
        if let Some(question) = self.film.unnamed() {
            return self.hold(question, Vec::new());
        }
        // Streams are copied on any machine, at any hour.
        let takes_hardware = self.world.in_hardware.contains(&self.film.folder);
        let places = match task {
            Task::Encode => self.world.machines.places(self.film.needs.as_deref(), takes_hardware),
            Task::Original | Task::Part(_) | Task::Publish | Task::Rename => Ok(vec![Place::default()]),
        };
        if task == Task::Encode && self.waits_elsewhere(&places) {
            // The hours of a machine have begun or ended since its Job was created.
            let hours = "waiting: the hours of a machine began or ended; a new Job will be created";
            let why = places.err().unwrap_or_else(|| hours.to_owned());
            self.waiting.insert(self.film.id.clone(), why);
            return self.forget_all();
        }
        if self.jobs_of(task) {
            // work/ was emptied: the next pod of the Job would wait for its folder forever.
            if !self.files.prepared && self.own_jobs().iter().any(|(_, state)| state.is_open()) {
                self.actions.push(Action::Prepare(self.film.id.clone(), self.files.machines));
            }
            return;
        }
        let places = match self.waits().map_or(places, Err) {
            Ok(places) => places,
            Err(why) => return drop(self.waiting.insert(self.film.id.clone(), why)),
        };
        let free = |place: &Place| task != Task::Encode || self.world.machines.takes_another(place, self.busy, self.world.limits.at_once);
        let Some(place) = places.into_iter().find(free) else {
            self.waiting.insert(self.film.id.clone(), "waiting for a free machine".to_owned());
            return;
        };
        let machines = if task == Task::Encode && !place.hardware { self.idle_machines() } else { 0 };
        if task == Task::Encode {
            self.busy.push(Open { never: place.never.clone(), waits: true });
        }
        if !self.files.prepared || self.files.machines != machines {
            self.actions.push(Action::Prepare(self.film.id.clone(), machines));
        }
        self.begin(task, place);
    }

    /// Whether its Job waits for other machines than those that may take it now.
    fn waits_elsewhere(&self, places: &Result<Vec<Place>, String>) -> bool {
        let never = |job: &Job| self.world.nevers.get(job).cloned().unwrap_or_default();
        let mut waiting = self.own_jobs().into_iter().filter(|(_, state)| *state == JobState::Waiting);
        waiting.any(|(job, _)| {
            job.task == Task::Encode && places.as_ref().map_or(true, |places| places.iter().all(|place| place.never != never(job)))
        })
    }

    /// Why it may not be started: an original may be published at any hour.
    fn held_back(&self) -> Option<&String> {
        self.world.hold.as_ref().filter(|_| self.world.paused || self.film.original != Original::Wanted)
    }

    fn begin(&mut self, task: Task, place: Place) {
        self.actions.push(Action::Begin(self.job(task), place));
    }

    /// Its Job for this attempt.
    fn job(&self, task: Task) -> Job {
        Job { id: self.film.id.clone(), task, round: self.film.round, attempt: self.film.attempts }
    }

    /// Whether Jobs of this film prevent a new one now. A Job that ended without a result counts as an attempt.
    fn jobs_of(&mut self, task: Task) -> bool {
        let own: Vec<(Job, JobState)> = self.own_jobs().into_iter().map(|(job, state)| (job.clone(), state)).collect();
        let mine = |job: &Job| job.task == task && (job.round, job.attempt) == (self.film.round, self.film.attempts);
        let active = own.iter().any(|(_, state)| state.is_open());
        let wordless = own.iter().any(|(job, state)| mine(job) && !state.is_open());
        let others: Vec<Job> = own.iter().map(|(job, _)| job).filter(|job| !mine(job)).cloned().collect();
        self.actions.extend(others.into_iter().map(Action::Forget));
        if wordless {
            // On a full disk it could not even write why.
            let full = self.world.free < FULL;
            let why = if full { "the inbox is full" } else { WORDLESS };
            self.failed(why, false, task != Task::Publish && !full, Vec::new());
        }
        active || wordless
    }

    fn failed(&mut self, reason: &str, permanent: bool, counts: bool, tail: Vec<String>) {
        let (attempts, counted) = (self.film.attempts + 1, self.film.counted + u32::from(counts));
        let gives_up = permanent || counts && counted >= self.world.limits.attempts;
        if gives_up && self.film.original == Original::Wanted && self.film.stage == Stage::Claimed {
            // It is encoded as any other, and fails then, if it must.
            let last_reason = Some(format!("its original can't be published before it is encoded: {reason}"));
            self.record(Film { original: Original::No, attempts, counted: 0, last_reason, ..self.film.clone() });
            self.forget_all();
            return self.actions.push(Action::ClearFailure(self.film.id.clone()));
        }
        if permanent {
            return self.fail(reason, tail);
        }
        if counts && counted >= self.world.limits.attempts {
            return self.fail(&format!("{reason} (tried {counted} times)"), tail);
        }
        let not_before = Some(self.world.now + pause(attempts - 1));
        self.record(Film { attempts, counted, last_reason: Some(reason.to_owned()), not_before, ..self.film.clone() });
        self.forget_all();
        self.actions.push(Action::ClearFailure(self.film.id.clone()));
    }

    /// The machine may not encode it: another one does. That is no fault of the film.
    fn elsewhere(&mut self, family: String, reason: String) {
        let attempts = self.film.attempts + 1;
        // If the machine is no other than those that have it, the settings have just changed.
        let again = self.film.needs.as_deref() == Some(&family);
        let not_before = again.then(|| self.world.now + pause(attempts - 1));
        self.record(Film { attempts, needs: Some(family), last_reason: Some(reason), not_before, ..self.film.clone() });
        self.forget_all();
        self.actions.push(Action::ClearFailure(self.film.id.clone()));
    }

    /// Its owner has to say something first. Nothing is done with it until then.
    fn hold(&mut self, question: String, titles: Vec<u32>) {
        let stage = Stage::Held { question, titles, at: self.world.now };
        self.record(Film { stage, ..self.film.clone() });
        self.forget_all();
        self.actions.push(Action::ClearFailure(self.film.id.clone()));
    }

    fn fail(&mut self, reason: &str, tail: Vec<String>) {
        let stage = Stage::Failing { reason: reason.to_owned(), tail, at: self.world.now };
        self.record(Film { stage, ..self.film.clone() });
        self.forget_all();
    }

    /// Seconds until then; `None`: it has passed. What is later than any pause was written before the clock was set back.
    fn seconds_until(&self, not_before: Option<Timestamp>) -> Option<i64> {
        let left = not_before?.duration_since(self.world.now);
        let longest = SignedDuration::from_secs(LONGEST_PAUSE).max(self.world.limits.stable);
        (left > SignedDuration::ZERO && left <= longest).then(|| left.as_secs().max(1))
    }

    /// Why it can't be encoded now.
    fn waits(&self) -> Option<String> {
        let earlier = self.film.place().ok().and_then(|place| self.first.get(&place));
        if let Some(earlier) = earlier.filter(|earlier| ***earlier != self.film.id) {
            return Some(format!("waiting for an earlier copy of this film ({earlier})"));
        }
        if let Some(seconds) = self.seconds_until(self.film.not_before) {
            let why = self.film.last_reason.as_deref().unwrap_or("the file was still being written");
            return Some(format!("{why}; next attempt in {seconds} s"));
        }
        if let Some(hold) = self.held_back() {
            return Some(hold.clone());
        }
        let needed = self.film.stamp.size / 5 * 6 + self.world.limits.reserve;
        if self.world.free < needed {
            let (free, needed) = (size(self.world.free), size(needed));
            let trash = if self.world.trash > 0 { format!("; the trash holds {}", size(self.world.trash)) } else { String::new() };
            return Some(format!("the inbox has too little space: {free} free, {needed} needed{trash}"));
        }
        if self.film.original == Original::Wanted {
            let others = self.world.jobs.iter().filter(|(job, state)| job.task == Task::Original && state.is_open()).count();
            return (others >= ORIGINALS).then(|| "waiting: other originals are being published".to_owned());
        }
        None
    }

    /// Moves the original to its place, then tidies up, then ends.
    fn finish(&mut self, moves: Action, ended: Stage) {
        if self.files.claimed.is_some() {
            self.actions.push(moves);
        } else if self.files.folders {
            self.forget_all();
            self.actions.push(Action::Tidy(self.film.id.clone()));
        } else {
            self.forget_all();
            self.record(Film { stage: ended, ..self.film.clone() });
        }
    }
}

#[cfg(test)]
mod tests;

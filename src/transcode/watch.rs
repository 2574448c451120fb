//! The watcher: observes, decides, acts, and repeats.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use hostler_core::films::settings::{Publish, Settings};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde::{Deserialize, Serialize};

use super::film::FilmId;
use super::jobs::{Jobs, Listed, Machine, MachineState};
use super::layout::{self, Inbox, Trusted, require_marker, shown, write_json};
use super::ledger::{Film, Stage};
use super::machines::Machines;
use super::news::{self, News};
use super::observe::{self, Seen, Settling};
use super::perform::perform;
use super::playing::Playing;
use super::reconcile::{Action, Dropped, Limits, World, reconcile};
use super::share::Share;
use super::tell::{Answer, Telling};
use super::trash;

/// Interval while there is nothing to do.
const EVERY: Duration = Duration::from_secs(2);
/// Limit for reading the share or a file operation: if it takes longer, the share hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// Interval for emptying the trash.
const TRASH_EVERY: Duration = Duration::from_secs(300);
/// Interval for checking machines.
const MACHINES_EVERY: Duration = Duration::from_secs(20);
/// The watcher's report to the page, in the root of the inbox.
pub const STATUS: &str = "status.json";

/// The contents of `status.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    pub at: Timestamp,
    /// Why no film is started: paused, or outside the hours.
    pub hold: Option<String>,
    /// Films in the queue, and why they are waiting.
    pub waiting: BTreeMap<FilmId, String>,
    /// Dropped files that are not claimed yet: path, bytes, why.
    pub arriving: Vec<(String, u64, String)>,
    /// A problem of a share or the cluster, for the user.
    pub trouble: Option<String>,
    /// Since when.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Free and total bytes of the inbox.
    pub space: (u64, u64),
    /// Bytes in the trash that will be deleted in time.
    #[serde(default)]
    pub trash: u64,
    #[serde(default)]
    pub media_servers: Vec<Answer>,
    /// Those that encode.
    #[serde(default)]
    pub machines: Vec<Machine>,
}

impl Trusted for Status {}

#[derive(Debug)]
pub struct Watcher {
    inbox: Inbox,
    settings_file: PathBuf,
    jobs: Jobs,
    share: Share,
    settling: Settling,
    /// Of what belongs to films that were claimed before.
    late: Settling,
    /// The folders in `watch/` that were made.
    made: Vec<String>,
    /// As on disk; `None`: must be read again.
    films: Option<BTreeMap<FilmId, Film>>,
    /// Records that could not be read then, and why.
    unreadable: BTreeMap<FilmId, String>,
    trash_seen: Option<Instant>,
    trash_known: trash::Known,
    /// What could not be deleted then, for the user.
    trash_trouble: Option<String>,
    trouble: Option<(String, Timestamp)>,
    /// From the settings: the file with the address.
    notify: Option<PathBuf>,
    news: News,
    telling: Telling,
    playing: Playing,
    machines_seen: Option<Instant>,
    /// As of then.
    machines: Vec<Machine>,
    /// Bytes, when it was last looked at.
    trash: u64,
    status: Status,
}

impl Watcher {
    pub fn new(inbox: Inbox, settings_file: PathBuf, jobs: Jobs) -> Watcher {
        let share = Share::new("inbox");
        Watcher {
            inbox,
            settings_file,
            jobs,
            share,
            settling: Settling::default(),
            late: Settling::default(),
            made: Vec::new(),
            films: None,
            unreadable: BTreeMap::new(),
            trash_seen: None,
            trash_known: trash::Known::default(),
            trash_trouble: None,
            trouble: None,
            notify: None,
            news: News::default(),
            telling: Telling::default(),
            playing: Playing::default(),
            machines_seen: None,
            machines: Vec::new(),
            trash: 0,
            status: Status::default(),
        }
    }

    /// Runs until the process is ended. Errors are logged once, and operations are retried.
    pub async fn run(&mut self) -> ! {
        loop {
            match self.round().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    // The share may have changed before it comes back.
                    self.films = None;
                    self.report(Some(format!("{error:#}")));
                    let (trouble, since) = self.trouble.clone().unzip();
                    self.status = Status { at: Timestamp::now(), trouble, since, ..std::mem::take(&mut self.status) };
                    // If the share is unreachable, the page notices that itself.
                    let _ = self.write_status().await;
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Cleans up before the process ends.
    pub async fn stop(&mut self) {
        if let Jobs::Cluster(cluster) = &mut self.jobs {
            cluster.resign().await;
        }
    }

    fn report(&mut self, trouble: Option<String>) {
        if self.trouble.as_ref().map(|(known, _)| known) == trouble.as_ref() {
            return;
        }
        match &trouble {
            Some(trouble) => tracing::warn!("waiting: {trouble}"),
            None => tracing::info!("working again"),
        }
        // The same trouble in other words keeps its start time.
        let since = self.trouble.as_ref().map_or_else(Timestamp::now, |(_, since)| *since);
        self.trouble = trouble.map(|trouble| (trouble, since));
    }

    /// Observes once, and acts. Returns whether anything was done, so that another round is due at once.
    ///
    /// # Errors
    /// A share is missing or hangs, or the cluster does not answer. Repeating is safe.
    pub async fn round(&mut self) -> Result<bool> {
        if !self.jobs.lead().await? {
            // The other watcher may change anything.
            self.films = None;
            bail!("another watcher is running");
        }
        // Read each time: a changed ConfigMap applies to the next film.
        let settings = layout::settings(&self.settings_file)?;
        self.notify.clone_from(&settings.notify);
        let films = self.films(&settings).await?;
        let (inbox, known, set) = (self.inbox.clone(), films, settings.clone());
        // Whatever may leave the trash is looked at before.
        let all = self.trash_is_due();
        let (seen, films) = self.share.run(LIMIT, move || Ok((observe::observe(&inbox, &set, &known, all)?, known))).await?;
        let Seen { dropped, misplaced, late, files, unreadable, unknown, requests, paused, space } = seen;
        let unreadable: BTreeMap<FilmId, String> = self.unreadable.clone().into_iter().chain(unreadable).collect();
        let stable = Duration::from_secs(settings.stable_seconds);
        let (settled, moving) = self.settling.split(dropped, stable, Instant::now());
        let late = self.late.complete(late, stable);
        let clock = ZonedDateTime::now();
        let machines = Machines::now(&settings, films.values(), &self.machines, clock.time());
        let hold = if paused {
            Some("paused: run `hostler transcode resume` to continue".to_owned())
        } else if settings.machines.is_empty() {
            outside_hours(&settings, &clock)
        } else {
            machines.closed()
        };
        let limits = Limits {
            at_once: settings.at_once,
            reserve: settings.reserve(),
            attempts: settings.attempts,
            stable: SignedDuration::try_from(stable).unwrap_or_default(),
        };
        let now = Timestamp::now();
        let Listed { states: jobs, nevers, hosts } = self.jobs.list().await?;
        let first = settings.folders.iter().filter(|(_, folder)| folder.publish == Publish::Original);
        let originals_first = first.map(|(name, _)| name.clone()).collect();
        let in_hardware = settings.folders.keys().filter(|folder| settings.takes_hardware(folder)).cloned().collect();
        let own = settings.folders.iter().filter(|(_, folder)| settings.split.is_some() && folder.preset.is_none());
        let splits = own.map(|(name, _)| name.clone()).collect();
        let copied = files.iter().filter_map(|(id, files)| Some((id.clone(), files.ready.clone()?))).collect();
        let played = self.playing.round(&settings.media_servers, &films, &copied);
        let world = World {
            now,
            paused,
            originals_first,
            in_hardware,
            splits,
            played,
            late,
            films,
            files,
            unreadable,
            jobs,
            nevers,
            hosts,
            machines,
            dropped: settled,
            unknown,
            requests,
            hold: hold.clone(),
            free: space.0,
            trash: self.trash,
            limits,
        };
        let (actions, waiting) = reconcile(&world);
        self.films = Some(world.films);
        let acted = !actions.is_empty();
        let mut stuck: BTreeMap<FilmId, anyhow::Error> = BTreeMap::new();
        // Whether a record may be on disk that is not known here.
        let mut reread = false;
        for action in actions {
            // Many actions take longer than a lease.
            if !self.jobs.lead().await? {
                bail!("another watcher is running");
            }
            // A film that can't be moved must not block others.
            let id = action.film().clone();
            let records = matches!(action, Action::Record(_));
            if !stuck.contains_key(&id)
                && let Err(error) = self.act(action).await?
            {
                reread |= records;
                stuck.insert(id, error);
            }
        }
        reread |= self.tell(&settings, now).await?;
        // It keeps the others from nothing, nor the trash from being emptied.
        let acted = acted && stuck.is_empty();
        let stuck = stuck.pop_first().map(|(_, error)| format!("{error:#}"));
        self.report(stuck.or_else(|| world.unreadable.into_values().next()).or_else(|| self.trash_trouble.clone()));
        self.look_at_machines().await;
        let (trouble, since) = self.trouble.clone().unzip();
        self.status = Status {
            at: now,
            hold,
            waiting,
            arriving: arriving(moving, misplaced, stable),
            trouble,
            since,
            space,
            trash: self.trash,
            media_servers: self.telling.answers(),
            machines: self.machines.iter().cloned().map(|machine| world.machines.describe(machine)).collect(),
        };
        self.news(&settings);
        self.write_status().await?;
        if all && !reread {
            self.empty_trash(&settings).await?;
        }
        if reread || !self.unreadable.is_empty() {
            self.films = None;
        }
        Ok(acted)
    }

    /// Tells media servers what is new, and puts on record what they said. Returns whether a record may be on disk that is not known here.
    async fn tell(&mut self, settings: &Settings, now: Timestamp) -> Result<bool> {
        let Some(films) = &self.films else { return Ok(false) };
        let told = self.telling.round(&settings.media_servers, films, now);
        let mut reread = false;
        for (id, told) in told {
            let Some(mut film) = self.films.as_ref().and_then(|films| films.get(&id)).cloned() else { continue };
            if let Some(published) = film.published_mut() {
                published.media_server = Some(told.text);
                published.media_server_failed = told.failed;
                reread |= self.act(Action::Record(Box::new(film))).await?.is_err();
            }
        }
        Ok(reread)
    }

    async fn write_status(&self) -> Result<()> {
        let (file, status) = (self.inbox.root.join(STATUS), self.status.clone());
        let root = self.inbox.root.clone();
        self.share
            .run(LIMIT, move || {
                require_marker(&root)?;
                Ok(write_json(&file, &status)?)
            })
            .await
    }

    async fn films(&mut self, settings: &Settings) -> Result<BTreeMap<FilmId, Film>> {
        let folders: Vec<String> = settings.folders.keys().cloned().collect();
        if let Some(films) = self.films.take()
            && self.made == folders
        {
            return Ok(films);
        }
        let (inbox, made) = (self.inbox.clone(), folders.clone());
        let ledger = self
            .share
            .run(LIMIT, move || {
                inbox.prepare(&folders)?;
                observe::ledger(&inbox)
            })
            .await?;
        self.made = made;
        self.unreadable = ledger.unreadable;
        Ok(ledger.films)
    }

    /// The inner error concerns this film; the outer one all films, as the share hangs or the cluster does not answer.
    async fn act(&mut self, action: Action) -> Result<Result<()>> {
        match &action {
            Action::Begin(job, place) => return self.jobs.begin(job, place).await.map(Ok),
            Action::Forget(job) => return self.jobs.forget(job).await.map(Ok),
            Action::Record(film) => log(film),
            Action::Claim(..)
            | Action::Along(..)
            | Action::Reclaim(_)
            | Action::Sweep(_)
            | Action::Allow(..)
            | Action::Prepare(..)
            | Action::ClearFailure(_)
            | Action::Discard(_)
            | Action::TrashOriginal(_)
            | Action::Renamed(_)
            | Action::GiveUp(_)
            | Action::Tidy(_)
            | Action::TakeUp(_)
            | Action::Dismiss(_)
            | Action::Erase(_)
            | Action::Answered(_) => {}
        }
        if let (Action::Record(film), Some(file)) = (&action, &self.notify)
            && let Some(message) = News::film(film)
        {
            news::send(file, message);
        }
        let film = self.films.as_ref().and_then(|films| films.get(action.film())).cloned();
        let inbox = self.inbox.clone();
        let (done, action) = self.share.run(LIMIT, move || Ok((perform(&inbox, &action, film.as_ref()), action))).await?;
        if let (Ok(()), Some(films)) = (&done, &mut self.films) {
            match action {
                Action::Record(film) => drop(films.insert(film.id.clone(), *film)),
                Action::Erase(id) => drop(films.remove(&id)),
                _ => {}
            }
        }
        Ok(done)
    }

    /// Looks which machines there are, now and then.
    async fn look_at_machines(&mut self) {
        if self.machines_seen.is_some_and(|seen| seen.elapsed() <= MACHINES_EVERY) {
            return;
        }
        self.machines_seen = Some(Instant::now());
        match self.jobs.machines().await {
            Ok(machines) => self.machines = machines,
            // Films don't depend on it.
            Err(error) => tracing::warn!("can't list the machines: {error:#}"),
        }
    }

    /// Sends notifications about machines and disks, if configured.
    fn news(&mut self, settings: &Settings) {
        let Some(file) = self.notify.clone() else { return };
        let films = self.films.iter().flat_map(BTreeMap::values);
        let little = settings.short(films.map(|film| film.stamp.size).max().unwrap_or_default());
        let library = self.films.iter().flat_map(BTreeMap::values).filter_map(Film::library_space).max_by_key(|(at, _)| *at);
        let mut messages: Vec<_> = self.news.space("inbox", self.status.space, little, self.trash).into_iter().collect();
        messages.extend(library.and_then(|(_, space)| self.news.space("library", space, little, 0)));
        let lost = self.machines.iter().filter(|machine| machine.state == MachineState::Lost && !settings.others_report_machines);
        messages.extend(self.news.machines(lost.map(|machine| machine.name.clone()).collect()));
        messages.into_iter().for_each(|message| news::send(&file, message));
    }

    fn trash_is_due(&self) -> bool {
        self.trash_seen.is_none_or(|seen| seen.elapsed() >= TRASH_EVERY)
    }

    async fn empty_trash(&mut self, settings: &Settings) -> Result<()> {
        let (inbox, originals, films) = (self.inbox.clone(), settings.originals.clone(), self.films.clone().unwrap_or_default());
        // A copy: if the trash can't be read, or the share hangs, what is known of its entries is still true.
        let mut known = self.trash_known.clone();
        let (emptied, known) =
            self.share.run(LIMIT, move || Ok((trash::empty(&inbox, &films, &originals, &mut known, SystemTime::now())?, known))).await?;
        (self.trash, self.trash_known, self.trash_seen) = (emptied.rest, known, Some(Instant::now()));
        self.trash_trouble = emptied.trouble.map(|error| format!("{error:#}"));
        Ok(())
    }
}

fn outside_hours(settings: &Settings, now: &ZonedDateTime) -> Option<String> {
    let hours = settings.hours.filter(|hours| !hours.contain(now.time()))?;
    Some(format!("waiting: films are encoded only during the hours {}", String::from(hours)))
}

fn arriving(moving: Vec<(Dropped, Duration)>, misplaced: Vec<(PathBuf, String)>, stable: Duration) -> Vec<(String, u64, String)> {
    let moving = moving.into_iter().map(|(drop, age)| {
        let why = match (age.as_secs(), &drop.lacks) {
            (_, Some(lacks)) => format!("the disc is incomplete: {lacks} is missing"),
            (0..3, None) => "being copied".to_owned(),
            (_, None) => format!("unchanged for {} s; processing starts after {} s without a change", age.as_secs(), stable.as_secs()),
        };
        (shown(&drop.path), drop.stamp.size, why)
    });
    moving.chain(misplaced.into_iter().map(|(path, why)| (shown(&path), 0, why))).collect()
}

fn log(film: &Film) {
    let name = shown(&film.path);
    match &film.stage {
        Stage::Claimed if film.attempts == 0 => tracing::info!("{name}: claimed as {}", film.id),
        Stage::Claimed => tracing::warn!("{name}: attempt {} failed: {}", film.attempts, film.last_reason.as_deref().unwrap_or_default()),
        Stage::Encoded if film.attempts == 0 => tracing::info!("{name}: encoded and verified"),
        Stage::Encoded => tracing::warn!("{name}: not published yet: {}", film.last_reason.as_deref().unwrap_or_default()),
        Stage::Held { question, .. } => tracing::warn!("{name}: held: {question}"),
        Stage::Published { published, .. } => {
            for file in published.files() {
                tracing::info!("{name}: in the library as {}", shown(&file.path));
            }
        }
        Stage::Done { .. } => tracing::info!("{name}: done"),
        Stage::Failing { reason, .. } => tracing::warn!("{name}: failed: {reason}"),
        Stage::Failed { .. } => tracing::info!("{name}: in failed/"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::jobs::Here;
    use super::*;

    /// Else a share that is away now and then would keep everything.
    #[tokio::test]
    async fn what_is_known_of_the_trash_survives_a_trash_that_can_not_be_read() {
        let root = tempfile::tempdir().expect("a folder");
        let inbox = Inbox { root: root.path().to_owned() };
        std::fs::create_dir_all(inbox.trash().join("AAAA.1.replaced")).expect("made");
        let settings = Settings::parse(r#"{"folders": {"Movies": {}}}"#).expect("valid");
        let here = Here::new(inbox.root.clone(), "library".into(), "settings".into());
        let mut watcher = Watcher::new(inbox.clone(), "settings".into(), Jobs::Here(here));
        watcher.empty_trash(&settings).await.expect("read");
        let known = watcher.trash_known.clone();
        assert_ne!(known, trash::Known::default());
        std::fs::rename(inbox.trash(), root.path().join("away")).expect("renamed");
        watcher.empty_trash(&settings).await.expect_err("it is away");
        assert_eq!(watcher.trash_known, known);
    }
}

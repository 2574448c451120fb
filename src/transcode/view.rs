//! The contents of the status page: a pure function of what was read.

use std::collections::BTreeMap;
use std::time::Duration;

use hostler_core::quantity;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::film::FilmId;
use super::jobs::{self, MachineState};
use super::layout::shown;
use super::ledger::{Film, Original, Priority, Stage};
use super::measure::Measured;
use super::record::{Phase, Progress, Published};
use super::tell::Answer;
use super::watch::Status;

mod metrics;

pub use metrics::metrics;

/// Days in the chart.
const DAYS: i64 = 14;
/// A machine that has reported no progress for this long may be lost.
const SILENT_FOR: SignedDuration = SignedDuration::from_secs(30);
/// A watcher that has reported nothing for this long is not running.
const WATCHER_SILENT_FOR: SignedDuration = SignedDuration::from_secs(60);

/// Pixels of a picture in 1080p.
const FULL_HD: f64 = 1920.0 * 1080.0;

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    pub films: Vec<Film>,
    pub progress: BTreeMap<FilmId, Progress>,
    pub status: Option<Status>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct View {
    /// A problem, for the top of the page.
    pub trouble: Option<String>,
    /// Why no film is started.
    pub hold: Option<String>,
    pub paused: bool,
    pub working: Vec<Working>,
    pub queue: Vec<Queued>,
    pub arriving: Vec<Arriving>,
    pub failed: Vec<Failed>,
    /// Films that wait for an answer of their owner.
    #[serde(default)]
    pub held: Vec<Held>,
    pub done: Vec<Done>,
    pub counts: Counts,
    /// How much smaller the films that are done are than their originals, in sum.
    #[serde(default)]
    pub saved: Option<String>,
    /// Those that encode, idle ones too.
    #[serde(default)]
    pub machines: Vec<Machine>,
    /// What each media server answered last.
    #[serde(default)]
    pub media_servers: Vec<Answered>,
    /// The last days, oldest first.
    pub days: Vec<Day>,
    pub spaces: Vec<Space>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub name: String,
    /// What it does, or why it does nothing.
    pub doing: String,
    /// What it encodes, when, and how fast it is; empty: nothing is known.
    #[serde(default)]
    pub about: String,
    pub lost: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Working {
    pub id: FilmId,
    pub name: String,
    pub machine: String,
    pub doing: String,
    /// 0 to 100.
    pub percent: f64,
    /// Frames per second.
    pub rate: f64,
    pub left: Option<String>,
    pub since: String,
    /// Time without progress, if it is long.
    pub silent: Option<String>,
    /// Whether its original is in the library.
    #[serde(default)]
    pub published: bool,
    /// Whether it is not encoded yet: it may be skipped.
    #[serde(default)]
    pub waits: bool,
    /// Whether its original can be published before it is encoded.
    #[serde(default)]
    pub may_be_now: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    pub id: FilmId,
    pub name: String,
    pub size: String,
    pub why: String,
    /// Whether its original is in the library.
    #[serde(default)]
    pub published: bool,
    #[serde(default)]
    pub priority: Priority,
    /// Whether it waits for its encoder: its order may be changed.
    #[serde(default)]
    pub waits: bool,
    /// Whether its original can be published before it is encoded.
    #[serde(default)]
    pub may_be_now: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arriving {
    pub name: String,
    pub size: String,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub id: FilmId,
    pub name: String,
    pub reason: String,
    pub when: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub id: FilmId,
    pub name: String,
    pub question: String,
    /// Whether the answer is a name; else the numbers of titles.
    pub asks_name: bool,
    pub when: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub id: FilmId,
    pub name: String,
    pub place: String,
    pub was: String,
    pub is: String,
    pub machine: String,
    pub took: String,
    pub when: String,
    pub replaced: bool,
    /// How it compares with its original: `score 0.982, lowest 0.913 at 0:12:03`. `None`: it was not compared.
    #[serde(default)]
    pub score: Option<String>,
    /// What its owner should know.
    #[serde(default)]
    pub remarks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub server: String,
    pub text: String,
    /// Whether it did what it was asked for; else it is asked again for an hour.
    pub fine: bool,
    pub when: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub working: usize,
    pub queue: usize,
    pub failed: usize,
    #[serde(default)]
    pub held: usize,
    pub done: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    pub date: String,
    pub films: usize,
    /// Relative to the best of these days.
    pub percent: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The share.
    pub share: String,
    pub free: String,
    pub total: String,
    pub used_percent: u64,
    pub free_bytes: u64,
}

impl Working {
    /// Whether that machine works on it: on a film in pieces, several do.
    pub fn is_on(&self, machine: &str) -> bool {
        self.machine.split(", ").any(|name| name == machine)
    }
}

impl View {
    /// Whether a film is in one of the lists.
    pub fn knows(&self, id: &FilmId) -> bool {
        let held = self.held.iter().map(|film| &film.id).chain(self.failed.iter().map(|film| &film.id));
        let begun = self.working.iter().map(|film| &film.id).chain(self.queue.iter().map(|film| &film.id));
        held.chain(begun).chain(self.done.iter().map(|film| &film.id)).any(|known| known == id)
    }
}

/// `trouble`: why the share could not be read, if so, and since when.
pub fn view(read: &Read, trouble: Option<(String, Timestamp)>, now: Timestamp, zone: &TimeZone) -> View {
    let trouble = match trouble {
        Some((trouble, since)) => Some(waiting(&trouble, since, now, zone)),
        None => watcher_trouble(read.status.as_ref(), now, zone),
    };
    let mut view = View { trouble, ..View::default() };
    let status = read.status.clone().unwrap_or_default();
    view.hold = status.hold;
    view.paused = view.hold.as_deref().is_some_and(|hold| hold.starts_with("paused"));
    let answered = |Answer { server, text, fine, at }| Answered { server, text, fine, when: when(at, zone) };
    view.media_servers = status.media_servers.into_iter().map(answered).collect();
    view.arriving = status
        .arriving
        .into_iter()
        .map(|(name, bytes, why)| Arriving { name, size: if bytes > 0 { size(bytes) } else { String::new() }, why })
        .collect();
    let library = read.films.iter().filter_map(Film::library_space).max_by_key(|(at, _)| *at).map(|(_, space)| space);
    let spaces = [("inbox", Some(status.space)), ("library", library.filter(|library| *library != status.space))];
    view.spaces =
        spaces.into_iter().filter_map(|(share, known)| known.filter(|(_, all)| *all > 0).map(|known| space(share, known))).collect();
    let mut films: Vec<&Film> = read.films.iter().collect();
    films.sort_by_key(|film| (film.priority, film.claimed, &film.id));
    for film in films {
        let name = film.called();
        match &film.stage {
            Stage::Claimed | Stage::Encoded | Stage::Published { .. } => {
                if let (Some(progress), false) = (read.progress.get(&film.id), status.waiting.contains_key(&film.id)) {
                    view.working.push(working(film, progress, now));
                } else {
                    let why = status.waiting.get(&film.id).cloned().unwrap_or_else(|| "about to start".to_owned());
                    view.queue.push(Queued {
                        id: film.id.clone(),
                        name,
                        size: size(film.stamp.size),
                        why,
                        published: film.original == Original::Published,
                        priority: film.priority,
                        waits: film.stage == Stage::Claimed,
                        may_be_now: film.original == Original::No && film.stage == Stage::Claimed && !film.is_disc(),
                    });
                }
            }
            Stage::Done { published, machine, took } => view.done.push(Done {
                id: film.id.clone(),
                name,
                place: published.files().map(|file| shown(&file.path)).collect::<Vec<_>>().join(", "),
                was: size(film.stamp.size),
                is: size(published.size()),
                machine: machine.clone(),
                took: quantity::whole(Duration::from_secs_f64(took.clamp(0.0, 1e9))),
                when: when(published.at, zone),
                replaced: published.files().any(|file| file.replaced),
                score: score(published),
                remarks: published
                    .remarks
                    .iter()
                    .chain(published.media_server.iter().filter(|_| published.media_server_failed))
                    .cloned()
                    .chain(film.rename.iter().map(|rename| format!("will be renamed to `{}`", rename.name)))
                    .collect(),
            }),
            Stage::Held { question, at, .. } => view.held.push(Held {
                id: film.id.clone(),
                name,
                question: question.clone(),
                asks_name: film.unnamed().is_some(),
                when: when(*at, zone),
            }),
            Stage::Failing { reason, at, .. } | Stage::Failed { reason, at } => {
                view.failed.push(Failed { id: film.id.clone(), name, reason: reason.clone(), when: when(*at, zone) });
            }
        }
    }
    view.machines = status.machines.into_iter().map(|machine| shown_machine(machine, &view.working)).collect();
    view.counts = Counts {
        working: view.working.len(),
        queue: view.queue.len(),
        failed: view.failed.len(),
        held: view.held.len(),
        done: view.done.len(),
    };
    let saved = read.films.iter().filter_map(|film| match &film.stage {
        Stage::Done { published, .. } => Some(film.stamp.size.saturating_sub(published.size())),
        _ => None,
    });
    view.saved = Some(saved.sum()).filter(|bytes| *bytes > 0).map(size);
    view.days = days(&read.films, now, zone);
    view.done.reverse();
    view.failed.reverse();
    view
}

fn shown_machine(machine: jobs::Machine, working: &[Working]) -> Machine {
    let busy = working.iter().find(|film| film.is_on(&machine.name) && film.silent.is_none());
    let doing = match (machine.state, busy) {
        (MachineState::Lost, _) => "lost: it has not reported for a minute".to_owned(),
        (_, Some(film)) => film.doing.clone(),
        (MachineState::Cordoned, None) => "cordoned: no new films are encoded on it".to_owned(),
        (MachineState::Ready, None) if machine.closed => "outside its hours".to_owned(),
        (MachineState::Ready, None) => "idle".to_owned(),
    };
    // What it has tried, as far as the inventory lets it.
    let works = machine.working.iter().filter(|family| machine.encoding.can(family)).map(String::as_str).collect::<Vec<_>>().join(", ");
    let limited = machine.encoding.encoders.join(", ");
    let encoders = Some(if works.is_empty() { limited } else { works }).filter(|encoders| !encoders.is_empty());
    let hours = machine.encoding.hours.map(String::from);
    let rate = machine.speed.map(|speed| format!("{:.0} fps at 1080p", speed / FULL_HD));
    let slow = machine.slow.then(|| "much slower than the others".to_owned());
    let about = [encoders, hours, rate, slow].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    Machine { name: machine.name, doing, about, lost: machine.state == MachineState::Lost }
}

/// Of the file that differs most from its original.
fn score(published: &Published) -> Option<String> {
    let measured = published.files().filter_map(|file| file.measured.as_deref());
    let lowest = |measured: &Measured| measured.worst.map_or(1.0, |(_, worst)| worst);
    measured.min_by(|one, other| lowest(one).total_cmp(&lowest(other)))?.text()
}

/// `waiting since 21:04: ...`, with the date if it was another day.
fn waiting(trouble: &str, since: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (since, now) = (since.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone.clone()));
    let format = if since.date() == now.date() { "%H:%M" } else { "%a %d %b, %H:%M" };
    format!("waiting since {}: {}", since.strftime(format), trouble.lines().next().unwrap_or_default())
}

fn watcher_trouble(status: Option<&Status>, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let Some(status) = status else { return Some("the watcher has not started yet".to_owned()) };
    let silent = now.duration_since(status.at);
    if silent > WATCHER_SILENT_FOR {
        return Some(format!("the watcher has not reported for {}: no films are processed", duration(silent)));
    }
    let trouble = status.trouble.as_ref()?;
    Some(waiting(trouble, status.since.unwrap_or(status.at), now, zone))
}

fn working(film: &Film, progress: &Progress, now: Timestamp) -> Working {
    let doing = match progress.phase {
        Phase::Scanning => "scanning",
        Phase::Encoding => "encoding",
        Phase::Verifying => "verifying",
        Phase::Publishing => "copying to the library",
    };
    let silent = now.duration_since(progress.at);
    Working {
        id: film.id.clone(),
        name: film.called(),
        machine: progress.machine.clone(),
        doing: progress.note.as_ref().map_or_else(|| doing.to_owned(), |note| format!("{doing} {note}")),
        // A pod's word: JSON has no number for what is too large.
        percent: (progress.done.clamp(0.0, 1.0) * 1000.0).round() / 10.0,
        rate: (progress.rate.clamp(0.0, 1e6) * 10.0).round() / 10.0,
        left: progress.eta_seconds.map(|seconds| quantity::whole(Duration::from_secs(seconds))),
        since: duration(now.duration_since(progress.began)),
        silent: (silent > SILENT_FOR).then(|| duration(silent)),
        published: film.original == Original::Published,
        waits: film.stage == Stage::Claimed,
        may_be_now: film.original == Original::No && film.stage == Stage::Claimed && !film.is_disc(),
    }
}

fn days(films: &[Film], now: Timestamp, zone: &TimeZone) -> Vec<Day> {
    let today = now.to_zoned_datetime(zone.clone()).date();
    let mut counts = vec![0; usize::try_from(DAYS).unwrap_or_default()];
    for film in films {
        if let Stage::Done { published, .. } | Stage::Published { published, .. } = &film.stage {
            let date = published.at.to_zoned_datetime(zone.clone()).date();
            let age = today.since(date).map_or(-1, |span| i64::from(span.get_days()));
            if let Some(count) = usize::try_from(DAYS - 1 - age).ok().and_then(|place| counts.get_mut(place)) {
                *count += 1;
            }
        }
    }
    let best = counts.iter().copied().max().unwrap_or_default().max(1);
    let dated = counts.iter().zip((0..DAYS).rev()).map(|(&films, age)| {
        let date = today.saturating_sub(jiff::Span::new().days(age));
        Day { date: date.strftime("%a %d").to_string(), films, percent: films * 100 / best }
    });
    dated.collect()
}

fn space(share: &str, (free, total): (u64, u64)) -> Space {
    let used_percent = (total - free.min(total)) * 100 / total.max(1);
    Space { share: share.to_owned(), free: size(free), total: size(total), used_percent, free_bytes: free }
}

fn size(bytes: u64) -> String {
    quantity::size(bytes)
}

fn duration(duration: SignedDuration) -> String {
    quantity::whole(duration.unsigned_abs())
}

fn when(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%a %d %b, %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::record::{InLibrary, Stamp};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn film(path: &str, stage: Stage) -> Film {
        let stamp = Stamp { size: 8_000_000_000, modified: 1 };
        let film = Film::dropped(path.into(), "Movies".into(), stamp, at("2026-11-23T20:00:00Z"));
        Film { id: FilmId::new(path.as_ref(), 1, 1), stage, ..film }
    }

    fn read() -> Read {
        let published = |day: &str| Published {
            film: InLibrary {
                path: "Movies/Up.mkv".into(),
                size: 2_000_000_000,
                sha256: String::new(),
                replaced: false,
                label: None,
                content: None,
                measured: Some(Box::new(Measured { score: Some(0.9824), worst: Some((723.0, 0.9131)), ..Measured::default() })),
            },
            more: Vec::new(),
            remarks: Vec::new(),
            media_server: None,
            media_server_failed: false,
            renamed: None,
            original: false,
            speed: None,
            space: Some((1_000_000_000, 4_000_000_000)),
            at: at(day),
        };
        let done = |path: &str, day: &str| film(path, Stage::Done { published: published(day), machine: "rarity".into(), took: 3725.0 });
        let encoding = film("Movies/a.mkv", Stage::Claimed);
        let progress = Progress {
            who: "x".into(),
            machine: "rain\"bow".into(),
            phase: Phase::Encoding,
            done: 0.4321,
            rate: 31.26,
            eta_seconds: Some(600),
            note: None,
            began: at("2026-11-23T20:30:00Z"),
            at: at("2026-11-23T20:59:58Z"),
        };
        let machine = |name: &str, state| jobs::Machine::new(name, state);
        let machines =
            vec![machine("applejack", MachineState::Ready), machine("gone", MachineState::Lost), machine("rain\"bow", MachineState::Ready)];
        let status = Status { machines, at: at("2026-11-23T20:59:59Z"), space: (25_000_000_000, 100_000_000_000), ..Status::default() };
        Read {
            progress: [(encoding.id.clone(), progress)].into(),
            films: vec![
                encoding,
                film("Movies/b.mkv", Stage::Claimed),
                done("Movies/c.mkv", "2026-11-23T10:00:00Z"),
                done("Movies/d.mkv", "2026-11-22T10:00:00Z"),
                done("Movies/e.mkv", "2026-11-22T23:30:00Z"),
                film("Movies/f.mkv", Stage::Failed { reason: "no film".into(), at: at("2026-11-23T10:00:00Z") }),
            ],
            status: Some(status),
        }
    }

    #[test]
    fn each_film_is_in_one_list() {
        let view = view(&read(), None, at("2026-11-23T21:00:00Z"), &TimeZone::UTC);
        assert_eq!(view.counts, Counts { working: 1, queue: 1, failed: 1, held: 0, done: 3 });
        let working = &view.working[0];
        assert_eq!(
            (working.percent, working.rate, working.left.as_deref(), working.since.as_str()),
            (43.2, 31.3, Some("10m00s"), "30m00s")
        );
        let machines: Vec<(&str, &str)> = view.machines.iter().map(|machine| (machine.name.as_str(), machine.doing.as_str())).collect();
        let busy = "encoding";
        let gone = "lost: it has not reported for a minute";
        assert_eq!(machines, [("applejack", "idle"), ("gone", gone), ("rain\"bow", busy)]);
        assert_eq!((&view.trouble, working.silent.as_ref()), (&None, None));
        assert_eq!(view.done[0].score.as_deref(), Some("score 0.982, lowest 0.913 at 0:12:03"));
        assert_eq!((view.done[0].was.as_str(), view.done[0].is.as_str(), view.done[0].took.as_str()), ("8 GB", "2 GB", "1h02m"));
        let spaces: Vec<(&str, u64)> = view.spaces.iter().map(|space| (space.share.as_str(), space.used_percent)).collect();
        assert_eq!(spaces, [("inbox", 75), ("library", 75)]);
    }

    #[test]
    fn a_machine_says_what_it_encodes_when_and_how_fast() {
        let mut read = read();
        let encoding = serde_json::from_str(r#"{"hours": "22:00-07:00", "encoders": ["x264", "svt_av1"]}"#).expect("valid");
        let plain = jobs::Machine::new("applejack", MachineState::Ready);
        let limited =
            jobs::Machine { encoding, closed: true, slow: true, speed: Some(50e6), ..jobs::Machine::new("rarity", MachineState::Ready) };
        // What it has tried, and may do.
        let working = ["x264", "x265", "qsv_h264"].map(str::to_owned).into();
        let encoding = serde_json::from_str(r#"{"encoders": ["x264", "qsv_h264", "svt_av1"]}"#).expect("valid");
        let tried = jobs::Machine { encoding, working, ..jobs::Machine::new("pinkie", MachineState::Ready) };
        read.status.as_mut().expect("one").machines = vec![plain, limited, tried];
        let shown = view(&read, None, at("2026-11-23T21:00:00Z"), &TimeZone::UTC).machines;
        let words: Vec<(&str, &str)> = shown.iter().map(|machine| (machine.doing.as_str(), machine.about.as_str())).collect();
        let about = "x264, svt_av1 · 22:00-07:00 · 24 fps at 1080p · much slower than the others";
        assert_eq!(words, [("idle", ""), ("outside its hours", about), ("idle", "x264, qsv_h264")]);
    }

    #[test]
    fn days_are_those_of_the_time_zone() {
        let films_of = |zone: &TimeZone| {
            let view = view(&read(), None, at("2026-11-23T21:00:00Z"), zone);
            view.days.iter().rev().take(2).map(|day| (day.date.clone(), day.films)).collect::<Vec<_>>()
        };
        assert_eq!(films_of(&TimeZone::UTC), [("Mon 23".to_owned(), 1), ("Sun 22".to_owned(), 2)]);
        let berlin = TimeZone::get("Europe/Berlin").expect("zones are in the program");
        assert_eq!(films_of(&berlin), [("Mon 23".to_owned(), 2), ("Sun 22".to_owned(), 1)]);
    }

    #[test]
    fn what_a_media_server_refused_is_shown_in_whatever_words() {
        let remarks = |failed: bool| {
            let mut read = read();
            for film in &mut read.films {
                if let Stage::Done { published, .. } = &mut film.stage {
                    (published.media_server, published.media_server_failed) = (Some("Plex: some words".to_owned()), failed);
                }
            }
            view(&read, None, at("2026-11-23T21:00:00Z"), &TimeZone::UTC).done[0].remarks.clone()
        };
        assert_eq!((remarks(true), remarks(false)), (vec!["Plex: some words".to_owned()], Vec::new()));
    }

    #[test]
    fn silence_is_shown() {
        let view = view(&read(), None, at("2026-11-23T21:05:00Z"), &TimeZone::UTC);
        assert!(view.trouble.expect("silent").contains("has not reported for 5m01s"));
        assert_eq!(view.working[0].silent.as_deref(), Some("5m02s"));
    }

    #[test]
    fn trouble_shows_since_when() {
        let trouble = |since: &str| {
            view(&read(), Some(("the inbox is unreachable\nhint: x".into(), at(since))), at("2026-11-23T21:05:00Z"), &TimeZone::UTC).trouble
        };
        assert_eq!(trouble("2026-11-23T21:04:00Z").as_deref(), Some("waiting since 21:04: the inbox is unreachable"));
        assert_eq!(trouble("2026-11-22T21:04:00Z").as_deref(), Some("waiting since Sun 22 Nov, 21:04: the inbox is unreachable"));
        let mut watchers = read();
        let status = watchers.status.take().expect("one");
        watchers.status = Some(Status { trouble: Some("no API".into()), since: Some(at("2026-11-23T20:58:00Z")), ..status });
        let trouble = view(&watchers, None, at("2026-11-23T21:00:00Z"), &TimeZone::UTC).trouble;
        assert_eq!(trouble.as_deref(), Some("waiting since 20:58: no API"));
    }

    #[test]
    fn whatever_a_pod_reports_of_its_progress_the_view_can_be_read() {
        for wrong in [f64::MAX, f64::MIN] {
            let mut read = read();
            read.progress.values_mut().for_each(|progress| (progress.done, progress.rate) = (wrong, wrong));
            let view = view(&read, None, at("2026-11-23T21:00:00Z"), &TimeZone::UTC);
            serde_json::from_str::<View>(&serde_json::to_string(&view).expect("JSON")).expect("the same");
        }
    }

    #[test]
    fn metrics_can_be_scraped() {
        let text = metrics(&view(&read(), None, at("2026-11-23T21:00:00Z"), &TimeZone::UTC));
        assert!(text.contains("hostler_transcode_films{state=\"done\"} 3\n"), "{text}");
        assert!(text.contains("hostler_transcode_progress_ratio{machine=\"rain\\\"bow\",film=\"a-"), "{text}");
        assert!(text.ends_with("hostler_transcode_up 1\n"));
    }
}

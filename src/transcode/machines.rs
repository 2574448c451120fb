//! Which machines may start a film: by their hours and encoders; and which are much slower than the others.

use std::collections::{BTreeMap, BTreeSet};

use hostler_core::films::settings::{Encoding, Settings};
use indexmap::IndexMap;
use jiff::civil::Time;

use super::jobs::{Machine, MachineState};
use super::ledger::{Film, Stage};

/// A machine with less than this part of the others' speed is much slower.
const MUCH_SLOWER: f64 = 0.4;
/// How many of a machine's last films tell its speed, at least and at most.
const FILMS: (usize, usize) = (2, 9);

/// What decides where films are encoded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Machines {
    /// By name; empty: all encode alike, and at any time.
    encodings: IndexMap<String, Encoding>,
    /// Those that are outside their hours.
    closed: BTreeSet<String>,
    /// Pixels per second.
    speeds: BTreeMap<String, f64>,
    /// Those that are much slower than the others.
    slow: BTreeSet<String>,
    /// Those on which Quick Sync works, and may be used.
    hardware: BTreeSet<String>,
    /// All that there are now.
    known: BTreeSet<String>,
    /// Those of them that take films.
    ready: BTreeSet<String>,
}

/// Where a Job may run, by names of machines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub never: BTreeSet<String>,
    /// Only if no other machine is free.
    pub rather_not: BTreeSet<String>,
    /// Whether it gets the machine's render node.
    pub hardware: bool,
}

/// A Job that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub never: BTreeSet<String>,
    /// Whether it has not started.
    pub waits: bool,
}

impl Machines {
    /// `known`: the machines that there are now; others may be in the ledger of `films`. `time`: of the clock, where the machines are.
    pub fn now<'a>(settings: &Settings, films: impl IntoIterator<Item = &'a Film>, known: &[Machine], time: Time) -> Machines {
        let closed = |encoding: &Encoding| encoding.hours.is_some_and(|hours| !hours.contain(time));
        let names = settings.machines.iter().filter(|(_, encoding)| closed(encoding)).map(|(name, _)| name.clone());
        let mut speeds = speeds(films);
        speeds.retain(|name, _| known.iter().any(|machine| machine.name == *name));
        let may = |name: &str| settings.machines.get(name).is_none_or(Encoding::can_hardware);
        let able = known
            .iter()
            .filter(|machine| machine.state == MachineState::Ready && machine.has_hardware() && may(&machine.name))
            .map(|machine| machine.name.clone());
        let hardware = if settings.encoder.is_software() { BTreeSet::new() } else { able.collect() };
        let ready = known.iter().filter(|machine| machine.state == MachineState::Ready).map(|machine| machine.name.clone()).collect();
        let known = known.iter().map(|machine| machine.name.clone()).collect();
        Machines { encodings: settings.machines.clone(), closed: names.collect(), slow: slow(&speeds), speeds, hardware, known, ready }
    }

    /// Why no machine may start a film now.
    pub fn closed(&self) -> Option<String> {
        let all = !self.encodings.is_empty() && self.encodings.keys().all(|name| self.closed.contains(name));
        all.then(|| format!("waiting: each machine encodes only during its hours: {}", self.hours(self.encodings.keys())))
    }

    fn hours<'a>(&self, names: impl Iterator<Item = &'a String>) -> String {
        let of = |name: &String| Some(format!("{name} {}", String::from(self.encodings.get(name)?.hours?)));
        names.filter_map(of).collect::<Vec<_>>().join(", ")
    }

    /// Where a film may be encoded now. `needs`: the family of its encoder, if that is known.
    ///
    /// # Errors
    /// No machine may start it now; for the user.
    pub fn place(&self, needs: Option<&str>) -> Result<Place, String> {
        let able = |encoding: &Encoding| needs.is_none_or(|family| encoding.can(family));
        // If no machine has it, the settings have changed since: the encoder finds out again what it needs.
        let none = !self.encodings.values().any(able);
        let able: BTreeSet<&String> = self.encodings.iter().filter(|(_, encoding)| none || able(encoding)).map(|(name, _)| name).collect();
        let open: BTreeSet<&String> = able.iter().copied().filter(|name| !self.closed.contains(*name)).collect();
        if open.is_empty() && !self.encodings.is_empty() {
            let what = needs.map(|family| format!(" with {family}")).unwrap_or_default();
            return Err(format!("waiting: every machine that can encode{what} is outside its hours: {}", self.hours(able.into_iter())));
        }
        let never = self.encodings.keys().filter(|name| !open.contains(name)).cloned().collect::<BTreeSet<_>>();
        let rather_not = self.slow.difference(&never).cloned().collect();
        Ok(Place { never, rather_not, hardware: false })
    }

    /// Where a film that may be encoded in hardware may be encoded now, the better place first: machines whose hardware encodes, then the others.
    ///
    /// # Errors
    /// As [`place`](Machines::place).
    pub fn places(&self, needs: Option<&str>, takes_hardware: bool) -> Result<Vec<Place>, String> {
        let any = self.place(needs)?;
        let fast: BTreeSet<String> = self.hardware.difference(&any.never).cloned().collect();
        if !takes_hardware || fast.is_empty() {
            return Ok(vec![any]);
        }
        let never: BTreeSet<String> = any.never.iter().chain(self.known.difference(&fast)).cloned().collect();
        let rather_not = any.rather_not.difference(&never).cloned().collect();
        let first = Place { never, rather_not, hardware: true };
        let never: BTreeSet<String> = any.never.union(&fast).cloned().collect();
        let rather_not = any.rather_not.difference(&never).cloned().collect();
        let others = self.names().into_iter().any(|name| !never.contains(name));
        let second = others.then_some(Place { never, rather_not, hardware: false });
        Ok(std::iter::once(first).chain(second).collect())
    }

    /// The machines that places are about.
    fn names(&self) -> BTreeSet<&String> {
        if self.encodings.is_empty() { self.known.iter().collect() } else { self.encodings.keys().collect() }
    }

    /// How many machines take films of that place. One that is much slower than the others would finish its piece last by far.
    pub fn ready(&self, Place { never, rather_not, .. }: &Place) -> usize {
        self.names().into_iter().filter(|name| self.ready.contains(*name) && !never.contains(*name) && !rather_not.contains(*name)).count()
    }

    /// Whether one more Job may be created for that place, besides those that have not ended: one more than machines can take, so that none is
    /// idle for long. A Job that waits for a machine that not all may use must not keep other films from other machines.
    pub fn takes_another(&self, place: &Place, open: &[Open], at_once: usize) -> bool {
        let names = self.names();
        let allowed = |never: &BTreeSet<String>| names.iter().copied().filter(|name| !never.contains(*name)).collect::<BTreeSet<_>>();
        let here = allowed(&place.never);
        // While such a Job waits, none of these machines is free.
        let waits_here = |job: &Open| job.waits && here.is_subset(&allowed(&job.never));
        if place.never.is_empty() {
            return open.iter().filter(|job| !job.waits || waits_here(job)).count() < at_once;
        }
        let within = open.iter().filter(|job| allowed(&job.never).is_subset(&here)).count();
        within < here.len() || !open.iter().any(waits_here)
    }

    /// The machine with what is known of it.
    pub fn describe(&self, machine: Machine) -> Machine {
        Machine {
            encoding: self.encodings.get(&machine.name).cloned().unwrap_or_default(),
            closed: self.closed.contains(&machine.name),
            slow: self.slow.contains(&machine.name),
            speed: self.speeds.get(&machine.name).copied(),
            ..machine
        }
    }
}

/// Pixels per second, by the names of machines: the median of their last films.
fn speeds<'a>(films: impl IntoIterator<Item = &'a Film>) -> BTreeMap<String, f64> {
    let mut measured: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for film in films {
        if let Stage::Published { published, machine, .. } | Stage::Done { published, machine, .. } = &film.stage
            && let Some(speed) = published.speed.filter(|speed| speed.is_finite() && *speed > 0.0)
        {
            measured.entry(machine.clone()).or_default().push((published.at, speed));
        }
    }
    let (least, most) = FILMS;
    let known = measured.into_iter().filter(|(_, films)| films.len() >= least);
    let median = |mut films: Vec<_>| {
        films.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let mut last: Vec<f64> = films.into_iter().take(most).map(|(_, speed)| speed).collect();
        last.sort_by(f64::total_cmp);
        last[last.len() / 2]
    };
    known.map(|(name, films)| (name, median(films))).collect()
}

fn slow(speeds: &BTreeMap<String, f64>) -> BTreeSet<String> {
    let is_slow = |name: &String, speed: f64| {
        let mut others: Vec<f64> = speeds.iter().filter(|(other, _)| *other != name).map(|(_, speed)| *speed).collect();
        others.sort_by(f64::total_cmp);
        others.get(others.len() / 2).is_some_and(|usual| speed < MUCH_SLOWER * usual)
    };
    speeds.iter().filter(|(name, speed)| is_slow(name, **speed)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::{InLibrary, Published, Stamp};
    use super::*;

    fn done(machine: &str, number: u32, speed: Option<f64>) -> Film {
        let path = format!("Movies/{machine}-{number}.mkv");
        let at: jiff::Timestamp = format!("2026-11-{:02}T21:00:00Z", number + 1).parse().expect("a time");
        let film = InLibrary {
            path: path.clone().into(),
            size: 1,
            sha256: String::new(),
            replaced: false,
            label: None,
            content: None,
            measured: None,
        };
        let published = Published {
            film,
            more: Vec::new(),
            remarks: Vec::new(),
            media_server: None,
            media_server_failed: false,
            renamed: None,
            original: false,
            speed,
            space: None,
            at,
        };
        let stage = Stage::Done { published, machine: machine.to_owned(), took: 60.0 };
        Film { stage, ..Film::dropped(path.into(), "Movies".into(), Stamp { size: 1, modified: 1 }, at) }
    }

    fn machines(films: &[Film], known: &[&str]) -> Machines {
        let known: Vec<Machine> = known.iter().map(|name| Machine::new(name, MachineState::Ready)).collect();
        Machines::now(&Settings::default(), films, &known, jiff::civil::time(12, 0, 0, 0))
    }

    #[test]
    fn a_machine_much_slower_than_the_others_is_taken_last() {
        let of =
            |name: &str, speeds: &[f64]| speeds.iter().zip(0..).map(|(speed, number)| done(name, number, Some(*speed))).collect::<Vec<_>>();
        let mut films = [of("rarity", &[50.0, 60.0, 55.0]), of("applejack", &[45.0, 50.0]), of("old", &[15.0, 12.0, 90.0, 14.0])].concat();
        let all = ["rarity", "applejack", "old"];
        let slow = |films: &[Film], known: &[&str]| machines(films, known).place(None).expect("open").rather_not;
        assert_eq!(slow(&films, &all), ["old".to_owned()].into(), "one quick film changes nothing");
        assert_eq!(slow(&films, &["rarity", "old"]), ["old".to_owned()].into());
        assert_eq!(slow(&films, &["old"]), BTreeSet::new(), "it is the only one");
        // One film tells nothing; nor does what an earlier hostler encoded.
        films.extend([done("new", 0, Some(1.0)), done("earlier", 0, None), done("earlier", 1, None)]);
        assert_eq!(slow(&films, &["rarity", "applejack", "new", "earlier"]), BTreeSet::new());
        // What counts is the last films: it got a faster processor.
        films.extend((10..20).map(|number| done("old", number, Some(55.0))));
        assert_eq!(slow(&films, &all), BTreeSet::new());
        let described = machines(&films, &all).describe(Machine::new("rarity", MachineState::Ready));
        assert_eq!((described.speed, described.slow), (Some(55.0), false));
    }
}

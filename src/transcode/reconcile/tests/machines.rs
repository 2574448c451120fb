//! Which machine a film goes to.

use super::super::super::jobs::{Machine, MachineState};
use super::*;

/// Settings with machines of different hours and encoders, at three in the afternoon.
fn machines_of(text: &str) -> Machines {
    let settings = format!(r#"{{"folders": {{"Movies": {{}}}}, "machines": {{{text}}}}}"#);
    let settings = serde_json::from_str(&settings).expect("settings");
    Machines::now(&settings, [], &[], jiff::civil::time(15, 0, 0, 0))
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_machine_encodes_during_its_hours() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let night = machines_of(r#""rarity": {}, "applejack": {"hours": "22:00-07:00"}"#);
    let at_day = World { machines: night.clone(), ..world(&film, claimed(), &[]) };
    let begun = |world: &World| {
        let jobs = reconcile(world).0.into_iter().filter_map(|action| match action {
            Action::Begin(_, place) => Some(place.never),
            _ => None,
        });
        jobs.collect::<Vec<_>>()
    };
    assert_eq!(begun(&at_day), [names(&["applejack"])]);
    let open = machines_of(r#""rarity": {}, "applejack": {"hours": "07:00-22:00"}"#);
    assert_eq!(begun(&World { machines: open.clone(), ..at_day.clone() }), [names(&[])]);
    let closed = machines_of(r#""rarity": {"hours": "23:00-06:00"}, "applejack": {"hours": "22:00-07:00"}"#);
    let (actions, waiting) = reconcile(&World { machines: closed, ..at_day.clone() });
    assert_eq!(
        (actions, waiting[&film.id].as_str()),
        (vec![], "waiting: every machine that can encode is outside its hours: applejack 22:00-07:00, rarity 23:00-06:00")
    );
    // Its hours have begun, or ended, since a Job began to wait; one that runs is finished.
    let job = job(&film, Task::Encode, 0);
    let with = |machines: &Machines, state, never: &[&str]| {
        let nevers = [(job.clone(), names(never))].into();
        actions_of(&World { machines: machines.clone(), jobs: [(job.clone(), state)].into(), nevers, ..at_day.clone() })
    };
    assert_eq!(with(&open, JobState::Waiting, &["applejack"]), ["forget Encode 0"]);
    assert_eq!(with(&night, JobState::Waiting, &[]), ["forget Encode 0"]);
    assert_eq!(with(&night, JobState::Waiting, &["applejack"]), [""; 0]);
    assert_eq!(with(&night, JobState::Active, &[]), [""; 0]);
}

#[test]
fn a_film_goes_to_a_machine_with_its_encoder_and_holds_up_no_other() {
    let machines = machines_of(r#""rarity": {"encoders": ["x264"]}, "applejack": {"encoders": ["x265", "x264"]}"#);
    let hdr = film("Movies/Up.mkv", Stage::Claimed);
    let given_back = Files { failure: Some(Failure { lacks: Some("x265".into()), ..failure(false) }), ..claimed() };
    let (actions, _) = reconcile(&World { machines: machines.clone(), ..world(&hdr, given_back.clone(), &[]) });
    let Some(Action::Record(hdr)) = actions.into_iter().next() else { panic!("recorded") };
    assert_eq!((hdr.needs.as_deref(), hdr.attempts, hdr.counted, hdr.not_before), (Some("x265"), 1, 0, None), "no fault of the film");
    let mut many = World { machines: machines.clone(), ..world(&hdr, claimed(), &[]) };
    assert!(matches!(&reconcile(&many).0[..], [Action::Begin(_, place)] if place.never == names(&["rarity"])));
    // A second one waits for that machine without a Job, and a third one gets the other machine.
    for (seconds, name, needs) in [(1, "Movies/2.mkv", Some("x265")), (2, "Movies/3.mkv", None)] {
        let film = film(name, Stage::Claimed);
        let film = Film { claimed: now() + SignedDuration::from_secs(seconds), needs: needs.map(str::to_owned), ..film };
        many.files.insert(film.id.clone(), claimed());
        many.films.insert(film.id.clone(), film);
    }
    many.limits.at_once = 3;
    let begun: Vec<_> = reconcile(&many)
        .0
        .into_iter()
        .filter_map(|action| match action {
            Action::Begin(job, place) => Some((job.id, place.never.len())),
            _ => None,
        })
        .collect();
    assert_eq!(begun.len(), 2);
    assert_eq!(begun[0], (hdr.id.clone(), 1));
    assert!(begun[1].0.as_str().starts_with('3') && begun[1].1 == 0, "{begun:?}");
    // No machine has it: the settings have changed. It is tried again, but not at once.
    let none = machines_of(r#""rarity": {"encoders": ["x264"]}"#);
    assert!(matches!(&reconcile(&World { machines: none.clone(), ..world(&hdr, claimed(), &[]) }).0[..], [Action::Begin(..)]));
    let (actions, _) = reconcile(&World { machines: none, ..world(&hdr, given_back, &[]) });
    assert!(matches!(&actions[0], Action::Record(film) if film.not_before.is_some() && film.counted == 0));
}

proptest! {
    /// Whatever machines there are and whatever the hour: no film starts where it may not, and no machine stays idle that could take one.
    #[test]
    fn no_machine_starts_what_it_may_not_and_none_is_idle_in_vain(
        kinds in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..5),
        needs in proptest::collection::vec(any::<bool>(), 1..8),
    ) {
        let one = |(number, (closed, limited)): (usize, &(bool, bool))| {
            let hours = if *closed { "22:00-07:00" } else { "07:00-22:00" };
            let encoders = if *limited { r#"["x264"]"# } else { "[]" };
            format!(r#""m{number}": {{"hours": "{hours}", "encoders": {encoders}}}"#)
        };
        let text = kinds.iter().enumerate().map(one).collect::<Vec<_>>().join(", ");
        let mut world = World { machines: machines_of(&text), ..empty() };
        world.limits.at_once = kinds.len() + 1;
        for (number, needs) in needs.iter().enumerate() {
            let film = film(&format!("Movies/{number}.mkv"), Stage::Claimed);
            let film = Film { needs: needs.then(|| "x265".to_owned()), ..film };
            world.files.insert(film.id.clone(), claimed());
            world.films.insert(film.id.clone(), film);
        }
        let capable = kinds.iter().any(|(_, limited)| !limited);
        // As the scheduler does it: each Job gets an idle machine that it may run on, or waits.
        let mut runs: BTreeMap<String, Job> = BTreeMap::new();
        for _ in 0..needs.len() + 2 {
            let (actions, _) = reconcile(&world);
            for action in actions {
                if let Action::Begin(job, place) = action {
                    world.nevers.insert(job.clone(), place.never);
                    world.jobs.insert(job, JobState::Waiting);
                }
            }
            let waiting: Vec<Job> = world.jobs.iter().filter(|(_, state)| **state == JobState::Waiting).map(|(job, _)| job.clone()).collect();
            for job in waiting {
                let free = (0..kinds.len()).map(|number| format!("m{number}")).find(|name| !runs.contains_key(name) && !world.nevers[&job].contains(name));
                if let Some(name) = free {
                    let (closed, limited) = kinds[name[1..].parse::<usize>().expect("a number")];
                    prop_assert!(!closed, "{name} is outside its hours");
                    prop_assert!(!limited || world.films[&job.id].needs.is_none() || !capable, "{name} has no x265");
                    world.jobs.insert(job.clone(), JobState::Active);
                    runs.insert(name, job);
                }
            }
        }
        let idle = |limited: bool| (0..kinds.len()).any(|number| kinds[number] == (false, limited) && !runs.contains_key(&format!("m{number}")));
        let left = |needs: bool| world.films.values().any(|film| film.needs.is_some() == needs && !world.jobs.keys().any(|job| job.id == film.id));
        prop_assert!(!(idle(false) && (left(true) || left(false))), "{runs:?}");
        prop_assert!(!(idle(true) && left(false)), "{runs:?}");
    }
}

/// Settings with `encoder: auto`; of these machines, those in `fast` have tried Quick Sync, and it worked.
fn with_hardware(all: &[&str], fast: &[&str], settings: &str) -> Machines {
    let settings = serde_json::from_str(&format!(r#"{{"folders": {{"Movies": {{}}}}, "encoder": "auto"{settings}}}"#)).expect("settings");
    let known: Vec<Machine> = all
        .iter()
        .map(|name| {
            let tried: &[&str] = if fast.contains(name) { &["x264", "qsv_h264"] } else { &["x264"] };
            let working = tried.iter().map(|family| (*family).to_owned()).collect();
            Machine { working, ..Machine::new(name, MachineState::Ready) }
        })
        .collect();
    Machines::now(&settings, [], &known, jiff::civil::time(15, 0, 0, 0))
}

/// Places of the Jobs that are begun for so many films, as on two machines.
fn begun_for(films: u32, machines: &Machines) -> Vec<Place> {
    let mut world = World { machines: machines.clone(), in_hardware: ["Movies".to_owned()].into(), ..empty() };
    world.limits.at_once = 3;
    for number in 0..films {
        let film = film(&format!("Movies/{number}.mkv"), Stage::Claimed);
        let film = Film { claimed: now() + SignedDuration::from_secs(number.into()), ..film };
        world.files.insert(film.id.clone(), claimed());
        world.films.insert(film.id.clone(), film);
    }
    let begun = reconcile(&world).0.into_iter().filter_map(|action| match action {
        Action::Begin(_, place) => Some(place),
        _ => None,
    });
    begun.collect()
}

#[test]
fn films_go_to_quick_sync_first_and_other_machines_are_not_idle() {
    let place = |never: &[&str], hardware| Place { never: names(never), rather_not: BTreeSet::new(), hardware };
    let machines = with_hardware(&["applejack", "rarity"], &["rarity"], "");
    let (fast, others) = (place(&["applejack"], true), place(&["rarity"], false));
    // The others wait until one of these has begun.
    assert_eq!(begun_for(5, &machines), [fast.clone(), others.clone()]);
    let none = with_hardware(&["applejack", "rarity"], &[], "");
    assert_eq!(begun_for(1, &none), [place(&[], false)]);
    let all = with_hardware(&["rarity"], &["rarity"], "");
    assert_eq!(begun_for(5, &all), vec![place(&[], true); 3]);
    // The inventory keeps it from that machine.
    let limited =
        with_hardware(&["applejack", "rarity"], &["rarity"], r#", "machines": {"rarity": {"encoders": ["x264"]}, "applejack": {}}"#);
    assert_eq!(begun_for(1, &limited), [place(&[], false)]);
    // Outside the machine's hours the others encode.
    let closed =
        with_hardware(&["applejack", "rarity"], &["rarity"], r#", "machines": {"rarity": {"hours": "22:00-07:00"}, "applejack": {}}"#);
    assert_eq!(begun_for(1, &closed), [place(&["rarity"], false)]);
}

/// A film that takes over its encoder could make another machine seem slow, so that none gets a film any more.
#[test]
fn what_an_encoder_says_of_speed_counts_for_its_own_machine() {
    let is_there = Files { encoded: Some(Encoded { machine: "victim".into(), ..encoded() }), ..claimed() };
    let recorded = |world: &World| {
        let mut films = reconcile(world).0.into_iter().filter_map(|action| match action {
            Action::Record(film) => Some(*film),
            _ => None,
        });
        films.next_back().expect("a film is recorded")
    };
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let succeeded = world(&film, is_there.clone(), &[(Task::Encode, 0, JobState::Succeeded)]);
    let published = |hosts: BTreeMap<Job, String>| {
        let film = recorded(&World { hosts, ..succeeded.clone() });
        assert_eq!(film.stage, Stage::Encoded);
        let fast = Published { speed: Some(1.0), ..published() };
        let film = recorded(&world(&film, Files { published: Some(fast), ..is_there.clone() }, &[]));
        let Stage::Published { published, machine, .. } = film.stage else { panic!("{:?}", film.stage) };
        (machine, published.speed)
    };
    assert_eq!(published([(job(&film, Task::Encode, 0), "rarity".to_owned())].into()), ("rarity".to_owned(), Some(1.0)));
    // Where the cluster does not say where it ran, nobody does; what another attempt's pod ran on is not where this one did.
    assert_eq!(published(BTreeMap::new()), ("victim".to_owned(), None));
    assert_eq!(published([(job(&film, Task::Encode, 1), "rarity".to_owned())].into()), ("victim".to_owned(), None));
}

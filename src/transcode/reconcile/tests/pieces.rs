//! A film that is encoded in pieces.

use super::super::super::handbrake::Fraction;
use super::super::super::jobs::{Machine, MachineState};
use super::super::super::measure::Crop;
use super::super::super::split::Piece;
use super::*;

pub(super) fn plan() -> Plan {
    let piece = |number: u64| Piece { start: (number > 0).then_some(number), length: (number < 2).then_some(1), pictures: 100 };
    Plan {
        who: "planner".into(),
        source: STAMP,
        round: 1,
        encoder: "x264".into(),
        crf: None,
        crop: Crop::default(),
        rate: Fraction { num: 25, den: 1 },
        pieces: (0..3).map(piece).collect(),
        picture: Vec::new(),
        sound: Vec::new(),
        remarks: Vec::new(),
        at: now(),
    }
}

fn in_pieces(done: &[Work]) -> Files {
    Files { plan: Some(plan()), planned: true, done: done.iter().copied().collect(), machines: 3, ..claimed() }
}

const PIECES: [Work; 3] = [Work::Piece(1), Work::Piece(2), Work::Piece(3)];

/// With so many machines, at most three; films may be split.
pub(super) fn with_machines(world: World, count: usize) -> World {
    let known = ["applejack", "fluttershy", "rarity"].map(|name| Machine::new(name, MachineState::Ready));
    let machines = Machines::now(&Default::default(), [], &known[..count], jiff::civil::time(12, 0, 0, 0));
    let limits = Limits { at_once: count + 1, ..world.limits };
    World { machines, splits: ["Movies".to_owned()].into(), limits, ..world }
}

/// A film in pieces on three machines.
fn three(film: &Film, files: Files, jobs: &[(Task, u32, JobState)]) -> World {
    with_machines(world(film, files, jobs), 3)
}

fn part(work: Work, attempt: u32, state: JobState) -> (Task, u32, JobState) {
    (Task::Part(work), attempt, state)
}

fn begun(work: Work, attempt: u32) -> String {
    format!("begin {:?} {attempt}", Task::Part(work))
}

fn forgotten(work: Work, attempt: u32) -> String {
    format!("forget {:?} {attempt}", Task::Part(work))
}

#[test]
fn an_encoder_hears_how_many_machines_are_idle() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let told = |world: &World| {
        let prepared = reconcile(world).0.into_iter().find_map(|action| match action {
            Action::Prepare(id, machines) if id == film.id => Some(machines),
            _ => None,
        });
        prepared.unwrap_or_default()
    };
    let alone = three(&film, claimed(), &[]);
    assert_eq!(told(&alone), 3);
    assert_eq!(told(&World { splits: BTreeSet::new(), ..alone.clone() }), 0, "a preset of one's own, or `split: off`");
    assert_eq!(told(&World { free: STAMP.size * 2, ..alone.clone() }), 0, "pieces need room");
    let whole = Film { whole: Some("piece2: 99 pictures".into()), ..film.clone() };
    assert_eq!(told(&three(&whole, claimed(), &[])), 0, "it was tried");
    // Each film that waits gets a machine of its own.
    let mut queue = alone.clone();
    for (seconds, name) in [(1, "Movies/2.mkv"), (2, "Movies/3.mkv")] {
        let film = Film { claimed: now() + SignedDuration::from_secs(seconds), ..self::film(name, Stage::Claimed) };
        queue.files.insert(film.id.clone(), claimed());
        queue.films.insert(film.id.clone(), film);
        assert_eq!(told(&queue), 3 - usize::try_from(seconds).expect("small"));
    }
    let later = queue.films.values_mut().filter(|other| other.id != film.id);
    later.for_each(|other| other.priority = Priority::Skipped);
    assert_eq!(told(&queue), 3, "skipped films wait for no machine");
    // A Job of another film is busy on one of them.
    let other = self::film("Movies/9.mkv", Stage::Claimed);
    let mut busy = alone.clone();
    busy.jobs.insert(job(&other, Task::Encode, 0), JobState::Active);
    busy.files.insert(other.id.clone(), claimed());
    busy.films.insert(other.id.clone(), other);
    assert_eq!(told(&busy), 2);
    let known = [("applejack", MachineState::Ready), ("fluttershy", MachineState::Lost), ("rarity", MachineState::Cordoned)];
    let known = known.map(|(name, state)| Machine::new(name, state));
    let machines = Machines::now(&Default::default(), [], &known, jiff::civil::time(12, 0, 0, 0));
    assert_eq!(told(&World { machines, ..alone }), 1, "machines that take no films are not idle");
}

#[test]
fn pieces_are_encoded_then_joined_and_a_watcher_goes_on_from_what_is_there() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let plans = (Task::Encode, 0, JobState::Succeeded);
    let all = [Work::Sound, PIECES[0], PIECES[1], PIECES[2]];
    let first = actions_of(&three(&film, in_pieces(&[]), &[plans]));
    let expected: Vec<String> = std::iter::once("forget Encode 0".to_owned()).chain(all.map(|work| begun(work, 0))).collect();
    assert_eq!(first, expected);
    // Killed after any of these: the rest follows.
    for count in 0..=4 {
        let jobs: Vec<_> = all[..count].iter().map(|work| part(*work, 0, JobState::Active)).collect();
        let rest: Vec<String> = all[count..].iter().map(|work| begun(*work, 0)).collect();
        assert_eq!(actions_of(&three(&film, in_pieces(&[]), &jobs)), rest);
    }
    let jobs = [part(PIECES[1], 0, JobState::Active), part(PIECES[0], 0, JobState::Succeeded)];
    assert_eq!(actions_of(&three(&film, in_pieces(&[Work::Sound, PIECES[0], PIECES[2]]), &jobs)), [""; 0]);
    let done = in_pieces(&all);
    assert_eq!(actions_of(&three(&film, done.clone(), &[])), [begun(Work::Join, 0)]);
    assert_eq!(actions_of(&three(&film, done.clone(), &[part(Work::Join, 0, JobState::Active)])), [""; 0]);
    let joined = Files { encoded: Some(encoded()), ..done };
    let actions = actions_of(&three(&film, joined, &[part(Work::Join, 0, JobState::Succeeded)]));
    assert_eq!(actions, ["record encoded".to_owned(), forgotten(Work::Join, 0)]);
}

#[test]
fn a_piece_whose_machine_dies_is_encoded_elsewhere_and_the_others_go_on() {
    let mut film = film("Movies/Up.mkv", Stage::Claimed);
    let jobs = [
        part(Work::Sound, 0, JobState::Active),
        part(PIECES[0], 0, JobState::Active),
        part(PIECES[1], 0, JobState::Failed),
        part(PIECES[2], 0, JobState::Active),
    ];
    let dead = three(&film, in_pieces(&[]), &jobs);
    assert_eq!(actions_of(&dead), ["record claimed round 1 attempts 1".to_owned(), forgotten(PIECES[1], 0), "clear failure".to_owned()]);
    let Some(Action::Record(recorded)) = reconcile(&dead).0.into_iter().next() else { panic!("recorded") };
    assert_eq!((recorded.counted, recorded.whole.clone()), (1, None));
    film = Film { not_before: None, ..*recorded };
    // The Jobs of the first attempt are still its own.
    let open: Vec<_> = jobs.into_iter().filter(|(_, _, state)| *state == JobState::Active).collect();
    assert_eq!(actions_of(&three(&film, in_pieces(&[]), &open)), [begun(PIECES[1], 1)]);
    // After too many of them, one machine encodes it.
    let film = Film { counted: 2, ..film };
    let jobs = [part(PIECES[0], 0, JobState::Active), part(PIECES[1], 1, JobState::Failed)];
    let dead = three(&film, in_pieces(&[]), &jobs);
    let expected = ["record claimed round 1 attempts 2".into(), forgotten(PIECES[0], 0), forgotten(PIECES[1], 1), "discard".into()];
    assert_eq!(actions_of(&dead), expected);
    let Some(Action::Record(recorded)) = reconcile(&dead).0.into_iter().next() else { panic!("recorded") };
    assert!(recorded.whole.as_deref().is_some_and(|why| why.contains("(tried 3 times)")) && recorded.counted == 0, "{recorded:?}");
}

#[test]
fn what_can_not_be_done_in_pieces_is_done_by_one_machine_without_them() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let failed = |work: Work, failure: Failure| Files { failures: [(work, failure)].into(), ..in_pieces(&[Work::Sound]) };
    let whole = |files: Files| {
        let world = three(&film, files, &[part(PIECES[0], 0, JobState::Active)]);
        let why = reconcile(&world).0.into_iter().find_map(|action| match action {
            Action::Record(film) => film.whole,
            _ => None,
        });
        (why, actions_of(&world).last().cloned())
    };
    let (why, last) = whole(failed(PIECES[1], failure(true)));
    assert_eq!((why.as_deref(), last.as_deref()), (Some("piece2: no film"), Some("discard")));
    let (why, _) = whole(failed(Work::Join, failure(false)));
    assert_eq!(why.as_deref(), Some("join: no film"));
    let outside = Failure { outside: true, ..failure(false) };
    assert_eq!(whole(failed(Work::Join, outside)), (None, Some("clear failure".into())), "a full disk is waited for");
    let lacks = Failure { lacks: Some("x264".into()), ..failure(false) };
    let (why, last) = whole(failed(PIECES[0], lacks.clone()));
    assert_eq!((why, last.as_deref()), (None, Some("clear failure")), "another machine encodes it");
    let world = three(&film, failed(PIECES[0], lacks), &[]);
    let Some(Action::Record(recorded)) = reconcile(&world).0.into_iter().next() else { panic!("recorded") };
    assert_eq!((recorded.counted, recorded.needs.as_deref()), (0, Some("x264")));
    // Killed after the record: the pieces go, then it is encoded as any other.
    let whole = Film { whole: Some("piece2: no film".into()), attempts: 1, ..film.clone() };
    let left = three(&whole, in_pieces(&[Work::Sound]), &[part(PIECES[0], 0, JobState::Active)]);
    assert_eq!(actions_of(&left), [forgotten(PIECES[0], 0), "discard".into()]);
    let gone = three(&whole, Files { prepared: false, ..claimed() }, &[]);
    assert_eq!(actions_of(&gone), ["prepare", "begin Encode 1"]);
}

#[test]
fn a_changed_or_skipped_film_loses_its_pieces_jobs() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let jobs = [part(PIECES[0], 0, JobState::Active), part(PIECES[1], 0, JobState::Waiting)];
    let forgets = || [forgotten(PIECES[0], 0), forgotten(PIECES[1], 0)];
    let changed = Files { claimed: Some(Stamp { size: 2000, modified: 8 }), ..in_pieces(&[]) };
    let actions = actions_of(&three(&film, changed, &jobs));
    assert_eq!(actions[1..], [&forgets()[..], &["discard".to_owned()]].concat());
    // The plan of another original, of an attempt that ended late.
    let other = Files { plan: None, ..in_pieces(&[]) };
    assert_eq!(actions_of(&three(&film, other, &jobs)), [&forgets()[..], &["discard".to_owned()]].concat());
    let skipped = Film { priority: Priority::Skipped, ..film.clone() };
    assert_eq!(actions_of(&three(&skipped, in_pieces(&[]), &jobs)), forgets());
    let paused = World { hold: Some("paused".into()), paused: true, ..three(&film, in_pieces(&[]), &jobs) };
    assert_eq!(actions_of(&paused), [forgotten(PIECES[1], 0)], "what is being encoded is finished");
    assert_eq!(reconcile(&paused).1, Waiting::new());
    let idle = World { jobs: BTreeMap::new(), ..paused };
    assert_eq!(reconcile(&idle).1[&film.id], "paused");
}

#[test]
fn pieces_take_machines_as_films_do() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let world = three(&film, in_pieces(&[]), &[]);
    let narrow = World { limits: Limits { at_once: 2, ..world.limits }, ..world };
    assert_eq!(actions_of(&narrow), [begun(Work::Sound, 0), begun(PIECES[0], 0), begun(PIECES[1], 0)]);
    assert!([Task::Encode, Task::Part(PIECES[0])].iter().all(|task| task.takes_machine()));
    assert!(![Task::Original, Task::Publish, Task::Part(Work::Sound), Task::Part(Work::Join)].iter().any(|task| task.takes_machine()));
}

#[test]
fn names_of_jobs_survive() {
    let id = film("Movies/9-1.mkv", Stage::Claimed).id;
    for task in [Task::Original, Task::Encode, Task::Part(Work::Piece(12)), Task::Part(Work::Sound), Task::Part(Work::Join), Task::Publish]
    {
        let job = Job { id: id.clone(), task, round: 2, attempt: 7 };
        assert_eq!(Job::parse(&job.name()), Some(job));
    }
}

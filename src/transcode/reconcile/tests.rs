use proptest::prelude::*;

use super::super::record::{InLibrary, Part};
use super::*;

mod asked;
mod besides;
mod machines;
mod pieces;

const STAMP: Stamp = Stamp { size: 1000, modified: 7 };

fn now() -> Timestamp {
    "2026-11-23T21:00:00Z".parse().expect("a time")
}

fn empty() -> World {
    let limits = Limits { at_once: 2, reserve: 0, attempts: 3, stable: SignedDuration::from_secs(30) };
    World {
        now: now(),
        films: BTreeMap::new(),
        files: BTreeMap::new(),
        unreadable: BTreeMap::new(),
        jobs: BTreeMap::new(),
        nevers: BTreeMap::new(),
        hosts: BTreeMap::new(),
        machines: Machines::default(),
        dropped: Vec::new(),
        unknown: BTreeSet::new(),
        requests: Vec::new(),
        hold: None,
        paused: false,
        originals_first: BTreeSet::new(),
        in_hardware: BTreeSet::new(),
        splits: BTreeSet::new(),
        played: BTreeMap::new(),
        late: BTreeMap::new(),
        free: u64::MAX,
        trash: 0,
        limits,
    }
}

fn film(path: &str, stage: Stage) -> Film {
    Film { stage, ..Film::dropped(path.into(), "Movies".into(), STAMP, now()) }
}

/// A world of one film.
fn world(film: &Film, files: Files, jobs: &[(Task, u32, JobState)]) -> World {
    let jobs = jobs.iter().map(|(task, attempt, state)| (job(film, *task, *attempt), *state)).collect();
    World { films: [(film.id.clone(), film.clone())].into(), files: [(film.id.clone(), files)].into(), jobs, ..empty() }
}

fn job(film: &Film, task: Task, attempt: u32) -> Job {
    Job { id: film.id.clone(), task, round: film.round, attempt }
}

fn encoded() -> Encoded {
    let film =
        Part { file: "a.mkv".into(), size: 500, sha256: None, duration: 10.0, frames: 250, label: None, content: None, measured: None };
    Encoded {
        film,
        more: Vec::new(),
        remarks: Vec::new(),
        original: false,
        source: STAMP,
        machine: "rarity".into(),
        took: 60.0,
        speed: None,
        at: now(),
    }
}

fn published() -> Published {
    let path = "Movies/Up.mkv".into();
    let film = InLibrary { path, size: 500, sha256: "00".into(), replaced: false, label: None, content: None, measured: None };
    Published {
        film,
        more: Vec::new(),
        remarks: Vec::new(),
        media_server: None,
        media_server_failed: false,
        renamed: None,
        original: false,
        speed: None,
        space: None,
        at: now(),
    }
}

fn failure(permanent: bool) -> Failure {
    Failure {
        who: "a".into(),
        permanent,
        outside: false,
        question: false,
        titles: Vec::new(),
        lacks: None,
        reason: "no film".into(),
        tail: Vec::new(),
        at: now(),
    }
}

fn claimed() -> Files {
    Files { claimed: Some(STAMP), prepared: true, folders: true, ..Files::default() }
}

/// Actions as readable text.
fn actions_of(world: &World) -> Vec<String> {
    let (actions, _) = reconcile(world);
    let word = |action: Action| match action {
        Action::Record(film) => match &film.stage {
            Stage::Claimed => format!("record claimed round {} attempts {}", film.round, film.attempts),
            Stage::Encoded => "record encoded".into(),
            Stage::Published { .. } => "record published".into(),
            Stage::Done { .. } => "record done".into(),
            Stage::Held { question, .. } => format!("record held: {question}"),
            Stage::Failing { reason, .. } => format!("record failing: {reason}"),
            Stage::Failed { .. } => "record failed".into(),
        },
        Action::Claim(..) => "claim".into(),
        Action::Along(_, late) => format!("along {}", late.len()),
        Action::Reclaim(_) => "reclaim".into(),
        Action::Sweep(_) => "sweep".into(),
        Action::Allow(_, who) => format!("allow {who}"),
        Action::Prepare(..) => "prepare".into(),
        Action::Begin(job, _) => format!("begin {:?} {}", job.task, job.attempt),
        Action::Forget(job) => format!("forget {:?} {}", job.task, job.attempt),
        Action::ClearFailure(_) => "clear failure".into(),
        Action::Discard(_) => "discard".into(),
        Action::TrashOriginal(_) => "trash original".into(),
        Action::Renamed(_) => "renamed".into(),
        Action::GiveUp(_) => "give up".into(),
        Action::Tidy(_) => "tidy".into(),
        Action::TakeUp(_) => "take up".into(),
        Action::Dismiss(_) => "dismiss".into(),
        Action::Erase(_) => "erase".into(),
        Action::Answered(_) => "answered".into(),
    };
    actions.into_iter().map(word).collect()
}

#[test]
fn a_drop_is_recorded_before_it_is_claimed() {
    let dropped = Dropped { path: "Movies/Up.mkv".into(), folder: "Movies".into(), stamp: STAMP, flat: false, lacks: None };
    assert_eq!(actions_of(&World { dropped: vec![dropped], ..empty() }), ["record claimed round 1 attempts 0"]);
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let in_watch = Files { dropped: Some(STAMP), ..Files::default() };
    assert_eq!(actions_of(&world(&film, in_watch, &[])), ["claim"], "killed between the two");
    assert_eq!(actions_of(&world(&film, claimed(), &[])), ["begin Encode 0"]);
}

#[test]
fn a_film_passes_through_all_stages() {
    let film = |stage| film("Movies/Up.mkv", stage);
    let finished = Files { encoded: Some(encoded()), ..claimed() };
    let waiting = &[(Task::Encode, 0, JobState::Active)];
    assert_eq!(actions_of(&world(&film(Stage::Claimed), claimed(), waiting)), [""; 0]);
    let succeeded = &[(Task::Encode, 0, JobState::Succeeded)];
    assert_eq!(actions_of(&world(&film(Stage::Claimed), finished.clone(), succeeded)), ["record encoded", "forget Encode 0"]);
    assert_eq!(actions_of(&world(&film(Stage::Encoded), finished.clone(), &[])), ["begin Publish 0"]);
    let there = Files { published: Some(published()), ..finished };
    let publisher = &[(Task::Publish, 0, JobState::Succeeded)];
    assert_eq!(actions_of(&world(&film(Stage::Encoded), there.clone(), publisher)), ["record published", "forget Publish 0"]);
    let stage = Stage::Published { published: published(), machine: "rarity".into(), took: 60.0 };
    assert_eq!(actions_of(&world(&film(stage.clone()), there.clone(), &[])), ["trash original"]);
    assert_eq!(actions_of(&world(&film(stage.clone()), Files { claimed: None, ..there }, &[])), ["tidy"]);
    assert_eq!(actions_of(&world(&film(stage), Files::default(), &[])), ["record done"]);
}

#[test]
fn a_permanent_failure_is_not_retried() {
    let film = |stage| film("Movies/Up.mkv", stage);
    let files = Files { failure: Some(failure(true)), ..claimed() };
    let jobs = &[(Task::Encode, 0, JobState::Active)];
    assert_eq!(actions_of(&world(&film(Stage::Claimed), files.clone(), jobs)), ["record failing: no film", "forget Encode 0"]);
    let failing = Stage::Failing { reason: "no film".into(), tail: Vec::new(), at: now() };
    assert_eq!(actions_of(&world(&film(failing.clone()), files, &[])), ["give up"]);
    let moved = Files { failed: Some(STAMP), reason: true, folders: true, ..Files::default() };
    assert_eq!(actions_of(&world(&film(failing.clone()), moved.clone(), &[])), ["tidy"]);
    assert_eq!(actions_of(&world(&film(failing), Files { folders: false, ..moved }, &[])), ["record failed"]);
}

#[test]
fn a_transient_failure_is_retried_a_few_times() {
    let mut film = film("Movies/Up.mkv", Stage::Claimed);
    let files = Files { failure: Some(failure(false)), ..claimed() };
    assert_eq!(actions_of(&world(&film, files.clone(), &[])), ["record claimed round 1 attempts 1", "clear failure"]);
    film.attempts = 1;
    film.not_before = Some(now() + SignedDuration::from_secs(5));
    film.last_reason = Some("no space".into());
    let (actions, waiting) = reconcile(&world(&film, claimed(), &[]));
    assert_eq!((actions, waiting[&film.id].as_str()), (vec![], "no space; next attempt in 5 s"));
    (film.attempts, film.counted) = (2, 2);
    assert_eq!(actions_of(&world(&film, files.clone(), &[])), ["record failing: no film (tried 3 times)"]);
    film.counted = 1;
    let full = Files { failure: Some(Failure { outside: true, ..failure(false) }), ..claimed() };
    film.attempts = 50;
    assert_eq!(actions_of(&world(&film, full, &[])), ["record claimed round 1 attempts 51", "clear failure"], "the disk was full");
    // The library may be unreachable for a week.
    film.attempts = 100;
    film.stage = Stage::Encoded;
    let files = Files { encoded: Some(encoded()), ..files };
    assert_eq!(actions_of(&world(&film, files, &[])), ["record encoded", "clear failure"]);
}

#[test]
fn a_job_without_a_result_counts_as_an_attempt_and_a_deleted_one_is_created_again() {
    let mut film = film("Movies/Up.mkv", Stage::Claimed);
    let failed = &[(Task::Encode, 0, JobState::Failed)];
    assert_eq!(actions_of(&world(&film, claimed(), failed)), ["record claimed round 1 attempts 1", "forget Encode 0", "clear failure"]);
    film.attempts = 1;
    assert_eq!(actions_of(&world(&film, claimed(), failed)), ["forget Encode 0", "begin Encode 1"], "killed before the Job was deleted");
    assert_eq!(actions_of(&world(&film, claimed(), &[])), ["begin Encode 1"]);
}

#[test]
fn a_film_starts_over_if_its_copy_continued() {
    let grown = Stamp { size: 2000, ..STAMP };
    let mut film = film("Movies/Up.mkv", Stage::Claimed);
    let files = Files { claimed: Some(grown), failure: Some(failure(true)), ..claimed() };
    let jobs = &[(Task::Encode, 0, JobState::Active)];
    assert_eq!(actions_of(&world(&film, files.clone(), jobs)), ["record claimed round 1 attempts 0", "forget Encode 0", "discard"]);
    film.stage = Stage::Encoded;
    assert_eq!(
        actions_of(&world(&film, Files { encoded: Some(encoded()), ..files }, &[])),
        ["record claimed round 1 attempts 0", "discard"]
    );
    film.stage = Stage::Failed { reason: "breaks off".into(), at: now() };
    let files = Files { failed: Some(grown), reason: true, ..Files::default() };
    assert_eq!(actions_of(&world(&film, files.clone(), &[])), ["record claimed round 2 attempts 0"]);
    film.stage = Stage::Claimed;
    film.stamp = grown;
    assert_eq!(actions_of(&world(&film, files, &[])), ["reclaim"]);
    // It was done before the copy continued.
    let mut film = Film { stage: Stage::Done { published: published(), machine: String::new(), took: 1.0 }, stamp: STAMP, ..film };
    let files = |stamp| Files { trashed: Some(stamp), ..Files::default() };
    assert_eq!(actions_of(&world(&film, files(STAMP), &[])), [""; 0]);
    assert_eq!(actions_of(&world(&film, files(grown), &[])), ["record claimed round 2 attempts 0"]);
    film = Film { stage: Stage::Claimed, stamp: grown, ..film };
    assert_eq!(actions_of(&world(&film, files(grown), &[])), ["reclaim"]);
}

#[test]
fn missing_results_are_made_again_and_unknown_films_are_moved_to_failed() {
    let film = film("Movies/Up.mkv", Stage::Encoded);
    assert_eq!(actions_of(&world(&film, claimed(), &[])), ["record claimed round 1 attempts 0"], "work/ was emptied");
    let gone = Film { stage: Stage::Claimed, ..film.clone() };
    assert!(actions_of(&world(&gone, Files::default(), &[]))[0].contains("was deleted"));
    let stranger = World { unknown: [film.id.clone()].into(), jobs: [(job(&film, Task::Encode, 0), JobState::Active)].into(), ..empty() };
    assert_eq!(actions_of(&stranger), ["forget Encode 0", "take up"]);
}

/// The encoder's pod mounts the folder of its film in `work/`, so the folder comes first, and again if it is removed meanwhile.
#[test]
fn a_film_is_prepared_before_its_encoder_starts() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let bare = Files { prepared: false, ..claimed() };
    assert_eq!(actions_of(&world(&film, bare.clone(), &[])), ["prepare", "begin Encode 0"]);
    assert_eq!(actions_of(&world(&film, claimed(), &[])), ["begin Encode 0"]);
    for state in [JobState::Waiting, JobState::Active] {
        assert_eq!(actions_of(&world(&film, bare.clone(), &[(Task::Encode, 0, state)])), ["prepare"]);
        assert_eq!(actions_of(&world(&film, claimed(), &[(Task::Encode, 0, state)])), [""; 0]);
    }
}

#[test]
fn a_film_dropped_again_is_encoded_again_once_the_first_is_done() {
    let dropped = Dropped { path: "Movies/Up.mkv".into(), folder: "Movies".into(), stamp: STAMP, flat: false, lacks: None };
    let first = film("Movies/Up.mkv", Stage::Claimed);
    let running = world(&first, claimed(), &[(Task::Encode, 0, JobState::Active)]);
    assert_eq!(actions_of(&World { dropped: vec![dropped.clone()], ..running }), [""; 0]);
    let done = Film { stage: Stage::Done { published: published(), machine: String::new(), took: 1.0 }, ..first.clone() };
    let over = world(&done, Files::default(), &[]);
    assert_eq!(actions_of(&World { dropped: vec![dropped], ..over }), ["record claimed round 2 attempts 0"]);
    // Another file for the same place in the library: the older one first, or it would replace the newer.
    let mut newer = film("Movies/Up.mp4", Stage::Claimed);
    newer.claimed = now() + SignedDuration::from_secs(1);
    let mut both = world(&first, claimed(), &[(Task::Encode, 0, JobState::Active)]);
    both.films.insert(newer.id.clone(), newer.clone());
    both.files.insert(newer.id.clone(), claimed());
    let (actions, waiting) = reconcile(&both);
    assert!(actions.is_empty() && waiting[&newer.id].contains("earlier copy"), "{actions:?} {waiting:?}");
}

#[test]
fn machines_hours_and_space_are_waited_for() {
    let mut many = empty();
    for number in 0..5 {
        let film = film(&format!("Movies/{number}.mkv"), Stage::Claimed);
        many.files.insert(film.id.clone(), claimed());
        many.films.insert(film.id.clone(), film);
    }
    assert_eq!(actions_of(&many), ["begin Encode 0", "begin Encode 0"]);
    assert_eq!(actions_of(&World { hold: Some("paused".into()), ..many.clone() }), [""; 0]);
    let (film, job) = many.films.iter().next().map(|(_, film)| (film.clone(), job(film, Task::Encode, 0))).expect("one of five");
    for (state, ends) in [(JobState::Waiting, true), (JobState::Active, false)] {
        let held = World { hold: Some("paused".into()), jobs: [(job.clone(), state)].into(), ..many.clone() };
        let wanted = if ends { vec!["forget Encode 0".to_owned()] } else { vec![] };
        assert_eq!(actions_of(&held), wanted, "a waiting Job is deleted, a running one is finished");
        assert_eq!(reconcile(&held).1.contains_key(&film.id), ends);
    }
    let (actions, waiting) = reconcile(&World { free: 100, ..many });
    assert!(
        actions.is_empty() && waiting.len() == 5 && waiting.values().all(|why| why.contains("too little space") && !why.contains("trash"))
    );
}

#[test]
fn a_jobs_name_is_a_label_and_says_what_it_is() {
    let film = film(&format!("Movies/{}.mkv", "a-very-long-name".repeat(10)), Stage::Claimed);
    let job = Job { round: 999, attempt: 12, ..job(&film, Task::Publish, 0) };
    assert!(job.name().len() <= 63, "{}", job.name());
    assert_eq!(Job::parse(&job.name()), Some(job));
    assert_eq!(Job::parse("encode-up"), None);
}

/// The effect of actions on the world, as reconcile sees it; Jobs start at once, and may die.
fn carry_out(world: &mut World, action: Action, dies: bool) {
    fn files<'a>(world: &'a mut World, id: &FilmId) -> &'a mut Files {
        world.files.entry(id.clone()).or_default()
    }
    match action {
        Action::Record(film) => {
            world.dropped.clear();
            world.films.insert(film.id.clone(), *film);
        }
        Action::Claim(id, _) => {
            let files = files(world, &id);
            *files = Files { claimed: files.dropped.take(), folders: true, ..files.clone() };
        }
        Action::Reclaim(id) => {
            let files = files(world, &id);
            *files = Files { claimed: files.failed.take().or(files.trashed.take()), folders: true, reason: false, ..files.clone() };
        }
        Action::Along(id, _) => drop(world.late.remove(&id)),
        Action::Sweep(id) => files(world, &id).left_over = false,
        Action::Allow(id, _) => files(world, &id).ready = None,
        Action::Prepare(id, machines) => {
            let files = files(world, &id);
            (files.prepared, files.machines) = (true, machines);
        }
        Action::Begin(job, _) => {
            // Otherwise its pod would not start.
            assert!(matches!(job.task, Task::Publish | Task::Rename) || files(world, &job.id).prepared);
            world.jobs.insert(job.clone(), if dies { JobState::Failed } else { JobState::Succeeded });
            if !dies {
                let asked = world.films[&job.id].rename.as_ref().map(|rename| rename.asked);
                let files = files(world, &job.id);
                match job.task {
                    Task::Original => files.encoded = Some(Encoded { original: true, ..encoded() }),
                    Task::Encode if files.machines > 1 => {
                        (files.plan, files.planned) = (Some(Plan { round: job.round, ..pieces::plan() }), true);
                    }
                    Task::Encode => files.encoded = Some(encoded()),
                    Task::Part(Work::Join) => {
                        let plan = files.plan.take().expect("what is joined");
                        assert!(plan.works().all(|work| files.done.contains(&work)), "it is whole");
                        *files = Files { encoded: Some(encoded()), planned: false, done: BTreeSet::new(), ..files.clone() };
                    }
                    Task::Part(work) => drop(files.done.insert(work)),
                    Task::Publish => {
                        let original = files.encoded.as_ref().expect("what is published").original;
                        files.published = Some(Published { original, ..published() });
                    }
                    Task::Rename => files.renamed = asked.map(|asked| Renamed { asked, refused: None }),
                }
            }
        }
        Action::Forget(job) => drop(world.jobs.remove(&job)),
        Action::ClearFailure(id) => {
            let files = files(world, &id);
            *files = Files { failure: None, failures: BTreeMap::new(), ..files.clone() };
        }
        Action::Discard(id) => {
            let files = files(world, &id);
            let Files { dropped, claimed, trashed, failed, reason, folders, .. } = files.clone();
            *files = Files { dropped, claimed, trashed, failed, reason, folders, ..Files::default() };
        }
        Action::TrashOriginal(id) => {
            let files = files(world, &id);
            files.trashed = files.claimed.take();
        }
        Action::Renamed(id) => files(world, &id).renamed = None,
        Action::GiveUp(id) => {
            let files = files(world, &id);
            *files = Files { failed: files.claimed.take().or(files.failed), reason: true, ..files.clone() };
        }
        Action::Tidy(id) => {
            let files = files(world, &id);
            let Files { dropped, claimed, trashed, failed, reason, .. } = files.clone();
            *files = Files { dropped, claimed, trashed, failed, reason, ..Files::default() };
        }
        Action::TakeUp(id) => drop(world.unknown.remove(&id)),
        Action::Dismiss(id) => {
            let files = files(world, &id);
            *files = Files { claimed: None, failed: None, reason: false, ..files.clone() };
        }
        Action::Erase(id) => drop(world.films.remove(&id)),
        Action::Answered(request) => world.requests.retain(|other| *other != request),
    }
}

proptest! {
    /// The watcher is killed after any action, and encoders and publishers die at random: the film ends, once, and nothing is left over.
    #[test]
    fn whatever_is_killed_the_film_ends_and_its_original_is_kept(
        kills in proptest::collection::vec((0_usize..4, any::<bool>()), 0..40),
        idle in 1_usize..4,
    ) {
        let mut world = pieces::with_machines(empty(), idle);
        let dropped = Dropped { path: "Movies/Up.mkv".into(), folder: "Movies".into(), stamp: STAMP, flat: false, lacks: None };
        let id = FilmId::new(&dropped.path, STAMP.size, STAMP.modified);
        world.dropped.push(dropped);
        world.files.insert(id.clone(), Files { dropped: Some(STAMP), ..Files::default() });
        let mut kills = kills.into_iter();
        for _ in 0..200 {
            let (actions, _) = reconcile(&world);
            // A round without anything to do, long after every pause.
            world.now += SignedDuration::from_secs(1000);
            let (done, dies) = kills.next().unwrap_or((usize::MAX, false));
            for action in actions.into_iter().take(done) {
                carry_out(&mut world, action, dies);
            }
        }
        let film = &world.films[&id];
        let files = &world.files[&id];
        prop_assert!(film.ended(), "{film:?}");
        prop_assert!(world.jobs.is_empty() && !files.folders && files.claimed.is_none());
        prop_assert_eq!(files.trashed.is_some(), matches!(film.stage, Stage::Done { .. }));
        prop_assert_eq!(files.failed.is_some(), matches!(film.stage, Stage::Failed { .. }));
        prop_assert_eq!(reconcile(&world).0, vec![]);
    }
}

/// The film is in the library with its original's streams first, and then encoded, whatever is cut: the original is always somewhere, and what
/// was in the library stays there.
#[test]
fn an_original_is_published_first_and_replaced_when_nobody_plays_it() {
    let start = film("Movies/Up.mkv", Stage::Claimed);
    let wanted = Film { original: Original::Wanted, ..start.clone() };
    let hours = |world: World| World { hold: Some("outside the hours".into()), ..world };
    assert_eq!(actions_of(&hours(world(&wanted, claimed(), &[]))), ["begin Original 0"], "at any hour");
    assert_eq!(actions_of(&World { paused: true, ..hours(world(&wanted, claimed(), &[])) }), [""; 0]);
    let encoding = &[(Task::Encode, 0, JobState::Active)];
    assert_eq!(actions_of(&world(&wanted, claimed(), encoding)), ["forget Encode 0"], "it was being encoded");
    let copied = Files { encoded: Some(Encoded { original: true, ..encoded() }), ..claimed() };
    assert_eq!(actions_of(&world(&wanted, copied.clone(), &[])), ["record encoded"]);
    let there = Files { published: Some(Published { original: true, ..published() }), ..copied.clone() };
    let published_first = Film { stage: Stage::Encoded, ..wanted.clone() };
    assert_eq!(actions_of(&world(&published_first, there.clone(), &[])), ["record claimed round 2 attempts 0", "discard"]);
    let Some(Action::Record(shown)) = reconcile(&world(&published_first, there.clone(), &[])).0.into_iter().next() else {
        panic!("recorded")
    };
    assert_eq!((shown.original, shown.published().is_some()), (Original::Published, true));
    // Cut before the discard: what was published is not taken for the encoded film.
    assert_eq!(actions_of(&world(&shown, there, &[])), ["discard"]);
    assert_eq!(actions_of(&world(&shown, claimed(), &[])), ["begin Encode 0"]);
    // A copy that continues makes both useless.
    let grown = Files { claimed: Some(Stamp { size: 2000, ..STAMP }), ..claimed() };
    let (actions, _) = reconcile(&world(&shown, grown, &[]));
    assert!(matches!(&actions[0], Action::Record(film) if film.original == Original::Wanted && film.earlier.is_some()), "{actions:?}");
    // Encoded, and somebody watches.
    let finished = Files { encoded: Some(encoded()), ..claimed() };
    let ready = Film { stage: Stage::Encoded, ..(*shown).clone() };
    let watched = World { played: [(ready.id.clone(), "somebody plays it".to_owned())].into(), ..world(&ready, finished.clone(), &[]) };
    let (actions, waiting) = reconcile(&watched);
    assert_eq!((actions, waiting[&ready.id].as_str()), (vec![], "somebody plays it"));
    assert_eq!(actions_of(&world(&ready, finished, &[])), ["begin Publish 0"]);
    // One that can't be published so is encoded as any other.
    let broken = Files { failure: Some(failure(true)), ..claimed() };
    assert_eq!(actions_of(&world(&wanted, broken.clone(), &[])), ["record claimed round 1 attempts 1", "clear failure"]);
    assert!(matches!(&reconcile(&world(&wanted, broken, &[])).0[0], Action::Record(film) if film.original == Original::No));
    // As the folder says; never a disc.
    let dropped = |path: &str| {
        let dropped = Dropped { path: path.into(), folder: "Movies".into(), stamp: STAMP, flat: false, lacks: None };
        let world = World { dropped: vec![dropped], originals_first: ["Movies".to_owned()].into(), ..empty() };
        let Some(Action::Record(film)) = reconcile(&world).0.into_iter().next() else { panic!("recorded") };
        film.original
    };
    assert_eq!(
        (dropped("Movies/Up.mkv"), dropped("Movies/Up.iso"), dropped("Movies/Up/VIDEO_TS")),
        (Original::Wanted, Original::No, Original::No)
    );
}

proptest! {
    /// The same, with its original in the library first, requests at any time, and a player that is on now and then.
    #[test]
    fn whatever_is_killed_what_is_in_the_library_stays_there(
        kills in proptest::collection::vec((0_usize..4, any::<bool>(), 0_u8..12), 0..60),
        idle in 1_usize..4,
    ) {
        let mut world = World { originals_first: ["Movies".to_owned()].into(), ..pieces::with_machines(empty(), idle) };
        let dropped = Dropped { path: "Movies/Up.mkv".into(), folder: "Movies".into(), stamp: STAMP, flat: false, lacks: None };
        let id = FilmId::new(&dropped.path, STAMP.size, STAMP.modified);
        world.dropped.push(dropped);
        world.files.insert(id.clone(), Files { dropped: Some(STAMP), ..Files::default() });
        let mut kills = kills.into_iter();
        let mut shown = false;
        for _ in 0..250 {
            let (done, dies, event) = kills.next().unwrap_or((usize::MAX, false, 0));
            let skipped = world.films.get(&id).is_some_and(|film| film.priority == Priority::Skipped);
            world.played.clear();
            match event {
                1 => world.requests.push(Request::Now(id.clone())),
                2 => world.requests.push(Request::Order(id.clone(), Priority::Skipped)),
                3 => world.requests.push(Request::Order(id.clone(), Priority::First)),
                4 => drop(world.played.insert(id.clone(), "played".to_owned())),
                5 => world.requests.push(Request::Name(id.clone(), "Better".to_owned())),
                // Whoever skipped it wants it after all.
                0 if skipped => world.requests.push(Request::Order(id.clone(), Priority::Normal)),
                _ => {}
            }
            let named = |request: &Request| matches!(request, Request::Name(..));
            if world.films.get(&id).is_none_or(|film| film.stage != Stage::Claimed) {
                world.requests.retain(|request| named(request) && world.films.contains_key(&id));
            }
            let (actions, _) = reconcile(&world);
            world.now += SignedDuration::from_secs(1000);
            for action in actions.into_iter().take(done) {
                carry_out(&mut world, action, dies);
                let files = &world.files[&id];
                let original = [files.dropped, files.claimed, files.trashed, files.failed];
                prop_assert!(original.iter().any(Option::is_some), "the original is nowhere: {:?}", world);
                if let Some(film) = world.films.get(&id) {
                    prop_assert!(film.published().is_some() || !shown, "what is in the library is forgotten: {film:?}");
                    shown |= film.published().is_some();
                    // The original leaves the inbox's part that never expires only for an encoded film.
                    prop_assert!(files.trashed.is_none() || film.published().is_some_and(|published| !published.original), "{film:?}");
                }
            }
        }
        let film = &world.films[&id];
        prop_assert!(film.ended() && film.rename.is_none(), "{film:?}");
        let files = &world.files[&id];
        prop_assert!(world.jobs.is_empty() && !files.folders && files.claimed.is_none());
        prop_assert_eq!(files.trashed.is_some(), matches!(film.stage, Stage::Done { .. }));
    }
}

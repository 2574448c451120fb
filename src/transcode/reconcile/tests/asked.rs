//! What the owner of a film asks for.

use super::*;

#[test]
fn a_film_without_a_name_or_with_a_question_is_held_until_its_owner_answers() {
    let asked = |film: &Film, request: Request| {
        let (actions, _) = reconcile(&World { requests: vec![request], ..world(film, claimed(), &[]) });
        let Some(Action::Record(film)) = actions.into_iter().next() else { panic!("nothing is recorded") };
        *film
    };
    let disc = film("Movies/VIDEO_TS", Stage::Claimed);
    assert!(actions_of(&world(&disc, claimed(), &[]))[0].starts_with("record held: which film is this?"));
    let held = Film { stage: Stage::Held { question: String::new(), titles: Vec::new(), at: now() }, ..disc };
    assert_eq!(actions_of(&world(&held, claimed(), &[])), [""; 0], "it stays where it is");
    let named = asked(&held, Request::Name(held.id.clone(), "Up (2009)".into()));
    assert_eq!(named.place().expect("a place"), std::path::PathBuf::from("Movies/Up (2009).mkv"));
    assert_eq!(actions_of(&world(&named, claimed(), &[])), ["begin Encode 0"]);

    let disc = film("Movies/Up.iso", Stage::Claimed);
    let question = Files { failure: Some(Failure { question: true, ..failure(true) }), ..claimed() };
    assert_eq!(actions_of(&world(&disc, question, &[])), ["record held: no film", "clear failure"]);
    let held = Film { stage: Stage::Held { question: String::new(), titles: Vec::new(), at: now() }, ..disc };
    assert_eq!(asked(&held, Request::Titles(held.id.clone(), vec![2])).titles, Some(vec![2]));
    let grown = Files { claimed: Some(Stamp { size: 2000, ..STAMP }), ..claimed() };
    assert_eq!(actions_of(&world(&held, grown, &[])), ["record claimed round 1 attempts 0", "discard"], "its copy continued");
    let requested = |request| actions_of(&World { requests: vec![request], ..world(&held, claimed(), &[]) });
    assert_eq!(requested(Request::Dismiss(held.id.clone())), ["dismiss", "answered"]);
    assert_eq!(actions_of(&world(&held, Files::default(), &[])), ["erase"], "it was dismissed");
}

#[test]
fn a_failed_film_that_its_owner_removed_is_forgotten() {
    let failed = film("Movies/Up.mkv", Stage::Failed { reason: String::new(), at: now() });
    let there = Files { failed: Some(STAMP), reason: true, ..Files::default() };
    assert_eq!(actions_of(&world(&failed, there.clone(), &[])), [""; 0]);
    assert_eq!(actions_of(&world(&failed, Files { reason: true, ..Files::default() }, &[])), ["erase"]);
    let accept = World { requests: vec![Request::Accept(failed.id.clone())], ..world(&failed, there, &[]) };
    assert!(matches!(&reconcile(&accept).0[0], Action::Record(film) if film.accepted && film.round == 2));
}

#[test]
fn users_can_request_films_again() {
    let done = film("Movies/Up.mkv", Stage::Done { published: published(), machine: String::new(), took: 1.0 });
    let trashed = Files { trashed: Some(STAMP), ..Files::default() };
    let asked = |film: &Film, files: Files, request: Request| actions_of(&World { requests: vec![request], ..world(film, files, &[]) });
    let again = ["record claimed round 2 attempts 0", "answered"];
    assert_eq!(asked(&done, trashed.clone(), Request::Redo(done.id.clone())), again);
    assert_eq!(asked(&done, Files::default(), Request::Redo(done.id.clone())), ["answered"], "the original is gone");
    assert_eq!(asked(&done, trashed, Request::Retry(done.id.clone())), ["answered"], "it has not failed");
    let failed = film("Movies/Up.mkv", Stage::Failed { reason: String::new(), at: now() });
    let files = Files { failed: Some(STAMP), reason: true, ..Files::default() };
    assert_eq!(asked(&failed, files, Request::Retry(failed.id.clone())), again);
}

/// By a publisher, as nothing else may write to the library; what is encoded for it goes on.
#[test]
fn a_film_in_the_library_gets_another_name() {
    let told = Some("Plex shows the film".to_owned());
    let published = || Published { media_server: told.clone(), at: now() - SignedDuration::from_hours(48), ..published() };
    let done = film("Movies/Up.mkv", Stage::Done { published: published(), machine: String::new(), took: 1.0 });
    let asked = |film: &Film, name: &str| {
        let request = Request::Name(film.id.clone(), name.into());
        let (actions, _) = reconcile(&World { requests: vec![request], ..world(film, Files::default(), &[]) });
        match actions.into_iter().next() {
            Some(Action::Record(film)) => Some(*film),
            _ => None,
        }
    };
    assert!(["../Up", "a/b", ".hidden", ""].iter().all(|name| asked(&done, name).is_none()));
    let wanted = asked(&done, "Up (2009)").expect("recorded");
    assert_eq!(wanted.published().expect("it is there").film.path, std::path::PathBuf::from("Movies/Up.mkv"), "not yet");
    assert_eq!(actions_of(&world(&wanted, Files::default(), &[])), ["begin Rename 0"]);
    let job = |state| vec![(Task::Rename, 0, state)];
    assert_eq!(actions_of(&world(&wanted, Files::default(), &job(JobState::Active))), [""; 0]);
    assert_eq!(actions_of(&world(&wanted, Files::default(), &job(JobState::Failed))), ["record done", "forget Rename 0"], "tried again");
    let said = |refused: Option<&str>| {
        let renamed = Renamed { asked: now(), refused: refused.map(str::to_owned) };
        let files = Files { renamed: Some(renamed), ..Files::default() };
        let there = world(&wanted, files, &job(JobState::Succeeded));
        assert_eq!(actions_of(&there), ["record done", "forget Rename 0", "renamed"]);
        let Some(Action::Record(film)) = reconcile(&there).0.into_iter().next() else { panic!("recorded") };
        assert_eq!(film.rename, None);
        film.published().expect("it is there").clone()
    };
    assert_eq!(said(None).film.path, std::path::PathBuf::from("Movies/Up (2009).mkv"));
    assert_eq!((said(None).media_server, said(None).named()), (None, now()), "media servers get to know it");
    let refused = said(Some("it is taken"));
    assert_eq!((&refused.media_server, refused.named()), (&told, published().at), "nothing is new");
    assert_eq!((refused.film.path, refused.remarks.len()), (std::path::PathBuf::from("Movies/Up.mkv"), 1));
    // What was said of another name says nothing of this one.
    let earlier = Renamed { asked: now() - SignedDuration::from_secs(1), refused: None };
    let files = Files { renamed: Some(earlier), ..Files::default() };
    assert_eq!(actions_of(&world(&wanted, files, &[])), ["begin Rename 0"]);

    // Its original is there until it is encoded: it is published once that has its name.
    let earlier = Some(Published { original: true, ..published() });
    let first = Film { original: Original::Published, earlier, ..film("Movies/Up.mkv", Stage::Claimed) };
    let wanted = asked(&first, "Better").expect("recorded");
    assert_eq!(actions_of(&world(&wanted, claimed(), &[])), ["begin Rename 0", "begin Encode 0"]);
    let ready = Film { stage: Stage::Encoded, ..wanted };
    let finished = Files { encoded: Some(encoded()), ..claimed() };
    assert_eq!(actions_of(&world(&ready, finished.clone(), &job(JobState::Active))), [""; 0]);
    let publishes = &[(Task::Publish, 0, JobState::Active)];
    assert_eq!(actions_of(&world(&ready, finished.clone(), publishes)), [""; 0], "one after the other");
    let renamed = Some(Renamed { asked: now(), refused: None });
    let (actions, _) = reconcile(&world(&ready, Files { renamed, ..finished }, &[]));
    let Some(Action::Record(film)) = actions.into_iter().next() else { panic!("recorded") };
    assert_eq!(film.place().expect("a place"), film.earlier.expect("it is there").film.path);
}

/// Nothing is done with it, nor with what is there of it.
#[test]
fn a_film_that_can_not_be_read_is_left_alone() {
    let (one, other) = (film("Movies/Up.mkv", Stage::Claimed), film("Movies/Down.mkv", Stage::Claimed));
    let mut both = world(&one, Files::default(), &[(Task::Encode, 0, JobState::Failed)]);
    both.unreadable = [(one.id.clone(), "it can't be read".to_owned())].into();
    both.unknown.insert(one.id.clone());
    both.requests.push(Request::Order(one.id.clone(), Priority::First));
    both.films.insert(other.id.clone(), other.clone());
    both.files.insert(other.id.clone(), claimed());
    let dropped = Dropped { path: one.path.clone(), folder: "Movies".into(), stamp: STAMP, flat: false, lacks: None };
    both.dropped.push(dropped);
    assert_eq!(actions_of(&both), ["begin Encode 0"], "of the other");
    both.films.remove(&one.id);
    assert_eq!(actions_of(&both), ["begin Encode 0"], "its record can't be read");
}

#[test]
fn films_are_encoded_in_the_order_of_their_owner() {
    let mut many = empty();
    let mut ids = Vec::new();
    for number in 0..4 {
        let film = film(&format!("Movies/{number}.mkv"), Stage::Claimed);
        let film = Film { claimed: now() + SignedDuration::from_secs(number), ..film };
        ids.push(film.id.clone());
        many.files.insert(film.id.clone(), claimed());
        many.films.insert(film.id.clone(), film);
    }
    let begun = |world: &World| {
        let jobs = reconcile(world).0.into_iter().filter_map(|action| match action {
            Action::Begin(job, _) => ids.iter().position(|id| *id == job.id),
            _ => None,
        });
        jobs.collect::<Vec<_>>()
    };
    assert_eq!(begun(&many), [0, 1]);
    for (number, priority) in [(0, Priority::Later), (1, Priority::Skipped), (3, Priority::First)] {
        let asked = World { requests: vec![Request::Order(ids[number].clone(), priority)], ..many.clone() };
        let Some(Action::Record(film)) = reconcile(&asked).0.into_iter().next() else { panic!("recorded") };
        many.films.insert(film.id.clone(), *film);
    }
    assert_eq!(begun(&many), [3, 2]);
    many.limits.at_once = 4;
    assert_eq!(begun(&many), [3, 2, 0], "what is skipped waits");
    assert_eq!(reconcile(&many).1[&ids[1]], "skipped");
    // Its Job ends, and nothing else happens to it.
    let skipped = many.films[&ids[1]].clone();
    assert_eq!(actions_of(&world(&skipped, claimed(), &[(Task::Encode, 0, JobState::Active)])), ["forget Encode 0"]);
}

/// What its owner took as it was is that one original, at that time.
#[test]
fn a_film_that_was_accepted_is_verified_when_it_is_begun_anew() {
    let recorded = |world: &World| match reconcile(world).0.into_iter().next() {
        Some(Action::Record(film)) => *film,
        action => panic!("{action:?}"),
    };
    let accepted = |stage| Film { accepted: true, ..film("Movies/Up.mkv", stage) };
    let done = accepted(Stage::Done { published: published(), machine: String::new(), took: 1.0 });
    let trashed = Files { trashed: Some(STAMP), ..Files::default() };
    let redo = World { requests: vec![Request::Redo(done.id.clone())], ..world(&done, trashed, &[]) };
    assert!(!recorded(&redo).accepted);
    let grown = Stamp { size: 2000, ..STAMP };
    assert!(!recorded(&world(&done, Files { trashed: Some(grown), ..Files::default() }, &[])).accepted);
    let begun = accepted(Stage::Claimed);
    assert!(!recorded(&world(&begun, Files { claimed: Some(grown), ..claimed() }, &[])).accepted);
    let failed = accepted(Stage::Failed { reason: String::new(), at: now() });
    let files = Files { failed: Some(STAMP), reason: true, ..Files::default() };
    let retry = World { requests: vec![Request::Retry(failed.id.clone())], ..world(&failed, files, &[]) };
    assert!(!recorded(&retry).accepted);
    // Its streams were published first: what is encoded for them is the same film.
    let first = Film { original: Original::Wanted, ..accepted(Stage::Encoded) };
    let files = Files { published: Some(Published { original: true, ..published() }), ..claimed() };
    assert!(recorded(&world(&first, files, &[])).accepted);
}

#[test]
fn a_film_that_is_skipped_can_be_dismissed_and_blocks_no_better_one() {
    let skipped = Film { priority: Priority::Skipped, ..film("Movies/Up.mkv", Stage::Claimed) };
    let mut both = world(&skipped, claimed(), &[]);
    let better = film("Movies/Up.mp4", Stage::Claimed);
    let better = Film { claimed: now() + SignedDuration::from_secs(1), ..better };
    assert_eq!(better.place().expect("a place"), skipped.place().expect("a place"));
    both.files.insert(better.id.clone(), claimed());
    both.films.insert(better.id.clone(), better);
    assert_eq!(actions_of(&both), ["begin Encode 0"]);
    let dismiss = World { requests: vec![Request::Dismiss(skipped.id.clone())], ..world(&skipped, claimed(), &[]) };
    assert_eq!(actions_of(&dismiss), ["dismiss", "answered"]);
    assert_eq!(actions_of(&world(&skipped, Files { folders: true, ..Files::default() }, &[])), ["tidy"]);
    assert_eq!(actions_of(&world(&skipped, Files::default(), &[])), ["erase"]);
}

//! What happens besides encoding: leftovers, what came late, a film that is played, a clock that is set.

use super::*;

/// While the film waits for room, above all.
#[test]
fn what_killed_encoders_left_is_removed() {
    let film = film("Movies/Up.mkv", Stage::Claimed);
    let files = Files { left_over: true, ..claimed() };
    assert_eq!(actions_of(&World { free: 0, ..world(&film, files.clone(), &[]) }), ["sweep"]);
    assert_eq!(actions_of(&world(&film, files.clone(), &[])), ["sweep", "begin Encode 0"]);
    assert_eq!(actions_of(&world(&film, files.clone(), &[(Task::Encode, 0, JobState::Active)])), [""; 0], "one is at it");
    let skipped = Film { priority: Priority::Skipped, ..film };
    assert_eq!(actions_of(&world(&skipped, files, &[])), ["sweep"]);
}

/// Between the first question and the last byte of a copy, an evening may begin.
#[test]
fn what_is_played_is_asked_again_when_the_film_is_copied() {
    let film = Film { original: Original::Published, ..film("Movies/Up.mkv", Stage::Encoded) };
    let files = Files { encoded: Some(encoded()), ready: Some("one".into()), ..claimed() };
    let copied = world(&film, files.clone(), &[(Task::Publish, 0, JobState::Active)]);
    let played = World { played: [(film.id.clone(), "it is played".to_owned())].into(), ..copied.clone() };
    assert_eq!((actions_of(&copied), actions_of(&played)), (vec!["allow one".to_owned()], Vec::new()));
    assert_eq!(reconcile(&played).1[&film.id], "it is played");
    let allowed = world(&film, Files { ready: None, ..files }, &[(Task::Publish, 0, JobState::Active)]);
    assert_eq!(actions_of(&allowed), [""; 0]);
}

#[test]
fn what_came_late_goes_along_until_its_film_is_published() {
    let late = |stage: Stage, jobs: &[(Task, u32, JobState)]| {
        let film = film("Movies/Up.mkv", stage);
        let files = Files { encoded: Some(encoded()), ..claimed() };
        let world = world(&film, files, jobs);
        actions_of(&World { late: [(film.id, vec!["Movies/Up.srt".into()])].into(), ..world }).first().cloned().unwrap_or_default()
    };
    assert_eq!(late(Stage::Claimed, &[]), "along 1");
    assert_eq!(late(Stage::Encoded, &[]), "along 1");
    assert_ne!(late(Stage::Encoded, &[(Task::Publish, 0, JobState::Active)]), "along 1");
    assert_ne!(late(Stage::Failed { reason: String::new(), at: now() }, &[]), "along 1");
}

/// A machine without a battery begins in another year, until it has the time from the network.
#[test]
fn a_clock_that_is_set_back_keeps_no_film_waiting() {
    let waits = |not_before: Timestamp| {
        let film = Film { not_before: Some(not_before), ..film("Movies/Up.mkv", Stage::Claimed) };
        actions_of(&world(&film, claimed(), &[])).is_empty()
    };
    assert!(waits(now() + SignedDuration::from_mins(15)) && waits(now() + SignedDuration::from_secs(1)));
    assert!(!waits(now() + SignedDuration::from_mins(16)) && !waits(now() + SignedDuration::from_hours(24 * 365)) && !waits(now()));
}

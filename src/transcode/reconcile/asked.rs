//! What a drop or a request of a user makes of a film's record.

use jiff::Timestamp;

use super::super::film::FilmId;
use super::super::layout::is_name;
use super::super::ledger::{Film, Original, Priority, Rename, Stage};
use super::super::record::Stamp;
use super::{Action, Dropped, Request, World};

/// A film that is dropped for the first time, or again after it ended. `None`: it is being processed; this drop waits.
pub(super) fn noticed(world: &World, dropped: &Dropped) -> Option<Film> {
    let id = FilmId::new(&dropped.path, dropped.stamp.size, dropped.stamp.modified);
    if world.unreadable.contains_key(&id) {
        return None;
    }
    let round = match world.films.get(&id) {
        Some(film) if !film.ended() => return None,
        Some(film) => film.round + 1,
        None => 1,
    };
    let new = Film::dropped(dropped.path.clone(), dropped.folder.clone(), dropped.stamp, world.now);
    let earlier = world.films.get(&new.id).and_then(Film::published).cloned();
    let film = Film { round, flat: dropped.flat, earlier, ..new };
    let first = world.originals_first.contains(&film.folder) && !film.is_disc() && film.unnamed().is_none();
    Some(Film { original: if first { Original::Wanted } else { Original::No }, ..film })
}

pub(super) fn requested(world: &World, request: &Request) -> Option<Action> {
    let film = world.films.get(request.id())?;
    let files = world.files.get(request.id())?;
    let anew = |source: Option<Stamp>| source.map(|source| begun_anew(film, source, world.now, film.round + 1));
    let held = matches!(film.stage, Stage::Held { .. });
    let answered = || Film { stage: Stage::Claimed, ..film.clone() };
    let film = match (request, &film.stage) {
        (Request::Dismiss(_), Stage::Failed { .. } | Stage::Held { .. }) => return Some(Action::Dismiss(film.id.clone())),
        (Request::Dismiss(_), Stage::Claimed) if film.priority == Priority::Skipped => return Some(Action::Dismiss(film.id.clone())),
        (Request::Retry(_), Stage::Failed { .. }) => anew(files.failed),
        (Request::Retry(_), Stage::Held { .. }) => Some(answered()),
        (Request::Accept(_), Stage::Failed { .. }) => anew(files.failed).map(|film| Film { accepted: true, ..film }),
        (Request::Redo(_), Stage::Done { .. }) => anew(files.trashed),
        (Request::Now(_), Stage::Claimed) if film.original == Original::No && !film.is_disc() => {
            let priority = if film.priority == Priority::Skipped { Priority::Normal } else { film.priority };
            Some(Film { original: Original::Wanted, priority, not_before: None, ..film.clone() })
        }
        (Request::Order(_, priority), Stage::Claimed) => Some(Film { priority: *priority, ..film.clone() }),
        // The page has checked it; whoever writes to the share may not have.
        (Request::Name(_, name), _) if !is_name(name) => None,
        (Request::Name(_, name), _) if film.renamable().is_some() => {
            let rename = Rename { name: name.clone(), asked: world.now, tries: 0, not_before: None };
            Some(Film { rename: Some(rename), ..film.clone() })
        }
        (Request::Titles(_, titles), Stage::Held { .. }) => Some(Film { titles: Some(titles.clone()), ..answered() }),
        (Request::Name(_, name), Stage::Claimed | Stage::Encoded | Stage::Held { .. }) => {
            let stage = if held { Stage::Claimed } else { film.stage.clone() };
            let rename = film.rename.clone().map(|rename| Rename { name: name.clone(), ..rename });
            Some(Film { name: Some(name.clone()), rename, stage, ..film.clone() })
        }
        _ => None,
    }?;
    Some(Action::Record(Box::new(film)))
}

pub(super) fn begun_anew(film: &Film, stamp: Stamp, now: Timestamp, round: u32) -> Film {
    let earlier = film.published().cloned();
    let (attempts, counted, last_reason, not_before) = (0, 0, None, None);
    Film {
        stamp,
        round,
        earlier,
        claimed: now,
        stage: Stage::Claimed,
        attempts,
        counted,
        last_reason,
        not_before,
        needs: None,
        whole: None,
        host: None,
        // What its owner took as it was is verified again.
        accepted: false,
        ..film.clone()
    }
}

impl Request {
    pub fn id(&self) -> &FilmId {
        match self {
            Request::Retry(id)
            | Request::Redo(id)
            | Request::Name(id, _)
            | Request::Titles(id, _)
            | Request::Accept(id)
            | Request::Dismiss(id)
            | Request::Now(id)
            | Request::Order(id, _) => id,
        }
    }
}

//! The Jobs of films, and their names.

use super::super::film::FilmId;
use super::super::split::Work;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Copies the original's streams, to publish them until the film is encoded.
    Original,
    /// Encodes a film; or plans to encode it in pieces, and encodes nothing then.
    Encode,
    /// A part of the work on a film in pieces.
    Part(Work),
    Publish,
    /// Gives what is in the library another name.
    Rename,
}

impl Task {
    /// Whether it takes all cores of a machine.
    pub fn takes_machine(self) -> bool {
        matches!(self, Task::Encode | Task::Part(Work::Piece(_)))
    }
}

/// A Job of the cluster, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    pub id: FilmId,
    pub task: Task,
    pub round: u32,
    /// From 0.
    pub attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It has not started, e.g. because no machine is free.
    Waiting,
    /// It has not ended, or is being deleted.
    Active,
    Succeeded,
    /// All its pods are gone or have failed.
    Failed,
}

impl JobState {
    /// Whether it has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, JobState::Waiting | JobState::Active)
    }
}

impl Job {
    /// A DNS label, unique for each attempt.
    pub fn name(&self) -> String {
        let task = match self.task {
            Task::Original => "original".to_owned(),
            Task::Encode => "encode".to_owned(),
            Task::Part(work) => work.to_string(),
            Task::Publish => "publish".to_owned(),
            Task::Rename => "rename".to_owned(),
        };
        format!("{task}-{}-{}-{}", self.id, self.round, self.attempt)
    }

    /// `None`: not a name from [`Job::name`].
    pub fn parse(name: &str) -> Option<Job> {
        let (task, rest) = name.split_once('-')?;
        let task = match task {
            "original" => Task::Original,
            "encode" => Task::Encode,
            "publish" => Task::Publish,
            "rename" => Task::Rename,
            part => Task::Part(part.parse().ok()?),
        };
        let (rest, attempt) = rest.rsplit_once('-')?;
        let (id, round) = rest.rsplit_once('-')?;
        Some(Job { id: FilmId::parse(id)?, task, round: round.parse().ok()?, attempt: attempt.parse().ok()? })
    }
}

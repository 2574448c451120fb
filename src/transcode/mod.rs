//! The workload: a film dropped into a folder comes out, verified, in the library.
//!
//! All state is files on the inbox share ([`layout`]): the watcher claims a film by a rename, an encoder and a publisher work on it, and
//! each leaves what it found out as a file beside it. Whatever is killed at whatever moment, the next look at the files goes on from there.

pub mod again;
pub mod cluster;
pub mod encode;
pub mod film;
pub mod handbrake;
pub mod jobs;
pub mod layout;
pub mod ledger;
pub mod look;
pub mod media_server;
pub mod news;
pub mod page;
pub mod perform;
pub mod pod;
pub mod publish;
pub mod reconcile;
pub mod record;
pub mod share;
pub mod trash;
pub mod verify;
pub mod view;
pub mod watch;

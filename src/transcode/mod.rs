//! The transcoding workload: films dropped into a folder are encoded, verified and published to the library.
//!
//! All state is in files on the inbox share ([`layout`]): the watcher claims a film with a rename, an encoder and a publisher process it, and
//! each writes its result to a file of its own folder. Whatever is killed at any time, the next round continues from the files.

pub mod access;
pub mod again;
pub mod cluster;
pub mod content;
pub mod disc;
pub mod encode;
pub mod ffmpeg;
pub mod film;
pub mod from_encoder;
pub mod handbrake;
pub mod jobs;
pub mod kind;
pub mod late;
pub mod layout;
pub mod ledger;
pub mod machines;
pub mod measure;
pub mod media_server;
pub mod name;
pub mod news;
pub mod observe;
pub mod order;
pub mod page;
pub mod perform;
pub mod playing;
pub mod pod;
pub mod prove;
pub mod publish;
pub mod reconcile;
pub mod record;
pub mod rename;
pub mod share;
pub mod split;
pub mod tell;
pub mod titles;
pub mod trash;
pub mod verify;
pub mod view;
pub mod walk;
pub mod watch;

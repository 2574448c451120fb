//! SSH to the machines: one connection per machine for a whole run, strict host keys, scripts through standard input.
//!
//! [`Target`] is how to reach a machine, [`Access`] is what all connections of a run share, [`Session`] is a connection.

mod access;
mod auth;
mod bounds;
mod cipher;
mod config;
mod error;
mod glob;
mod host_key;
mod install;
mod known_hosts;
mod pattern;
mod remember;
mod run;
mod session;
mod stream;
mod sudo;
mod target;
mod turn;

pub use access::{ATTEMPTS, Access, Limits, NewHostKeys};
pub use auth::own_keys;
pub use bounds::Bounds;
pub use error::{ConnectError, Reason};
pub use host_key::{Pin, fingerprint, known_ed25519};
pub use install::install_key;
pub use known_hosts::{Entry, other_entries};
pub use remember::{forget, remember, replace};
pub use run::{Exit, Line, Part, Payload, RunError};
pub use session::{Session, fetch_host_key};
pub use sudo::{Root, SudoError, SudoReason};
pub use target::{Account, Methods, Target};
pub use turn::{Turn, Turns};

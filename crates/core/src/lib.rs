//! hostler's pure core: what should be ([`inventory`]), what is ([`facts`]), and what to do about the difference ([`plan`]), down to the
//! very scripts that machines run ([`action`], [`template`]).
//!
//! Everything here is a function of its arguments: no network, disk, process, environment or clock. `clippy.toml` beside this crate holds
//! that, and `.ci/run` the list of crates that it may depend on.

pub mod action;
pub mod digest;
pub mod document;
pub mod facts;
pub mod failure;
pub mod films;
pub mod health;
pub mod inventory;
pub mod manifest;
pub mod plan;
pub mod protocol;
pub mod quantity;
pub mod record;
pub mod step;
pub mod template;
pub mod words;

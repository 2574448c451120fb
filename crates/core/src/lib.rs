//! hostler's pure core: the desired state ([`inventory`]), the present state ([`facts`]), and the steps between them ([`plan`]), including the
//! scripts that machines run ([`action`], [`template`]).
//!
//! Everything here is a function of its arguments: no network, disk, process, environment or clock. `clippy.toml` next to this crate enforces
//! that, and `.ci/run` checks the dependencies.

pub mod action;
pub mod arch;
pub mod bech32;
pub mod digest;
pub mod document;
pub mod facts;
pub mod failure;
pub mod films;
pub mod health;
pub mod install;
pub mod inventory;
pub mod kubeadm_files;
pub mod manifest;
pub mod notify;
pub mod pins;
pub mod plan;
pub mod protocol;
pub mod quantity;
pub mod record;
pub mod share;
pub mod static_pod;
pub mod step;
pub mod template;
pub mod trusted;
pub mod version;
pub mod visible;
pub mod words;

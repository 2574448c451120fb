//! The transcoding workload as data: its settings, which inventory, planner and pods share, and the cluster's objects.

mod actions;
pub mod encoder;
pub mod language;
pub mod manifests;
pub mod settings;
mod share;

pub use actions::Actions;
pub use share::{Owner, Share};

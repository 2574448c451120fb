//! The transcoding workload as data: its settings, which inventory, planner and pods share, and the cluster's objects.

mod actions;
pub mod encoder;
pub mod language;
pub mod manifests;
mod owner;
pub mod settings;

pub use actions::Actions;
pub use owner::Owner;

//! The computer that hostler was called on: its programs and packages, and work that takes a while.

pub mod apt;
pub mod packages;
pub mod program;
pub mod room;
pub mod task;

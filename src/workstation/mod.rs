//! The computer that hostler runs on: its programs and packages, and long tasks.

pub mod apt;
pub mod packages;
pub mod program;
pub mod room;
pub mod task;

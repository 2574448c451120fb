//! The system of machines that hostler installs: its image, and the stick, or the running system, that brings it there.

pub mod awaited;
mod fat;
pub mod host_key;
pub mod image;
mod initrd;
pub mod order;
pub mod reinstall;
pub mod stick;
pub mod tables;

//! The system of machines that hostler installs: its image, and the stick that brings it there.

pub mod awaited;
pub mod host_key;
pub mod image;
mod initrd;
pub mod stick;

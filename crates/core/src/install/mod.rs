//! The installation of a machine's system: what the installer is ordered to do, which disk it writes to, and where on it.

pub mod content;
pub mod disk;
pub mod erasure;
pub mod layout;
pub mod letters;
pub mod mark;
pub mod order;
pub mod stick;

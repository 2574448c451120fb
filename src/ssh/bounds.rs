//! How much a machine may say, and how long it may take: its sshd, its sudo and its scripts may be anybody's.

use std::time::Duration;

/// Limits for the output of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of both outputs together.
    pub bytes: u64,
    /// From the request for a channel until the command has ended.
    pub time: Duration,
}

const MIB: u64 = 1 << 20;

impl Bounds {
    /// Facts: those of a control plane of a hundred nodes are a tenth of it. A loaded machine needs a second; a slow one that has to read all of
    /// its programs from disk, a minute.
    pub const FACTS: Bounds = Bounds { bytes: 16 * MIB, time: Duration::from_secs(180) };
    /// A small file, such as admin.conf, or the words of a program that was asked to do something small.
    pub const FILE: Bounds = Bounds { bytes: MIB, time: Duration::from_secs(60) };
    /// An archive of a control plane, in base64: [`snapshot::MOST`](crate::snapshot::MOST) bytes.
    pub const SNAPSHOT: Bounds = Bounds { bytes: crate::snapshot::MOST / 3 * 4 + MIB, time: Duration::from_secs(30 * 60) };
    /// The words of a step's script, all of which are in the log of the run. How long it may take, its action says.
    pub const STEP: Bounds = Bounds { bytes: 64 * MIB, time: Duration::MAX };
    /// sudo's words. How long it may take, [`Limits`](super::Limits) say.
    pub const SUDO_BYTES: u64 = 64 << 10;
}

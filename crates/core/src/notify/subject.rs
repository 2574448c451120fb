//! Kinds of findings, and how they are told apart.

/// What a finding is about: with what it is about, its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Certificate,
    Renewal,
    Disk,
    DiskFails,
    Snapshot,
    SnapshotCopy,
    SnapshotAge,
    Reboot,
    Api,
    ApiWrite,
    Node,
    Pressure,
    Member,
}

impl Subject {
    #[cfg(test)]
    pub(super) const ALL: [Subject; 13] = {
        use Subject::*;
        [Certificate, Renewal, Disk, DiskFails, Snapshot, SnapshotCopy, SnapshotAge, Reboot, Api, ApiWrite, Node, Pressure, Member]
    };

    /// `of`: of the machine, node or member; `part`: of that.
    pub(super) fn key(self, of: &str, part: &str) -> String {
        match self {
            Subject::Certificate => format!("certificate/{of}"),
            Subject::Renewal => format!("renewal/{of}"),
            Subject::Disk => format!("disk/{of}"),
            Subject::DiskFails => format!("disk-fails/{part}/{of}"),
            Subject::Snapshot => format!("snapshot/{of}"),
            Subject::SnapshotCopy => format!("snapshot-copy/{of}"),
            Subject::SnapshotAge => format!("snapshot-age/{of}"),
            Subject::Reboot => format!("reboot/{of}"),
            Subject::Api => format!("api/{of}"),
            Subject::ApiWrite => format!("api/{of}/write"),
            Subject::Node => format!("node/{of}"),
            Subject::Pressure => format!("node/{of}/{part}"),
            Subject::Member => format!("member/{of}"),
        }
    }
}

//! What is on a disk, by its first and last bytes: enough to never take data for an empty disk, and to say what it is.

use std::fmt;

use super::layout;
use crate::quantity::size;
use crate::visible::visible;
use crate::words::and;

/// As many bytes at the beginning of a disk and of a partition are read: the last signature, ZFS's, is in its first 256 KiB.
pub const HEAD: usize = 1 << 20;
/// As many at its end: RAID metadata of old versions, and of firmware.
pub const TAIL: usize = 1 << 20;

/// Of those, so many at either end may be an empty table's own: GPT's header and entries, with sectors of 4096 bytes.
const TABLE: usize = 6 * 4096;

/// What a disk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing but zeros where anything could begin, but for a table without partitions.
    Empty,
    /// An installation that was interrupted, which may be started over.
    Unfinished,
    /// A system that hostler installed, by the order of this [short id](super::order::Order::short_id).
    Installed { order: String },
    Data {
        /// What is on it, a text for each part.
        parts: Vec<String>,
        /// The array that it belongs to, if any.
        array: Option<&'static str>,
    },
}

impl Content {
    pub fn is_data(&self) -> bool {
        matches!(self, Content::Installed { .. } | Content::Data { .. })
    }

    pub fn array(&self) -> Option<&'static str> {
        match self {
            Content::Data { array, .. } => *array,
            _ => None,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Empty => f.write_str("empty"),
            Content::Unfinished => f.write_str("an interrupted installation"),
            Content::Installed { .. } => f.write_str("a system that hostler installed"),
            Content::Data { parts, .. } => f.write_str(&and(parts)),
        }
    }
}

/// A partition, as its table has it, with its first and last bytes.
#[derive(Debug, Clone)]
pub struct Partition<'a> {
    /// Of GPT; empty where there is none.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    pub head: &'a [u8],
    pub tail: &'a [u8],
}

/// What a whole disk holds, given its first [`HEAD`] and last [`TAIL`] bytes and its partitions. `None`: its table can't be read.
pub fn of_disk(head: &[u8], tail: &[u8], partitions: Option<&[Partition]>) -> Content {
    let whole = signature(head, tail);
    let Some(partitions) = partitions else {
        let zero = head.iter().chain(tail).all(|&byte| byte == 0);
        let part = match whole {
            None if zero => return Content::Empty,
            Some(signature) => signature.name.to_owned(),
            None => "data of an unknown kind".to_owned(),
        };
        return Content::Data { parts: vec![part], array: whole.and_then(|signature| signature.array) };
    };
    if whole.is_none() {
        if partitions.is_empty() {
            let mut outside = head.iter().skip(TABLE).chain(tail.iter().rev().skip(TABLE));
            if outside.all(|&byte| byte == 0) {
                return Content::Empty;
            }
            return Content::Data { parts: vec!["data of an unknown kind, outside its empty partition table".to_owned()], array: None };
        }
        let own = |partition: &Partition| layout::is_own(partition.name);
        if partitions.iter().all(own) {
            if let Some(order) = partitions.iter().find_map(|partition| layout::order_of(partition.name)) {
                return Content::Installed { order: order.to_owned() };
            }
            if partitions.iter().any(|partition| partition.name == layout::UNFINISHED) {
                return Content::Unfinished;
            }
        }
    }
    let signatures: Vec<Option<Signature>> = partitions.iter().map(|partition| signature(partition.head, partition.tail)).collect();
    let mut parts: Vec<String> = whole.iter().map(|signature| signature.name.to_owned()).collect();
    for (partition, signature) in partitions.iter().zip(&signatures) {
        let name = if partition.name.is_empty() { String::new() } else { format!("`{}` ", visible(partition.name)) };
        let kind = signature.map_or("unknown", |signature| signature.name);
        parts.push(format!("partition {name}({}, {kind})", size(partition.size)));
    }
    let array = whole.iter().chain(signatures.iter().flatten()).find_map(|signature| signature.array);
    Content::Data { parts, array }
}

/// What begins or ends a disk or partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    name: &'static str,
    array: Option<&'static str>,
}

/// Offset, bytes, name. As in util-linux's libblkid/src/superblocks.
const HEADS: [(usize, &[u8], &str); 15] = [
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"XFSB", "XFS"),
    (3, b"NTFS    ", "NTFS"),
    (3, b"-FVE-FS-", "BitLocker"),
    (3, b"EXFAT   ", "exFAT"),
    (54, b"FAT1", "FAT"),
    (82, b"FAT32   ", "FAT"),
    (1080, b"\x53\xef", "ext4"),
    (4086, b"SWAPSPACE2", "swap"),
    (32769, b"CD001", "ISO 9660"),
    (0x10040, b"_BHRfS_M", "Btrfs"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (0, b"BCFS", "bcachefs"),
    (24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcache"),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
];
/// Linux RAID's, little-endian: `MD_SB_MAGIC` of the kernel's include/uapi/linux/raid/md_p.h.
const RAID: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();
const ZFS: u64 = 0x00ba_b10c;

fn signature(head: &[u8], tail: &[u8]) -> Option<Signature> {
    let raid = Signature { name: "Linux RAID", array: Some("a RAID array") };
    if [0, 4096].into_iter().any(|offset| head[offset.min(head.len())..].starts_with(&RAID)) {
        return Some(raid);
    }
    // Of LVM, in one of the first four sectors.
    if head.chunks(512).take(4).any(|sector| sector.starts_with(b"LABELONE")) {
        return Some(Signature { name: "LVM", array: Some("an LVM volume group") });
    }
    let uberblock = |bytes: &[u8]| bytes.starts_with(&ZFS.to_le_bytes()) || bytes.starts_with(&ZFS.to_be_bytes());
    if head.chunks(1024).skip(128).take(128).any(uberblock) {
        return Some(Signature { name: "ZFS", array: Some("a ZFS pool") });
    }
    // At the end they begin at a multiple of a sector, counted from the end.
    if tail.rchunks(512).any(|sector| sector.starts_with(&RAID)) {
        return Some(raid);
    }
    if tail.rchunks(512).any(|sector| sector.starts_with(b"Intel Raid ISM Cfg Sig.")) {
        return Some(Signature { name: "Intel RAID", array: Some("a firmware RAID array") });
    }
    let found = HEADS.iter().find(|(offset, bytes, _)| head.get(*offset..).is_some_and(|rest| rest.starts_with(bytes)));
    found.map(|(_, _, name)| Signature { name, array: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[offset..offset + bytes.len()].copy_from_slice(bytes);
        head
    }

    #[test]
    fn only_zeros_are_empty() {
        let zeros = vec![0; HEAD];
        assert_eq!(of_disk(&zeros, &zeros, None), Content::Empty);
        assert_eq!(of_disk(&zeros, &zeros, Some(&[])), Content::Empty);
        assert_eq!(of_disk(&with(TABLE - 1, b"x"), &with(HEAD - TABLE, b"x"), Some(&[])), Content::Empty);
        for (head, tail) in [(with(TABLE, b"x"), zeros.clone()), (zeros.clone(), with(HEAD - TABLE - 1, b"x"))] {
            assert!(of_disk(&head, &tail, Some(&[])).is_data(), "what an empty table does not cover");
        }
        for offset in [0, 511, 4096, HEAD - 1] {
            let data = Content::Data { parts: vec!["data of an unknown kind".to_owned()], array: None };
            assert_eq!(of_disk(&with(offset, b"x"), &zeros, None), data, "{offset}");
            assert_eq!(of_disk(&zeros, &with(offset, b"x"), None), data, "{offset}");
        }
    }

    #[test]
    fn what_is_known_is_named() {
        let zeros = vec![0; HEAD];
        for (offset, bytes, name) in HEADS {
            let content = of_disk(&with(offset, bytes), &zeros, None);
            assert_eq!(content.to_string(), name);
            assert!(content.is_data());
        }
        for (head, tail) in
            [(with(0, &RAID), zeros.clone()), (with(4096, &RAID), zeros.clone()), (zeros.clone(), with(HEAD - 65536, &RAID))]
        {
            assert_eq!(of_disk(&head, &tail, None).array(), Some("a RAID array"));
        }
        assert_eq!(of_disk(&with(512, b"LABELONE"), &zeros, None).array(), Some("an LVM volume group"));
        assert_eq!(of_disk(&with(200 << 10, &ZFS.to_be_bytes()), &zeros, None).array(), Some("a ZFS pool"));
        assert!(of_disk(&zeros, &with(HEAD - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00"), None).array().is_some());
    }

    #[test]
    fn partitions_count_whatever_they_hold() {
        let zeros = vec![0; HEAD];
        let partition = |name, head| Partition { name, size: 500_000_000, head, tail: &zeros };
        let ntfs = with(3, b"NTFS    ");
        let windows = of_disk(&zeros, &zeros, Some(&[partition("Basic data", &ntfs), partition("", &zeros)]));
        assert_eq!(windows.to_string(), "partition `Basic data` (500 MB, NTFS) and partition (500 MB, unknown)");
        let esp = partition(layout::ESP, &zeros);
        let system = layout::installed_name("0a1b2c3d");
        let ours = |name| of_disk(&zeros, &zeros, Some(&[esp.clone(), partition(name, &zeros), partition(layout::DATA, &zeros)]));
        assert_eq!(ours(layout::UNFINISHED), Content::Unfinished);
        assert_eq!(ours(&system), Content::Installed { order: "0a1b2c3d".to_owned() });
        // A partition that someone added to it.
        let more = of_disk(&zeros, &zeros, Some(&[esp.clone(), partition(layout::UNFINISHED, &zeros), partition("mine", &zeros)]));
        assert!(matches!(more, Content::Data { .. }));
        // Data alone may be what an interrupted table left.
        assert!(matches!(of_disk(&zeros, &zeros, Some(&[partition(layout::DATA, &zeros)])), Content::Data { .. }));
    }
}

//! As much of a FAT32 file system as tells whose it is: its label, and which files are in a folder. It is of a disk that may say anything, so what is
//! read of it is bounded. Of libraries, fatfs has had no release since 2023 and bounds nothing; mtools would read any disk as root, without a limit.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Bytes of a directory, and its clusters: a chain of them may be a ring.
const MOST_BYTES: u64 = 1 << 20;
const MOST_CLUSTERS: u64 = 2048;
/// Bytes of an entry.
const ENTRY: usize = 32;
/// Attributes of an entry.
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
/// Those that say what an entry is.
const KINDS: u8 = 0x1f;

/// A file system.
#[derive(Debug)]
pub struct Fat<'a> {
    file: &'a mut File,
    /// Of the table and of the first cluster, in bytes.
    table: u64,
    data: u64,
    /// Bytes of a cluster.
    cluster: u64,
    root: u32,
}

/// What is in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The short name, filled with spaces: `ORDER~1 JSO`.
    name: [u8; 11],
    attributes: u8,
    first: u32,
    pub size: u32,
}

impl Fat<'_> {
    /// The one that begins at byte `start`. `None`: it is another one, or can't be read.
    pub fn at(file: &mut File, start: u64) -> Option<Fat<'_>> {
        let mut boot = [0; 512];
        file.seek(SeekFrom::Start(start)).ok()?;
        file.read_exact(&mut boot).ok()?;
        let number = |at: usize, bytes: usize| boot[at..at + bytes].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let (sector, per_cluster, tables, table_size) = (number(11, 2), number(13, 1), number(16, 1), number(36, 4));
        let is_usual = matches!(sector, 512 | 1024 | 2048 | 4096) && per_cluster.is_power_of_two() && matches!(tables, 1 | 2);
        if !is_usual || &boot[82..90] != b"FAT32   " || boot[510..] != [0x55, 0xaa] {
            return None;
        }
        let table = start + number(14, 2) * sector;
        let data = table + tables * table_size * sector;
        Some(Fat { file, table, data, cluster: per_cluster * sector, root: u32::try_from(number(44, 4)).ok()? })
    }

    /// Its label, as its root has it.
    pub fn is_labelled(&mut self, label: &str) -> bool {
        let entries = self.entries(self.root).unwrap_or_default();
        entries.iter().any(|entry| entry.attributes & KINDS == LABEL && entry.name.trim_ascii_end() == label.as_bytes())
    }

    /// The files in a folder of its root, by the folder's short name.
    pub fn files_in(&mut self, folder: &str) -> Option<Vec<Entry>> {
        let entries = self.entries(self.root)?;
        let is_it = |entry: &&Entry| entry.attributes & KINDS == FOLDER && entry.name.trim_ascii_end() == folder.as_bytes();
        let first = entries.iter().find(is_it)?.first;
        Some(self.entries(first)?.into_iter().filter(|entry| entry.attributes & (LABEL | FOLDER) == 0).collect())
    }

    fn entries(&mut self, first: u32) -> Option<Vec<Entry>> {
        let (mut entries, mut at) = (Vec::new(), first & 0x0fff_ffff);
        for _ in 0..MOST_CLUSTERS.min(MOST_BYTES / self.cluster) {
            let mut bytes = vec![0; usize::try_from(self.cluster).ok()?];
            self.file.seek(SeekFrom::Start(self.data + u64::from(at.checked_sub(2)?) * self.cluster)).ok()?;
            self.file.read_exact(&mut bytes).ok()?;
            for entry in bytes.chunks_exact(ENTRY) {
                match entry[0] {
                    0 => return Some(entries),
                    // Deleted.
                    0xe5 => {}
                    _ => {
                        let half = |at: usize| u32::from(entry[at]) | u32::from(entry[at + 1]) << 8;
                        let mut name = [0; 11];
                        name.copy_from_slice(&entry[..11]);
                        let size = half(28) | half(30) << 16;
                        entries.push(Entry { name, attributes: entry[11], first: half(20) << 16 | half(26), size });
                    }
                }
            }
            let mut next = [0; 4];
            self.file.seek(SeekFrom::Start(self.table + u64::from(at) * 4)).ok()?;
            self.file.read_exact(&mut next).ok()?;
            at = u32::from_le_bytes(next) & 0x0fff_ffff;
            if at >= 0x0fff_fff8 {
                return Some(entries);
            }
        }
        None
    }
}

impl Entry {
    /// Whether it may be the file of this name: of a long one, the short name has the first letters, and three of its extension.
    pub fn may_be(&self, name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        let (stem, end) = name.rsplit_once('.').unwrap_or((&name, ""));
        let own = self.name[..8].split(|byte| *byte == b'~').next().unwrap_or_default().trim_ascii_end();
        stem.as_bytes().get(..6).unwrap_or(stem.as_bytes()) == own
            && self.name[8..].trim_ascii_end() == end.get(..3).unwrap_or(end).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder whose clusters follow each other in a ring has no end.
    #[test]
    fn a_damaged_file_system_is_read_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fat");
        let mut bytes = vec![0; 64 << 10];
        let boot: [(usize, &[u8]); 8] = [
            (11, &512_u16.to_le_bytes()),
            (13, &[1]),
            (14, &1_u16.to_le_bytes()),
            (16, &[1]),
            (36, &1_u32.to_le_bytes()),
            (44, &2_u32.to_le_bytes()),
            (82, b"FAT32   "),
            (510, &[0x55, 0xaa]),
        ];
        for (at, value) in boot {
            bytes[at..at + value.len()].copy_from_slice(value);
        }
        // The table's entry of cluster 2 leads to itself; what is in it are entries.
        bytes[512 + 8..512 + 12].copy_from_slice(&2_u32.to_le_bytes());
        bytes[1024..1536].fill(b'x');
        std::fs::write(&path, &bytes).unwrap();
        let read = |path| Fat::at(&mut File::open(path).unwrap(), 0).map(|mut fat| fat.files_in("X"));
        assert_eq!(read(&path), Some(None));
        for (at, value) in [(11, 0), (13, 0), (13, 3), (16, 9), (82, b'x'), (510, 0)] {
            let mut other = bytes.clone();
            other[at] = value;
            if at == 11 {
                other[12] = 0;
            }
            std::fs::write(&path, &other).unwrap();
            assert_eq!(read(&path), None, "{at}");
        }
        std::fs::write(&path, &bytes[..600]).unwrap();
        assert_eq!(read(&path), Some(None), "it is cut");
    }
}

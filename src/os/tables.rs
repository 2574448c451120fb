//! The two partition tables (GPT) of a disk, at its beginning and at its end: read from whichever is whole, and written one after the other, so that
//! a power failure leaves one of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result};
use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;

/// Bytes at the beginning of a disk, and at its end, that have a table in them.
const EDGE: u64 = 1 << 16;
/// Of a header (UEFI 2.10, 5.3.2).
const SIGNATURE: &[u8] = b"EFI PART";
/// Bytes of an entry; the specification allows more, and nothing makes such tables.
const ENTRY: u32 = 128;
/// More entries than any table has.
const MOST_ENTRIES: u32 = 1024;

/// The partitions by their numbers. `None`: there is no table, or one that says nothing.
///
/// # Errors
/// The device can't be read: then nobody knows whether there is a table.
pub fn partitions<D: Read + Write + Seek + Debug>(
    device: &mut D,
    sector: LogicalBlockSize,
) -> io::Result<Option<BTreeMap<u32, Partition>>> {
    let config = || GptConfig::new().writable(false).logical_block_size(sector);
    let Some(mut edges) = Edges::read(device)? else { return Ok(None) };
    if !edges.are_usual(sector) || edges.have_another_table() {
        return Ok(None);
    }
    if let Ok(table) = config().open_from_device(&mut *device) {
        return Ok(Some(table.partitions().clone()));
    }
    // The one at the beginning may have been written halfway.
    edges.head.fill(0);
    Ok(config().open_from_device(edges).ok().map(|table| table.partitions().clone()))
}

/// Writes both tables.
///
/// # Errors
/// The disk can't be read or written.
pub fn write(file: &mut File, sector: LogicalBlockSize, partitions: BTreeMap<u32, Partition>) -> Result<()> {
    for part in changes(file, sector, partitions)? {
        for (at, bytes) in part {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&bytes)?;
        }
        file.sync_all()?;
    }
    Ok(())
}

/// Where bytes are written, and which.
type Change = (u64, Vec<u8>);

/// What is written, and where, in two parts: the second begins when the first is on the disk.
fn changes<D: Read + Write + Seek + Debug>(
    device: &mut D,
    sector: LogicalBlockSize,
    partitions: BTreeMap<u32, Partition>,
) -> Result<[Vec<Change>; 2]> {
    let bytes = u64::from(sector);
    let old = Edges::read(device)?.context("the disk is too small for partitions")?;
    let mut new = Edges { head: old.head.clone(), tail: old.tail.clone(), ..old };
    let sectors = old.size / bytes;
    ProtectiveMBR::with_lb_size(u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX)).overwrite_lba0(&mut new)?;
    let mut table = GptConfig::new().writable(true).logical_block_size(sector).create_from_device(&mut new, None)?;
    table.update_partitions(partitions)?;
    table.write()?;
    let differing = |from: u64, old: &[u8], new: &[u8]| -> Vec<Change> {
        let size = sector.as_usize();
        let each = old.chunks(size).zip(new.chunks(size)).enumerate();
        each.filter(|(_, (old, new))| old != new).map(|(at, (_, new))| (from + at as u64 * bytes, new.to_vec())).collect()
    };
    // While the first is being written, the other one is what it was.
    Ok([differing(old.size - EDGE, &old.tail, &new.tail), differing(0, &old.head, &new.head)])
}

/// The beginning and the end of a disk, in memory: a device with nothing in between.
#[derive(Debug)]
struct Edges {
    /// Bytes of the disk.
    size: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    at: u64,
}

impl Edges {
    /// `None`: two tables leave no room on it.
    fn read<D: Read + Seek>(device: &mut D) -> io::Result<Option<Edges>> {
        let size = device.seek(SeekFrom::End(0))?;
        if size < 2 * EDGE {
            return Ok(None);
        }
        let mut piece = |from| {
            let mut bytes = vec![0; 1 << 16];
            device.seek(SeekFrom::Start(from))?;
            device.read_exact(&mut bytes).map(|()| bytes)
        };
        Ok(Some(Edges { size, head: piece(0)?, tail: piece(size - EDGE)?, at: 0 }))
    }

    /// Whether the first sector has partitions of its own: then no GPT counts that an earlier use of the disk left behind it (UEFI 2.10, 5.2.3).
    fn have_another_table(&self) -> bool {
        const ENTRIES: usize = 446;
        const PROTECTIVE: u8 = 0xee;
        let mut kinds = (0..4).map(|entry| self.head[ENTRIES + 16 * entry + 4]);
        self.head[510..512] == [0x55, 0xaa] && kinds.any(|kind| kind != 0 && kind != PROTECTIVE)
    }

    /// Whether what looks like a header asks for no more entries, and no other ones, than tables have: their reader would allocate them all.
    fn are_usual(&self, sector: LogicalBlockSize) -> bool {
        let size = sector.as_usize();
        let number = |header: &[u8], at: usize| header[at..at + 4].iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        [&self.head[size..2 * size], &self.tail[self.tail.len() - size..]]
            .into_iter()
            .all(|header| !header.starts_with(SIGNATURE) || number(header, 84) == ENTRY && number(header, 80) <= MOST_ENTRIES)
    }

    /// The bytes from the present position to the end of its edge.
    fn here(&mut self) -> io::Result<&mut [u8]> {
        let tail = self.size - EDGE;
        let (from, edge) = if self.at < EDGE { (0, &mut self.head) } else { (tail, &mut self.tail) };
        let at = self.at.checked_sub(from).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| edge.get_mut(at..)).ok_or_else(|| io::Error::other("there is no table in the middle of a disk"))
    }
}

impl Read for Edges {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let here = self.here()?;
        let count = here.len().min(bytes.len());
        bytes[..count].copy_from_slice(&here[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Edges {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let here = self.here()?;
        let count = here.len().min(bytes.len());
        here[..count].copy_from_slice(&bytes[..count]);
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Edges {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::other("before the beginning of the disk"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use gpt::partition_types;
    use uuid::Uuid;

    use super::*;

    const SIZE: usize = 4 << 20;

    fn entry(name: &str, first_lba: u64, last_lba: u64) -> Partition {
        let (part_type_guid, part_guid) = (partition_types::LINUX_FS, Uuid::new_v4());
        Partition { part_type_guid, part_guid, first_lba, last_lba, flags: 0, name: name.to_owned() }
    }

    fn apply<'a>(disk: &mut [u8], changes: impl IntoIterator<Item = &'a Change>) {
        for (at, bytes) in changes {
            disk[*at as usize..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    fn none(disk: &mut [u8]) -> bool {
        matches!(partitions(&mut Cursor::new(disk), LogicalBlockSize::Lb512), Ok(None))
    }

    /// A disk of which one edge can't be read.
    #[derive(Debug)]
    struct Faulty {
        disk: Cursor<Vec<u8>>,
        from: u64,
    }

    impl Read for Faulty {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            if self.disk.position() >= self.from { Err(io::Error::from_raw_os_error(5)) } else { self.disk.read(bytes) }
        }
    }

    impl Write for Faulty {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.disk.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Faulty {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.disk.seek(to)
        }
    }

    #[test]
    fn a_disk_that_cannot_be_read_is_not_one_without_partitions() {
        for from in [0, SIZE as u64 / 2] {
            let mut device = Faulty { disk: Cursor::new(vec![0; SIZE]), from };
            assert_eq!(partitions(&mut device, LogicalBlockSize::Lb512).unwrap_err().raw_os_error(), Some(5));
        }
    }

    /// Sectors are written in any order until the disk is told to wait for them, and a power failure ends it anywhere.
    #[test]
    fn a_data_partition_is_found_whenever_the_power_fails() {
        for sector in [LogicalBlockSize::Lb512, LogicalBlockSize::Lb4096] {
            let data = entry("hostler-data", 128, 160);
            let mut disk = vec![0; SIZE];
            let first = BTreeMap::from([(1, entry("a", 40, 47)), (2, data.clone())]);
            let made = changes(&mut Cursor::new(&mut disk[..]), sector, first).unwrap();
            made.iter().for_each(|part| apply(&mut disk, part));
            let second = BTreeMap::from([(1, entry("b", 40, 50)), (2, entry("c", 51, 60)), (3, data.clone())]);
            let parts = changes(&mut Cursor::new(&mut disk[..]), sector, second).unwrap();
            let mut states = 0;
            for (number, part) in parts.iter().enumerate() {
                assert!((2..10).contains(&part.len()), "{} sectors", part.len());
                for subset in 0..1_usize << part.len() {
                    let mut cut = disk.clone();
                    parts[..number].iter().for_each(|before| apply(&mut cut, before));
                    apply(&mut cut, part.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, change)| change));
                    let found = partitions(&mut Cursor::new(&mut cut[..]), sector).expect("it can be read");
                    let kept = found.is_some_and(|found| found.values().any(|it| *it == data));
                    assert!(kept, "part {number} of the write, sectors {subset:b}");
                    states += 1;
                }
            }
            assert!(states > 6);
        }
    }

    /// An image with an older kind of table, written over a disk, leaves the GPT at its end.
    #[test]
    fn a_gpt_behind_another_table_does_not_count() {
        let sector = LogicalBlockSize::Lb512;
        let mut disk = vec![0; SIZE];
        changes(&mut Cursor::new(&mut disk[..]), sector, BTreeMap::new()).unwrap().iter().for_each(|part| apply(&mut disk, part));
        assert_eq!(partitions(&mut Cursor::new(&mut disk[..]), sector).ok(), Some(Some(BTreeMap::new())));
        for (at, kind) in [(446 + 4, 0x83), (446 + 16 + 4, 0x0c)] {
            // Whether or not the GPT at the beginning is still there.
            for from in [512, SIZE / 2] {
                let mut other = disk.clone();
                other[512..from].fill(0);
                other[at] = kind;
                assert!(none(&mut other), "{at}");
            }
        }
    }

    #[test]
    fn a_table_that_no_program_makes_is_none() {
        let sector = LogicalBlockSize::Lb512;
        let mut disk = vec![0; SIZE];
        let made = changes(&mut Cursor::new(&mut disk[..]), sector, BTreeMap::from([(1, entry("a", 40, 47))])).unwrap();
        made.iter().for_each(|part| apply(&mut disk, part));
        for (at, number) in [(80, u32::MAX), (84, 256)] {
            let mut hostile = disk.clone();
            hostile[512 + at..][..4].copy_from_slice(&number.to_le_bytes());
            assert!(none(&mut hostile));
        }
        assert!(none(&mut [0; 512]));
        assert!(none(&mut vec![0; SIZE]));
    }
}

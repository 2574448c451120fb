//! Where partitions are on a machine's disk.

/// Names of partitions in GPT. Before anything could be started from the disk, the system's partition has this one,
pub const UNFINISHED: &str = "hostler-unfinished";
/// and afterwards one that begins so: see [`installed_name`].
const SYSTEM: &str = "hostler-system-";
pub const ESP: &str = "hostler-esp";
/// Where the data partition is mounted.
pub const DATA_FOLDER: &str = "/srv";
/// Mounted at /srv. No installation changes it, except for one that has not been in use yet:
pub use crate::protocol::layout::DATA;
/// that one.
pub const NEW_DATA: &str = "hostler-data-new";

/// The unit of positions and sizes, for any disk.
const ALIGNMENT: u64 = 1 << 20;
const ESP_SIZE: u64 = 512 << 20;
/// A data partition smaller than this would be of no use: the system gets that, too.
const LEAST_DATA: u64 = 1 << 30;
/// The system's files, and room to start containers; what [`os.systemSize`](crate::inventory::Os) is for is more.
pub const LEAST_SYSTEM: u64 = 8 << 30;

/// The name of the system's partition that this order installed.
pub fn installed_name(short_id: &str) -> String {
    format!("{SYSTEM}{short_id}")
}

/// The order that installed the system in the partition of this name.
pub fn order_of(name: &str) -> Option<&str> {
    name.strip_prefix(SYSTEM).filter(|id| !id.is_empty())
}

pub fn is_own(name: &str) -> bool {
    [UNFINISHED, ESP, DATA, NEW_DATA].contains(&name) || order_of(name).is_some()
}

/// A part of the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub start: u64,
    pub size: u64,
}

impl Extent {
    fn between(start: u64, end: u64) -> Extent {
        Extent { start, size: end.saturating_sub(start) }
    }

    pub fn end(&self) -> u64 {
        self.start + self.size
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub esp: Extent,
    pub system: Extent,
    pub data: Option<Extent>,
}

/// The layout of a disk of `size` bytes with a system of `system_size`, and with the data partition that it has already, if any.
///
/// # Errors
/// The data partition leaves too little room before it; in bytes, how much there is.
pub fn layout(size: u64, system_size: u64, data: Option<Extent>) -> Result<Layout, u64> {
    let esp = Extent { start: ALIGNMENT, size: ESP_SIZE };
    let down = |bytes: u64| bytes / ALIGNMENT * ALIGNMENT;
    // The second table is in the last sectors.
    let end = down(size.saturating_sub(ALIGNMENT));
    if let Some(data) = data {
        let system = Extent::between(esp.end(), down(data.start));
        return if system.size < LEAST_SYSTEM { Err(system.size) } else { Ok(Layout { esp, system, data: Some(data) }) };
    }
    let wanted = Extent::between(esp.end(), down(system_size).min(end));
    let rest = Extent::between(wanted.end(), end);
    if rest.size < LEAST_DATA {
        return Ok(Layout { esp, system: Extent::between(esp.end(), end), data: None });
    }
    Ok(Layout { esp, system: wanted, data: Some(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn parts_follow_each_other_and_fit() {
        for size in [17 * GB, 64 * GB + 1, 65 * GB, 256_060_514_304, 500 * GB, 4000 * GB] {
            let Layout { esp, system, data } = layout(size, 16 * GB, None).unwrap();
            assert_eq!(esp.end(), system.start);
            assert!(system.size >= LEAST_SYSTEM);
            let end = data.map_or(system.end(), |data| {
                assert_eq!(data.start, system.end());
                data.end()
            });
            // 34 sectors of 4 KiB for the second table.
            assert!(end + 34 * 4096 <= size && size - end < 3 * ALIGNMENT, "{size}: {end}");
            for part in [Some(esp), Some(system), data].into_iter().flatten() {
                assert_eq!((part.start % ALIGNMENT, part.size % ALIGNMENT), (0, 0));
            }
        }
    }

    #[test]
    fn a_small_rest_is_the_systems() {
        assert_eq!(layout(16 * GB + (1 << 29), 16 * GB, None).unwrap().data, None);
        assert!(layout(18 * GB, 16 * GB, None).unwrap().data.is_some());
    }

    #[test]
    fn the_data_partition_stays_where_it_is() {
        let first = layout(500 * GB, 64 * GB, None).unwrap();
        for system_size in [16 * GB, 64 * GB, 400 * GB] {
            assert_eq!(layout(500 * GB, system_size, first.data).unwrap(), first);
        }
        assert_eq!(layout(500 * GB, 64 * GB, Some(Extent { start: 5 << 30, size: GB })), Err((5 << 30) - (513 << 20)));
    }
}

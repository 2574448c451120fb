//! Graphics chips, by the device files through which programs use them.

use serde::Serialize;

/// `/dev/dri/renderD128`: a graphics chip, without the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderNode {
    /// `renderD128`
    pub name: String,
    pub major: u32,
    pub minor: u32,
    /// Vendor and device on the PCI bus. `None`: the kernel does not say.
    pub pci: Option<(u16, u16)>,
}

/// What a chip is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chip {
    /// Intel's, which the runtime of the encoder's image serves.
    Served,
    /// Intel's, from before Tiger Lake: that runtime does not serve it.
    Older,
    /// Another vendor's.
    Other,
    Unknown,
}

const INTEL: u16 = 0x8086;

/// The high bytes of the PCI ids of Intel's graphics chips before Tiger Lake (include/drm/intel/pciids.h of the kernel): Sandy Bridge and Ivy Bridge
/// 01; Haswell 04, 0a, 0c, 0d; Valley View 0f; Broadwell 16; Skylake 19; Braswell 22; Apollo Lake and Cannon Lake 5a; Gemini Lake 31; Kaby Lake 59
/// and 87; Coffee Lake 3e; Comet Lake 9b; Ice Lake 8a; Elkhart Lake 45; Jasper Lake 4e.
const OLDER: [u8; 18] = [0x01, 0x04, 0x0a, 0x0c, 0x0d, 0x0f, 0x16, 0x19, 0x22, 0x31, 0x3e, 0x45, 0x4e, 0x59, 0x5a, 0x87, 0x8a, 0x9b];

impl RenderNode {
    /// A machine with more of them is not believed.
    pub(super) const MOST: usize = 8;

    /// `NAME MAJOR MINOR VENDOR DEVICE`; the numbers in hex, the last two empty where the kernel does not say.
    pub(super) fn parse(words: &[&str]) -> Option<RenderNode> {
        let [name, major, minor, vendor, device] = words else { return None };
        let number = name.strip_prefix("renderD")?;
        if number.is_empty() || number.len() > 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let hex = |word: &str| u32::from_str_radix(word, 16).ok();
        let id = |word: &str| u16::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        Some(RenderNode { name: (*name).to_owned(), major: hex(major)?, minor: hex(minor)?, pci: id(vendor).zip(id(device)) })
    }

    pub fn chip(&self) -> Chip {
        match self.pci {
            None => Chip::Unknown,
            Some((INTEL, device)) if OLDER.contains(&device.to_be_bytes()[0]) => Chip::Older,
            Some((INTEL, _)) => Chip::Served,
            Some(_) => Chip::Other,
        }
    }

    /// `8086:9a49`, as lspci prints it; empty if unknown.
    pub fn pci_text(&self) -> String {
        self.pci.map_or_else(String::new, |(vendor, device)| format!("{vendor:04x}:{device:04x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_form_and_its_chip() {
        let chip = |vendor: &str, device: &str| RenderNode::parse(&["renderD128", "e2", "80", vendor, device]).map(|node| node.chip());
        // A NUC 7 (Kaby Lake), a NUC 11 (Tiger Lake), an N100 (Alder Lake), an AMD, and one of which nothing is known.
        let chips = [("0x8086", "0x5916"), ("0x8086", "0x9a49"), ("0x8086", "0x46d1"), ("0x1002", "0x1638"), ("", "")];
        let found: Vec<_> = chips.iter().filter_map(|(vendor, device)| chip(vendor, device)).collect();
        assert_eq!(found, [Chip::Older, Chip::Served, Chip::Served, Chip::Other, Chip::Unknown]);
        let node = RenderNode::parse(&["renderD128", "e2", "80", "0x8086", "0x9a49"]).expect("a node");
        assert_eq!((node.major, node.minor, node.pci_text().as_str()), (226, 128, "8086:9a49"));
        for name in ["card0", "renderD", "renderD1/2", "renderD12345", "renderD\u{661}"] {
            assert_eq!(RenderNode::parse(&[name, "e2", "80", "", ""]), None, "{name}");
        }
        assert_eq!(RenderNode::parse(&["renderD128", "e2", "x", "", ""]), None);
        assert_eq!(RenderNode::parse(&["renderD128", "e2"]), None);
    }
}

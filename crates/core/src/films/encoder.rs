//! HandBrake's encoders: in software, and in an Intel chip (Quick Sync).

use serde::{Deserialize, Serialize};

use super::settings::family;

/// What films are encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderChoice {
    /// The processor alone.
    #[default]
    Software,
    /// A machine's Quick Sync where it works, else the processor.
    Auto,
}

impl EncoderChoice {
    pub fn is_software(&self) -> bool {
        *self == EncoderChoice::Software
    }
}

/// What each machine tries, where hardware may be used: families, as [`family`] returns them.
pub const TRIED: [&str; 6] = ["x264", "x265", "svt_av1", "qsv_h264", "qsv_h265", "qsv_av1"];

/// Families in hardware, and what makes the same format in software.
const HARDWARE: [(&str, &str); 3] = [("qsv_h264", "x264"), ("qsv_h265", "x265"), ("qsv_av1", "svt_av1")];

/// Between families in the value of a label, which takes no comma.
const SEPARATOR: char = '.';
/// Characters of a label's value.
const LONGEST_LABEL: usize = 63;

/// Whether the encoder needs Quick Sync.
pub fn is_hardware(encoder: &str) -> bool {
    HARDWARE.iter().any(|(hardware, _)| *hardware == family(encoder))
}

/// The encoder in software that stands in for one in hardware, of the same depth: `x265_10bit` for `qsv_h265_10bit`.
pub fn in_software(encoder: &str) -> Option<String> {
    let (hardware, software) = HARDWARE.iter().find(|(hardware, _)| *hardware == family(encoder))?;
    encoder.strip_prefix(hardware).map(|depth| format!("{software}{depth}"))
}

/// The encoder in hardware of the same format and depth: `qsv_h264` for `x264`.
pub fn in_hardware(encoder: &str) -> Option<String> {
    let (hardware, software) = HARDWARE.iter().find(|(_, software)| *software == family(encoder))?;
    encoder.strip_prefix(software).map(|depth| format!("{hardware}{depth}"))
}

/// Families as the value of a node's label.
pub fn to_label(families: &[String]) -> String {
    families.join(&SEPARATOR.to_string())
}

/// The families that a node's label names.
pub fn from_label(value: &str) -> Vec<String> {
    value.split(SEPARATOR).filter(|family| !family.is_empty()).map(str::to_owned).collect()
}

/// The families that machines try, with those of presets, as far as all of them fit into a label.
pub fn tried<'a>(of_presets: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tried: Vec<String> = TRIED.map(str::to_owned).into();
    for family in of_presets {
        let plain = !family.is_empty() && family.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let fits = to_label(&tried).len() + 1 + family.len() <= LONGEST_LABEL;
        if plain && fits && !tried.iter().any(|known| known == family) {
            tried.push(family.to_owned());
        }
    }
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_and_software_stand_in_for_each_other_in_the_same_depth() {
        for (hardware, software) in [("qsv_h264", "x264"), ("qsv_h265", "x265"), ("qsv_h265_10bit", "x265_10bit"), ("qsv_av1", "svt_av1")] {
            assert_eq!(in_software(hardware).as_deref(), Some(software));
            assert_eq!(in_hardware(software).as_deref(), Some(hardware));
            assert_eq!((is_hardware(hardware), is_hardware(software)), (true, false));
        }
        assert_eq!((in_software("x264"), in_software("nvenc_h264"), in_hardware("VP9")), (None, None, None));
    }

    #[test]
    fn a_label_holds_what_is_tried() {
        let all = tried(["x264", "VP9", "no.dot", "", "VP9", "a_family_with_a_long_name"].into_iter());
        assert_eq!(all[6..], ["VP9"]);
        assert!(to_label(&all).len() <= LONGEST_LABEL);
        assert_eq!(from_label(&to_label(&all)), all);
        assert_eq!(from_label(""), Vec::<String>::new());
    }
}

//! What a player must know to decode a piece: only pieces that agree in this can follow each other.

use std::ffi::OsString;
use std::path::Path;

use hostler_core::digest;
use serde::Deserialize;

use super::super::ffmpeg::{Probe, protected};

/// Types of NAL units that a decoder needs in H.265: VPS, SPS and PPS. Others are remarks of the encoder, such as the threads that it took.
const PARAMETERS: std::ops::RangeInclusive<u8> = 32..=34;
/// Bytes of an `hvcC` before its arrays.
const HEAD: usize = 22;

/// Arguments of ffprobe for [`form`].
pub fn arguments(film: &Path) -> Vec<OsString> {
    let words = ["-v", "error", "-of", "json", "-select_streams", "v:0", "-show_data", "-show_entries", "stream=extradata", "-i"];
    words.map(OsString::from).into_iter().chain([protected(film)]).collect()
}

#[derive(Deserialize)]
struct Found {
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    extradata: String,
}

/// `json`: what ffprobe printed; `None`: that is not what was asked for.
pub fn form(probe: &Probe, json: &[u8]) -> Option<String> {
    let picture = probe.picture()?;
    let found: Found = serde_json::from_slice(json).ok()?;
    let data = bytes(&found.streams.first()?.extradata)?;
    let needed = if picture.codec_name == "hevc" { parameters(&data)? } else { data };
    let (width, height) = (picture.width, picture.height);
    Some(format!("{} {width}x{height} {} {}", picture.codec_name, picture.pix_fmt, &digest::sha256(&needed)[..12]))
}

/// From lines like `00000010: 6764 0028  gd.(`.
fn bytes(dump: &str) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    for line in dump.lines().filter(|line| !line.is_empty()) {
        let (_, rest) = line.split_once(": ")?;
        let digits: String = rest.split("  ").next()?.split(' ').collect();
        for pair in digits.as_bytes().chunks(2) {
            found.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
        }
    }
    Some(found)
}

/// VPS, SPS and PPS of an `hvcC`.
fn parameters(data: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    let (arrays, mut rest) = data.get(HEAD..)?.split_first()?;
    found.extend_from_slice(&data[..HEAD]);
    let two = |bytes: &[u8]| Some(usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?])));
    for _ in 0..*arrays {
        let kind = rest.first()? & 0x3f;
        let count = two(rest.get(1..)?)?;
        rest = rest.get(3..)?;
        for _ in 0..count {
            let length = two(rest)?;
            let unit = rest.get(2..2 + length)?;
            rest = &rest[2 + length..];
            if PARAMETERS.contains(&kind) {
                found.extend_from_slice(unit);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_of_an_encoder_change_nothing() {
        let hvcc = |units: &[(u8, &[u8])]| {
            let mut data = vec![1; HEAD];
            data.push(u8::try_from(units.len()).expect("few"));
            for (kind, unit) in units {
                data.extend([0x80 | kind, 0, 1, 0, u8::try_from(unit.len()).expect("short")]);
                data.extend_from_slice(unit);
            }
            data
        };
        let sets: [(u8, &[u8]); 3] = [(32, b"vps"), (33, b"sps"), (34, b"pps")];
        let remarked = |text: &'static [u8]| parameters(&hvcc(&[&sets[..], &[(39, text)]].concat()));
        assert_eq!(remarked(b"frame-threads=3"), remarked(b"frame-threads=2"));
        assert_eq!(remarked(b""), parameters(&hvcc(&sets)));
        assert_ne!(parameters(&hvcc(&[(34, b"pps")])), parameters(&hvcc(&[(34, b"pqs")])));
        let whole = hvcc(&sets);
        assert!((0..whole.len()).all(|end| parameters(&whole[..end]).is_none()), "what is truncated is none");
    }

    #[test]
    fn a_dump_is_read() {
        let dump = "\n00000000: 0164 0028 ffe1 001a 6764 0028 acd9 4078  .d.(....gd.(..@x\n00000010: 02 6f                                    .o\n";
        let read = bytes(dump).expect("a dump");
        assert_eq!((read.len(), read[..4].to_vec(), read[16..].to_vec()), (18, vec![1, 0x64, 0, 0x28], vec![2, 0x6f]));
        assert_eq!(bytes("00000000: 01zz  .."), None);
    }
}

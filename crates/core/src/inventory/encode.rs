//! `encode` of a machine: whether, when and with what it encodes films.

use std::collections::BTreeMap;

use serde_json::Value;

use super::diagnostic::{Place, shown};
use super::machine::Machines;
use super::read::{Field, Fields, Problems, Text, at};
use super::schema::{ENCODE, Kind};
use super::tree::Data;
use super::{MachineName, transcode};
use crate::films::encoder::{EncoderChoice, is_hardware};
use crate::films::settings::{Encoding, Folder, family};
use crate::words::did_you_mean;

/// The encoders of hostler's own preset, the second one for HDR.
const OWN: [&str; 2] = ["x264", "x265"];

/// `None`: it encodes nothing. `dedicated`: the machine runs no ordinary pods.
pub fn read(machine: &Fields, dedicated: bool, problems: &mut Problems) -> (Option<Encoding>, Option<Place>) {
    let all = Some(Encoding::default());
    let Some(field) = machine.get("encode", problems) else { return (all, None) };
    let Data::Mapping(_) = &field.node.data else {
        let encodes = machine.flag("encode", problems).unwrap_or(true);
        return (all.filter(|_| encodes), None);
    };
    if dedicated {
        let message = "the machine is dedicated, so it can't encode films: remove `encode` or `dedicated` from it";
        problems.add(field.place, message, "");
    }
    let Some(fields) = Fields::read(field.node, field.place, &ENCODE, problems) else { return (all, Some(field.place)) };
    let hours = fields.text("hours", problems).and_then(|text| transcode::hours(text, problems));
    let encoders = fields.get("encoders", problems).map(|field| encoders(&fields, field, problems)).unwrap_or_default();
    (Some(Encoding { hours, encoders }), Some(field.place))
}

fn encoders(fields: &Fields, field: Field, problems: &mut Problems) -> Vec<String> {
    let before = problems.found.len();
    let texts = fields.texts("encoders", problems);
    if texts.is_empty() && problems.found.len() == before {
        let message = "`encoders` is empty: list at least one encoder, or write `encode: false` if the machine encodes nothing";
        problems.add(at(field.node, field.place), message, field.key.shown());
    }
    let known: &[&str] = match &field.key.kind {
        Kind::Filled(Kind::Set(Kind::Word(_, words))) => words,
        _ => &[],
    };
    let mut encoders: Vec<String> = Vec::new();
    // What is listed already is no way out.
    let free = || known.iter().copied().filter(|known| texts.iter().all(|other| other.text != *known));
    for Text { text, place } in texts.iter().copied() {
        if !known.contains(&text) {
            let guess = match did_you_mean(text, free()) {
                guess if guess.is_empty() => format!(": known encoders are {}", known.join(", ")),
                guess => guess,
            };
            problems.add(place, format!("unknown encoder `{}`{guess}", shown(text)), field.key.shown());
        } else if encoders.iter().any(|other| other == text) {
            problems.add(place, format!("duplicate encoder `{text}`"), "");
        } else {
            encoders.push(text.to_owned());
        }
    }
    encoders
}

/// What is to be encoded.
pub struct Films<'a> {
    pub folders: &'a [(Text<'a>, Folder)],
    /// By their file names in the settings.
    pub presets: &'a BTreeMap<String, String>,
    pub encoder: EncoderChoice,
}

/// Reports machines that encode nothing, or that would encode if they were listed, and folders whose films no machine would encode. `listed`:
/// `transcode.machines`, with places; `place`: that of `transcode`.
pub fn check(machines: &Machines, listed: &[(MachineName, Place)], films: &Films, place: Place, problems: &mut Problems) {
    for (name, place) in listed {
        if machines.machines.get(name).is_some_and(|machine| machine.encode.is_none()) {
            let message =
                format!("{name} has `encode: false`: remove the machine from this list, or remove `encode: false` from the machine");
            problems.add(*place, message, "");
        }
    }
    if !listed.is_empty() {
        for (name, place) in &machines.encode {
            if !listed.iter().any(|(other, _)| other == name) {
                let message = format!("{name} is not listed in `transcode.machines`: add it to that list, or remove `encode`");
                problems.add(*place, message, "");
            }
        }
        return lacking(machines, listed, films, problems);
    }
    let any = machines.machines.iter().any(|(_, machine)| machine.encode.is_some() && !machine.dedicated);
    if !any && machines.machines.values().any(|machine| machine.encode.is_none()) {
        return problems.add(place, "no machine encodes films: remove `encode: false` from at least one", "");
    }
    lacking(machines, listed, films, problems);
}

/// Reports folders whose films would wait for an encoder that no machine has.
fn lacking(machines: &Machines, listed: &[(MachineName, Place)], films: &Films, problems: &mut Problems) {
    let encodes = |name: &MachineName| listed.is_empty() || listed.iter().any(|(other, _)| other == name);
    let works = machines.machines.iter().filter(|(name, machine)| !machine.dedicated && encodes(name));
    let encodings: Vec<&Encoding> = works.filter_map(|(_, machine)| machine.encode.as_ref()).collect();
    for (name, folder) in films.folders {
        let needed: Vec<String> = match &folder.preset {
            None => OWN.map(str::to_owned).into(),
            Some(preset) => films.presets.get(&*preset.file.to_string_lossy()).and_then(|json| encoder(json)).into_iter().collect(),
        };
        if let (Some(family), EncoderChoice::Software) = (needed.iter().find(|family| is_hardware(family)), films.encoder) {
            let message = format!(
                "the preset for films in `{}` encodes with {family}, which needs `encoder: auto`: add it to `transcode`, or choose \
                another preset",
                shown(name.text)
            );
            problems.add(name.place, message, "encoder: auto");
            continue;
        }
        for encoder in needed {
            if !encodings.is_empty() && !encodings.iter().any(|encoding| encoding.can(&encoder)) {
                let whose = if folder.preset.is_some() { "the preset" } else { "hostler's own preset" };
                let message = format!(
                    "no machine encodes with {encoder}, which {whose} for films in `{}` needs: add it to the `encoders` of a machine",
                    shown(name.text)
                );
                problems.add(name.place, message, format!("encode: {{ encoders: [{encoder}] }}"));
            }
        }
    }
}

/// The family of the encoder of an exported preset; `None`: the file was not read.
pub fn encoder(json: &str) -> Option<String> {
    fn named(value: &Value) -> Option<&str> {
        match value {
            Value::Object(object) => object.get("VideoEncoder").and_then(Value::as_str).or_else(|| object.values().find_map(named)),
            Value::Array(list) => list.iter().find_map(named),
            _ => None,
        }
    }
    let value: Value = serde_json::from_str(json).ok()?;
    named(&value).map(|encoder| family(encoder).to_owned())
}

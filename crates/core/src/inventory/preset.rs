//! Presets exported from HandBrake, next to the inventory.

use std::path::PathBuf;

use serde_json::Value;

use super::diagnostic::shown;
use super::load::{ReadFile, Unread};
use super::read::{Problems, Text};

/// An exported preset has about 5 kB; all of them must fit into a ConfigMap of 1 MiB.
const MOST_BYTES: usize = 256 << 10;

/// A byte order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// A preset exported from HandBrake.
pub struct Exported {
    /// The `PresetName` of the only one in it. Empty, like `json`, if the file was not read.
    pub name: String,
    /// The file's text.
    pub json: String,
}

/// Reports an error if the file is missing or does not hold one preset. Without `reader` it is not read.
pub fn read(text: Text, reader: Option<ReadFile>, problems: &mut Problems) -> Option<Exported> {
    const EXAMPLE: &str = "preset: ./cartoons.json";
    let word = shown(text.text);
    let file = PathBuf::from(text.text);
    if text.text.trim().is_empty() || text.text.chars().any(char::is_control) {
        problems.add(text.place, "`preset` must be the path of a file exported from HandBrake", EXAMPLE);
        return None;
    }
    let Some(reader) = reader else { return Some(Exported { name: String::new(), json: String::new() }) };
    let why = match reader(&file, MOST_BYTES).map(|file| file.bytes) {
        Err(Unread::Missing) => "does not exist: its path is relative to the inventory unless it begins with `/` or `~/`".to_owned(),
        Err(Unread::Other(error)) => format!("can't be read: {error}"),
        Ok(bytes) if bytes.len() > MOST_BYTES => format!("is too large for a preset: the maximum is {MOST_BYTES} bytes"),
        // Editors on Windows begin a file with a mark, which JSON does not know.
        Ok(bytes) => match serde_json::from_slice::<Value>(bytes.strip_prefix(MARK).unwrap_or(&bytes)) {
            Err(error) => format!("is not valid JSON: {error}"),
            Ok(value) => match (names(&value).as_slice(), String::from_utf8(bytes)) {
                ([name], Ok(json)) => {
                    let json = json.strip_prefix('\u{feff}').map_or(json.clone(), str::to_owned);
                    return Some(Exported { name: name.clone(), json });
                }
                ([], _) | (_, Err(_)) => "contains no preset: export one in HandBrake with `Presets > Export to file`".to_owned(),
                (names, Ok(_)) => {
                    let list = names.iter().take(5).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
                    format!("contains {} presets ({list}): export a single one", names.len())
                }
            },
        },
    };
    problems.add(text.place, format!("the preset `{word}` {why}"), EXAMPLE);
    None
}

/// The names of all presets, without their folders.
fn names(value: &Value) -> Vec<String> {
    let Some(list) = value.get("PresetList").or_else(|| value.get("ChildrenArray")).and_then(Value::as_array) else { return Vec::new() };
    let mut found = Vec::new();
    for preset in list {
        match preset.get("PresetName").and_then(Value::as_str) {
            _ if preset.get("ChildrenArray").is_some_and(|children| children.as_array().is_some_and(|list| !list.is_empty())) => {
                found.extend(names(preset));
            }
            Some(name) if preset.get("Folder").and_then(Value::as_bool) != Some(true) => found.push(name.to_owned()),
            _ => {}
        }
    }
    found
}

//! Presets exported from HandBrake, which lie beside the inventory.

use std::path::PathBuf;

use serde_json::Value;

use super::diagnostic::shown;
use super::load::{ReadFile, Unread};
use super::read::{Problems, Text};

/// An exported preset has about 5 KB; all of them have to fit into a ConfigMap of 1 MiB.
const MOST_BYTES: usize = 256 << 10;

/// A preset that HandBrake exported.
pub struct Exported {
    /// The `PresetName` of the only one in it. Empty, as is `json`, where nothing was looked at.
    pub name: String,
    /// The file's text.
    pub json: String,
}

/// Complains where the file isn't there or isn't one preset. Without `reader` nothing is looked at.
pub fn read(text: Text, reader: Option<ReadFile>, problems: &mut Problems) -> Option<Exported> {
    const EXAMPLE: &str = "preset: ./cartoons.json";
    let word = shown(text.text);
    let file = PathBuf::from(text.text);
    if text.text.trim().is_empty() || text.text.chars().any(char::is_control) {
        problems.add(text.place, "`preset` is the path of a file that HandBrake exported", EXAMPLE);
        return None;
    }
    let Some(reader) = reader else { return Some(Exported { name: String::new(), json: String::new() }) };
    let why = match reader(&file, MOST_BYTES).map(|file| file.bytes) {
        Err(Unread::Missing) => "isn't there: it is looked for beside the inventory, unless its path begins with `/` or `~/`".to_owned(),
        Err(Unread::Other(error)) => format!("can't be read: {error}"),
        Ok(bytes) if bytes.len() > MOST_BYTES => format!("has more than {MOST_BYTES} bytes, and a preset has far less"),
        Ok(bytes) => match serde_json::from_slice::<Value>(&bytes) {
            Err(error) => format!("is no JSON: {error}"),
            Ok(value) => match (names(&value).as_slice(), String::from_utf8(bytes)) {
                ([name], Ok(json)) => return Some(Exported { name: name.clone(), json }),
                ([], _) | (_, Err(_)) => "has no preset in it: HandBrake exports one with Presets, Export to file".to_owned(),
                (names, Ok(_)) => {
                    let list = names.iter().take(5).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
                    format!("has {} presets in it ({list}), and which is meant can't be told: export the one alone", names.len())
                }
            },
        },
    };
    problems.add(text.place, format!("the preset `{word}` {why}"), EXAMPLE);
    None
}

/// The names of all presets, without the folders that they are in.
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

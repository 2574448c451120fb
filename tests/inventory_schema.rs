//! `hostler schema` by a validator that knows nothing of hostler: what is read is valid, and what is wrong in a way that a schema can say
//! is not. `tests/inventory_schema.txt` names the cases that the schema takes and hostler refuses; UPDATE=1 rewrites it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostler_core::inventory::{parse, reference};
use serde_json::{Value, json};

/// Reads `{schema, documents: {NAME: DOCUMENT}}` and prints the names of those that are valid.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked['schema'])
validator = Draft202012Validator(asked['schema'])
json.dump([name for name, document in asked['documents'].items() if validator.is_valid(document)], sys.stdout)
";

fn valid(documents: &serde_json::Map<String, Value>) -> BTreeSet<String> {
    let python = Command::new("python3").args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut python = python.unwrap_or_else(|error| panic!("python3: {error}; apt-get install python3-jsonschema"));
    let asked = json!({ "schema": reference::json_schema(), "documents": documents }).to_string();
    python.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\nis jsonschema there? apt-get install python3-jsonschema");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files() -> Vec<PathBuf> {
    let folders = ["tests/inventory", "inventory"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn what_is_read_is_valid_and_what_is_wrong_is_not() {
    let mut documents = serde_json::Map::new();
    let mut read = BTreeSet::new();
    for file in files() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let Ok(document) = serde_yaml::from_str(text.trim_start_matches('\u{feff}')) else { continue };
        if parse(&text, &name).is_ok() {
            read.insert(name.clone());
        }
        documents.insert(name, document);
    }
    let valid = valid(&documents);
    let refused: Vec<_> = read.difference(&valid).collect();
    assert!(refused.is_empty(), "read, and not valid: {refused:?}");
    let examples = ["minimal", "ponies", "three-control-planes", "every-key", "transcode-every-key"];
    assert!(examples.iter().all(|name| valid.contains(*name)), "{valid:?}");

    // The rest takes more than a schema: to compare, to look at files, to count addresses. What it can say, it goes on saying.
    let beyond: String =
        documents.keys().filter(|name| valid.contains(*name) && !read.contains(*name)).map(|name| format!("{name}\n")).collect();
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory_schema.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&expected, &beyond).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), beyond, "UPDATE=1 cargo test --test inventory_schema");
}

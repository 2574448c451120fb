//! The reference of the inventory: the JSON Schema and docs/inventory.md. Both are generated from [`super::schema`], which the readers use.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::fragment;
use super::schema::{self, Form, INVENTORY, Key, Kind, Rule, Section};

/// The JSON Schema (draft 2020-12) of the inventory. It describes the values of keys; relations between them, e.g. that addresses of
/// machines differ, can't be expressed in it.
pub fn json_schema() -> Value {
    json_schema_of(&INVENTORY, "urn:hostler:inventory", "hostler's inventory")
}

/// The JSON Schema of a file of which `section` is the whole.
pub(crate) fn json_schema_of(section: &Section, id: &str, title: &str) -> Value {
    let mut schema = object(section);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "title": title,
    });
    let mut whole = head.as_object().cloned().unwrap_or_default();
    whole.append(schema.as_object_mut().unwrap_or(&mut Map::new()));
    Value::Object(whole)
}

fn object(section: &Section) -> Value {
    let properties: Map<String, Value> = section.keys.iter().map(|key| (key.name.to_owned(), described(key))).collect();
    let required: Vec<&str> = section.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = json!({
        "description": section.doc,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let rules: Vec<Value> = section.rules.iter().map(rule).collect();
    if !rules.is_empty() {
        object["allOf"] = Value::Array(rules);
    }
    object
}

fn rule(rule: &Rule) -> Value {
    let has = |key: &str| json!({ "required": [key] });
    let is = |(key, value): &(&str, schema::Value)| {
        let value = match value {
            schema::Value::Word(word) => json!(word),
            schema::Value::Flag(flag) => json!(flag),
        };
        json!({ "required": [key], "properties": { *key: { "const": value } } })
    };
    match rule {
        Rule::One(keys) => json!({ "oneOf": keys.iter().map(|key| has(key)).collect::<Vec<_>>() }),
        Rule::NotBoth(one, other) => json!({ "not": { "required": [one, other] } }),
        Rule::NotTogether(one, other) => json!({ "not": { "allOf": [is(one), is(other)] } }),
    }
}

/// Another program's document: any keys but those that hostler sets.
fn document(name: &str) -> Value {
    let mut schema = json!({ "type": "object" });
    for path in fragment::owned(name) {
        let mut at = &mut schema;
        for key in path {
            at = &mut at["properties"][*key];
        }
        *at = json!(false);
    }
    schema
}

fn described(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Foreign => document(key.name),
        _ => kind(&key.kind),
    };
    let doc = match key.default {
        "" => key.doc.to_owned(),
        default => format!("{} Default: {default}.", key.doc),
    };
    schema["description"] = Value::String(doc);
    schema
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Text(form) => text(form),
        Kind::Scalar(form) => {
            let mut schema = text(form);
            // A pattern applies to strings only.
            schema["type"] = json!(["string", "number", "boolean"]);
            schema
        }
        Kind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "enum": words.iter().map(|(word, _)| word).collect::<Vec<_>>() }),
        Kind::Word(_, words) => json!({ "enum": words }),
        Kind::Object(section) => object(section),
        Kind::Filled(filled) => {
            let mut schema = kind(filled);
            let least = if schema["type"] == "array" { "minItems" } else { "minProperties" };
            schema[least] = json!(1);
            schema
        }
        Kind::Set(items) => json!({ "type": "array", "items": kind(items), "uniqueItems": true }),
        Kind::Named(name, value) => {
            let mut schema = json!({ "type": "object", "additionalProperties": kind(value) });
            if !name.pattern.is_empty() {
                schema["propertyNames"] = json!({ "pattern": name.pattern });
            }
            schema
        }
        Kind::List(items) => json!({ "type": "array", "items": kind(items) }),
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
        Kind::Foreign => json!({ "type": "object" }),
    }
}

fn text(form: &Form) -> Value {
    match form.pattern {
        "" => json!({ "type": "string" }),
        pattern => json!({ "type": "string", "pattern": pattern }),
    }
}

const INTRODUCTION: &str = "\
# The inventory

The inventory is one YAML file that describes the machines and the cluster. Each verb that is about a cluster accepts `--inventory FILE`; the default is
`inventory.yaml` in the current folder. If the file has errors, hostler reports them with their lines and starts nothing.

A complete inventory:

    machines:
      twilightsparkle: 192.168.1.11
      rainbowdash: 192.168.1.12

A machine may have more keys than its address:

    machines:
      twilightsparkle:
        address: 192.168.1.11
        keep: [/srv/films]
      rainbowdash: 192.168.1.12

Commented examples to copy: [minimal](../inventory/minimal.yaml), [ponies](../inventory/ponies.yaml),
[three control planes](../inventory/three-control-planes.yaml).

For editors that know YAML, this reference is a JSON Schema, which shows most mistakes as you type:

    hostler schema > schema.json    # next to the inventory, which then begins with this line:
    # yaml-language-server: $schema=schema.json

The YAML must be strict: no unknown or duplicate keys, no tabs, no anchors, aliases or tags, and one document only.
";

const ADVANCED: &str = "\
# Advanced

These keys change the configuration of programs that hostler sets up. `hostler render` shows the result without reaching a machine.
";

/// docs/inventory.md.
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    let (advanced, plain): (Vec<&Key>, Vec<&Key>) = INVENTORY.keys.iter().partition(|key| key.doc.starts_with("Advanced. "));
    for key in plain {
        heading(&mut text, key, "");
    }
    text.push('\n');
    text.push_str(ADVANCED);
    for key in advanced {
        heading(&mut text, key, "");
    }
    text
}

/// A key with its own heading, followed by the keys in it.
fn heading(text: &mut String, key: &Key, path: &str) {
    let path = format!("{path}{}", key.name);
    let _ = write!(text, "\n## `{path}`\n\n{}\n", key.doc.trim_start_matches("Advanced. "));
    if !key.default.is_empty() {
        let _ = write!(text, "\nDefault: {}.\n", key.default);
    }
    let _ = write!(text, "\n{}", indented(&key.shown()));
    let mut sections = Vec::new();
    within(&key.kind, &mut sections);
    for section in sections {
        table(text, section);
    }
}

/// The sections that a value can be.
fn within(kind: &Kind, found: &mut Vec<&'static Section>) {
    match kind {
        Kind::Object(section) => found.push(section),
        Kind::Named(_, kind) | Kind::List(kind) | Kind::Set(kind) | Kind::Filled(kind) => within(kind, found),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| within(kind, found)),
        _ => {}
    }
}

fn table(text: &mut String, section: &'static Section) {
    let head = format!("\n### Keys of `{}`\n", section.path);
    // Two keys may have the same section.
    if text.contains(&head) {
        return;
    }
    let _ = write!(text, "{head}\n{}\n\n| key | value | meaning |\n|---|---|---|\n", section.doc);
    for key in section.keys {
        let mut what = key.doc.to_owned();
        if key.required {
            what.push_str(" **Required.**");
        }
        if !key.default.is_empty() {
            let _ = write!(what, " Default: {}.", key.default);
        }
        if !key.example.starts_with('\n') {
            let _ = write!(what, " Example: `{}`", key.shown());
        }
        let row = format!("| `{}` | {} | {what} |\n", key.name, takes(&key.kind));
        text.push_str(&row);
    }
    for key in section.keys {
        if key.example.starts_with('\n') {
            let _ = write!(text, "\n{}", indented(&key.shown()));
        }
        let mut below = Vec::new();
        within(&key.kind, &mut below);
        for section in below {
            table(text, section);
        }
    }
}

fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| format!("    {line}\n")).collect()
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Text(form) | Kind::Scalar(form) => form.what.to_owned(),
        Kind::Number(least, most) => format!("a number, {least} to {most}"),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Choice(words) => words.iter().map(|(word, meaning)| format!("`{word}`: {meaning}")).collect::<Vec<_>>().join("; "),
        Kind::Word(what, words) => format!("{what}: {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")),
        Kind::Object(_) => "a mapping, see below".to_owned(),
        Kind::Filled(kind) => takes(kind),
        Kind::Named(name, kind) => format!("a mapping from {} to {}", name.what, takes(kind)),
        Kind::List(kind) | Kind::Set(kind) => format!("a list, each entry {}", takes(kind)),
        Kind::Either(kinds) => kinds.iter().map(takes).collect::<Vec<_>>().join(", or "),
        Kind::Foreign => "any keys of that document".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_as_strict_as_the_reader() {
        let schema = json_schema();
        assert_eq!(schema["required"], json!(["machines"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        let machine = &schema["properties"]["machines"]["additionalProperties"]["anyOf"][1];
        assert_eq!(machine["required"], json!(["address"]));
        assert_eq!(machine["additionalProperties"], json!(false));
        assert_eq!(machine["properties"]["port"]["maximum"], json!(65535));
        assert_eq!(schema["properties"]["cluster"]["properties"]["cni"]["enum"], json!(["flannel", "flannel-host-gw", "none"]));
    }

    #[test]
    fn every_key_is_in_the_reference() {
        let text = markdown();
        let mut sections = vec![&INVENTORY];
        while let Some(section) = sections.pop() {
            for key in section.keys {
                assert!(text.contains(&format!("`{}`", key.name)), "{}", key.name);
                within(&key.kind, &mut sections);
            }
        }
    }
}

//! Commands of hostler in what is printed. A message names a verb, and does not know which inventory the run has or which lab it works on:
//! here a command gets what it needs to act on the same, so that it can be copied. All output passes here.

use std::borrow::Cow;

use hostler_core::words::shell_word;
use serde_json::Value;

/// What commands get.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// Verbs that take an inventory: `up`, `snapshot create`.
    pub verbs: Vec<String>,
    /// The inventory of the run; `None`: one that these verbs find by themselves.
    pub inventory: Option<String>,
    /// The assignment that chooses the lab, `HOSTLER_LAB=two`; `None`: the lab that the verbs of `lab` choose by themselves.
    pub lab: Option<String>,
}

/// Keys of JSON values whose texts are for people.
const TEXTS: [&str; 7] = ["hint", "next", "text", "line", "reason", "problems", "first"];

impl Commands {
    /// `text` with its commands completed: those in backticks, and those that are a line of their own.
    pub fn complete<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if (self.inventory.is_none() && self.lab.is_none()) || !text.contains("hostler ") {
            return Cow::Borrowed(text);
        }
        let lines: Vec<String> = text.split('\n').map(|line| self.line(line)).collect();
        Cow::Owned(lines.join("\n"))
    }

    /// The same for the texts for people in a JSON value.
    pub fn complete_value(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members.iter_mut() {
                    match value {
                        Value::String(text) if TEXTS.contains(&key.as_str()) => *text = self.complete(text).into_owned(),
                        Value::Array(texts) if TEXTS.contains(&key.as_str()) => texts.iter_mut().for_each(|text| self.complete_text(text)),
                        value => self.complete_value(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.complete_value(value)),
            _ => {}
        }
    }

    fn complete_text(&self, value: &mut Value) {
        if let Value::String(text) = value {
            *text = self.complete(text).into_owned();
        }
    }

    fn line(&self, line: &str) -> String {
        if line.starts_with("hostler ") {
            return self.command(line);
        }
        // Every second part is in backticks; the last one is not closed.
        let parts: Vec<&str> = line.split('`').collect();
        let quoted = |at: usize| at % 2 == 1 && at + 1 < parts.len();
        let parts = parts.iter().enumerate().map(|(at, part)| if quoted(at) { self.command(part) } else { (*part).to_owned() });
        parts.collect::<Vec<_>>().join("`")
    }

    /// A command completed; anything else stays as it is.
    fn command(&self, text: &str) -> String {
        let (root, rest) = text.strip_prefix("sudo ").map_or(("", text), |rest| ("sudo ", rest));
        let Some(words) = rest.strip_prefix("hostler ").map(|words| words.split(' ').collect::<Vec<_>>()) else { return text.to_owned() };
        if words.first() == Some(&"lab") {
            return self.lab.as_ref().map_or_else(|| text.to_owned(), |lab| format!("{root}{lab} {rest}"));
        }
        let takes_inventory = (1..=words.len().min(2)).any(|count| self.verbs.contains(&words[..count].join(" ")));
        match &self.inventory {
            Some(file) if takes_inventory && !words.iter().any(|word| ["-i", "--inventory"].contains(word)) => {
                format!("{text} -i {}", shell_word(file))
            }
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Commands {
        Commands {
            verbs: ["up", "rebuild", "kubeconfig", "transcode status", "snapshot create"].map(str::to_owned).to_vec(),
            inventory: Some("my home.yaml".to_owned()),
            lab: Some("HOSTLER_LAB=two".to_owned()),
        }
    }

    #[test]
    fn a_command_acts_on_the_same_inventory_and_lab() {
        for (text, completed) in [
            ("run `hostler up`", "run `hostler up -i 'my home.yaml'`"),
            ("`hostler rebuild a --from SNAPSHOT` brings it back", "`hostler rebuild a --from SNAPSHOT -i 'my home.yaml'` brings it back"),
            ("run `hostler transcode status` to list the films", "run `hostler transcode status -i 'my home.yaml'` to list the films"),
            ("`hostler snapshot list` shows them", "`hostler snapshot list` shows them"),
            ("`hostler up -i office.yaml`, `hostler upgrade`, `ls`", "`hostler up -i office.yaml`, `hostler upgrade`, `ls`"),
            ("run `hostler lab up`", "run `HOSTLER_LAB=two hostler lab up`"),
            ("run `sudo hostler lab up`", "run `sudo HOSTLER_LAB=two hostler lab up`"),
            ("one\nhostler lab exec -- kubectl get nodes", "one\nHOSTLER_LAB=two hostler lab exec -- kubectl get nodes"),
            ("hostler up", "hostler up -i 'my home.yaml'"),
            ("an open ` and hostler up", "an open ` and hostler up"),
        ] {
            assert_eq!(commands().complete(text), completed);
            assert_eq!(Commands::default().complete(text), text);
        }
    }

    #[test]
    fn a_value_is_completed_where_it_has_texts_for_people() {
        let mut value = serde_json::json!({
            "steps": [{"action": {"content": "`hostler up`"}}],
            "refusals": [{"hint": "run `hostler up`"}],
            "problems": ["`hostler up` would refuse: x"],
        });
        commands().complete_value(&mut value);
        let expected = serde_json::json!({
            "steps": [{"action": {"content": "`hostler up`"}}],
            "refusals": [{"hint": "run `hostler up -i 'my home.yaml'`"}],
            "problems": ["`hostler up -i 'my home.yaml'` would refuse: x"],
        });
        assert_eq!(value, expected);
    }
}

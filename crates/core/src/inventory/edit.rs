//! Adds a machine to the user's file, removes one, or replaces its host key; all other lines, comments and blanks stay as they are.

use anyhow::{Result, bail};

use super::tree::{self, Data, Key, Node, Style};
use super::{Inventory, MachineName, parse};
use crate::failure::{ExitStatus, Failure};

/// `text` with the machine appended, in the short form.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: the name exists with another address, the machines are written in a form that can't be edited,
/// or the result would not be valid.
pub fn add_machine(text: &str, name: &str, address: &str) -> Result<String> {
    let before = read(text)?;
    if let Some(there) = before.machines.get(name) {
        if there.address.to_string() == address {
            return Ok(text.to_owned());
        }
        let message = format!("{name} is already in the inventory, with the address {}", there.address);
        return Err(Failure::new(ExitStatus::Usage, message, "omit `--address`, or choose another name for the new machine").into());
    }
    let usage = |message: String, hint: &str| Failure::new(ExitStatus::Usage, message, hint);
    if MachineName::new(name).is_none() {
        let hint = "use a-z, 0-9 and -, with a letter or digit at both ends, at most 63 characters";
        return Err(usage(format!("`{name}` is not a valid machine name"), hint).into());
    }
    if let Some((other, _)) = before.machines.iter().find(|(_, machine)| machine.address.to_string() == address) {
        let hint = "pass the address of the new machine, or the name of the machine that is already in the inventory";
        return Err(usage(format!("`--address {address}` is the address of {other}, which is in the inventory"), hint).into());
    }
    let (body, mark) = without_mark(text);
    let machines = machines(body, &format!("add `{name}: {address}` under `machines:` yourself"))?;
    let (Some((first, _)), Some((_, last))) = (machines.first(), machines.last()) else { bail!("the inventory has no machines") };
    let newline = if body.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<&str> = body.split_inclusive('\n').collect();
    let entry = format!("{}{name}: {address}{newline}", " ".repeat(first.place.column - 1));
    let above = lines.get(last.last_line - 1).copied().unwrap_or_default();
    let ended = if above.ends_with('\n') { above.to_owned() } else { format!("{above}{newline}") };
    lines[last.last_line - 1] = &ended;
    // A comment that is indented like the machines, directly below the last one, is about that one.
    let about_last = |line: &&&str| {
        let text = line.trim_start_matches(' ');
        text.starts_with('#') && line.len() - text.len() + 1 >= first.place.column
    };
    let comments = lines[last.last_line..].iter().take_while(about_last).filter(|line| line.ends_with('\n')).count();
    lines.insert(last.last_line + comments, &entry);
    let after = format!("{mark}{}", lines.concat());
    let read = read(&after)?;
    if read.machines.len() != before.machines.len() + 1 || !read.machines.contains_key(name) {
        bail!("{name} can't be added to this inventory\nhint: add `{name}: {address}` under `machines:` yourself");
    }
    Ok(after)
}

/// `text` without the machine. A comment above its line stays, as it may be about other machines, too.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: there is no such machine or no other one, the machines are written in a form that can't be
/// edited, or the result would not be valid.
pub fn remove_machine(text: &str, name: &str) -> Result<String> {
    let before = read(text)?;
    let (body, mark) = without_mark(text);
    let machines = machines(body, &format!("delete {name} from the inventory yourself"))?;
    let Some((key, value)) = machines.iter().find(|(key, _)| key.text == name) else {
        return Err(
            Failure::new(ExitStatus::Usage, format!("the inventory has no machine `{name}`"), "check the spelling of the name").into()
        );
    };
    let lines = body.split_inclusive('\n').enumerate();
    let gone = key.place.line..=value.last_line.max(key.place.line);
    let left: String = lines.filter(|(line, _)| !gone.contains(&(line + 1))).map(|(_, line)| line).collect();
    let after = format!("{mark}{left}");
    let read = read(&after)?;
    if read.machines.len() + 1 != before.machines.len() || read.machines.contains_key(name) {
        bail!("{name} can't be deleted from this inventory\nhint: edit the file and delete the machine yourself");
    }
    Ok(after)
}

/// `text` with `key`, an OpenSSH public key without a comment, in place of the host key that is pinned for the machine. Only the characters of
/// that key change, wherever else the same key is.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: no key is pinned for the machine, or it is written in a form that can't be edited.
pub fn set_host_key(text: &str, name: &str, key: &str) -> Result<String> {
    let before = read(text)?;
    let by_hand = || {
        let message = format!("the host key of {name} can't be replaced in this inventory");
        Failure::new(ExitStatus::Usage, message, format!("edit the file and write `hostKey: {key}` there yourself"))
    };
    let old = before.machines.get(name).and_then(|machine| machine.connection.host_key.clone()).ok_or_else(by_hand)?;
    let after = replaced(text, &["machines", name, "hostKey"], key).ok_or_else(by_hand)?;
    // Read again: this machine's key is the new one, and nothing else differs.
    let mut changed = read(&after).map_err(|_| by_hand())?;
    let pinned = changed.machines.get_mut(name).map(|machine| &mut machine.connection.host_key);
    let is = pinned.and_then(|pinned| pinned.replace(old));
    // That machines have the same key is one of them.
    changed.warnings.clone_from(&before.warnings);
    if is.as_deref() != Some(key) || changed != before {
        return Err(by_hand().into());
    }
    Ok(after)
}

/// `text` with another version of Kubernetes in place of the one that is written.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: none is written, or it is in a form that can't be edited.
pub fn set_version(text: &str, version: &str) -> Result<String> {
    let by_hand = || {
        let message = "the version can't be replaced in this inventory";
        Failure::new(ExitStatus::Usage, message, format!("edit the file and write `cluster: {{version: {version}}}` there yourself"))
    };
    let before = read(text)?;
    let after = replaced(text, &["cluster", "version"], version).ok_or_else(by_hand)?;
    // Nothing else differs.
    let mut changed = read(&after).map_err(|_| by_hand())?;
    let is = std::mem::replace(&mut changed.cluster.version, before.cluster.version.clone());
    if is.as_deref() != Some(version) || changed != before {
        return Err(by_hand().into());
    }
    Ok(after)
}

/// `text` with `new` in place of the value at these keys: only its own characters change. `None`: it is not there, or not on one line and
/// without escapes.
fn replaced(text: &str, keys: &[&str], new: &str) -> Option<String> {
    let (body, mark) = without_mark(text);
    let Node { place, data: Data::Scalar(scalar), .. } = value_at(body, keys)? else { return None };
    let mut lines: Vec<String> = body.split_inclusive('\n').map(str::to_owned).collect();
    let line = lines.get_mut(place.line - 1)?;
    let characters: Vec<char> = line.chars().collect();
    let from = place.column - 1;
    let quote = match (scalar.style, characters.get(from)) {
        (Style::Plain, _) => String::new(),
        (Style::Quoted, Some(quote)) => quote.to_string(),
        _ => return None,
    };
    let expected = format!("{quote}{}{quote}", scalar.text);
    let to = from + expected.chars().count();
    if characters.get(from..to)?.iter().collect::<String>() != expected {
        return None;
    }
    let [begin, end]: [String; 2] = [characters[..from].iter().collect(), characters[to..].iter().collect()];
    *line = format!("{begin}{quote}{new}{quote}{end}");
    Some(format!("{mark}{}", lines.concat()))
}

/// The value at these keys, as it stands in `text`.
fn value_at(text: &str, keys: &[&str]) -> Option<Node> {
    keys.iter().try_fold(tree::parse(text).ok()?, |node, wanted| match node.data {
        Data::Mapping(entries) => entries.into_iter().find(|(key, _)| key.text == *wanted).map(|(_, value)| value),
        _ => None,
    })
}

/// What `text` says, without the text itself: of two texts only that is compared.
fn read(text: &str) -> Result<Inventory> {
    let hint = "the file was not changed: edit it yourself";
    let read = parse(text, "inventory").map_err(|wrong| Failure::new(ExitStatus::Usage, wrong.to_string().trim_end(), hint))?;
    Ok(Inventory { text: String::new(), ..read })
}

/// Splits off the byte order mark, which counts in no line or column.
fn without_mark(text: &str) -> (&str, &str) {
    text.strip_prefix('\u{feff}').map_or((text, ""), |body| (body, "\u{feff}"))
}

/// The machines as they stand in `text`, one or more lines each.
fn machines(text: &str, hint: &str) -> Result<Vec<(Key, Node)>> {
    let Ok(Node { data: Data::Mapping(keys), .. }) = tree::parse(text) else { bail!("the inventory can't be read\nhint: {hint}") };
    let machines = keys.into_iter().find(|(key, _)| key.text == "machines").map(|(_, value)| value);
    match machines {
        // In flow style, a machine has no line of its own.
        Some(Node { data: Data::Mapping(machines), place, .. })
            if machines.first().is_some_and(|(key, _)| key.place.line == place.line && key.place.column == place.column) =>
        {
            Ok(machines)
        }
        _ => Err(Failure::new(ExitStatus::Usage, "the inventory does not list each machine on a separate line, one below the other", hint)
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{add_machine, remove_machine, set_host_key};

    const HOME: &str =
        "# home\nmachines:\n  a: 10.0.0.1 # first\n  b:\n    address: 10.0.0.2\n    keep:\n      - /srv\n\n# end\ncluster:\n  name: x\n";

    #[test]
    fn a_machine_is_appended_and_the_rest_stays() {
        let after = HOME.replace("      - /srv\n", "      - /srv\n  c: 10.0.0.3\n");
        assert_eq!(add_machine(HOME, "c", "10.0.0.3").unwrap(), after);
        assert_eq!(remove_machine(&after, "c").unwrap(), HOME);
        assert_eq!(add_machine(HOME, "a", "10.0.0.1").unwrap(), HOME);
    }

    #[test]
    fn a_comment_of_the_last_machine_stays_with_it() {
        let text = "machines:\n  a: 10.0.0.1\n  # a has the disk\n    # and the fan\n# end\n  # not a's\n";
        let after = text.replace("fan\n", "fan\n  b: 10.0.0.2\n");
        assert_eq!(add_machine(text, "b", "10.0.0.2").unwrap(), after);
    }

    #[test]
    fn a_machine_is_deleted_with_all_its_lines() {
        assert_eq!(remove_machine(HOME, "b").unwrap(), "# home\nmachines:\n  a: 10.0.0.1 # first\n\n# end\ncluster:\n  name: x\n");
        assert_eq!(remove_machine(HOME, "a").unwrap(), HOME.replace("  a: 10.0.0.1 # first\n", ""));
    }

    #[test]
    fn line_ends_and_byte_order_mark_stay() {
        let text = "\u{feff}machines:\r\n  a: 10.0.0.1";
        let two = "\u{feff}machines:\r\n  a: 10.0.0.1\r\n  b: 10.0.0.2\r\n";
        assert_eq!(add_machine(text, "b", "10.0.0.2").unwrap(), two);
        assert_eq!(remove_machine(two, "a").unwrap(), "\u{feff}machines:\r\n  b: 10.0.0.2\r\n");
    }

    #[test]
    fn a_host_key_changes_at_its_place_alone() {
        const OLD: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        const NEW: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFFFy3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        // Clones of one image have one key; so may a comment, another field, and a machine before or after.
        let inventory = |written: &str| {
            format!(
                "# {OLD}\nmachines:\n  a:\n    hostKey: {OLD}\n    address: 10.0.0.1\n  b:\n    address: 10.0.0.2\n    hostKey: {written} # {OLD}\n  \
                 c: {{address: 10.0.0.3, hostKey: \"{OLD}\"}}\n"
            )
        };
        for (old, new) in [
            (OLD.to_owned(), NEW.to_owned()),
            (format!("\"{OLD}\""), format!("\"{NEW}\"")),
            (format!("'{OLD}'"), format!("'{NEW}'")),
            (OLD.replacen(' ', "   ", 1), NEW.to_owned()),
            (format!("{OLD} pie@home"), NEW.to_owned()),
            ("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(), NEW.to_owned()),
        ] {
            let after = set_host_key(&inventory(&old), "b", NEW).unwrap_or_else(|error| panic!("{old}: {error}"));
            assert_eq!(after, inventory(&new), "{old}");
        }
        let flow = inventory(OLD).replace(&format!("hostKey: \"{OLD}\""), &format!("hostKey: \"{NEW}\""));
        assert_eq!(set_host_key(&inventory(OLD), "c", NEW).unwrap(), flow);
        let marked = format!("\u{feff}{}", inventory(OLD).replace('\n', "\r\n"));
        assert_eq!(
            set_host_key(&marked, "b", NEW).unwrap(),
            format!("\u{feff}{}", inventory(NEW).replace('\n', "\r\n")).replacen(&format!("{NEW} # {NEW}"), &format!("{NEW} # {OLD}"), 1)
        );
        // A form that can't be edited, and a machine without one.
        for (text, name) in [
            (format!("machines:\n  a:\n    address: 10.0.0.1\n    hostKey: >-\n      ssh-ed25519\n      {}\n", &OLD[12..]), "a"),
            (inventory(OLD), "z"),
            ("machines: {a: 10.0.0.1}\n".to_owned(), "a"),
        ] {
            let error = set_host_key(&text, name, NEW).unwrap_err().to_string();
            assert!(error.contains("there yourself"), "{error}");
        }
    }

    #[test]
    fn impossible_edits_are_errors() {
        let of = |result: anyhow::Result<String>| format!("{:#}", result.unwrap_err());
        assert!(of(add_machine(HOME, "a", "10.0.0.9")).contains("already in the inventory, with the address 10.0.0.1"));
        assert!(of(add_machine(HOME, "c", "10.0.0.2")).contains("10.0.0.2"));
        assert!(of(add_machine(HOME, "no_label", "10.0.0.3")).contains("no_label"));
        let form = "one below the other";
        assert!(of(add_machine("machines: {a: 10.0.0.1}\n", "b", "10.0.0.2")).contains(form));
        assert!(of(add_machine("machines:\n  ? a\n  : 10.0.0.1\n", "b", "10.0.0.2")).contains(form));
        assert!(of(remove_machine("machines: {a: 10.0.0.1, b: 10.0.0.2}\n", "b")).contains(form));
        assert!(of(remove_machine("machines:\n  a: 10.0.0.1\n", "a")).contains("machine"));
        assert!(of(remove_machine(HOME, "z")).contains("no machine `z`"));
    }
}

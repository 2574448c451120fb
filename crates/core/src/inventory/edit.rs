//! Adds a machine to the user's file or removes one; all other lines, comments and blanks stay as they are.

use anyhow::{Result, bail};

use super::tree::{self, Data, Key, Node, Style};
use super::{Inventory, parse};
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
    let (body, mark) = without_mark(text);
    let machines = machines(body, &format!("add `{name}: {address}` to its machines yourself"))?;
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
        bail!("{name} can't be added to this inventory\nhint: add `{name}: {address}` to its machines yourself");
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
    let machines = machines(body, &format!("delete {name} from its machines yourself"))?;
    let Some((key, value)) = machines.iter().find(|(key, _)| key.text == name) else {
        return Err(Failure::new(ExitStatus::Usage, format!("the inventory has no machine `{name}`"), "nothing needs to be deleted").into());
    };
    let lines = body.split_inclusive('\n').enumerate();
    let gone = key.place.line..=value.last_line.max(key.place.line);
    let left: String = lines.filter(|(line, _)| !gone.contains(&(line + 1))).map(|(_, line)| line).collect();
    let after = format!("{mark}{left}");
    let read = read(&after)?;
    if read.machines.len() + 1 != before.machines.len() || read.machines.contains_key(name) {
        bail!("{name} can't be deleted from this inventory\nhint: delete it from its machines yourself");
    }
    Ok(after)
}

/// `text` with `key`, an OpenSSH public key without a comment, in place of the host key that is pinned for the machine. Nothing else changes.
///
/// # Errors
/// A [`Failure`] with [`ExitStatus::Usage`]: no key is pinned, or it is written in a form that can't be edited.
pub fn replace_host_key(text: &str, name: &str, key: &str) -> Result<String> {
    let hint = format!("write `hostKey: {key}` at {name} yourself");
    let wrong = |what: String| anyhow::Error::from(Failure::new(ExitStatus::Usage, what, hint.clone()));
    let before = read(text)?;
    let pinned = |inventory: &Inventory| inventory.machines.get(name).and_then(|machine| machine.connection.host_key.clone());
    if pinned(&before).is_none() {
        return Err(wrong(format!("the inventory pins no host key of {name}")));
    }
    let cant = || wrong(format!("the host key of {name} can't be replaced in the inventory"));
    let (body, mark) = without_mark(text);
    let value = value(body, &["machines", name, "hostKey"]).ok_or_else(cant)?;
    let on_one_line = value.last_line == value.place.line && value.place.length != usize::MAX;
    if !on_one_line || !matches!(&value.data, Data::Scalar(scalar) if matches!(scalar.style, Style::Plain | Style::Quoted)) {
        return Err(cant());
    }
    let mut lines: Vec<String> = body.split_inclusive('\n').map(str::to_owned).collect();
    let line = lines.get_mut(value.place.line - 1).ok_or_else(cant)?;
    let byte = |line: &str, column: usize| line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let from = byte(line, value.place.column - 1);
    let to = byte(line, (value.place.column - 1).saturating_add(value.place.length));
    line.replace_range(from..to, key);
    let after = format!("{mark}{}", lines.concat());
    let read = read(&after)?;
    let mut expected = before;
    if let Some(machine) = expected.machines.get_mut(name) {
        machine.connection.host_key = Some(key.to_owned());
    }
    if read == expected { Ok(after) } else { Err(cant()) }
}

/// The value at a path of keys.
fn value(text: &str, path: &[&str]) -> Option<Node> {
    let mut node = tree::parse(text).ok()?;
    for wanted in path {
        let Data::Mapping(entries) = node.data else { return None };
        node = entries.into_iter().find(|(key, _)| key.text == *wanted)?.1;
    }
    Some(node)
}

fn read(text: &str) -> Result<Inventory> {
    let hint = "the file was not changed";
    Ok(parse(text, "inventory").map_err(|wrong| Failure::new(ExitStatus::Usage, wrong.to_string().trim_end(), hint))?)
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
        _ => Err(Failure::new(
            ExitStatus::Usage,
            "the inventory's machines are not written one below the other, each from a line of its own",
            hint,
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{add_machine, parse, remove_machine, replace_host_key};

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
    fn the_host_key_of_one_machine_is_replaced_at_its_place() {
        const OLD: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDkMSnsWgIhxtNZ4DSpnUQOW66dCzwsV2mT9k6yVhOz";
        const NEW: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKIwz1O4WlYWLcfU3mrlkv9gKMI9DtAa1kVrd1lhGZRW";
        let spaced = OLD.replace(' ', "   ");
        for form in ["OLD # of b", "\"OLD\"", "'SPACED'", "SPACED", "OLD root@b"] {
            let pin = form.replace("OLD", OLD).replace("SPACED", &spaced);
            let text = format!(
                "# {OLD}\nmachines:\n  a: {{address: 10.0.0.1, hostKey: {OLD}}}\n  b:\n    address: 10.0.0.2\n    hostKey: {pin}\n"
            );
            let after = replace_host_key(&text, "b", NEW).unwrap();
            assert_eq!(after.matches(OLD).count(), 2, "{after}");
            let keys =
                |text: &str| parse(text, "").unwrap().machines.values().map(|m| m.connection.host_key.clone().unwrap()).collect::<Vec<_>>();
            assert_eq!(keys(&after), [OLD, NEW], "{after}");
            let flow = replace_host_key(&text, "a", NEW).unwrap();
            assert_eq!(keys(&flow), [NEW, OLD], "{flow}");
        }
        let text = format!("machines:\n  a: {{address: 10.0.0.1, hostKey: {OLD}}}\n  b: 10.0.0.2\n");
        assert!(replace_host_key(&text, "b", NEW).unwrap_err().to_string().contains("pins no host key of b"));
        let folded = format!("machines:\n  a:\n    address: 10.0.0.1\n    hostKey: >-\n      {}\n", OLD.replace(' ', "\n      "));
        assert!(replace_host_key(&folded, "a", NEW).unwrap_err().to_string().contains("can't be replaced"));
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

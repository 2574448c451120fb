//! Settings for one machine from `~/.ssh/config` and `/etc/ssh/ssh_config`: the keys of ssh_config(5) that hostler supports.
//!
//! This is own code because ssh2-config 0.9 adds the content of a `Match` block to the `Host` block before it, and does not keep a
//! ProxyCommand literally. `Match exec`, and every other criterion that is not supported here, never matches.

use std::path::{Path, PathBuf};

use super::pattern::{fits, fits_list};
use crate::user_file;

/// The depth of nested `Include`s, as in OpenSSH.
const MAX_DEPTH: u32 = 16;

/// The first value of each key, as with ssh; identity and certificate files accumulate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub host_name: Option<String>,
    pub host_key_alias: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub identity_files: Vec<String>,
    pub certificate_files: Vec<String>,
    pub identities_only: Option<bool>,
    pub identity_agent: Option<String>,
    pub proxy: Option<Proxy>,
    pub user_known_hosts: Option<Vec<String>>,
    pub global_known_hosts: Option<Vec<String>>,
    pub hash_known_hosts: Option<bool>,
}

/// ProxyJump or ProxyCommand: the first one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `none`
    Direct,
    Jump(String),
    Command(String),
}

/// The machine to look up.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its name in the inventory. A block for this name counts, except for its HostName: the inventory's address is explicit.
    pub name: &'a str,
    /// The argument that `ssh` would get.
    pub address: &'a str,
    /// The user from the inventory.
    pub user: Option<&'a str>,
    /// The user who runs hostler.
    pub local_user: &'a str,
}

#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {what}", file.display())]
pub struct ConfigError {
    pub file: PathBuf,
    pub line: usize,
    pub what: String,
}

/// Whether and how a block applies to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concerns {
    No,
    /// Only by its name in the inventory.
    Name,
    Address,
}

/// Settings from `files`, in this order. A missing file is ignored.
///
/// # Errors
/// An invalid value, with file and line.
pub fn lookup(files: &[PathBuf], home: &Path, asked: &Asked) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    for file in files {
        read(file, home, asked, Concerns::Address, 0, &mut settings)?;
    }
    Ok(settings)
}

fn read(file: &Path, home: &Path, asked: &Asked, inherited: Concerns, depth: u32, settings: &mut Settings) -> Result<(), ConfigError> {
    // As ssh: a file that can't be read is ignored. A pipe or a device might never end.
    let Ok(text) = user_file::read(file, user_file::MOST_BYTES) else { return Ok(()) };
    let text = String::from_utf8_lossy(&text);
    let mut concerns = inherited;
    for (number, line) in text.lines().enumerate() {
        let error = |what: String| ConfigError { file: file.to_owned(), line: number + 1, what };
        let Some((key, rest)) = split_key(line) else { continue };
        let words = words(rest).map_err(error)?;
        let first = || words.first().cloned().ok_or_else(|| error(format!("{key} has no value")));
        match key.as_str() {
            "host" => {
                concerns = inherited.and(host_block(&words, asked));
                continue;
            }
            "match" => {
                concerns = inherited.and(match_block(&words, asked, settings));
                continue;
            }
            _ if concerns == Concerns::No => continue,
            "include" => {
                if depth >= MAX_DEPTH {
                    return Err(error(format!("more than {MAX_DEPTH} files include each other")));
                }
                for word in &words {
                    for included in included(word, file, home) {
                        read(&included, home, asked, concerns, depth + 1, settings)?;
                    }
                }
            }
            "hostname" if concerns == Concerns::Address => keep(&mut settings.host_name, first()?),
            "hostkeyalias" => keep(&mut settings.host_key_alias, first()?),
            "user" => keep(&mut settings.user, first()?),
            "port" => {
                let port = first()?;
                // A name of /etc/services: no other makes sense here.
                let port = if port == "ssh" { "22".to_owned() } else { port };
                let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(|| error(format!("{port} is not a port")))?;
                keep(&mut settings.port, port);
            }
            "identityfile" => add(&mut settings.identity_files, first()?),
            "certificatefile" => add(&mut settings.certificate_files, first()?),
            "identitiesonly" => keep(&mut settings.identities_only, yes(&first()?).map_err(error)?),
            "hashknownhosts" => keep(&mut settings.hash_known_hosts, yes(&first()?).map_err(error)?),
            "identityagent" => keep(&mut settings.identity_agent, first()?),
            "userknownhostsfile" => keep(&mut settings.user_known_hosts, words),
            "globalknownhostsfile" => keep(&mut settings.global_known_hosts, words),
            "proxyjump" => {
                let jump = first()?;
                let jump = if jump.eq_ignore_ascii_case("none") { Proxy::Direct } else { Proxy::Jump(jump) };
                keep(&mut settings.proxy, jump);
            }
            "proxycommand" => {
                // The rest of the line, literally: it is for a shell.
                let command = if rest.eq_ignore_ascii_case("none") { Proxy::Direct } else { Proxy::Command(rest.to_owned()) };
                keep(&mut settings.proxy, command);
            }
            _ => {}
        }
    }
    Ok(())
}

impl Concerns {
    /// A block inside an included file applies only if the place of the `Include` does.
    fn and(self, other: Concerns) -> Concerns {
        match (self, other) {
            (Concerns::No, _) | (_, Concerns::No) => Concerns::No,
            (Concerns::Name, _) | (_, Concerns::Name) => Concerns::Name,
            _ => Concerns::Address,
        }
    }
}

fn host_block(patterns: &[String], asked: &Asked) -> Concerns {
    let patterns = || patterns.iter().map(String::as_str);
    let excluded = |text: &str| patterns().filter_map(|pattern| pattern.strip_prefix('!')).any(|pattern| fits(pattern, text));
    if excluded(asked.address) || excluded(asked.name) {
        Concerns::No
    } else if fits_list(patterns(), asked.address) {
        Concerns::Address
    } else if fits_list(patterns(), asked.name) {
        Concerns::Name
    } else {
        Concerns::No
    }
}

fn match_block(words: &[String], asked: &Asked, settings: &Settings) -> Concerns {
    let mut words = words.iter();
    let mut concerns = Concerns::Address;
    while let Some(criterion) = words.next() {
        let (negated, criterion) = match criterion.strip_prefix('!') {
            Some(criterion) => (true, criterion),
            None => (false, criterion.as_str()),
        };
        let criterion = criterion.to_lowercase();
        if criterion == "all" {
            if negated {
                return Concerns::No;
            }
            continue;
        }
        let Some(list) = words.next() else { return Concerns::No };
        let holds = |text: &str| fits_list(list.split(','), text);
        let found = match criterion.as_str() {
            "host" if holds(settings.host_name.as_deref().unwrap_or(asked.address)) => Concerns::Address,
            "originalhost" if holds(asked.address) => Concerns::Address,
            "host" | "originalhost" if holds(asked.name) => Concerns::Name,
            "user" if holds(asked.user.or(settings.user.as_deref()).unwrap_or(asked.local_user)) => Concerns::Address,
            "localuser" if holds(asked.local_user) => Concerns::Address,
            "host" | "originalhost" | "user" | "localuser" => Concerns::No,
            _ => return Concerns::No,
        };
        let found = match (negated, found) {
            (false, found) => found,
            (true, Concerns::No) => Concerns::Address,
            (true, _) => Concerns::No,
        };
        concerns = concerns.and(found);
    }
    concerns
}

/// The files of an `Include`: with `~/`, relative to the folder of ssh's own files, and with wildcards in the last part.
fn included(word: &str, by: &Path, home: &Path) -> Vec<PathBuf> {
    let path = match word.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if word.starts_with('/') => PathBuf::from(word),
        None if by.starts_with("/etc/ssh") => Path::new("/etc/ssh").join(word),
        None => home.join(".ssh").join(word),
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return vec![path];
    }
    let Some(entries) = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let entry = entry.file_name();
            let entry = entry.to_string_lossy();
            !entry.starts_with('.') && fits(&name, &entry)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// `Key value`, `Key=value` or `Key = value`; `None` for an empty line and a comment. The key is in lower case.
fn split_key(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').map_or(rest, str::trim_start);
    Some((key.to_lowercase(), rest))
}

/// Words as ssh splits them: separated by blanks, quoted by both kinds of quotes; `#` starts a comment.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(q), c) if c == q => quote = None,
            (_, '\\') if chars.peek().is_some_and(|next| ['"', '\'', '\\'].contains(next) || (quote.is_none() && *next == ' ')) => {
                word.get_or_insert_default().extend(chars.next());
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

fn yes(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{value} is neither yes nor no")),
    }
}

fn keep<T>(place: &mut Option<T>, value: T) {
    if place.is_none() {
        *place = Some(value);
    }
}

fn add(list: &mut Vec<String>, value: String) {
    if !list.contains(&value) {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASH: Asked = Asked { name: "rainbowdash", address: "192.168.1.12", user: None, local_user: "ash" };

    fn settings_of(text: &str, asked: Asked) -> Settings {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, text).unwrap();
        lookup(&[file], home.path(), &asked).unwrap()
    }

    #[test]
    fn the_first_value_counts_and_identities_accumulate() {
        let settings = settings_of(
            "Host rainbow*\n  User dash # fast\n  Port=2222\n  IdentityFile ~/.ssh/a\n\nhost *\n user other\n IdentityFile \"~/.ssh/my key\"\n",
            DASH,
        );
        assert_eq!(settings.user.as_deref(), Some("dash"));
        assert_eq!(settings.port, Some(2222));
        assert_eq!(settings.identity_files, ["~/.ssh/a", "~/.ssh/my key"]);
    }

    #[test]
    fn a_block_for_the_name_applies_except_for_its_host_name() {
        let by_name = settings_of("Host rainbowdash\n HostName 10.0.0.1\n User dash\n", DASH);
        assert_eq!((by_name.host_name, by_name.user.as_deref()), (None, Some("dash")));
        let by_address = settings_of("Host 192.168.1.*\n HostName 10.0.0.1\n", DASH);
        assert_eq!(by_address.host_name.as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn exclusions_hold_for_both() {
        assert_eq!(settings_of("Host * !rainbowdash\n User x\n", DASH).user, None);
        assert_eq!(settings_of("Host * !192.168.1.12\n User x\n", DASH).user, None);
        assert_eq!(settings_of("Host * !pinkiepie\n User x\n", DASH).user.as_deref(), Some("x"));
    }

    #[test]
    fn a_match_block_does_not_leak_into_the_host_block_before_it() {
        let text = "Host rainbowdash\n Port 22\nMatch exec \"true\"\n User wrong\nMatch user root\n Port 1\nMatch host 192.168.*,x localuser ash\n User right\n";
        let settings = settings_of(text, DASH);
        assert_eq!((settings.user.as_deref(), settings.port), (Some("right"), Some(22)));
        assert_eq!(settings_of("Match !host 192.168.1.12\n User x\n", DASH).user, None);
        assert_eq!(settings_of("Match all\n User x\n", DASH).user.as_deref(), Some("x"));
    }

    #[test]
    fn the_first_proxy_counts() {
        assert_eq!(settings_of("ProxyJump none\nProxyCommand nc %h %p\n", DASH).proxy, Some(Proxy::Direct));
        let command = "ProxyCommand ssh -W '[%h]:%p' \"bastion\" # not a comment\nProxyJump b\n";
        assert_eq!(settings_of(command, DASH).proxy, Some(Proxy::Command("ssh -W '[%h]:%p' \"bastion\" # not a comment".to_owned())));
        assert_eq!(settings_of("proxyjump ash@b:22,c\n", DASH).proxy, Some(Proxy::Jump("ash@b:22,c".to_owned())));
    }

    #[test]
    fn files_include_others() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".ssh/config.d");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("10.conf"), "Host rainbowdash\n User dash\n").unwrap();
        std::fs::write(folder.join("20.conf"), "User late\nPort 7\n").unwrap();
        let file = home.path().join(".ssh/config");
        std::fs::write(&file, "Include config.d/*.conf\nHost pinkiepie\n Include config.d/20.conf\n").unwrap();
        let settings = lookup(std::slice::from_ref(&file), home.path(), &DASH).unwrap();
        assert_eq!((settings.user.as_deref(), settings.port), (Some("dash"), Some(7)));
        std::fs::write(&file, "Include config\n").unwrap();
        assert!(lookup(&[file], home.path(), &DASH).unwrap_err().what.contains("include each other"));
    }

    #[test]
    fn an_error_has_its_line() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        for (text, expected) in [
            ("\nPort many\n", ":2: many is not a port"),
            ("User\n", ":1: user has no value"),
            ("IdentitiesOnly perhaps", ":1: perhaps is neither"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = lookup(std::slice::from_ref(&file), home.path(), &DASH).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

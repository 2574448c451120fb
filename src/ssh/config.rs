//! Settings for one machine from `~/.ssh/config` and `/etc/ssh/ssh_config`: the keys of ssh_config(5) that hostler supports.
//!
//! This is own code because ssh2-config 0.9 adds the content of a `Match` block to the `Host` block before it, and does not keep a
//! ProxyCommand literally. Criteria of `Match` that are not supported here never match.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::glob::glob;
use super::pattern::{fits, fits_list};
use crate::user_file;

/// Limit for the command of a `Match exec`.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

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
    /// PubkeyAuthentication, PasswordAuthentication, KbdInteractiveAuthentication.
    pub keys: Option<bool>,
    pub passwords: Option<bool>,
    pub questions: Option<bool>,
    /// PreferredAuthentications: methods that are not in it are not used.
    pub methods: Option<String>,
}

/// One reading of the files.
struct Pass<'a> {
    home: &'a Path,
    asked: &'a Asked<'a>,
    /// The second one, for `Match final`.
    last: bool,
    /// There is such a block.
    another: bool,
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
    let mut pass = Pass { home, asked, last: false, another: false };
    for file in files {
        read(file, &mut pass, Concerns::Address, 0, &mut settings)?;
    }
    if pass.another {
        // What is set stays; the name is what it was found to be.
        settings.host_name.get_or_insert_with(|| asked.address.to_owned());
        pass.last = true;
        for file in files {
            read(file, &mut pass, Concerns::Address, 0, &mut settings)?;
        }
    }
    Ok(settings)
}

fn read(file: &Path, pass: &mut Pass, inherited: Concerns, depth: u32, settings: &mut Settings) -> Result<(), ConfigError> {
    let asked = pass.asked;
    // As ssh: a file that can't be read is ignored. A pipe or a device might never end.
    let Ok(text) = user_file::read(file, user_file::MOST_BYTES) else { return Ok(()) };
    let text = String::from_utf8_lossy(&text);
    let mut concerns = inherited;
    for (number, line) in text.lines().enumerate() {
        let error = |what: String| ConfigError { file: file.to_owned(), line: number + 1, what };
        let Some((key, rest)) = split_key(line) else { continue };
        // What is written wrongly in another machine's block is in nobody's way.
        if concerns == Concerns::No && !matches!(key.as_str(), "host" | "match") {
            continue;
        }
        let words = words(rest).map_err(error)?;
        let first = || words.first().cloned().ok_or_else(|| error(format!("{key} has no value")));
        match key.as_str() {
            "host" => {
                concerns = inherited.and(host_block(&words, asked));
                continue;
            }
            "match" => {
                concerns = if inherited == Concerns::No {
                    Concerns::No
                } else {
                    inherited.and(match_block(&words, pass, settings).map_err(error)?)
                };
                continue;
            }
            "include" => {
                if depth >= MAX_DEPTH {
                    return Err(error(format!("Include is nested more than {MAX_DEPTH} levels deep")));
                }
                for word in &words {
                    for included in included(word, file, pass.home) {
                        read(&included, pass, concerns, depth + 1, settings)?;
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
                let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(|| error(format!("{port} is not a valid port")))?;
                keep(&mut settings.port, port);
            }
            "identityfile" => add(&mut settings.identity_files, first()?),
            "certificatefile" => add(&mut settings.certificate_files, first()?),
            "identitiesonly" => keep(&mut settings.identities_only, yes(&first()?).map_err(error)?),
            "hashknownhosts" => keep(&mut settings.hash_known_hosts, yes(&first()?).map_err(error)?),
            "pubkeyauthentication" => {
                let value = first()?;
                let bound = ["unbound", "host-bound"].iter().any(|word| value.eq_ignore_ascii_case(word));
                keep(&mut settings.keys, if bound { true } else { yes(&value).map_err(error)? });
            }
            "passwordauthentication" => keep(&mut settings.passwords, yes(&first()?).map_err(error)?),
            "kbdinteractiveauthentication" | "challengeresponseauthentication" => {
                keep(&mut settings.questions, yes(&first()?).map_err(error)?)
            }
            "preferredauthentications" => keep(&mut settings.methods, first()?),
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

fn match_block(words: &[String], pass: &mut Pass, settings: &Settings) -> Result<Concerns, String> {
    let asked = pass.asked;
    // `host=NAME` and `host = NAME` are `host NAME`.
    let words: Vec<String> = words
        .iter()
        .flat_map(|word| match word.split_once('=') {
            Some((criterion, list)) if criterion.chars().all(|c| c.is_ascii_alphabetic() || c == '!') => vec![criterion, list],
            _ => vec![word.as_str()],
        })
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let mut words = words.iter();
    let mut concerns = Concerns::Address;
    while let Some(criterion) = words.next() {
        let (negated, criterion) = match criterion.strip_prefix('!') {
            Some(criterion) => (true, criterion),
            None => (false, criterion.as_str()),
        };
        let criterion = criterion.to_lowercase();
        let always = match criterion.as_str() {
            "all" => Some(true),
            // This program looks no names up, so the second reading is the only one of both kinds.
            "final" | "canonical" => {
                pass.another |= criterion == "final";
                Some(pass.last)
            }
            _ => None,
        };
        let found = if let Some(holds) = always {
            if holds { Concerns::Address } else { Concerns::No }
        } else {
            let Some(list) = words.next() else { return Err(format!("the criterion {criterion} of Match has no value")) };
            let holds = |text: &str| fits_list(list.split(','), text);
            match criterion.as_str() {
                "host" if holds(settings.host_name.as_deref().unwrap_or(asked.address)) => Concerns::Address,
                "originalhost" if holds(asked.address) => Concerns::Address,
                "host" | "originalhost" if holds(asked.name) => Concerns::Name,
                "user" if holds(asked.user.or(settings.user.as_deref()).unwrap_or(asked.local_user)) => Concerns::Address,
                "localuser" if holds(asked.local_user) => Concerns::Address,
                "host" | "originalhost" | "user" | "localuser" => Concerns::No,
                // As ssh: not where another criterion has decided already.
                "exec" if concerns == Concerns::No => Concerns::No,
                "exec" if succeeds(list, pass, settings)? => Concerns::Address,
                "exec" => Concerns::No,
                _ => return Ok(Concerns::No),
            }
        };
        let found = match (negated, found) {
            (false, found) => found,
            (true, Concerns::No) => Concerns::Address,
            (true, _) => Concerns::No,
        };
        concerns = concerns.and(found);
    }
    Ok(concerns)
}

/// Whether the command of a `Match exec` ends with status 0. The user's own shell runs it, as for ssh.
fn succeeds(command: &str, pass: &Pass, settings: &Settings) -> Result<bool, String> {
    let asked = pass.asked;
    let host = settings.host_name.as_deref().unwrap_or(asked.address);
    let user = asked.user.or(settings.user.as_deref()).unwrap_or(asked.local_user);
    let mut filled = String::new();
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('%')) => filled.push('%'),
            ('%', Some('h' | 'k')) => filled.push_str(host),
            ('%', Some('n')) => filled.push_str(asked.address),
            ('%', Some('p')) => filled.push_str(&settings.port.unwrap_or(22).to_string()),
            ('%', Some('r')) => filled.push_str(user),
            ('%', Some('u')) => filled.push_str(asked.local_user),
            ('%', Some('d')) => filled.push_str(&pass.home.to_string_lossy()),
            ('%', Some('i')) => filled.push_str(&nix::unistd::getuid().to_string()),
            ('%', other) => return Err(format!("unknown token %{} in Match exec", other.map_or_else(String::new, String::from))),
            (c, _) => filled.push(c),
        }
    }
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(&filled)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the command in `Match exec` can't be started: {error}"))?;
    let until = Instant::now() + EXEC_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                // What is left of it ends by itself.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(format!("the command in `Match exec` did not finish within {} s", EXEC_LIMIT.as_secs()));
            }
            Err(error) => return Err(format!("the exit status of the command in `Match exec` is unknown: {error}")),
        }
    }
}

/// The files of an `Include`: with `~/`, relative to the folder of ssh's own files, and with wildcards.
fn included(word: &str, by: &Path, home: &Path) -> Vec<PathBuf> {
    let of_user = word.strip_prefix('~').and_then(|rest| rest.split_once('/')).filter(|(user, _)| !user.is_empty());
    glob(&match word.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if of_user.is_some() => {
            let Some((home, rest)) = of_user.and_then(|(user, rest)| Some((crate::home::home_of(user)?, rest))) else { return Vec::new() };
            home.join(rest)
        }
        None if word.starts_with('/') => PathBuf::from(word),
        None if by.starts_with("/etc/ssh") => Path::new("/etc/ssh").join(word),
        None => home.join(".ssh").join(word),
    })
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
        return Err("a quotation mark is not closed".to_owned());
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
        let text = "Host rainbowdash\n Port 22\nMatch exec \"false\"\n User wrong\nMatch user root\n Port 1\nMatch host 192.168.*,x localuser ash\n User right\n";
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
        assert!(lookup(&[file], home.path(), &DASH).unwrap_err().what.contains("Include is nested more than"));
    }

    /// What the real ssh makes of a configuration (`ssh -G`): user, port, name, and which ways of logging in it allows.
    #[test]
    fn blocks_apply_as_they_do_for_ssh() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("parts");
        for (name, text) in [("a/x", "Port 11\n"), ("b/x", "User fromb\n"), ("one.conf", "Port 12\n"), ("two.conf", "Port 13\n")] {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.join(name), text).unwrap();
        }
        let user = crate::home::user().unwrap();
        let asked = Asked { name: "192.0.2.7", address: "192.0.2.7", user: None, local_user: &user };
        let file = home.path().join("config");
        for text in [
            "Match exec \"true\"\n User x\n",
            "Match exec \"false\"\n User x\n",
            "Match !exec \"false\"\n User x\n",
            "Match host 192.0.2.7 exec \"test %h = 192.0.2.7\"\n User x\n",
            "Match host 192.0.2.8 exec \"touch DIR/ran\"\n User x\n",
            "Match exec \"test %p = 22 && test %r = USER && test %n = 192.0.2.7\"\n Port 7\n",
            "Port 5\nMatch exec \"test %p = 5\"\n User x\n",
            "Match final\n User x\nHost *\n User y\n",
            "Match final host 192.0.2.7\n User x\n",
            "Match !final\n User x\nMatch final\n Port 9\n",
            "Match final all\n Port 9\nHost 192.0.2.7\n Port 8\n",
            "Match canonical\n Port 9\n",
            "Host 192.0.2.7\n HostName real.example\nMatch final host real.example\n User x\n",
            "Host 192.0.2.7\n HostName real.example\nMatch host real.example\n User x\n",
            "Match host=192.0.2.7\n User x\n",
            "Match host = 192.0.2.7 user=USER\n Port 7\n",
            "Match host \"192.0.2.*,!192.0.2.7\"\n User x\n",
            "Match !host 192.0.2.8 all\n User x\n",
            "Match originalhost 192.0.2.7 localuser USER\n User x\n",
            "Include DIR/parts/*/x\n",
            "Include DIR/parts/[a-o]*.conf\n",
            "Include DIR/parts/[!o]*.conf\n",
            "Include DIR/parts/*.conf DIR/parts/none.conf\n",
            "Include \"DIR/parts/t?o.conf\"\n",
            "PubkeyAuthentication no\n",
            "PubkeyAuthentication unbound\n",
            "PreferredAuthentications password,keyboard-interactive\nPasswordAuthentication no\n",
            "Host other\n User \"x\nHost 192.0.2.7\n Port 9\n",
        ] {
            let text = text.replace("DIR", home.path().to_str().unwrap()).replace("USER", &user);
            std::fs::write(&file, &text).unwrap();
            let ssh = Command::new("ssh").arg("-G").arg("-F").arg(&file).arg("192.0.2.7").output().expect("apt-get install openssh-client");
            if !ssh.status.success() {
                // An open quote in a block of another host: ssh gives up for all, hostler for that host.
                assert!(text.contains("User \"x\n"), "{text}: {}", String::from_utf8_lossy(&ssh.stderr));
                assert_eq!(lookup(std::slice::from_ref(&file), home.path(), &asked).unwrap().port, Some(9));
                continue;
            }
            let said = String::from_utf8(ssh.stdout).unwrap();
            let of = |key: &str| said.lines().find_map(|line| line.strip_prefix(&format!("{key} "))).unwrap_or_default().to_owned();
            let settings = lookup(std::slice::from_ref(&file), home.path(), &asked).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(settings.user.as_deref().unwrap_or(&user), of("user"), "{text}");
            assert_eq!(settings.port.unwrap_or(22).to_string(), of("port"), "{text}");
            assert_eq!(settings.host_name.as_deref().unwrap_or(asked.address), of("hostname"), "{text}");
            assert_eq!(settings.keys.unwrap_or(true), ["true", "yes", "unbound"].contains(&of("pubkeyauthentication").as_str()), "{text}");
            assert_eq!(settings.passwords.unwrap_or(true), of("passwordauthentication") == "yes", "{text}");
            assert_eq!(settings.methods.unwrap_or_default(), of("preferredauthentications"), "{text}");
        }
        assert!(!home.path().join("ran").exists(), "a command ran for nothing");
    }

    #[test]
    fn an_error_has_its_line() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        for (text, expected) in [
            ("\nPort many\n", ":2: many is not a valid port"),
            ("User\n", ":1: user has no value"),
            ("IdentitiesOnly perhaps", ":1: perhaps is neither"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = lookup(std::slice::from_ref(&file), home.path(), &DASH).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! Everything needed to reach one machine: from the inventory, else from ssh's configuration, else OpenSSH's defaults.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hostler_core::inventory::Connection;

use super::config::{self, Asked, Proxy};
use super::host_key::Pin;

/// The most jump hosts in a row: more is a cycle in ssh's configuration.
const MAX_HOPS: usize = 8;
/// Keys that ssh tries by default (ssh_config(5), IdentityFile), without those that need hardware.
const DEFAULT_IDENTITIES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The machine's name, for messages.
    pub name: String,
    /// Verbs know it by that name: it is no jump host, and not one of which an inventory is still to be made.
    pub in_inventory: bool,
    /// Address or host name.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Private key files, in the order of attempts.
    pub identities: Vec<PathBuf>,
    /// [`identities`](Target::identities) were configured: they come before the agent's keys.
    pub identities_chosen: bool,
    /// Only [`identities`](Target::identities) are offered, whatever keys the agent has.
    pub identities_only: bool,
    pub certificates: Vec<PathBuf>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The last jump host before the machine; it has its own.
    pub jump: Option<Box<Target>>,
    /// For a shell, with its tokens expanded.
    pub proxy_command: Option<String>,
    /// The only accepted host key, whatever known_hosts says.
    pub host_key: Option<Pin>,
    /// Its name in known_hosts, if not [`host`](Target::host).
    pub host_key_alias: Option<String>,
    /// The user's known_hosts. New keys go into the first.
    pub known_hosts: Vec<PathBuf>,
    /// known_hosts files that hostler never writes.
    pub global_known_hosts: Vec<PathBuf>,
    /// Host names of new entries are hashed.
    pub hash_known_hosts: bool,
    /// Ways of logging in that ssh's configuration allows.
    pub methods: Methods,
    /// Scripts run through sudo.
    pub sudo: bool,
    /// Its name, which is looked for in the system's folders first, or its path: plain letters, without quotes.
    pub sudo_program: String,
    /// Why the machine can't be reached as it is configured: a mistake that concerns it alone.
    pub misconfigured: Option<String>,
}

/// Which ways of logging in may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    pub keys: bool,
    pub passwords: bool,
    /// keyboard-interactive, which asks for passwords, too.
    pub questions: bool,
}

impl Methods {
    fn of(settings: &config::Settings) -> Methods {
        let preferred = |method: &str| {
            settings.methods.as_ref().is_none_or(|list| list.split(',').any(|word| word.trim().eq_ignore_ascii_case(method)))
        };
        Methods {
            keys: settings.keys.unwrap_or(true) && preferred("publickey"),
            passwords: settings.passwords.unwrap_or(true) && preferred("password"),
            questions: settings.questions.unwrap_or(true) && preferred("keyboard-interactive"),
        }
    }
}

/// The user who runs hostler, and where ssh's files are.
#[derive(Debug, Clone)]
pub struct Account {
    pub user: String,
    pub home: PathBuf,
    /// ssh's configuration, the user's first.
    pub config: Vec<PathBuf>,
    /// The value of SSH_AUTH_SOCK.
    pub agent: Option<PathBuf>,
}

impl Account {
    /// This process's user.
    ///
    /// # Errors
    /// The user has no home or no name.
    pub fn current() -> Result<Account> {
        let home = crate::home::home()?;
        let user = crate::home::user()?;
        let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from);
        let config = vec![home.join(".ssh/config"), PathBuf::from("/etc/ssh/ssh_config")];
        Ok(Account { user, home, config, agent })
    }
}

impl Target {
    /// How the user of this process reaches the machine `name` at `address`. A mistake in its connection or in ssh's configuration makes this
    /// machine [unreachable](Target::misconfigured), and no other.
    ///
    /// # Errors
    /// As [`Account::current`].
    pub fn new(name: &str, address: &str, connection: &Connection) -> Result<Target> {
        Target::or_misconfigured(name, address, connection, &Account::current()?)
    }

    fn or_misconfigured(name: &str, address: &str, connection: &Connection, account: &Account) -> Result<Target> {
        Target::complete(name, address, connection, account).or_else(|error| {
            let plain = Account { config: Vec::new(), agent: None, ..account.clone() };
            let why = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
            let why = why.strip_prefix(&format!("{name}: ")).map_or(why.clone(), str::to_owned);
            Ok(Target { misconfigured: Some(why), ..Target::complete(name, address, &Connection::default(), &plain)? })
        })
    }

    /// As [`new`](Target::new), for any account.
    ///
    /// # Errors
    /// As [`new`](Target::new).
    pub fn complete(name: &str, address: &str, connection: &Connection, account: &Account) -> Result<Target> {
        complete(name, address, connection, account, 0).with_context(|| {
            format!(
                "{name}: the configuration of its SSH connection is not \
            valid"
            )
        })
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// Its name in known_hosts: `host`, or `[host]:port` if the port is not 22 (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
    pub fn known_as(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.to_lowercase(),
            None if self.port == 22 => self.host.to_lowercase(),
            None => format!("[{}]:{}", self.host.to_lowercase(), self.port),
        }
    }
}

fn complete(name: &str, address: &str, connection: &Connection, account: &Account, depth: usize) -> Result<Target> {
    ensure!(depth < MAX_HOPS, "more than {MAX_HOPS} jump hosts in a row\nhint: look for a ProxyJump loop in ~/.ssh/config");
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let asked = Asked { name, address, user: connection.user.as_deref(), local_user: &account.user };
    let settings = config::lookup(&account.config, &account.home, &asked)?;
    let methods = Methods::of(&settings);

    let user = connection.user.clone().or(settings.user).unwrap_or_else(|| account.user.clone());
    let port = connection.port.or(settings.port).unwrap_or(22);
    let host = match &settings.host_name {
        Some(host_name) => host_name.replace("%%", "\0").replace("%h", address).replace('\0', "%"),
        None => address.to_owned(),
    };
    let tokens = Tokens { host: &host, port, user: &user, original: address, account };

    let mut identities = Vec::new();
    if let Some(identity) = &connection.identity {
        identities.push(tokens.path(&identity.to_string_lossy())?);
    } else {
        for identity in settings.identity_files.iter().filter(|file| !file.eq_ignore_ascii_case("none")) {
            identities.push(tokens.path(identity)?);
        }
    }
    let identities_chosen = !identities.is_empty();
    if settings.identity_files.is_empty() && !identities_chosen {
        identities = DEFAULT_IDENTITIES.iter().map(|file| account.home.join(".ssh").join(file)).collect();
    }
    let certificates = settings.certificate_files.iter().map(|file| tokens.path(file)).collect::<Result<_>>()?;
    let agent = match settings.identity_agent.as_deref() {
        None | Some("SSH_AUTH_SOCK") => account.agent.clone(),
        Some("none") => None,
        Some(variable) if variable.starts_with('$') => std::env::var_os(&variable[1..]).map(PathBuf::from),
        Some(path) => Some(tokens.path(path)?),
    };
    let files = |said: Option<Vec<String>>, default: Vec<PathBuf>| match said {
        None => Ok(default),
        Some(files) => files.iter().filter(|file| !file.eq_ignore_ascii_case("none")).map(|file| tokens.path(file)).collect::<Result<_>>(),
    };
    let known_hosts =
        files(settings.user_known_hosts, vec![account.home.join(".ssh/known_hosts"), account.home.join(".ssh/known_hosts2")])?;
    let global_known_hosts =
        files(settings.global_known_hosts, vec![PathBuf::from("/etc/ssh/ssh_known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts2")])?;

    let proxy = match (&connection.proxy_command, &connection.jump) {
        (Some(command), _) => Some(Proxy::Command(command.clone())),
        (None, Some(jump)) => Some(Proxy::Jump(jump.clone())),
        (None, None) => settings.proxy,
    };
    let (mut jump, mut proxy_command) = (None, None);
    match proxy {
        Some(Proxy::Command(command)) if !command.eq_ignore_ascii_case("none") => proxy_command = Some(tokens.fill(&command)?),
        Some(Proxy::Jump(hops)) if !hops.eq_ignore_ascii_case("none") => {
            jump = Some(Box::new(chain(&tokens.fill(&hops)?, account, depth)?))
        }
        _ => {}
    }
    Ok(Target {
        name: name.to_owned(),
        in_inventory: depth == 0,
        methods,
        sudo: connection.sudo.unwrap_or(user != "root"),
        sudo_program: "sudo".to_owned(),
        host_key: connection.host_key.as_deref().map(Pin::parse).transpose()?,
        host_key_alias: settings.host_key_alias,
        hash_known_hosts: settings.hash_known_hosts.unwrap_or(false),
        identities_only: settings.identities_only.unwrap_or(false),
        host,
        port,
        user,
        identities,
        identities_chosen,
        certificates,
        agent,
        jump,
        proxy_command,
        known_hosts,
        global_known_hosts,
        misconfigured: None,
    })
}

/// The last of `hops` (`[user@]host[:port]`, separated by commas). Its jump host is the one before it, and so on.
fn chain(hops: &str, account: &Account, depth: usize) -> Result<Target> {
    let mut before: Option<Box<Target>> = None;
    let mut last = None;
    for (position, hop) in hops.split(',').map(str::trim).enumerate() {
        let (user, host, port) = split_hop(hop)?;
        let connection = Connection { user, port, ..Connection::default() };
        let mut target = complete(&host, &host, &connection, account, depth + position + 1)?;
        if position > 0 {
            // As ssh -J: only the first hop uses the proxy of its own configuration.
            target.jump = before.take();
            target.proxy_command = None;
        }
        before = Some(Box::new(target.clone()));
        last = Some(target);
    }
    last.context("the list of jump hosts is empty")
}

fn split_hop(hop: &str) -> Result<(Option<String>, String, Option<u16>)> {
    let rest = hop.strip_prefix("ssh://").unwrap_or(hop).trim_end_matches('/');
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        // More than one colon without brackets is an IPv6 address.
        None => match rest.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (rest, None),
        },
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port != 0 => Some(port),
        Some(_) => bail!("jump host {hop} has an invalid port\nhint: write [user@]host[:port]"),
    };
    ensure!(
        !host.is_empty() && !host.contains(char::is_whitespace),
        "`{hop}` is not a valid jump host: the host name is missing or contains a space\nhint: write [user@]host[:port]"
    );
    Ok((user, host.to_owned(), port))
}

/// Values of the %-tokens of ssh_config(5).
struct Tokens<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
    original: &'a str,
    account: &'a Account,
}

impl Tokens<'_> {
    fn fill(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                filled.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => filled.push('%'),
                Some('h') => filled.push_str(self.host),
                Some('p') => filled.push_str(&self.port.to_string()),
                Some('r') => filled.push_str(self.user),
                Some('n' | 'k') => filled.push_str(self.original),
                Some('u') => filled.push_str(&self.account.user),
                Some('d') => filled.push_str(&self.account.home.to_string_lossy()),
                Some('i') => filled.push_str(&nix::unistd::getuid().to_string()),
                Some(other) => bail!("unknown token %{other} in {text:?}\nhint: use %h, %p, %r, %n, %u, %d, %i or %%"),
                None => bail!("{text:?} ends with a single %\nhint: write %% for a literal %"),
            }
        }
        Ok(filled)
    }

    fn path(&self, text: &str) -> Result<PathBuf> {
        let filled = variables(&self.fill(text)?)?;
        // `~ada/keys` is below another user's home.
        if let Some((user, below)) = filled.strip_prefix('~').and_then(|rest| rest.split_once('/')).filter(|(user, _)| !user.is_empty()) {
            let home = crate::home::home_of(user).with_context(|| {
                format!(
                    "{text:?} refers to the home folder of {user}, who is not in \
                    /etc/passwd"
                )
            })?;
            return Ok(home.join(below));
        }
        Ok(match filled.strip_prefix("~/") {
            Some(rest) => self.account.home.join(rest),
            None if Path::new(&filled).is_absolute() => PathBuf::from(filled),
            None => std::path::absolute(filled)?,
        })
    }
}

/// `text` with each `${VARIABLE}` replaced by its value in the environment, as ssh does for paths.
fn variables(text: &str) -> Result<String> {
    let Some((before, rest)) = text.split_once("${") else { return Ok(text.to_owned()) };
    let (name, after) = rest.split_once('}').with_context(|| format!("{text:?} has a `${{` without a `}}`"))?;
    let value = std::env::var(name).ok().with_context(|| format!("{text:?} needs the environment variable {name}, which is not set"))?;
    Ok(format!("{before}{value}{}", variables(after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(config: &str) -> (tempfile::TempDir, Account) {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, config).unwrap();
        let account = Account { user: "ash".to_owned(), home: home.path().to_owned(), config: vec![file], agent: None };
        (home, account)
    }

    #[test]
    fn without_configuration_openssh_defaults_apply() {
        let (home, account) = account("");
        let target = Target::complete("rainbowdash", "192.168.1.12", &Connection::default(), &account).unwrap();
        assert_eq!((target.user.as_str(), target.port, target.sudo), ("ash", 22, true));
        assert_eq!(target.identities.first().unwrap(), &home.path().join(".ssh/id_ed25519"));
        assert!(!target.identities_chosen);
        assert_eq!(target.known_as(), "192.168.1.12");
    }

    #[test]
    fn the_inventory_wins() {
        let (home, account) = account("Host *\n User other\n Port 7\n IdentityFile ~/.ssh/x\n ProxyJump b\n IdentitiesOnly yes\n");
        let connection = Connection {
            user: Some("root".to_owned()),
            port: Some(2222),
            identity: Some("~/.ssh/%r".into()),
            proxy_command: Some("nc -q %% %h %p %r".to_owned()),
            ..Connection::default()
        };
        let target = Target::complete("rainbowdash", "fd00::12", &connection, &account).unwrap();
        assert_eq!((target.user.as_str(), target.port, target.sudo, target.identities_only), ("root", 2222, false, true));
        assert_eq!(target.identities, [home.path().join(".ssh/root")]);
        assert_eq!(target.proxy_command.as_deref(), Some("nc -q % fd00::12 2222 root"));
        assert_eq!((target.address(), target.known_as()), ("[fd00::12]:2222".to_owned(), "[fd00::12]:2222".to_owned()));
    }

    #[test]
    fn jump_hosts_are_chained() {
        let (_home, account) = account("Host a\n Port 1\n ProxyJump z\nHost b\n User bob\n ProxyJump nowhere\n");
        let connection = Connection { jump: Some("a, eve@[fd00::1]:3,ssh://b:2/".to_owned()), ..Connection::default() };
        let mut at = Target::complete("rainbowdash", "r", &connection, &account).unwrap().jump;
        let mut seen = Vec::new();
        while let Some(hop) = at {
            seen.push(format!("{}@{}", hop.user, hop.address()));
            at = hop.jump;
        }
        assert_eq!(seen, ["bob@b:2", "eve@[fd00::1]:3", "ash@a:1", "ash@z:22"]);
    }

    #[test]
    fn paths_and_jumps_are_expanded_as_ssh_does() {
        let (_home, account) = account(
            "Host gate\n ProxyJump none\nHost *\n IdentityFile ${PATH}/work\n IdentityFile ~root/.ssh/work\n Port ssh\n User ada\n ProxyJump %r@gate\n",
        );
        let target = Target::complete("rainbowdash", "192.168.1.12", &Connection::default(), &account).unwrap();
        let path = std::env::var("PATH").unwrap();
        assert!(target.identities[0].to_string_lossy().ends_with(&format!("{path}/work")), "{:?}", target.identities);
        assert_eq!(target.identities[1], Path::new("/root/.ssh/work"));
        assert_eq!((target.port, target.jump.unwrap().user.as_str()), (22, "ada"));
    }

    /// A mistake about one machine is that machine's, and keeps no other from being reached.
    #[test]
    fn a_mistake_makes_one_machine_unreachable() {
        for wrong in [
            "Port many",
            "IdentityFile ~/%x",
            "User \"ada",
            "ProxyJump a:b",
            "IdentityFile ${NO_SUCH_VARIABLE}/x",
            "IdentityFile ~nobody-known/x",
            "PubkeyAuthentication perhaps",
            "\nMatch host 192.168.1.12 exec \"echo %x\"\n User x",
        ] {
            let (_home, account) = account(&format!("Host 192.168.1.12\n {wrong}\n"));
            let of =
                |address: &str| Target::or_misconfigured("rainbowdash", address, &Connection::default(), &account).unwrap().misconfigured;
            let why = of("192.168.1.12").unwrap_or_else(|| panic!("{wrong}"));
            assert!(why.starts_with("the configuration of its SSH connection is not valid: "), "{why}");
            assert!(of("192.168.1.13").is_none(), "{wrong}");
        }
    }

    #[test]
    fn errors_name_the_cause() {
        let (_home, account) = account("Host a\n ProxyJump b\nHost b\n ProxyJump a\n");
        let jump = |jump: &str| Connection { jump: Some(jump.to_owned()), ..Connection::default() };
        let pin = Connection { host_key: Some("ssh-ed25519 nonsense".to_owned()), ..Connection::default() };
        let command = Connection { proxy_command: Some("nc %x".to_owned()), ..Connection::default() };
        for (connection, expected) in [
            (jump("a"), "loop"),
            (jump("c:many"), "invalid port"),
            (jump("ash@"), "host name is missing"),
            (pin, "host key"),
            (command, "%x"),
        ] {
            let error = Target::complete("rainbowdash", "r", &connection, &account).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}

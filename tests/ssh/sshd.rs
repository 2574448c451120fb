//! A real sshd with its own keys and configuration, as the ordinary user who runs the tests.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hostler::report::ask::Question;
use hostler::report::{Asker, Redactor};
use hostler::ssh::{Access, Account, Bounds, Limits, NewHostKeys, Session, Target};
use hostler_core::inventory::Connection;
use russh::keys::PublicKey;

const SSHD: &str = "/usr/sbin/sshd";

/// How long anything in a test may take before it counts as hung.
pub const LIMIT: Duration = Duration::from_secs(120);

pub struct Sshd {
    pub dir: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

impl Sshd {
    /// One ed25519 host key, `user_key` may log in.
    pub fn start() -> Sshd {
        Sshd::with(&["ed25519"], "")
    }

    /// `kinds` of host keys, and lines of sshd_config that come before the usual ones and so win.
    pub fn with(kinds: &[&str], config: &str) -> Sshd {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: apt-get install openssh-server");
        let dir = tempfile::tempdir().unwrap();
        for kind in kinds {
            keygen(&dir.path().join(format!("host_{kind}")), kind, "");
        }
        keygen(&dir.path().join("user_key"), "ed25519", "");
        authorize(dir.path(), "user_key.pub");
        let host_keys: String = kinds.iter().map(|kind| format!("HostKey {}/host_{kind}\n", dir.path().display())).collect();
        if nix::unistd::geteuid().is_root() {
            // Where sshd separates its privileges; the package makes it at boot.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // Of this one key, sshd takes the last word.
        let startups = if config.contains("MaxStartups") { "" } else { "MaxStartups 100\n" };
        // The login shell reads no file of the real user.
        let environment = if config.contains("SetEnv") { String::new() } else { format!("SetEnv HOME={}/home\n", dir.path().display()) };
        // Another test may take the port between the choice and sshd's own bind: then choose again.
        for _ in 0..10 {
            let port = free_port();
            let text = format!(
                "{}\n{environment}Port {port}\nListenAddress 127.0.0.1\nListenAddress ::1\n{host_keys}AuthorizedKeysFile {}/authorized_keys\n\
                 PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nPrintMotd no\n{startups}LogLevel VERBOSE\n",
                config.replace("DIR", &dir.path().display().to_string()),
                dir.path().display()
            );
            let file = dir.path().join("sshd_config");
            fs::write(&file, text).unwrap();
            let log = fs::File::create(dir.path().join("sshd.log")).unwrap();
            let mut child = Command::new(SSHD)
                .args(["-D", "-e", "-f"])
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("sshd starts");
            if listens(&mut child, port) {
                return Sshd { dir, port, child };
            }
            let _ = child.wait();
            let log = fs::read_to_string(dir.path().join("sshd.log")).unwrap();
            assert!(log.contains("Address already in use"), "sshd does not run:\n{log}");
        }
        panic!("no port is free");
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn host_key(&self, kind: &str) -> String {
        fs::read_to_string(self.path(&format!("host_{kind}.pub"))).unwrap().trim().to_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("sshd.log")).unwrap()
    }

    /// Who connects: nothing of the real user's ssh counts.
    pub fn account(&self) -> Account {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        Account { user, home: self.dir.path().join("home"), config: vec![self.path("home/.ssh/config")], agent: None }
    }

    /// Reached as `connection` says, on this sshd's port, with no sudo.
    pub fn target_by(&self, connection: Connection) -> Target {
        let connection = Connection { port: Some(connection.port.unwrap_or(self.port)), sudo: Some(false), ..connection };
        let target = Target::complete("rainbowdash", "127.0.0.1", &connection, &self.account()).unwrap();
        Target { global_known_hosts: Vec::new(), ..target }
    }

    /// Reached with the user's key, its host key pinned.
    pub fn target(&self) -> Target {
        self.target_by(Connection {
            identity: Some(self.path("user_key")),
            host_key: Some(self.host_key("ed25519")),
            ..Connection::default()
        })
    }

    /// As [`target`](Sshd::target), but known_hosts decides about the host key.
    pub fn stranger(&self) -> Target {
        self.target_by(Connection { identity: Some(self.path("user_key")), ..Connection::default() })
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.path("home/.ssh/known_hosts")
    }

    pub fn write_known_hosts(&self, text: &str) {
        fs::create_dir_all(self.path("home/.ssh")).unwrap();
        fs::write(self.known_hosts(), text).unwrap();
    }

    /// The sshd processes that serve connections, without the one that listens.
    pub fn children(&self) -> Vec<i32> {
        descendants(self.pid()).into_iter().filter(|pid| name_of(*pid).starts_with("sshd")).collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for pid in descendants(self.pid()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn descendants(pid: i32) -> Vec<i32> {
    // A thread's children are its own here.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children: String =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect::<Vec<_>>().join(" ");
    children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .flat_map(|child: i32| std::iter::once(child).chain(descendants(child)))
        .collect()
}

fn name_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn listens(child: &mut Child, port: u16) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1)).is_ok() {
            return true;
        }
        std::thread::yield_now();
    }
    panic!("sshd does not listen");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `arguments` of ssh-keygen; what it says.
pub fn ssh_keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).stdin(Stdio::null()).output().expect("apt-get install openssh-client");
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn keygen(file: &Path, kind: &str, passphrase: &str) {
    let file = file.to_str().unwrap();
    // Few rounds: a passphrase in a test need not resist anybody.
    let mut arguments = vec!["-q", "-t", kind, "-f", file, "-N", passphrase, "-C", "a comment", "-a", "2"];
    if kind == "rsa" {
        arguments.extend(["-b", "2048"]);
    }
    ssh_keygen(&arguments);
}

pub fn authorize(dir: &Path, public: &str) {
    let mut keys = fs::read_to_string(dir.join("authorized_keys")).unwrap_or_default();
    keys.push_str(&fs::read_to_string(dir.join(public)).unwrap());
    fs::write(dir.join("authorized_keys"), keys).unwrap();
    fs::set_permissions(dir.join("authorized_keys"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The SHA256 fingerprint as OpenSSH shows it.
pub fn fingerprint_by_openssh(public: &Path) -> String {
    ssh_keygen(&["-lf", public.to_str().unwrap()]).split(' ').nth(1).unwrap().to_owned()
}

pub fn public_key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text).unwrap()
}

/// Nobody to ask, nobody new.
pub fn strict() -> Arc<Access> {
    Arc::new(Access::new(NewHostKeys::Ask, Asker::absent(), Arc::new(Redactor::new())))
}

pub fn accepting() -> Arc<Access> {
    Arc::new(Access::new(NewHostKeys::Accept, Asker::absent(), Arc::new(Redactor::new())))
}

/// As [`strict`], and impatient.
pub fn impatient(limits: Limits) -> Arc<Access> {
    let mut access = Access::new(NewHostKeys::Ask, Asker::absent(), Arc::new(Redactor::new()));
    access.limits = limits;
    Arc::new(access)
}

/// What was asked, one after another, and somebody who gives these answers in turn (the last one again and again).
pub struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub fn answering(answers: &[&str]) -> (Arc<Access>, Asked) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let next = AtomicUsize::new(0);
        let asker = Asker::answered_by({
            let asked = asked.clone();
            move |question| {
                let (Question::YesNo { text } | Question::Password { text }) = question else { panic!("asked {question:?}") };
                asked.lock().unwrap().push(text.clone());
                Ok(answers[next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone())
            }
        });
        (Arc::new(Access::new(NewHostKeys::Ask, asker, Arc::new(Redactor::new()))), Asked(asked))
    }

    pub fn questions(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub async fn connect(target: &Target, access: &Arc<Access>) -> Session {
    limited(Session::connect(target, access)).await.unwrap_or_else(|error| panic!("{error}\nhint: {}", error.hint()))
}

pub async fn refused(target: &Target, access: &Arc<Access>) -> hostler::ssh::ConnectError {
    match limited(Session::connect(target, access)).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

pub async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("no end within the limit")
}

/// What a script prints, after it ended well.
pub async fn output(session: &Session, script: &str) -> String {
    let (mut out, mut err) = (String::new(), String::new());
    let exit = limited(session.read(Bounds::FILE, script, &mut out, &mut err)).await.unwrap();
    assert_eq!(exit, hostler::ssh::Exit::Status(0), "{out}{err}");
    out
}

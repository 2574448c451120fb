//! Machines that say what a file says. Each is a real sshd, started by the connection itself (`sshd -i` as its ProxyCommand), which answers
//! every script with the facts in a file: what a machine that somebody else controls can do at least. The program under test is the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The control plane `one` of the cluster `home`, recorded: see tests/facts/main.rs.
const RECORDED: &str = include_str!("../facts/control-plane.txt");

/// Blocks nothing and answers nothing: prints the facts whatever it is asked.
const ANSWER: &str = "#!/bin/sh\necho 'hostler begins'\necho 'hostler begins' >&2\nexec cat DIR/facts\n";

pub struct Lab {
    pub dir: tempfile::TempDir,
    machines: Vec<String>,
}

/// What a run of hostler came to.
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Both outputs, for what may be on either.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// The recorded control plane, with a clock that is right.
pub fn control_plane() -> String {
    let (before, rest) = RECORDED.split_once("clock\t").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    format!("{before}clock\t{}\n{after}", now())
}

/// A fresh machine, with more lines of facts. Of two lines with the same key, the last one counts.
pub fn blank(name: &str, more: &str) -> String {
    format!(
        "hostler-facts 1\nclock\t{}\nmachine\tx86_64\nhostname\t{name}\nhostname-at-boot\t{name}\nsystemd\nnameserver\t10.77.0.1\n\
         clock-synchronized\tchrony.service\nmemory\t4000000\ncpus\t2\nload\t0.1\n{more}\nhostler-facts end\n",
        now()
    )
}

impl Lab {
    /// Without a machine.
    pub fn empty() -> Lab {
        let lab = Lab { dir: tempfile::tempdir().unwrap(), machines: Vec::new() };
        lab.keygen("user");
        bundle(&lab.path("cache/bundles/1.36.3-amd64"), 0);
        lab
    }

    /// The control plane `one`, and nothing else.
    pub fn new() -> Lab {
        let mut lab = Lab::empty();
        lab.add("one", "10.77.0.11", "control-plane", &control_plane());
        lab
    }

    /// With the worker `apple`, which says `more` than a fresh machine does.
    pub fn with_worker(more: &str) -> Lab {
        let mut lab = Lab::new();
        lab.add("apple", "10.77.0.13", "worker", &blank("apple", more));
        lab
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn keygen(&self, name: &str) {
        let file = self.path(name);
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).stdin(Stdio::null()).status();
        assert!(made.expect("apt-get install openssh-client").success());
    }

    /// A machine that answers with `facts`.
    pub fn add(&mut self, name: &str, address: &str, role: &str, facts: &str) {
        self.answering(name, address, role, ANSWER);
        fs::write(self.path(name).join("facts"), facts).unwrap();
    }

    /// A machine that answers every command with the output of a script.
    pub fn answering(&mut self, name: &str, address: &str, role: &str, script: &str) {
        let dir = self.path(name);
        fs::create_dir(&dir).unwrap();
        self.keygen(&format!("{name}/host"));
        let here = dir.display().to_string();
        fs::write(dir.join("answer"), script.replace("DIR", &here)).unwrap();
        fs::set_permissions(dir.join("answer"), fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            "HostKey {here}/host\nAuthorizedKeysFile {}\nForceCommand {here}/answer\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nLogLevel QUIET\n",
            self.path("user.pub").display()
        );
        fs::write(dir.join("sshd_config"), config).unwrap();
        if nix::unistd::geteuid().is_root() {
            // Where sshd separates its privileges; the package makes it at boot.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let public = fs::read_to_string(dir.join("host.pub")).unwrap();
        let key = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        self.machines.push(format!(
            "  {name}:\n    address: {address}\n    role: {role}\n    hostKey: {key}\n    \
             proxyCommand: /usr/sbin/sshd -i -f {here}/sshd_config\n"
        ));
    }

    /// The inventory's text, with `more` at its end.
    pub fn inventory(&self, more: &str) -> String {
        format!(
            "cluster: {{endpoint: home.lan}}\nssh: {{user: {}, identity: {}, become: false}}\nmachines:\n{}{more}",
            nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name,
            self.path("user").display(),
            self.machines.concat()
        )
    }

    /// As [`hostler`](Lab::hostler), with at most so many bytes of memory for data.
    pub fn hostler_within(&self, words: &[&str], memory: u64) -> Ran {
        self.run(Command::new("prlimit").arg(format!("--data={memory}")).arg(env!("CARGO_BIN_EXE_hostler")), words)
    }

    /// Runs hostler as a person without a terminal would, with nothing of the real user's.
    pub fn hostler(&self, words: &[&str]) -> Ran {
        self.run(&mut Command::new(env!("CARGO_BIN_EXE_hostler")), words)
    }

    fn run(&self, command: &mut Command, words: &[&str]) -> Ran {
        let inventory = self.path("inventory.yaml");
        if !inventory.exists() {
            fs::write(&inventory, self.inventory("")).unwrap();
        }
        let output = command
            .args(words)
            .args(["-i", inventory.to_str().unwrap()])
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin:/usr/sbin"), ("USER", "ash"), ("LANG", "C.UTF-8")])
            .env("HOME", self.path("home"))
            .env("HOSTLER_CACHE", self.path("cache"))
            .stdin(Stdio::null())
            .output()
            .expect("hostler runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { status: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A bundle without contents: enough to plan with. `number` makes its programs others than those of another number.
pub fn bundle(folder: &Path, number: u8) {
    fs::create_dir_all(folder.join("files")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(include_str!("../render/manifest.json")).unwrap();
    let digest = "5a".repeat(32);
    for image in manifest["images"].as_array_mut().unwrap() {
        image["digest"] = format!("sha256:{digest}").into();
        image["manifestSize"] = 1.into();
        image["blobs"] = serde_json::json!([]);
    }
    for file in manifest["files"].as_array_mut().unwrap() {
        let sha256 = format!("{number:02x}").repeat(32);
        fs::write(folder.join("files").join(&sha256), [0]).unwrap();
        file["sha256"] = sha256.into();
        file["size"] = 1.into();
    }
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let mut archive = tar::Builder::new(fs::File::create(folder.join("images.tar")).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    archive.append_data(&mut header, format!("blobs/sha256/{digest}"), [0].as_slice()).unwrap();
    archive.finish().unwrap();
}

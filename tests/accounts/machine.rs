//! A computer of its own for a test: mount namespace, accounts, sudo with its own rules, /tmp without exec. Nothing of it is seen outside.
//!
//! Without root it is made in a user namespace; the ids of its accounts are then the subordinate ones of whoever runs the tests.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use hostler::ssh::Target;
use hostler_core::inventory::Connection;
use nix::mount::{MsFlags, mount};

use crate::sshd::Sshd;

/// Everybody's password here.
pub const PASSWORD: &str = "haycart";
/// By `openssl passwd -6 haycart`.
const HASH: &str = "$6$apples$QLlRm1qIDms7lVpLI6zc3CzWZQ49Slnvw5Qqy3.edRgMg3Cznc1qLL8fbgD8SI4D0o4.jZGhrVvCIKJ0Djcsk0";

/// Login shells by the account that has one, and the file that each reads even where it is not asked to.
pub const SHELLS: [(&str, &str, &str); 5] = [
    ("bash", "/bin/bash", ".bashrc"),
    // It reads none unless it is told to.
    ("dash", "/bin/dash", ".profile"),
    ("zsh", "/bin/zsh", ".zshenv"),
    ("fish", "/usr/bin/fish", ".config/fish/config.fish"),
    ("csh", "/bin/csh", ".cshrc"),
];

/// Where hostler is on such a computer.
pub const PROGRAM: &str = "/mnt/hostler";

const INSIDE: &str = "HOSTLER_TEST_MACHINE";

/// Runs `test`, the test function `name`, on such a computer.
pub fn alone<T: Future<Output = ()>>(name: &str, sudoers: &str, test: impl FnOnce() -> T) {
    if std::env::var_os(INSIDE).is_some() {
        set_up(sudoers);
        return tokio::runtime::Runtime::new().unwrap().block_on(test());
    }
    for (program, package) in [
        ("/usr/bin/sudo", "sudo"),
        ("/usr/sbin/sshd", "openssh-server"),
        ("/bin/zsh", "zsh"),
        ("/usr/bin/fish", "fish"),
        ("/bin/csh", "tcsh"),
        ("/usr/bin/script", "bsdutils"),
    ] {
        assert!(Path::new(program).exists(), "{program} is missing: apt-get install {package}");
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]);
    if !nix::unistd::geteuid().is_root() {
        assert!(Path::new("/usr/bin/newuidmap").exists(), "newuidmap is missing: apt-get install uidmap, or run the tests as root");
        unshare.args(["--user", "--map-root-user", "--map-auto"]);
    }
    let output = unshare
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "yes")
        .stdin(Stdio::null())
        .output()
        .expect("apt-get install util-linux");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\nwithout root, this needs user namespaces, uidmap, and this user's ranges in /etc/subuid and /etc/subgid"
    );
}

fn set_up(sudoers: &str) {
    // The project may be below one of the folders that are empty from here on.
    let program = File::open(env!("CARGO_BIN_EXE_hostler")).unwrap();
    tmpfs("/mnt", "mode=755", MsFlags::empty());
    fs::write(PROGRAM, "").unwrap();
    bind(&format!("/proc/self/fd/{}", program.as_raw_fd()), PROGRAM);
    // sudo gives a terminal to the user, which it may not where the terminals' group is one of the computer outside.
    mount(Some("devpts"), "/dev/pts", Some("devpts"), MsFlags::empty(), Some("newinstance,ptmxmode=0666,mode=620,gid=5"))
        .unwrap_or_else(|why| panic!("terminals on /dev/pts: {why}"));
    bind("/dev/pts/ptmx", "/dev/ptmx");
    tmpfs("/tmp", "mode=1777", MsFlags::MS_NOEXEC);
    tmpfs("/home", "mode=755", MsFlags::empty());
    tmpfs("/run", "mode=755", MsFlags::empty());
    tmpfs("/var/lib/sudo", "mode=711", MsFlags::empty());
    let mut passwd = "root:x:0:0:root:/root:/bin/sh\nsshd:x:102:65534::/run/sshd:/usr/sbin/nologin\n".to_owned();
    let mut shadow = "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n".to_owned();
    for (index, (name, shell, rc)) in SHELLS.iter().enumerate() {
        let id = 2001 + index as u32;
        passwd += &format!("{name}:x:{id}:{id}::/home/{name}:{shell}\n");
        shadow += &format!("{name}:{HASH}:19000:0:99999:7:::\n");
        let home = Path::new("/home").join(name);
        let rc = home.join(rc);
        fs::create_dir_all(rc.parent().unwrap()).unwrap();
        fs::write(&rc, "echo noise; echo noise >/dev/stderr; umask 077\n").unwrap();
        for path in [rc.parent().unwrap(), &home, &rc] {
            chown(path, Some(id), Some(id)).unwrap();
        }
    }
    write("/etc/passwd", &passwd, 0o644);
    write("/etc/shadow", &shadow, 0o600);
    write("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n", 0o644);
    write("/etc/sudoers", &format!("Defaults env_reset\n{sudoers}\n"), 0o440);
    // sudo must belong to root, which the computer's own does not where this root is another one.
    copy("/usr/bin/sudo", 0o4755);
    fs::create_dir_all("/mnt/libexec").unwrap();
    for entry in fs::read_dir("/usr/libexec/sudo").unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), Path::new("/mnt/libexec").join(entry.file_name())).unwrap();
    }
    bind("/mnt/libexec", "/usr/libexec/sudo");
    fs::create_dir_all("/mnt/pam.d").unwrap();
    for service in ["sudo", "sshd", "other"] {
        fs::write(format!("/mnt/pam.d/{service}"), "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\nsession optional pam_motd.so motd=/etc/motd\n").unwrap();
    }
    bind("/mnt/pam.d", "/etc/pam.d");
}

fn tmpfs(place: &str, options: &str, flags: MsFlags) {
    mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some(options)).unwrap_or_else(|why| panic!("a tmpfs on {place}: {why}"));
}

pub fn bind(from: &str, place: &str) {
    mount(Some(from), place, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap_or_else(|why| panic!("{from} on {place}: {why}"));
}

/// What is bound to `place` can't be written from here on.
pub fn read_only(place: &str) {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC;
    mount(None::<&str>, place, None::<&str>, flags, None::<&str>).unwrap_or_else(|why| panic!("{place} read-only: {why}"));
}

/// `place` holds `text` here.
fn write(place: &str, text: &str, mode: u32) {
    let file = format!("/mnt/{}", place.replace('/', "_"));
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    bind(&file, place);
}

fn copy(place: &str, mode: u32) {
    let file = format!("/mnt/{}", place.replace('/', "_"));
    fs::copy(place, &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    bind(&file, place);
}

/// An sshd that serves all accounts, with these lines of configuration first.
pub fn sshd(config: &str) -> Sshd {
    let sshd = Sshd::with(&["ed25519"], &format!("SetEnv LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8\n{config}"));
    // sshd looks for keys as the user who logs in.
    fs::set_permissions(sshd.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(sshd.path("authorized_keys"), fs::Permissions::from_mode(0o644)).unwrap();
    sshd
}

/// How `user` is reached, who becomes root through sudo.
pub fn target(sshd: &Sshd, user: &str) -> Target {
    let connection = Connection {
        user: Some(user.to_owned()),
        identity: Some(sshd.path("user_key")),
        host_key: Some(sshd.host_key("ed25519")),
        ..Connection::default()
    };
    Target { sudo: true, ..sshd.target_by(connection) }
}

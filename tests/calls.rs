//! What this static program never calls: libc's user and group databases, which load modules that /etc/nsswitch.conf names, and crash. See
//! src/home.rs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// Parts of calls that end in `getpwuid_r` and its kind, and libraries' own look-ups of the user's files, which do.
const CALLS: [&str; 12] = [
    "home_dir(",
    "User::from_",
    "Group::from_",
    "getpw",
    "getgr",
    "getgrouplist",
    "initgroups(",
    "Config::infer",
    "Kubeconfig::read()",
    "Client::try_default",
    "to_socket_addrs(",
    "gethostbyname",
];

/// Libraries for the same.
const LIBRARIES: [&str; 9] = ["dirs", "dirs-sys", "directories", "etcetera", "home", "homedir", "users", "uzers", "whoami"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("a source")));
        }
    }
}

#[test]
fn no_source_asks_for_users_or_groups() {
    let mut found = Vec::new();
    for folder in ["src", "crates/core/src"] {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 150);
    for (file, text) in found {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(call) = CALLS.iter().find(|call| code.contains(**call)) {
                panic!("{file}:{}: `{call}` asks the user database of libc: see src/home.rs", number + 1);
            }
        }
    }
}

/// All but a few reads and writes go through src/user_file.rs, which looks at what a path leads to: a pipe or a device may never end, and a file
/// that is written may be there already. Libraries that open a path by themselves would block there, too.
#[test]
fn files_are_read_and_written_in_one_place() {
    const OPENS: [&str; 11] = [
        "fs::read(",
        "fs::read_to_string(",
        "File::open(",
        "fs::write(",
        "File::create",
        "fs::copy(",
        "load_public_key(",
        "load_secret_key(",
        "load_openssh_certificate(",
        "Kubeconfig::read",
        "Kubeconfig::from_",
    ];
    // Whole modules: the lab's own folder, and what runs alone on a machine that is being installed.
    const OWN: [&str; 2] = ["/src/lab/", "/src/install/"];
    // Folders that are locked or synced, the kernel's files, root's files on machines, and files that hostler has just made or creates.
    const EXCEPTIONS: [(&str, usize); 24] = [
        ("src/artifact/locate.rs", 1),
        ("src/artifact/source.rs", 1),
        ("src/artifact/writer.rs", 5),
        ("src/atomic.rs", 1),
        ("src/cli/render.rs", 1),
        ("src/cli/transcode/mod.rs", 1),
        ("src/cli/transcode/try_out.rs", 1),
        ("src/execute/identity.rs", 1),
        ("src/home.rs", 1),
        ("src/interrupt.rs", 1),
        ("src/os/image.rs", 1),
        ("src/os/initrd.rs", 1),
        ("src/os/stick.rs", 1),
        ("src/own_api.rs", 3),
        ("src/renewal/lock.rs", 3),
        ("src/scratch/folder.rs", 4),
        ("src/scratch/server.rs", 3),
        ("src/ssh/remember.rs", 1),
        ("src/transcode/encode/finish.rs", 1),
        ("src/transcode/encode/join.rs", 1),
        ("src/transcode/name.rs", 1),
        ("src/transcode/perform.rs", 1),
        ("src/transcode/prove.rs", 1),
        ("src/transcode/publish.rs", 1),
    ];
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    let mut wrong = Vec::new();
    for (file, text) in found.iter().filter(|(file, _)| !file.ends_with("tests.rs") && !OWN.iter().any(|own| file.contains(own))) {
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let opens: usize = OPENS.iter().map(|open| text.matches(open).count()).sum();
        let allowed = EXCEPTIONS.iter().find(|(end, _)| file.ends_with(end)).map_or(0, |(_, count)| *count);
        if opens != allowed {
            wrong.push(format!("{file}: {opens}, not {allowed}"));
        }
    }
    assert!(wrong.is_empty(), "files are opened by src/user_file.rs: {wrong:#?}");
}

#[test]
fn no_library_is_for_users() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock");
    for library in LIBRARIES {
        assert!(!lock.contains(&format!("name = \"{library}\"\n")), "Cargo.lock has `{library}`");
    }
}

/// Many machines are reached at once, by many files; and what ends badly leaves no image of its memory, which holds passwords.
#[test]
fn files_are_not_scarce_and_memory_is_not_dumped() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let command = format!("sh -c 'ulimit -Sn > {0}; ulimit -Hn >> {0}; ulimit -c >> {0}; false'", told.display());
    let inventory = format!("ssh: {{proxyCommand: \"{command}\"}}\nmachines: {{one: 192.0.2.1}}\n");
    fs::write(folder.path().join("inventory.yaml"), inventory).expect("a file");
    let hostler = format!("ulimit -Sn 64; ulimit -Sc unlimited 2> /dev/null; exec {} status", env!("CARGO_BIN_EXE_hostler"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &hostler]).current_dir(folder.path()).env("HOME", folder.path()).stdin(Stdio::null());
    let output = shell.output().expect("it starts");
    let told = fs::read_to_string(told).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let told: Vec<&str> = told.lines().collect();
    assert!(told.len() == 3 && (told[0] == told[1] || told[0] == "65536") && told[2] == "0", "{told:?}");
}

/// A uid without a name, as of `docker run -u` or a systemd service, with and without the variables that could tell more.
#[test]
fn a_user_without_a_name_gets_an_answer() {
    if !nix::unistd::geteuid().is_root() {
        println!("NOT RUN: only root can be another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (program, home) = (folder.path().join("hostler"), folder.path().join("home"));
    // Not by this process: while it writes the copy, another test's new process would inherit the open file, and the copy could not be started.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_hostler")).arg(&program).status();
    assert!(copied.is_ok_and(|status| status.success()), "cp");
    fs::create_dir(&home).expect("a folder");
    for (path, mode) in [(folder.path(), 0o755), (&program, 0o755), (&home, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    fs::write(home.join("inventory.yaml"), "ssh: {proxyCommand: \"false\"}\nmachines: {one: 192.0.2.1}\n").expect("a file");
    let verbs = [
        "kubeconfig",
        "status",
        "plan",
        "up",
        "snapshot create",
        "snapshot list",
        "bundle show",
        "transcode status",
        "render",
        "init --yes -u a -i x 192.0.2.1",
    ];
    for verb in verbs {
        for variables in [&[][..], &["HOME"], &["USER"], &["HOME", "USER"]] {
            let mut command = Command::new(&program);
            command.args(verb.split(' ')).current_dir(&home).env_clear().uid(54321).gid(54321).stdin(Stdio::null());
            for variable in variables {
                command.env(variable, if *variable == "HOME" { home.as_os_str() } else { "ada".as_ref() });
            }
            // There is no bundle: nothing is to be fetched for this.
            command.env("HOSTLER_CACHE", "/dev/null/none");
            let output = command.output().expect("it starts");
            // `status` says on standard output what can't be reached.
            let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
            assert_eq!(output.status.signal(), None, "hostler {verb} with {variables:?}: {said}");
            assert_ne!(output.status.code(), Some(101), "hostler {verb} with {variables:?}: {said}");
            assert!(
                output.status.success() || said.contains("error:") || said.contains("unreachable"),
                "hostler {verb} with {variables:?}: {said}"
            );
        }
    }
}

//! The script that copies a control plane's snapshots to a share, with folders in place of the machine and the server, and a `mount` that only
//! writes down what it was asked for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hostler_core::protocol::path;
use hostler_core::template::render;

/// A machine with two snapshots, and a server's folder.
struct Machine {
    root: tempfile::TempDir,
    share: &'static str,
    is_encrypted: bool,
}

const OLDER: &str = "home-20260301T120000Z.tar.gz";
const NEWER: &str = "home-20260302T120000Z.tar.gz";

impl Machine {
    fn new() -> Machine {
        let machine = Machine { root: tempfile::tempdir().expect("a folder"), share: "nfs://nas/it's mine", is_encrypted: false };
        for folder in ["local", "server", "lib", "bin"] {
            fs::create_dir(machine.at(folder)).expect("a folder");
        }
        machine.write("local", OLDER, "older");
        machine.write("local", NEWER, "newer");
        machine.mount("exit 0");
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, folder: &str, name: &str, content: &str) {
        fs::create_dir_all(self.at(folder)).expect("a folder");
        fs::write(self.at(folder).join(name), content).expect("a file");
    }

    /// `mount` ends as `how` says.
    fn mount(&self, how: &str) {
        let program = self.at("bin/mount");
        fs::write(&program, format!("#!/bin/sh\necho \"$*\" >> {}\n{how}\n", self.at("mounted").display())).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn run(&self) -> Output {
        let context = serde_json::json!({
            "to": self.at("local"), "cluster": "home", "machine": "rarity", "keep": 3, "is_encrypted": self.is_encrypted,
            "share": self.share, "source": "nas:/it's mine",
        });
        let script = render("machine/hostler-snapshot-copy.sh", context).expect("the template can be filled in");
        let script = script
            .replace(path::SNAPSHOT_SERVER, &self.at("server").display().to_string())
            .replace(path::SNAPSHOT_COPIED, &self.at("lib/copied").display().to_string());
        let programs = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").expect("a PATH"));
        Command::new("dash").arg("-c").arg(script).env("PATH", programs).output().expect("dash; apt-get install dash")
    }

    fn copies(&self) {
        let output = self.run();
        assert!(output.status.success(), "{output:?}");
    }

    fn fails(&self, why: &str) {
        let output = self.run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{output:?}");
    }

    /// Names and contents there.
    fn files(&self, folder: &str) -> Vec<(String, String)> {
        let Ok(entries) = fs::read_dir(self.at(folder)) else { return Vec::new() };
        let mut found: Vec<_> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                (entry.file_name().into_string().expect("a name"), fs::read_to_string(entry.path()).unwrap_or_default())
            })
            .collect();
        found.sort();
        found
    }

    fn names(&self, folder: &str) -> Vec<String> {
        self.files(folder).into_iter().map(|(name, _)| name).collect()
    }

    fn mounts(&self) -> usize {
        fs::read_to_string(self.at("mounted")).unwrap_or_default().lines().count()
    }

    fn modified(&self, file: &Path) -> std::time::SystemTime {
        fs::metadata(self.at("").join(file)).and_then(|found| found.modified()).expect("it is there")
    }
}

#[test]
fn snapshots_are_copied_once_into_the_machine_s_own_folder_and_only_its_owner_can_read_them() {
    let machine = Machine::new();
    machine.copies();
    let expected = [(OLDER, "older"), (NEWER, "newer")].map(|(name, content)| (name.to_owned(), content.to_owned()));
    assert_eq!(machine.files("server/rarity"), expected);
    for copy in [machine.at("server/rarity"), machine.at("server/rarity").join(NEWER)] {
        let mode = fs::metadata(&copy).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{copy:?} has mode {mode:o}");
    }
    let asked = fs::read_to_string(machine.at("mounted")).expect("it was mounted");
    let server = machine.at("server").display().to_string();
    assert_eq!(asked, format!("-t nfs -o soft,timeo=100,retrans=2,retry=0,nosuid,nodev,noexec nas:/it's mine {server}\n"));
    assert_eq!(machine.modified(Path::new("lib/copied")), machine.modified(&Path::new("local").join(NEWER)));
    machine.copies();
    assert_eq!(machine.mounts(), 1, "there is nothing to copy");
    machine.write("local", "home-20260303T120000Z.tar.gz", "newest");
    machine.copies();
    assert_eq!((machine.mounts(), machine.names("server/rarity").len()), (2, 3));
}

#[test]
fn the_newest_are_kept_of_this_machine_and_cluster_and_others_are_not_touched() {
    let machine = Machine::new();
    for day in 1..5 {
        machine.write("server/rarity", &format!("home-2026020{day}T120000Z.tar.gz.age"), "old");
    }
    machine.write("server/rarity", ".home-20260302T120000Z.tar.gz-abcdefghijkl.hostler-new", "half");
    let others =
        [("server/rarity", "home-two-20250101T120000Z.tar.gz"), ("server/applejack", "home-20250101T120000Z.tar.gz"), ("server", "notes")];
    for (folder, name) in others {
        machine.write(folder, name, "theirs");
    }
    machine.copies();
    let left = ["home-20260204T120000Z.tar.gz.age", OLDER, NEWER, "home-two-20250101T120000Z.tar.gz"];
    assert_eq!(machine.names("server/rarity"), left);
    assert!(others.iter().all(|(folder, name)| machine.at(folder).join(name).exists()));
}

/// Names that somebody else wrote there, of a time to come, keep nothing from being copied.
#[test]
fn what_others_write_on_the_share_does_not_displace_a_snapshot() {
    let machine = Machine::new();
    for day in 1..6 {
        machine.write("server/rarity", &format!("home-9999010{day}T120000Z.tar.gz"), "");
    }
    // It was changed, or its server lost a part of it.
    machine.write("server/rarity", OLDER, "old");
    machine.copies();
    let files = machine.files("server/rarity");
    for (name, content) in [(OLDER, "older"), (NEWER, "newer")] {
        assert!(files.contains(&(name.to_owned(), content.to_owned())), "{files:?}");
    }
    assert_eq!(files.len(), 3);
}

/// A clock was wrong when the machine started, and was set: what is of a time to come is not the newest, on the machine and on the share.
#[test]
fn a_snapshot_of_a_time_to_come_does_not_end_the_copies() {
    let machine = Machine::new();
    machine.write("local", "home-20990101T120000Z.tar.gz", "of a wrong clock");
    machine.copies();
    machine.write("local", "home-20260303T120000Z.tar.gz", "newest");
    machine.copies();
    let files = machine.files("server/rarity");
    assert!(files.contains(&("home-20260303T120000Z.tar.gz".to_owned(), "newest".to_owned())), "{files:?}");
    assert_eq!(machine.modified(Path::new("lib/copied")), machine.modified(Path::new("local/home-20260303T120000Z.tar.gz")));
}

#[test]
fn after_a_share_was_away_all_that_is_missing_is_copied() {
    let machine = Machine::new();
    machine.mount("exit 32");
    machine.fails("nfs://nas/it's mine can't be mounted");
    assert_eq!((machine.names("lib"), machine.names("local").len()), (Vec::new(), 2));
    machine.mount("exit 0");
    machine.copies();
    assert_eq!(machine.names("server/rarity"), [OLDER, NEWER]);
    // What was copied to another share is not on this one.
    let machine = Machine { share: "nfs://other/x", ..machine };
    machine.mount("exit 32");
    machine.fails("nfs://other/x can't be mounted");
    assert_eq!(machine.names("lib"), Vec::<String>::new());
}

#[test]
fn a_link_on_the_share_does_not_lead_into_the_machine() {
    let machine = Machine::new();
    fs::create_dir(machine.at("etc")).expect("a folder");
    symlink(machine.at("etc"), machine.at("server/rarity")).expect("a link");
    machine.fails("nfs://nas/it's mine/rarity is a symbolic link, not a folder: delete the link");
    assert_eq!(machine.names("etc"), Vec::<String>::new());
    fs::remove_file(machine.at("server/rarity")).expect("it is ours");
    fs::create_dir(machine.at("server/rarity")).expect("a folder");
    machine.write("etc", "passwd", "root");
    symlink(machine.at("etc/passwd"), machine.at("server/rarity").join(NEWER)).expect("a link");
    machine.copies();
    assert_eq!(machine.files("etc"), [("passwd".to_owned(), "root".to_owned())]);
    assert!(machine.files("server/rarity").contains(&(NEWER.to_owned(), "newer".to_owned())));
}

#[test]
fn with_recipients_nothing_is_copied_that_is_not_encrypted() {
    let machine = Machine { is_encrypted: true, ..Machine::new() };
    machine.copies();
    // And nothing is called copied.
    assert_eq!((machine.names("server/rarity"), machine.names("lib")), (vec![], vec![]));
    machine.write("local", "home-20260303T120000Z.tar.gz.age", "sealed");
    machine.write("local", "home-20260304T120000Z.tar.gz", "of a while without recipients");
    machine.copies();
    assert_eq!(machine.names("server/rarity"), ["home-20260303T120000Z.tar.gz.age"]);
    assert_eq!(machine.modified(Path::new("lib/copied")), machine.modified(Path::new("local/home-20260303T120000Z.tar.gz.age")));
    // What another share had is not on this one, whatever is on the machine.
    for name in machine.names("local") {
        fs::remove_file(machine.at("local").join(name)).expect("it is ours");
    }
    let machine = Machine { share: "nfs://other/x", ..machine };
    machine.copies();
    assert_eq!(machine.names("lib"), Vec::<String>::new());
}

/// A share that is full of parts stays full, unless they go first.
#[test]
fn what_was_cut_off_goes_before_anything_is_copied() {
    let machine = Machine::new();
    machine.write("server/rarity", ".home-20260302T120000Z.tar.gz-abcdefghijkl.hostler-new", "half");
    machine.write("server/rarity", ".home-20260302T120000Z.tar.gz.age-abcdefghijkl.hostler-new", "half");
    let sync = machine.at("bin/sync");
    fs::write(&sync, "#!/bin/sh\nexit 1\n").expect("a file");
    fs::set_permissions(&sync, fs::Permissions::from_mode(0o755)).expect("it is ours");
    machine.fails("can't be copied to");
    assert_eq!(machine.names("server/rarity"), Vec::<String>::new());
}

#[test]
fn a_machine_without_a_snapshot_leaves_the_server_alone() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.at("local")).expect("it is ours");
    fs::create_dir(machine.at("local")).expect("a folder");
    machine.copies();
    assert_eq!(machine.mounts(), 0);
}

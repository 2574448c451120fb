//! A path given as the place of something new: what it leads to is looked at first, and nothing of the user's is lost, whatever the verb.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// A folder with an inventory of a machine that can't be reached, which shows at once.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let inventory = "ssh: {proxyCommand: \"false\"}\nmachines:\n  one: 192.0.2.1\n";
        fs::write(folder.path().join("cluster.yaml"), inventory).unwrap();
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &str, place: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(words.split(' ').map(|word| if word == "PLACE" { place } else { word }));
        command.current_dir(self.folder.path()).env("HOME", self.path("home")).env("HOSTLER_CACHE", self.path("cache"));
        command.stdin(Stdio::null()).output().unwrap()
    }
}

/// All files and links below a folder: path and content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            found.insert(path.clone(), "a folder".to_owned());
            found.extend(tree(&path));
        } else if kind.is_symlink() {
            found.insert(path.clone(), format!("a link to {}", fs::read_link(&path).unwrap().display()));
        } else if kind.is_file() {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap_or_default());
        } else {
            found.insert(path, "something else".to_owned());
        }
    }
    found
}

/// Every verb that writes to a path of the user's. What is at PLACE already is refused before anything else is done.
const VERBS: [&str; 7] = [
    "bundle create --mirror http://127.0.0.1:9 PLACE",
    "bundle create --from-source --parts none PLACE",
    "kubeconfig -i cluster.yaml --out PLACE",
    "up -i cluster.yaml --yes --kubeconfig PLACE",
    "snapshot create -i cluster.yaml PLACE",
    "render -i cluster.yaml --out PLACE",
    "init -i PLACE --user ada --yes 192.0.2.1",
];

#[test]
fn what_is_there_already_is_not_replaced() {
    for verb in VERBS {
        let place = Place::new();
        fs::create_dir_all(place.path("films")).unwrap();
        for (name, text) in [("films/a.mkv", "a film"), ("thesis.txt", "a thesis"), ("manifest.json", "{}")] {
            fs::write(place.path(name), text).unwrap();
        }
        let others = "apiVersion: v1\nkind: Config\nclusters:\n- name: work\n  cluster: {server: 'https://192.0.2.9:6443'}\n";
        fs::write(place.path("config"), others).unwrap();
        symlink("thesis.txt", place.path("link")).unwrap();
        symlink("films", place.path("folder")).unwrap();
        symlink("config", place.path("link-to-config")).unwrap();
        let before = tree(place.folder.path());
        for there in ["films", "films/", "thesis.txt", "./link", "folder", "config", "link-to-config"] {
            let output = place.run(verb, there);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "hostler {verb} with {there}: {said}");
            assert!(said.contains(there.trim_start_matches("./").trim_end_matches('/')), "hostler {verb} with {there}: {said}");
            let mut after = tree(place.folder.path());
            after.retain(|path, _| !path.starts_with(place.path("home")) && !path.starts_with(place.path("cache")));
            assert_eq!(after, before, "hostler {verb} with {there}: {said}");
        }
    }
}

/// It is found before anything is done, and the way out is about the place, not about what is in it.
#[test]
fn a_place_that_can_not_be_written_is_found_before_anything_is_done() {
    for verb in VERBS {
        let place = Place::new();
        fs::write(place.path("file"), "").unwrap();
        let takes_folder = verb.contains("bundle") || verb.contains("render");
        let below_null = "/dev/null/below";
        for there in ["file/below", "file/be/low", below_null, "/proc/none", "/proc/no/ne", "/sys/none", "missing/there"] {
            if takes_folder && there == "missing/there" {
                continue;
            }
            let output = place.run(verb, there);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "hostler {verb} with {there}: {said}");
            assert!(!said.contains("192.0.2.1"), "hostler {verb} with {there} came as far as the machines: {said}");
            assert!(said.contains("can write") && !said.contains("is empty"), "hostler {verb} with {there}: {said}");
            if there.starts_with("file/") || there == below_null {
                let not_one = if there == below_null { "/dev/null is not a folder" } else { "file is not a folder" };
                assert!(said.contains(not_one), "hostler {verb} with {there}: {said}");
            }
        }
    }
}

/// Folders that are missing are created in the user's home, and where XDG's variables have hostler's own.
#[test]
fn folders_of_the_user_and_of_hostler_are_created() {
    let place = Place::new();
    for there in ["home/new/er", "data/hostler/new/er"] {
        let words = ["kubeconfig", "-i", "cluster.yaml", "--out", there];
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(words).current_dir(place.folder.path()).env("HOME", place.path("home")).env("XDG_DATA_HOME", place.path("data"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("192.0.2.1"), "{there}: {said}");
    }
}

/// A pipe or a device is written to, not replaced: nothing is, as no machine answers.
#[test]
fn devices_and_pipes_stay() {
    let place = Place::new();
    mkfifo(&place.path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    symlink("/dev/null", place.path("null")).unwrap();
    for verb in ["kubeconfig -i cluster.yaml --out PLACE", "snapshot create -i cluster.yaml PLACE"] {
        for there in ["pipe", "null", "/dev/stdout", "/dev/null", "-"] {
            let output = place.run(verb, there);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("192.0.2.1"), "hostler {verb} with {there}: {said}");
            assert!(!place.path("-").exists());
            assert_eq!(tree(place.folder.path())[&place.path("pipe")], "something else");
            assert_eq!(tree(place.folder.path())[&place.path("null")], "a link to /dev/null");
        }
    }
}

#[test]
fn an_empty_folder_takes_a_bundle_and_rendered_files() {
    for verb in ["bundle create --mirror http://127.0.0.1:9 PLACE", "render -i cluster.yaml --out PLACE"] {
        let place = Place::new();
        fs::create_dir(place.path("empty")).unwrap();
        for there in ["empty", "new/er"] {
            let output = place.run(verb, there);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_ne!(output.status.code(), Some(2), "hostler {verb} with {there}: {said}");
        }
    }
}

/// A stick that is not plugged in would become a file in memory, and a disk that is not a stick is not touched.
#[test]
fn a_stick_is_a_device_that_is_there() {
    let place = Place::new();
    let os = "machines:\n  one: {address: 192.0.2.1, role: control-plane, mac: '1c:69:7a:00:00:01'}\n\
              os: {authorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lfXZ0ajZUc6sVzpdXDKhNtDzhVFUaYjFk0j2kLhXh ada]}\n";
    fs::write(place.path("cluster.yaml"), os).unwrap();
    let missing = "/dev/hostler-no-such-device";
    let output = place.run("provision -i cluster.yaml --usb PLACE", missing);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("there is no device"), "{said}");
    assert!(!Path::new(missing).exists());
    // A disk of this computer, where it has one.
    let disks = fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let usb = |name: &str| fs::canonicalize(format!("/sys/block/{name}")).is_ok_and(|path| path.to_string_lossy().contains("/usb"));
    let has_medium = |name: &str| fs::read_to_string(format!("/sys/block/{name}/size")).is_ok_and(|size| size.trim() != "0");
    for disk in disks.filter(|name| !usb(name) && has_medium(name) && Path::new("/dev").join(name).exists()) {
        let output = place.run("provision -i cluster.yaml --wipe-stick --usb PLACE", &format!("/dev/{disk}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && said.contains("is not a USB stick"), "{disk}: {said}");
    }
}

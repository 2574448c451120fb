//! The inventory's file: what is written back into it, and that a run reads it once.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostler::inventory_file::InventoryFile;
use hostler_core::inventory::MachineName;
use nix::libc;

use crate::small_bundle::small_bundle;

mod small_bundle;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDkMSnsWgIhxtNZ4DSpnUQOW66dCzwsV2mT9k6yVhOz";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKIwz1O4WlYWLcfU3mrlkv9gKMI9DtAa1kVrd1lhGZRW";

/// No machine can be reached, which shows at once.
const INVENTORY: &str = "# mine\ncluster:\n  name: home\nssh:\n  proxyCommand: \"false\"\nmachines:\n  one: 192.0.2.1 # first\n  two:\n    address: 192.0.2.2\n    hostKey: KEY\n";

fn written(folder: &Path) -> PathBuf {
    let file = folder.join("inventory.yaml");
    std::fs::write(&file, INVENTORY.replace("KEY", KEY)).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    file
}

fn name(name: &str) -> MachineName {
    MachineName::new(name).unwrap()
}

#[test]
fn what_changes_is_written_and_comes_back_as_a_new_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let before = InventoryFile::load(&path).unwrap();
    let saved = |file: InventoryFile| {
        file.save().unwrap();
        InventoryFile::load(&path).unwrap()
    };

    let after = before.with_host_key(&name("two"), &format!("{OTHER_KEY} root@two")).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before.text, "nothing is written before it is saved");
    let after = saved(after);
    assert_eq!(after.text, before.text.replace(KEY, OTHER_KEY));
    assert_eq!(after.inventory.machines["two"].connection.host_key.as_deref(), Some(OTHER_KEY));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), after.text);
    let error = format!("{:#}", before.with_host_key(&name("one"), OTHER_KEY).unwrap_err());
    assert!(error.contains("the host key of one can't be replaced"), "{error}");

    let three = saved(after.with_machine("three", "192.0.2.3").unwrap());
    assert_eq!(three.text, after.text.clone() + "  three: 192.0.2.3\n");
    assert!(three.inventory.machines.contains_key("three") && !after.inventory.machines.contains_key("three"));
    assert_eq!(saved(three.without_machine(&name("three")).unwrap()).text, after.text);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), after.text);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn of_two_machines_with_one_host_key_the_other_is_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yaml");
    let machine = |name: &str, key: &str| format!("  {name}:\n    address: 192.0.2.{}\n    hostKey: {key}\n", name.len());
    std::fs::write(&path, format!("machines:\n{}{}", machine("one", KEY), machine("four", KEY))).unwrap();
    InventoryFile::load(&path).unwrap().with_host_key(&name("four"), OTHER_KEY).unwrap().save().unwrap();
    let expected = format!("machines:\n{}{}", machine("one", KEY), machine("four", OTHER_KEY));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

/// The user's file as it may be: behind a link, in a folder of dotfiles, with a second name.
#[test]
fn an_edit_keeps_the_file_that_a_link_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    std::fs::hard_link(&path, folder.path().join("twin.yaml")).unwrap();
    let link = folder.path().join("link.yaml");
    std::os::unix::fs::symlink("inventory.yaml", &link).unwrap();
    InventoryFile::load(&link).unwrap().with_machine("three", "192.0.2.3").unwrap().save().unwrap();
    assert!(link.is_symlink());
    assert!(std::fs::read_to_string(folder.path().join("twin.yaml")).unwrap().contains("three: 192.0.2.3"));
    // Someone else's change of the file is not lost.
    let file = InventoryFile::load(&link).unwrap();
    let edited = file.without_machine(&name("three")).unwrap();
    let other = file.text.replace("# mine", "# mine, changed");
    std::fs::write(&path, &other).unwrap();
    assert!(edited.save().unwrap_err().to_string().contains("was changed in the meantime"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
}

fn run(folder: &Path, words: &str, input: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
    command.args(words.split(' ')).current_dir(folder).env("HOME", folder).env("HOSTLER_CACHE", folder.join("cache"));
    let output = command.stdin(input).output().unwrap();
    let said = [output.stderr, output.stdout].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// A verb that edits the inventory writes nothing if it does nothing: every argument is checked before, and machines are reached.
#[test]
fn a_run_that_does_nothing_leaves_the_inventory_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let bundle = small_bundle(folder.path());
    for (words, status) in [
        ("add three --address 192.0.2.3 --take-over nosuch", 2),
        ("add three --address 192.0.2.1", 2),
        ("add three --address 192.0.2.3", 4),
        ("add three --address 192.0.2.3 --yes", 4),
        ("add Three --address 192.0.2.3", 2),
        ("remove nosuch --edit", 2),
        ("remove two --edit --yes", 4),
    ] {
        let before = std::fs::read_to_string(&path).unwrap();
        let (ended, said) = run(folder.path(), &format!("{words} --bundle {}", bundle.display()), Stdio::null());
        assert_eq!(ended, Some(status), "{words}: {said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "{words}: {said}");
    }
    let (_, said) = run(folder.path(), &format!("add three --address 192.0.2.3 --bundle {}", bundle.display()), Stdio::null());
    assert!(said.contains("inventory.yaml was left unchanged"), "{said}");
    assert_eq!(said.matches("ended with").count() + said.matches("ProxyCommand for 192.0.2.3:22 failed").count(), 1, "once: {said}");
}

/// What is wrong with an argument is said of the argument, not of the inventory that it would make.
#[test]
fn a_wrong_argument_is_named() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    for (words, expected) in [
        ("add three --address 192.0.2.1", "`--address 192.0.2.1` is the address of one"),
        ("add Three --address 192.0.2.3", "`Three` is not a valid machine name"),
        ("add three", "to add a new machine, pass `--address ADDRESS`"),
        ("transcode status", "has no `transcode:` section"),
        ("status -i /var/lib/hostler/lab.nosuchlab/inventory.yaml", "is not up"),
    ] {
        let (ended, said) = run(folder.path(), words, Stdio::null());
        assert!(ended == Some(2) && said.contains(expected) && !said.contains("inventory:"), "{words}: {said}");
    }
}

/// A command that a message names acts on the same cluster.
#[test]
fn a_command_that_is_named_has_the_inventory_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    std::fs::rename(folder.path().join("inventory.yaml"), folder.path().join("office.yaml")).unwrap();
    for (words, named) in [
        ("kubeconfig -i office.yaml", "`hostler status -i office.yaml`"),
        ("snapshot create --inventory office.yaml", "`hostler status -i office.yaml`"),
        ("plan -i none.yaml", "`hostler init -i none.yaml`"),
        ("transcode status -i office.yaml", "`hostler up -i office.yaml`"),
    ] {
        let (_, said) = run(folder.path(), words, Stdio::null());
        assert!(said.contains(named), "{words}: {said}");
    }
    std::fs::rename(folder.path().join("office.yaml"), folder.path().join("inventory.yaml")).unwrap();
    for words in ["kubeconfig", "kubeconfig -i ./inventory.yaml"] {
        let (_, said) = run(folder.path(), words, Stdio::null());
        assert!(said.contains("`hostler status`"), "{words}: {said}");
    }
}

/// A setting that hostler relies on, and values that kubelet would only reject once it runs: each at its place.
#[test]
fn a_fragment_that_breaks_something_is_named_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = "machines:\n  a: {address: 10.1.0.1, role: control-plane}\nkubeadm:\n  ClusterConfiguration:\n    etcd: {local: {extraArgs: [{name: wal-dir, value: /srv}]}}\n  \
                     KubeletConfiguration:\n    evictionHard:\n      memory.available: 5x\n      imagefs.available: 10%\n    kubeReserved: {gpu: \"1\"}\n";
    std::fs::write(folder.path().join("inventory.yaml"), inventory).unwrap();
    let (status, said) = run(folder.path(), "render --out rendered", Stdio::null());
    assert_eq!(status, Some(2), "{said}");
    for wrong in [
        "inventory.yaml:5:20: `wal-dir` can't be set here: etcd's data must be",
        "inventory.yaml:8:7: `evictionHard.memory.available: 5x` is not valid: kubelet would not start: an eviction threshold must be",
        "inventory.yaml:10:20: `kubeReserved.gpu: 1` is not valid: kubelet would not start: a reserve must be",
    ] {
        assert!(said.contains(wrong), "{wrong}\n{said}");
    }
    assert!(!said.contains("imagefs") && !folder.path().join("rendered").exists(), "{said}");
}

#[test]
fn what_can_not_be_changed_is_found_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
    for words in ["add three --address 192.0.2.3", "remove two --edit"] {
        let (ended, said) = run(folder.path(), words, Stdio::null());
        assert!(ended == Some(2) && said.contains("inventory.yaml") && !said.contains("unreachable"), "{words}: {said}");
        let (ended, said) = run(folder.path(), &format!("{words} -i -"), std::fs::File::open(&path).unwrap().into());
        assert!(ended == Some(2) && said.contains("not a regular file"), "{words}: {said}");
    }
    // Where the machines encode films, one can't leave the inventory alone.
    let films = "\ntranscode:\n  inbox: path:/srv/in\n  library: path:/srv/out\n  owner: {uid: 1000, gid: 100}\n  folders: {Movies: {}}\n  machines: [two]\n";
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&path, INVENTORY.replace("KEY", KEY) + films).unwrap();
    let (ended, said) = run(folder.path(), "remove two --edit", Stdio::null());
    assert!(ended == Some(2) && !said.contains("unreachable"), "{said}");
}

#[test]
fn an_inventory_may_come_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let (ended, said) = run(folder.path(), "render -i -", std::fs::File::open(&path).unwrap().into());
    assert_eq!(ended, Some(0), "{said}");
    let mut cat = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let (ended, said) = run(folder.path(), "render -i /dev/stdin", cat.stdout.take().unwrap().into());
    assert_eq!(ended, Some(0), "{said}");
    cat.wait().unwrap();
    for (input, words) in
        [("/dev/zero", "render -i -"), ("/dev/null", "render -i /dev/zero"), ("/dev/null", "render -i -"), ("/dev/null", "render -i .")]
    {
        let (ended, said) = run(folder.path(), words, std::fs::File::open(input).unwrap().into());
        assert!(ended == Some(2) && said.contains("the inventory"), "{words} < {input}: {said}");
    }
}

/// Counts how often a file is opened.
struct Opened(std::fs::File);

impl Opened {
    fn of(file: &Path) -> Opened {
        let path = CString::new(file.as_os_str().as_bytes()).unwrap();
        // SAFETY: plain calls of inotify(7); the path ends with a NUL, and the descriptor is this struct's alone.
        unsafe {
            let inotify = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(inotify >= 0 && libc::inotify_add_watch(inotify, path.as_ptr(), libc::IN_OPEN | libc::IN_CLOSE) >= 0);
            Opened(std::fs::File::from_raw_fd(inotify))
        }
    }

    fn count(mut self) -> usize {
        let mut events = [0; 4096];
        let length = self.0.read(&mut events).unwrap_or(0);
        // Of a file that is watched itself each has 16 bytes, of which the second four say what happened. Equal ones in a row would come as
        // one, so closing is watched, too.
        events[..length].chunks(16).filter(|event| event[4] & libc::IN_OPEN as u8 != 0).count()
    }
}

#[test]
fn every_verb_reads_the_inventory_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path());
    let bundle = small_bundle(folder.path());
    let planning = ["up", "plan", "add two", "remove two", "rebuild two", "reset", "rebuild one --new-cluster"];
    let all =
        planning.iter().map(|verb| (*verb, true)).chain(["status", "kubeconfig", "snapshot create", "render"].map(|verb| (verb, false)));
    for (verb, plans) in all {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(verb.split(' ')).arg("--inventory").arg(&file).env("HOME", folder.path()).stdin(Stdio::null());
        if plans {
            command.arg("--bundle").arg(&bundle);
        }
        let opened = Opened::of(&file);
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert_eq!(opened.count(), 1, "{verb}: {said}");
        assert!(verb == "render" || said.contains("192.0.2.1"), "{verb} came as far as the machines: {said}");
    }
}

/// One rule for every file that an inventory names: relative to the inventory, and `~/` is the user's home.
#[test]
fn files_that_an_inventory_names_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let sub = folder.path().join("sub");
    std::fs::create_dir_all(sub.join("keys")).unwrap();
    let text = |identity: &str| format!("ssh: {{identity: {identity}, proxyCommand: \"false\"}}\nmachines: {{one: 192.0.2.1}}\n");
    let read = |identity: &str| {
        std::fs::write(sub.join("inventory.yaml"), text(identity)).unwrap();
        let file = InventoryFile::load(&sub.join("inventory.yaml")).unwrap();
        file.inventory.machines["one"].connection.identity.clone().unwrap()
    };
    assert_eq!(read("keys/work"), sub.join("keys/work"));
    assert_eq!(read("/keys/work"), Path::new("/keys/work"));
    assert_eq!(read("~/.ssh/work"), Path::new("~/.ssh/work"));
}

/// A token that stands where its file's name should is shown nowhere, and one that others can read is told.
#[test]
fn a_media_servers_token_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small_bundle(folder.path());
    let write = |token: &str| {
        let text = format!(
            "ssh: {{proxyCommand: \"false\"}}\nmachines: {{one: {{address: 192.0.2.1, role: control-plane}}}}\ntranscode:\n  inbox: path:/srv/in\n  \
             library: path:/srv/out\n  owner: {{uid: 1000, gid: 100}}\n  folders: {{Movies: {{}}}}\n  plex: {{url: \"http://192.0.2.9:32400\", {token}}}\n"
        );
        std::fs::write(folder.path().join("inventory.yaml"), text).unwrap();
    };
    let verbs = ["render".to_owned(), "status".to_owned(), format!("plan --bundle {}", bundle.display())];
    for secret in ["tokenFile: abcSECRETdef", "token: abcSECRETdef", "token: abcSECRETdef, tokenFile: 1, libraryAsSeen: x"] {
        write(secret);
        for verb in &verbs {
            let (ended, said) = run(folder.path(), verb, Stdio::null());
            assert!(ended != Some(0) && !said.contains("SECRET"), "{verb} with {secret}: {said}");
        }
    }
    write("tokenFile: token");
    let token = folder.path().join("token");
    std::fs::write(&token, "abc\n").unwrap();
    for (mode, warned) in [(0o644, true), (0o640, true), (0o600, false), (0o400, false)] {
        std::fs::set_permissions(&token, PermissionsExt::from_mode(mode)).unwrap();
        let (_, said) = run(folder.path(), "render", Stdio::null());
        assert_eq!(said.contains("other users can read the media server's token: run `chmod 600 token`"), warned, "{mode:o}: {said}");
    }
}

/// What is refused, warned of, or left out is said, and is in the status: of `render`, and of `plan` where no machine answers.
#[test]
fn render_and_plan_say_what_they_leave_out() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small_bundle(folder.path());
    let machines = "ssh: {proxyCommand: \"false\"}\nmachines:\n  one: {address: 192.0.2.1, role: control-plane}\n";
    let write = |more: &str| std::fs::write(folder.path().join("inventory.yaml"), format!("{machines}{more}")).unwrap();
    let films =
        "transcode:\n  inbox: path:/srv/in\n  library: nfs://192.0.2.9/srv/out\n  owner: {uid: 1000, gid: 100}\n  folders: {Movies: {}}\n";
    write(films);
    let (ended, said) = run(folder.path(), "render --out films", Stdio::null());
    assert_eq!(ended, Some(0), "{said}");
    assert!(folder.path().join("films/cluster/transcode.yaml").is_file(), "{said}");
    write("  two: {address: 192.0.2.2, role: control-plane}\n");
    let (ended, said) = run(folder.path(), "render", Stdio::null());
    assert!(ended == Some(0) && said.contains("tolerate no more failures"), "{said}");
    write(&format!("cluster: {{version: 1.35.4}}\n{films}"));
    let (ended, said) = run(folder.path(), &format!("render --bundle {}", bundle.display()), Stdio::null());
    assert!(ended == Some(3) && said.contains("refused: "), "{ended:?} {said}");
    write(&format!("{films}  plex: {{url: \"http://192.0.2.9:32400\", tokenFile: none}}\n"));
    let (ended, said) = run(folder.path(), "render", Stdio::null());
    assert!(ended == Some(3) && said.contains("the file that `tokenFile` names does not exist"), "{ended:?} {said}");
    write("");
    let (ended, said) = run(folder.path(), &format!("plan --bundle {}", bundle.display()), Stdio::null());
    assert!(ended == Some(4), "{ended:?} {said}");
}

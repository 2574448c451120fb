//! Accounts that are not the one who runs the tests: login shells, sudo, passwords, on a computer made for each test.

mod machine;
#[allow(dead_code)]
#[path = "../ssh/sshd.rs"]
mod sshd;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostler::ssh::{Bounds, ConnectError, Exit, Part, Target, install_key};
use sha2::{Digest, Sha256};

use crate::machine::*;
use crate::sshd::*;

#[test]
fn every_login_shell_runs_scripts_however_noisy_it_is() {
    alone("every_login_shell_runs_scripts_however_noisy_it_is", "ALL ALL=(ALL) NOPASSWD: ALL", || async {
        let sshd = sshd("");
        for (user, shell, _) in SHELLS {
            let target = target(&sshd, user);
            let session = connect(&target, &strict()).await;
            let (mut out, mut err) = (String::new(), String::new());
            let script = "id -u; umask; echo $LC_ALL; echo it\\'s \"$(echo quoted)\"; ls /nowhere";
            let exit = limited(session.read(Bounds::FILE, script, &mut out, &mut err)).await.unwrap();
            assert_eq!((exit, out.as_str()), (Exit::Status(2), "0\n0022\nC\nit's quoted\n"), "{shell}");
            assert!(err.contains("No such file or directory") && !err.contains("noise"), "{shell}: {err}");
            let mut heard = String::new();
            let payload = vec![Part::Bytes(b"it's \"a\" $payload\\n!\n".to_vec())];
            limited(session.run("cat", payload, |_| {}, |line| heard.push_str(line))).await.unwrap();
            assert_eq!(heard, "it's \"a\" $payload\\n!", "{shell}");
        }
    });
}

/// Rules of sudo under which everybody has to give a password.
const ASKS: &str = "ALL ALL=(ALL) ALL";

#[test]
fn sudo_wants_a_password_a_lecture_and_a_terminal_of_its_own() {
    let rules = format!("Defaults lecture=always, use_pty\n{ASKS}");
    alone("sudo_wants_a_password_a_lecture_and_a_terminal_of_its_own", &rules, || sudo_with_a_password(by_signal()));
}

#[test]
fn sudo_wants_a_password_and_no_terminal() {
    alone("sudo_wants_a_password_and_no_terminal", &format!("Defaults !use_pty\n{ASKS}"), || sudo_with_a_password(by_signal()));
}

#[test]
fn sudo_wants_a_terminal() {
    alone("sudo_wants_a_terminal", "Defaults requiretty\nALL ALL=(ALL) NOPASSWD: ALL", || async {
        let sshd = sshd("");
        for (user, shell, _) in SHELLS {
            let session = connect(&target(&sshd, user), &strict()).await;
            let (mut out, mut err) = (String::new(), String::new());
            let exit = limited(session.read(Bounds::FILE, "id -u; echo err >&2; exit 75", &mut out, &mut err)).await.unwrap();
            assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Status(75), "0\n", "err\n"), "{shell}");
        }
    });
}

#[test]
fn sudo_wants_a_password_a_terminal_and_one_of_its_own() {
    let rules = format!("Defaults lecture=always, requiretty, use_pty\n{ASKS}");
    // What makes the terminal tells a signal as a shell does.
    alone("sudo_wants_a_password_a_terminal_and_one_of_its_own", &rules, || sudo_with_a_password(Exit::Status(128 + 15)));
}

fn by_signal() -> Exit {
    Exit::Signal("TERM".to_owned())
}

/// `terminated`: how a script ends that a SIGTERM ended.
async fn sudo_with_a_password(terminated: Exit) {
    let sshd = sshd("");
    let (access, asked) = Asked::answering(&[PASSWORD]);
    let (bash, fish) = (target(&sshd, "bash"), target(&sshd, "fish"));
    let (bash, fish) = tokio::join!(connect(&bash, &access), connect(&fish, &access));
    let payload: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let expected: String = Sha256::digest(&payload).iter().map(|byte| format!("{byte:02x}")).collect();
    for session in [&bash, &fish] {
        // The processes that run meanwhile show no password, and neither does the environment.
        let script = format!(
            "id -u; head -c {} | sha256sum; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c '[{}]{}'",
            payload.len(),
            &PASSWORD[..1],
            &PASSWORD[1..]
        );
        let mut heard = Vec::new();
        let exit =
            limited(session.run(&script, vec![Part::Bytes(payload.clone())], |_| {}, |line| heard.push(line.to_owned()))).await.unwrap();
        assert_eq!((exit, heard.as_slice()), (Exit::Status(1), &["0".to_owned(), format!("{expected}  -"), "0".to_owned()][..]));
        for (script, exit) in [("exit 75", Exit::Status(75)), ("kill -TERM $$", terminated.clone())] {
            assert_eq!(limited(session.run(script, Vec::new(), |_| {}, |_| {})).await.unwrap(), exit, "{script}");
        }
    }
    assert_eq!(asked.questions(), ["sudo password for bash on rainbowdash"]);
}

#[test]
fn a_machine_that_allows_next_to_nothing_is_enough() {
    alone("a_machine_that_allows_next_to_nothing_is_enough", "ALL ALL=(ALL) NOPASSWD: ALL", || async {
        let config =
            "AllowTcpForwarding no\nDisableForwarding yes\nPermitTTY no\nMaxSessions 1\nMaxStartups 1\nPrintMotd yes\nUsePAM yes\n";
        let sshd = sshd(config);
        // No sftp either: this sshd knows no subsystem.
        assert!(!fs::read_to_string(sshd.path("sshd_config")).unwrap().contains("Subsystem"));
        fs::write("/mnt/motd", "Friendship is magic\n").unwrap();
        bind("/mnt/motd", "/etc/motd");
        for (user, ..) in SHELLS {
            let home = format!("/home/{user}");
            chown(&*home, Some(0), Some(0)).unwrap();
            fs::set_permissions(&home, fs::Permissions::from_mode(0o555)).unwrap();
            let session = connect(&target(&sshd, user), &strict()).await;
            // What the row is about is so.
            let rows = format!("findmnt -no OPTIONS /tmp | grep -c noexec; ls -ld {home} | cut -c1-10");
            let (one, two) = limited(async { tokio::join!(output(&session, &rows), output(&session, "id -u")) }).await;
            assert_eq!((one.as_str(), two.as_str()), ("1\ndr-xr-xr-x\n", "0\n"), "{user}");
        }
    });
}

#[test]
fn a_password_lets_a_key_in_once() {
    alone("a_password_lets_a_key_in_once", ASKS, || async {
        for config in ["PasswordAuthentication yes\n", "KbdInteractiveAuthentication yes\nUsePAM yes\n"] {
            let sshd = sshd(&format!("{config}AuthorizedKeysFile .ssh/authorized_keys\n"));
            for (user, ..) in SHELLS {
                let target = target(&sshd, user);
                let error = refused(&target, &strict()).await;
                assert!(error.takes_password(), "{error}");
                let error = limited(install_key(&target, &strict(), "wrong")).await.unwrap_err();
                let wrong = error.downcast_ref::<ConnectError>().unwrap();
                assert!(wrong.to_string().contains("rejected the login") && !wrong.to_string().contains("wrong"), "{wrong}");
                refused(&target, &strict()).await;
                limited(install_key(&target, &strict(), PASSWORD)).await.unwrap();
                let (access, asked) = Asked::answering(&[PASSWORD]);
                let session = connect(&target, &access).await;
                assert_eq!(output(&session, "id -u").await, "0\n");
                assert_eq!(asked.questions(), [format!("sudo password for {user} on rainbowdash")]);
                let keys = fs::metadata(format!("/home/{user}/.ssh/authorized_keys")).unwrap();
                assert_eq!(keys.permissions().mode() & 0o777, 0o600);
                fs::remove_dir_all(format!("/home/{user}/.ssh")).unwrap();
            }
        }
    });
}

/// `hostler` with a home of its own, on a terminal on which `typed` is typed: exit status, and all that the terminal shows.
fn on_a_terminal(home: &Path, arguments: &str, typed: &str) -> (Option<i32>, String) {
    let mut terminal = Command::new("script")
        .args(["-qec", &format!("timeout --foreground 60 {PROGRAM} {arguments}"), "/dev/null"])
        .env("HOME", home)
        .env("SHELL", "/bin/sh")
        .env_remove("SSH_AUTH_SOCK")
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    terminal.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = terminal.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_new_machine_is_let_in_to_by_one_password() {
    alone("a_new_machine_is_let_in_to_by_one_password", ASKS, || async {
        let sshd = sshd("PasswordAuthentication yes\nAuthorizedKeysFile .ssh/authorized_keys\n");
        let home = sshd.path("home");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::rename(sshd.path("user_key"), home.join(".ssh/id_ed25519")).unwrap();
        fs::rename(sshd.path("user_key.pub"), home.join(".ssh/id_ed25519.pub")).unwrap();
        fs::write(home.join(".ssh/config"), format!("Host *\n Port {}\nHost 10.66.0.*\n HostName 127.0.0.1\n", sshd.port)).unwrap();
        sshd.write_known_hosts(&format!("* {}\n", sshd.host_key("ed25519")));
        let init = |file: &str| format!("init --user bash --yes --inventory {file} pie=10.66.0.12");
        // Nobody there: what to do is said.
        let alone = Command::new(PROGRAM)
            .args(init("none.yaml").split(' '))
            .env("HOME", &home)
            .current_dir(&home)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stderr);
        assert_eq!(alone.status.code(), Some(4), "{said}");
        assert!(
            said.contains("unreachable: 127.0.0.1:") && said.contains("rejected the login of bash") && said.contains("ssh-copy-id -p "),
            "{said}"
        );
        // Somebody says yes, and the right password at the second try: sudo takes it too.
        let (status, said) = on_a_terminal(&home, &init("first.yaml"), &format!("yes\nwrong\n{PASSWORD}\n"));
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("pie does not accept your SSH key. Install the key now with bash's password?"), "{said}");
        assert!(said.contains("wrong password; password for bash on pie"), "{said}");
        assert!(!said.contains("sudo password"), "{said}");
        assert!(fs::read_to_string(home.join("first.yaml")).unwrap().contains("pie"));
        let key = fs::read_to_string(home.join(".ssh/id_ed25519.pub")).unwrap();
        assert_eq!(fs::read_to_string("/home/bash/.ssh/authorized_keys").unwrap().trim(), key.trim());
        // From then on there is nothing to ask but sudo's.
        let (status, said) = on_a_terminal(&home, &init("second.yaml"), &format!("{PASSWORD}\n"));
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("sudo password for bash") && !said.contains("is not known"), "{said}");
        // Nothing that is left on either side has the password in it.
        let left: Vec<PathBuf> = [home.as_path(), Path::new("/home"), Path::new("/tmp")].into_iter().flat_map(files).collect();
        for expected in ["first.yaml", "known_hosts", "authorized_keys"] {
            assert!(left.iter().any(|file| file.ends_with(expected)), "{left:?}");
        }
        for file in left {
            let text = fs::read(&file).unwrap();
            assert!(!text.windows(PASSWORD.len()).any(|bytes| bytes == PASSWORD.as_bytes()), "{}", file.display());
        }
    });
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path()),
            kind if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn known_hosts_that_is_read_only_does_not_stop_a_run() {
    alone("known_hosts_that_is_read_only_does_not_stop_a_run", "", || async {
        let (sshd, other) = (sshd(""), sshd(""));
        let known = format!("[127.0.0.1]:{} {}\n", other.port, other.host_key("ed25519"));
        sshd.write_known_hosts(&known);
        let folder = sshd.path("home/.ssh");
        let folder = folder.to_str().unwrap();
        bind(folder, folder);
        read_only(folder);
        // What it says counts, a stranger whom a person accepts counts for this run, and nothing is written.
        let known_by_it = Target { port: other.port, identities: vec![other.path("user_key")], ..sshd.stranger() };
        connect(&known_by_it, &strict()).await;
        refused(&sshd.stranger(), &strict()).await;
        let error = refused(&sshd.stranger(), &accepting()).await;
        assert!(error.to_string().contains("can't be saved"), "{error}");
        let (access, asked) = Asked::answering(&["yes"]);
        for _ in 0..2 {
            connect(&sshd.stranger(), &access).await;
        }
        assert_eq!(asked.questions().len(), 1);
        assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), known);
        assert!(fs::write(sshd.known_hosts(), "").is_err(), "it can be written after all");
    });
}

#[test]
fn a_password_goes_to_the_machines_that_its_question_names() {
    alone("a_password_goes_to_the_machines_that_its_question_names", ASKS, || async {
        let sshd = sshd("");
        let home = sshd.path("home");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::copy(sshd.path("user_key"), home.join(".ssh/id_ed25519")).unwrap();
        fs::write(home.join(".ssh/config"), format!("Host *\n Port {}\nHost 10.66.0.*\n HostName 127.0.0.1\n", sshd.port)).unwrap();
        let init = |file: &str| format!("init --user bash --yes --inventory {file} cake=10.66.0.11 pie=10.66.0.12");
        let known = format!("* {}\n", sshd.host_key("ed25519"));
        sshd.write_known_hosts(&known);
        // Known machines: one question for both, and a second one where the password was wrong.
        let (status, said) = on_a_terminal(&home, &init("known.yaml"), &format!("wrong\n{PASSWORD}\n"));
        // Once it is in, it finds that both are this computer.
        assert_eq!(status, Some(2), "{said}");
        assert_eq!(said.matches("sudo password for bash on cake, pie: ").count(), 2, "{said}");
        assert_eq!(said.matches("wrong password; sudo password for bash on cake, pie: ").count(), 1, "{said}");
        // Machines that were never seen before: each is asked about alone.
        sshd.write_known_hosts("");
        let accepting = format!("{} --accept-new-host-keys", init("new.yaml"));
        let (status, said) = on_a_terminal(&home, &accepting, &format!("{PASSWORD}\n{PASSWORD}\n"));
        assert_eq!(status, Some(2), "{said}");
        for machine in ["cake", "pie"] {
            assert_eq!(said.matches(&format!("sudo password for bash on {machine}, whose host key is new: ")).count(), 1, "{said}");
        }
        assert!(!said.contains("cake, pie"), "{said}");
    });
}

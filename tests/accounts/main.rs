//! Accounts that are not the one who runs the tests: login shells, sudo, passwords, on a computer made for each test.

mod machine;
#[allow(dead_code)]
#[path = "../ssh/sshd.rs"]
mod sshd;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use hostler::ssh::{ConnectError, Exit, Part, install_key};
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
            let exit = limited(session.read(script, &mut out, &mut err)).await.unwrap();
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
    alone("sudo_wants_a_password_a_lecture_and_a_terminal_of_its_own", &rules, sudo_with_a_password);
}

#[test]
fn sudo_wants_a_password_and_no_terminal() {
    alone("sudo_wants_a_password_and_no_terminal", &format!("Defaults !use_pty\n{ASKS}"), sudo_with_a_password);
}

async fn sudo_with_a_password() {
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
        for (script, exit) in [("exit 75", Exit::Status(75)), ("kill -TERM $$", Exit::Signal("TERM".to_owned()))] {
            assert_eq!(limited(session.run(script, Vec::new(), |_| {}, |_| {})).await.unwrap(), exit, "{script}");
        }
    }
    assert_eq!(asked.questions(), ["sudo password of bash"]);
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
                assert!(wrong.to_string().contains("does not let") && !wrong.to_string().contains("wrong"), "{wrong}");
                refused(&target, &strict()).await;
                limited(install_key(&target, &strict(), PASSWORD)).await.unwrap();
                let (access, asked) = Asked::answering(&[PASSWORD]);
                let session = connect(&target, &access).await;
                assert_eq!(output(&session, "id -u").await, "0\n");
                assert_eq!(asked.questions(), [format!("sudo password of {user}")]);
                let keys = fs::metadata(format!("/home/{user}/.ssh/authorized_keys")).unwrap();
                assert_eq!(keys.permissions().mode() & 0o777, 0o600);
                fs::remove_dir_all(format!("/home/{user}/.ssh")).unwrap();
            }
        }
    });
}

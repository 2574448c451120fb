//! Accounts that are not the one who runs the tests: login shells, sudo, passwords, on a computer made for each test.

mod machine;
#[allow(dead_code)]
#[path = "../ssh/sshd.rs"]
mod sshd;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use hostler::ssh::{Exit, Part};
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

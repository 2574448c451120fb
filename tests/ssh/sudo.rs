//! Becoming root through sudo. The sudo here is a script that reads and says what the real one does; the lab has the real one.

use std::os::unix::fs::PermissionsExt;

use hostler::ssh::{Exit, Part, RunError, SudoReason, Target};

use crate::sshd::*;

/// Answers by the file `mode` beside it: a password it wants, or one of its refusals. It notes what it was called with.
const SUDO: &str = r#"#!/bin/sh
here=$(dirname "$0")
mode=$(cat "$here/mode")
echo "$*" >>"$here/calls"
ask=no
while :; do
    case $1 in
    -n) ask=no; shift ;;
    -S) ask=yes; shift ;;
    -k) shift ;;
    -p) shift 2 ;;
    --) shift; break ;;
    *) break ;;
    esac
done
case $mode in
free) exec "$@" ;;
tty) echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1 ;;
noisy) echo "sudo: sorry, you must have a tty to run sudo"; echo "sudo: the plugin is broken" >&2; echo MMMM >&2; exit 1 ;;
stranger)
    [ "$ask" = yes ] || { echo "sudo: a password is required" >&2; exit 1; }
    read -r word; echo "ash is not in the sudoers file." >&2; exit 1 ;;
*)
    [ "$ask" = yes ] || { echo "sudo: a password is required" >&2; exit 1; }
    echo "We trust you have received the usual lecture" >&2
    read -r word
    [ "$word" = "$mode" ] || { echo "Sorry, try again." >&2; echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
    exec "$@" ;;
esac
"#;

fn with_sudo(mode: &str) -> (Sshd, Target) {
    let sshd = Sshd::with(&["ed25519"], "SetEnv HOME=DIR/home PATH=DIR/bin:/usr/bin:/bin\n");
    std::fs::create_dir(sshd.path("bin")).unwrap();
    std::fs::write(sshd.path("bin/sudo"), SUDO).unwrap();
    std::fs::set_permissions(sshd.path("bin/sudo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(sshd.path("bin/mode"), mode).unwrap();
    let target = Target { sudo: true, sudo_program: sshd.path("bin/sudo").display().to_string(), ..sshd.target() };
    (sshd, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_without_a_password_asks_nobody() {
    let (sshd, target) = with_sudo("free");
    let session = connect(&target, &strict()).await;
    for _ in 0..2 {
        assert_eq!(output(&session, "echo root").await, "root\n");
    }
    let calls = std::fs::read_to_string(sshd.path("bin/calls")).unwrap();
    assert_eq!(calls.lines().filter(|call| *call == "-n true").count(), 1, "{calls}");
    assert_eq!(calls.lines().filter(|call| call.starts_with("-n -- /bin/sh -c umask")).count(), 2, "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_once_and_is_no_argument() {
    let ((sshd, one), (_other, two)) = (with_sudo("haycart"), with_sudo("haycart"));
    let (access, asked) = Asked::answering(&["haycart"]);
    let (one, two) = tokio::join!(connect(&one, &access), connect(&two, &access));
    one.become_root_by_asking().await.unwrap();
    let script = "echo out; echo err >&2; head -c 3";
    let payload = || vec![Part::Bytes(b"abcdef".to_vec())];
    for session in [&one, &two] {
        let mut heard = Vec::new();
        let exit = limited(session.run(script, payload(), |_| {}, |line| heard.push(line.to_owned()))).await.unwrap();
        heard.sort();
        // No lecture, no password, no noise.
        assert_eq!((exit, heard), (Exit::Status(0), vec!["abc".to_owned(), "err".to_owned(), "out".to_owned()]));
    }
    // Both have the name of one machine.
    assert_eq!(asked.questions(), [format!("sudo password for {} on rainbowdash", sshd.account().user)]);
    let calls = std::fs::read_to_string(sshd.path("bin/calls")).unwrap();
    assert!(!calls.contains("haycart"), "{calls}");
    // A machine that no longer wants it finds it before the script, and leaves it there.
    std::fs::write(sshd.path("bin/mode"), "free").unwrap();
    assert_eq!(output(&one, "echo still").await, "still\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_another_password_is_asked_about_by_name() {
    let ((sshd, one), (_other, two)) = (with_sudo("haycart"), with_sudo("apple"));
    let (access, asked) = Asked::answering(&["haycart", "wrong", "apple"]);
    let one = connect(&one, &access).await;
    output(&one, "true").await;
    let two = connect(&Target { name: "pinkiepie".to_owned(), ..two }, &access).await;
    output(&two, "true").await;
    let user = sshd.account().user;
    assert_eq!(
        asked.questions(),
        [
            format!("sudo password for {user} on rainbowdash"),
            format!("sudo password for {user} on pinkiepie"),
            format!("wrong password; sudo password for {user} on pinkiepie"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_that_refuses_says_why_and_what_to_do() {
    for (mode, answer, expected, hint) in [
        ("tty", Some("x"), SudoReason::NeedsTerminal, "!requiretty"),
        ("stranger", Some("x"), SudoReason::NotAllowed, "adduser"),
        ("haycart", Some("x"), SudoReason::WrongPassword, "sudo -v"),
        ("haycart", None, SudoReason::NobodyToAsk, "NOPASSWD"),
    ] {
        let (_sshd, target) = with_sudo(mode);
        let access = answer.map_or_else(strict, |answer| Asked::answering(&[answer]).0);
        let session = connect(&target, &access).await;
        let error = limited(session.run("true", Vec::new(), |_| {}, |_| {})).await.unwrap_err();
        let RunError::Sudo(sudo) = &error else { panic!("{error}") };
        assert_eq!(sudo.reason, expected, "{error}");
        assert!(error.to_string().starts_with("rainbowdash: "), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_sudo_says_so() {
    let sshd = Sshd::with(&["ed25519"], "SetEnv HOME=DIR/home PATH=DIR/empty\n");
    let target = Target { sudo: true, sudo_program: "no-sudo-here".to_owned(), ..sshd.target() };
    let session = connect(&target, &strict()).await;
    let error = limited(session.run("true", Vec::new(), |_| {}, |_| {})).await.unwrap_err();
    assert!(matches!(&error, RunError::Sudo(sudo) if sudo.reason == SudoReason::Missing), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_is_heard_on_its_own_output_alone() {
    let (_sshd, target) = with_sudo("noisy");
    let session = connect(&target, &Asked::answering(&["x"]).0).await;
    let error = limited(session.run("true", Vec::new(), |_| {}, |_| {})).await.unwrap_err();
    let RunError::Sudo(sudo) = &error else { panic!("{error}") };
    assert_eq!(sudo.reason, SudoReason::Other("sudo: the plugin is broken".to_owned()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_is_found_whatever_the_path_of_the_login_shell() {
    assert!(std::path::Path::new("/usr/bin/sudo").exists(), "apt-get install sudo");
    let sshd = Sshd::with(&["ed25519"], "SetEnv HOME=DIR/home PATH=/nowhere\n");
    let session = connect(&Target { sudo: true, ..sshd.target() }, &strict()).await;
    // It is the real one: whether it wants a password is this computer's own business.
    limited(session.become_root()).await.unwrap();
}

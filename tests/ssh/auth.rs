//! Who is let in, and what is said when nobody is.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use hostler::ssh::{Reason, Target};
use hostler_core::inventory::Connection;

use crate::sshd::*;

/// A real ssh-agent, which ends with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Agent {
        let socket = dir.join("agent.sock");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("apt-get install openssh-client");
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < LIMIT, "ssh-agent does not listen");
            std::thread::yield_now();
        }
        Agent { child, socket }
    }

    fn add(&self, key: &Path) {
        let added = Command::new("ssh-add").arg(key).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null()).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_key(sshd: &Sshd, file: &str) -> Target {
    Target { identities: vec![sshd.path(file)], ..sshd.target() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_opens() {
    let sshd = Sshd::start();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        keygen(&sshd.path(kind), kind, "");
        authorize(sshd.dir.path(), &format!("{kind}.pub"));
        connect(&with_key(&sshd, kind), &strict()).await;
    }
    // The older text format of ssh-keygen.
    ssh_keygen(&["-q", "-p", "-m", "PEM", "-N", "", "-f", sshd.path("rsa").to_str().unwrap()]);
    connect(&with_key(&sshd, "rsa"), &strict()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_asked_for_once() {
    let sshd = Sshd::start();
    for kind in ["ed25519", "rsa"] {
        keygen(&sshd.path(kind), kind, "haycart");
        authorize(sshd.dir.path(), &format!("{kind}.pub"));
        let (access, asked) = Asked::answering(&["wrong", "haycart"]);
        let target = with_key(&sshd, kind);
        tokio::join!(connect(&target, &access), connect(&target, &access));
        let file = sshd.path(kind);
        assert_eq!(
            asked.questions(),
            [format!("passphrase for {}", file.display()), format!("wrong passphrase; passphrase for {}", file.display())]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_the_passphrase_of_a_key_that_is_not_accepted() {
    let sshd = Sshd::start();
    keygen(&sshd.path("other"), "ed25519", "haycart");
    let (access, asked) = Asked::answering(&["haycart"]);
    refused(&with_key(&sshd, "other"), &access).await;
    assert_eq!(asked.questions(), [""; 0]);
    // And one after it still opens on the same connection.
    let target = Target { identities: vec![sshd.path("other"), sshd.path("user_key")], ..sshd.target() };
    connect(&target, &access).await;
    assert_eq!(asked.questions(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_passphrases_are_enough_for_the_run() {
    let sshd = Sshd::start();
    keygen(&sshd.path("locked"), "ed25519", "haycart");
    authorize(sshd.dir.path(), "locked.pub");
    let (access, asked) = Asked::answering(&["wrong"]);
    for _ in 0..2 {
        let error = refused(&with_key(&sshd, "locked"), &access).await;
        assert!(error.to_string().contains("no passphrase was given"), "{error}");
    }
    assert_eq!(asked.questions().len(), 3);
    let error = refused(&with_key(&sshd, "locked"), &strict()).await;
    assert!(error.to_string().contains("no passphrase was given"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_opens() {
    let sshd = Sshd::start();
    let agent = Agent::start(sshd.dir.path());
    for kind in ["ed25519", "ecdsa", "rsa"] {
        keygen(&sshd.path(kind), kind, "");
        agent.add(&sshd.path(kind));
    }
    let target = Target { identities: Vec::new(), identities_chosen: false, agent: Some(agent.socket.clone()), ..sshd.target() };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        std::fs::copy(sshd.path(&format!("{kind}.pub")), sshd.path("authorized_keys")).unwrap();
        connect(&target, &strict()).await;
    }
}

/// As one whose forwarding connection was lost: the keys in files are tried without it.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_answers_is_not_waited_for_long() {
    let sshd = Sshd::start();
    let socket = sshd.path("agent.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    keygen(&sshd.path("key"), "ed25519", "");
    authorize(sshd.dir.path(), "key.pub");
    let begun = Instant::now();
    connect(&Target { agent: Some(socket), ..with_key(&sshd, "key") }, &strict()).await;
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_excludes_is_not_tried() {
    let sshd = Sshd::start();
    for (line, keys) in [
        ("PubkeyAuthentication no", false),
        ("PreferredAuthentications password,keyboard-interactive", false),
        ("PreferredAuthentications keyboard-interactive,publickey", true),
        ("PubkeyAuthentication host-bound", true),
    ] {
        std::fs::create_dir_all(sshd.path("home/.ssh")).unwrap();
        std::fs::write(sshd.path("home/.ssh/config"), format!("{line}\n")).unwrap();
        let target = sshd.target();
        assert_eq!(target.methods.keys, keys, "{line}");
        if keys {
            connect(&target, &strict()).await;
        } else {
            let error = refused(&target, &strict()).await;
            assert!(error.to_string().contains("PubkeyAuthentication, PreferredAuthentications"), "{line}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_key_that_the_agent_has_asks_for_nothing() {
    let sshd = Sshd::start();
    let agent = Agent::start(sshd.dir.path());
    keygen(&sshd.path("key"), "ed25519", "");
    agent.add(&sshd.path("key"));
    authorize(sshd.dir.path(), "key.pub");
    ssh_keygen(&["-q", "-p", "-N", "haycart", "-a", "2", "-f", sshd.path("key").to_str().unwrap()]);
    let target = Target { agent: Some(agent.socket.clone()), ..with_key(&sshd, "key") };
    connect(&target, &strict()).await;
    // Named by its public half alone.
    connect(&Target { identities: vec![sshd.path("key.pub")], identities_only: true, ..target }, &strict()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_only_keeps_the_agents_other_keys_back() {
    let sshd = Sshd::with(&["ed25519"], "MaxAuthTries 2\n");
    let agent = Agent::start(sshd.dir.path());
    for name in ["a", "b", "c", "d"] {
        keygen(&sshd.path(name), "ed25519", "");
        agent.add(&sshd.path(name));
    }
    let agent_only = Target { identities: Vec::new(), identities_chosen: false, agent: Some(agent.socket.clone()), ..sshd.target() };
    let error = refused(&agent_only, &strict()).await;
    assert!(matches!(*error.reason, Reason::AuthFailed { .. }), "{error}");
    assert!(error.to_string().contains("then the machine closed the connection"), "{error}");
    // The named key goes first, so that the agent's others can't use up the tries.
    connect(&Target { agent: Some(agent.socket.clone()), ..sshd.target() }, &strict()).await;
    let only = Target { agent: Some(agent.socket.clone()), identities_only: true, ..with_key(&sshd, "a") };
    let error = refused(&only, &strict()).await;
    let Reason::AuthFailed { tried, .. } = &*error.reason else { panic!("{error}") };
    assert_eq!(tried.len(), 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let sshd = Sshd::with(&["ed25519"], "TrustedUserCAKeys DIR/ca.pub\n");
        let user = sshd.account().user;
        keygen(&sshd.path("ca"), "ed25519", "");
        keygen(&sshd.path("id"), kind, "");
        let certify = |key: &str| {
            let (ca, key) = (sshd.path("ca"), sshd.path(key));
            ssh_keygen(&["-q", "-s", ca.to_str().unwrap(), "-I", "ash", "-n", &user, key.to_str().unwrap()]);
        };
        certify("id.pub");
        connect(&with_key(&sshd, "id"), &strict()).await;
        // The key in the agent, the certificate in a file of another name.
        let agent = Agent::start(sshd.dir.path());
        std::fs::rename(sshd.path("id-cert.pub"), sshd.path("elsewhere.pub")).unwrap();
        agent.add(&sshd.path("id"));
        let target = Target { agent: Some(agent.socket.clone()), certificates: vec![sshd.path("elsewhere.pub")], ..with_key(&sshd, "id") };
        connect(&target, &strict()).await;
        // Both in the agent.
        std::fs::rename(sshd.path("elsewhere.pub"), sshd.path("id-cert.pub")).unwrap();
        agent.add(&sshd.path("id"));
        let target = Target { identities: Vec::new(), identities_chosen: false, certificates: Vec::new(), ..target };
        connect(&target, &strict()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_accepted_is_named() {
    let sshd = Sshd::start();
    keygen(&sshd.path("other"), "ed25519", "");
    let target = Target { identities: vec![sshd.path("gone"), sshd.path("other")], ..sshd.target() };
    let error = refused(&target, &strict()).await;
    let shown = fingerprint_by_openssh(&sshd.path("other.pub"));
    assert_eq!(
        error.to_string(),
        format!(
            "rainbowdash: 127.0.0.1:{} rejected the login of {}: tried {}: no such file or directory, {} {shown}; accepted methods: publickey",
            sshd.port,
            target.user,
            sshd.path("gone").display(),
            sshd.path("other").display()
        )
    );
    assert!(!error.is_retryable());
    assert!(error.hint().contains("authorized_keys"), "{}", error.hint());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_key_the_way_to_one_is_told() {
    let sshd = Sshd::start();
    let target = sshd.target_by(Connection { host_key: Some(sshd.host_key("ed25519")), ..Connection::default() });
    let error = refused(&target, &strict()).await;
    assert!(error.to_string().ends_with("there is no key to offer"), "{error}");
    assert!(error.hint().contains("ssh-keygen -t ed25519"), "{}", error.hint());
    let error = refused(&Target { agent: Some(sshd.path("no-agent")), ..target }, &strict()).await;
    assert!(error.to_string().contains("the agent at "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_keys_are_found() {
    let sshd = Sshd::start();
    std::fs::create_dir_all(sshd.path("home/.ssh")).unwrap();
    keygen(&sshd.path("home/.ssh/id_rsa"), "rsa", "");
    keygen(&sshd.path("home/.ssh/id_ed25519"), "ed25519", "");
    authorize(sshd.dir.path(), "home/.ssh/id_rsa.pub");
    let target = sshd.target_by(Connection { host_key: Some(sshd.host_key("ed25519")), ..Connection::default() });
    connect(&target, &strict()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_let_in_once_and_nobody_is_shut_out() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    keygen(&sshd.path("new"), "ed25519", "");
    let key = public_key(&std::fs::read_to_string(sshd.path("new.pub")).unwrap());
    let line = key.to_openssh().unwrap();
    let folder = sshd.path("home/.ssh");
    // No folder, an empty file, one whose last line has no end, a link to elsewhere.
    for before in [None, Some(""), Some("# mine\nssh-ed25519 AAAA else"), Some("link")] {
        let _ = std::fs::remove_dir_all(&folder);
        match before {
            None => {}
            Some("link") => {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(sshd.path("kept"), "first\n").unwrap();
                std::os::unix::fs::symlink(sshd.path("kept"), folder.join("authorized_keys")).unwrap();
            }
            Some(text) => {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join("authorized_keys"), text).unwrap();
            }
        }
        for _ in 0..2 {
            limited(session.authorize(&key)).await.unwrap();
        }
        let expected = match before {
            None | Some("") => format!("{line}\n"),
            Some("link") => format!("first\n{line}\n"),
            Some(text) => format!("{text}\n{line}\n"),
        };
        assert_eq!(std::fs::read_to_string(folder.join("authorized_keys")).unwrap(), expected);
        let metadata = std::fs::metadata(folder.join("authorized_keys")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["authorized_keys"]);
        assert_eq!(before == Some("link"), folder.join("authorized_keys").is_symlink());
    }
}

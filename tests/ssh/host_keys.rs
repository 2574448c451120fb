//! Strict about host keys, as ssh is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use hostler::ssh::{Reason, Target, fetch_host_key, fingerprint, forget, remember, replace};
use hostler_core::inventory::Connection;

use crate::sshd::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_with_the_fingerprint_that_openssh_shows() {
    for (kind, name) in [("ed25519", "ED25519"), ("ecdsa", "ECDSA"), ("rsa", "RSA")] {
        let sshd = Sshd::with(&[kind], "");
        let error = refused(&sshd.stranger(), &strict()).await;
        assert!(matches!(&*error.reason, Reason::UnknownHostKey { key } if key.key_data() == public_key(&sshd.host_key(kind)).key_data()));
        let shown = fingerprint_by_openssh(&sshd.path(&format!("host_{kind}.pub")));
        assert_eq!(error.to_string(), format!("rainbowdash: the host key of 127.0.0.1:{} is not known: {name} {shown}", sshd.port));
        assert!(error.hint().contains("--accept-new-host-keys"), "{}", error.hint());
        assert!(!error.is_retryable());
        assert!(!sshd.known_hosts().exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_accepted_and_remembered_when_asked_for() {
    let sshd = Sshd::start();
    connect(&sshd.stranger(), &accepting()).await;
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key("ed25519").rsplit_once(" a comment").unwrap().0);
    assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), line);
    assert_eq!(fs::metadata(sshd.known_hosts()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(sshd.path("home/.ssh")).unwrap().permissions().mode() & 0o777, 0o700);
    connect(&sshd.stranger(), &strict()).await;
    // Nothing is added twice, a last line without its end is ended, and the mode stays.
    sshd.write_known_hosts("# a comment");
    fs::set_permissions(sshd.known_hosts(), fs::Permissions::from_mode(0o640)).unwrap();
    for _ in 0..2 {
        connect(&sshd.stranger(), &accepting()).await;
    }
    assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), format!("# a comment\n{line}"));
    assert_eq!(fs::metadata(sshd.known_hosts()).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_once_about_a_stranger() {
    let sshd = Sshd::start();
    let (access, asked) = Asked::answering(&["no"]);
    let error = refused(&sshd.stranger(), &access).await;
    assert!(matches!(*error.reason, Reason::UnknownHostKey { .. }), "{error}");
    let shown = fingerprint_by_openssh(&sshd.path("host_ed25519.pub"));
    assert_eq!(
        asked.questions(),
        [format!("rainbowdash: the host key of 127.0.0.1:{} is not known: ED25519 {shown}. Accept it for rainbowdash?", sshd.port)]
    );
    let (access, asked) = Asked::answering(&["yes"]);
    let target = sshd.stranger();
    let (one, two) = tokio::join!(connect(&target, &access), connect(&target, &access));
    assert_eq!(output(&one, "echo one").await + &output(&two, "echo two").await, "one\ntwo\n");
    assert_eq!(asked.questions().len(), 1);
    assert!(fs::read_to_string(sshd.known_hosts()).unwrap().starts_with("[127.0.0.1]:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_is_refused_whoever_asks() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let line = format!("# first\n\n[127.0.0.1]:{} {}\n", sshd.port, other.host_key("ed25519"));
    sshd.write_known_hosts(&line);
    for access in [strict(), accepting(), Asked::answering(&["yes"]).0] {
        let error = refused(&sshd.stranger(), &access).await;
        let place = match *error.reason {
            Reason::HostKeyChanged { ref place, .. } => place.clone(),
            _ => panic!("{error}"),
        };
        assert_eq!(place, Some((sshd.known_hosts(), 3)));
        let (expected, got) =
            (fingerprint_by_openssh(&other.path("host_ed25519.pub")), fingerprint_by_openssh(&sshd.path("host_ed25519.pub")));
        assert_eq!(
            error.to_string(),
            format!(
                "rainbowdash: the host key of 127.0.0.1:{} has changed: ED25519 {got}, expected {expected} ({}:3)",
                sshd.port,
                sshd.known_hosts().display()
            )
        );
        assert!(error.hint().contains("hostler rebuild rainbowdash"), "{}", error.hint());
        assert!(!error.is_retryable());
    }
    assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), line);
}

/// The machine `name` behind `sshd`, as the user whose known_hosts are those of `home` reaches it.
fn known_to(home: &Sshd, name: &str, sshd: &Sshd, host_key: Option<String>) -> Target {
    let connection = Connection { port: Some(sshd.port), identity: Some(sshd.path("user_key")), host_key, ..Connection::default() };
    Target { name: name.to_owned(), ..home.target_by(connection) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_moved_to_anothers_address_is_named() {
    let (home, applejack) = (Sshd::start(), Sshd::start());
    let applejacks = applejack.host_key("ed25519");
    let shown = fingerprint_by_openssh(&applejack.path("host_ed25519.pub"));
    // Nobody is at applejack's address now: it has pinkiepie's.
    let gone = free_port();
    let old = format!("[127.0.0.1]:{gone} {applejacks}\n");
    let pinkiepies = format!("[127.0.0.1]:{} {}\n", applejack.port, home.host_key("ed25519"));
    for (known, pinned) in [
        // Another key was known there, or none at all; applejack's is in known_hosts, or in the inventory.
        (old.clone() + &pinkiepies, None),
        (old.clone(), None),
        (pinkiepies, Some(applejacks.clone())),
        (String::new(), Some(shown.clone())),
    ] {
        home.write_known_hosts(&known);
        let lost = Target { port: gone, ..known_to(&home, "applejack", &applejack, pinned) };
        let asked = known_to(&home, "pinkiepie", &applejack, None);
        for access in [strict(), accepting(), Asked::answering(&["yes"]).0] {
            let mut access = Arc::into_inner(access).expect("nobody else has it");
            access.neighbours = vec![lost.clone(), asked.clone()];
            let error = refused(&asked, &Arc::new(access)).await;
            let expected = format!(
                "pinkiepie: pinkiepie's address 127.0.0.1:{} answers with applejack's host key (ED25519 {shown}): DHCP may have swapped the \
                 addresses of the two machines",
                applejack.port
            );
            assert_eq!(error.to_string(), expected);
            let forget = format!("`ssh-keygen -R '[127.0.0.1]:{}'`", applejack.port);
            assert!(error.hint().contains(&forget) && !error.is_retryable(), "{}", error.hint());
            assert_eq!(fs::read_to_string(home.known_hosts()).unwrap(), known, "nothing is remembered");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_from_one_image_may_share_a_key_from_the_beginning() {
    let sshd = Sshd::start();
    sshd.write_known_hosts("");
    // Two ways to the same host key.
    let one = Target { name: "one".to_owned(), ..sshd.stranger() };
    let two = Target { name: "two".to_owned(), host: "::1".to_owned(), ..sshd.stranger() };
    for _ in 0..2 {
        let mut access = Arc::into_inner(accepting()).expect("nobody else has it");
        access.neighbours = vec![one.clone(), two.clone()];
        let access = Arc::new(access);
        connect(&one, &access).await;
        connect(&two, &access).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_key_than_the_known_ones_is_a_change() {
    let (sshd, other) = (Sshd::start(), Sshd::with(&["ecdsa"], ""));
    sshd.write_known_hosts(&format!("[127.0.0.1]:{} {}\n", sshd.port, other.host_key("ecdsa")));
    let error = refused(&sshd.stranger(), &accepting()).await;
    assert!(matches!(*error.reason, Reason::HostKeyChanged { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_known_by_one_kind_of_key_is_asked_for_that() {
    let sshd = Sshd::with(&["ed25519", "ecdsa", "rsa"], "");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        sshd.write_known_hosts(&format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key(kind)));
        connect(&sshd.stranger(), &strict()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_wins_over_known_hosts() {
    let sshd = Sshd::with(&["ed25519", "ecdsa", "rsa"], "");
    let other = Sshd::start();
    let pinned =
        |key: String| sshd.target_by(Connection { identity: Some(sshd.path("user_key")), host_key: Some(key), ..Connection::default() });
    // Wrong in known_hosts, right in the inventory, by key and by fingerprint, of any kind.
    sshd.write_known_hosts(&format!("[127.0.0.1]:{} {}\n", sshd.port, other.host_key("ed25519")));
    for kind in ["ed25519", "ecdsa", "rsa"] {
        connect(&pinned(sshd.host_key(kind)), &strict()).await;
        connect(&pinned(fingerprint_by_openssh(&sshd.path(&format!("host_{kind}.pub")))), &strict()).await;
    }
    // Right in known_hosts, wrong in the inventory.
    sshd.write_known_hosts(&format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key("ed25519")));
    for key in [other.host_key("ed25519"), fingerprint_by_openssh(&other.path("host_ed25519.pub"))] {
        let error = refused(&pinned(key), &accepting()).await;
        assert!(matches!(*error.reason, Reason::HostKeyChanged { place: None, .. }), "{error}");
        assert!(error.to_string().ends_with("(from the inventory)"), "{error}");
        assert!(error.hint().contains("`hostKey`"), "{}", error.hint());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_known_hosts_counts() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let (port, key, wrong) = (sshd.port, sshd.host_key("ed25519"), other.host_key("ed25519"));
    let hashed = |host: &str| {
        let file = sshd.path("hashed");
        fs::write(&file, format!("{host} {key}\n")).unwrap();
        ssh_keygen(&["-q", "-H", "-f", file.to_str().unwrap()]);
        fs::read_to_string(&file).unwrap()
    };
    for known in [
        format!("[127.0.0.1]:{port} {key}"),
        format!("nas,[127.0.0.1]:{port},pie {key}"),
        format!("[127.0.0.*]:{port} {key}"),
        format!("* {key}"),
        format!("127.0.0.1 {key}"),
        hashed(&format!("[127.0.0.1]:{port}")),
        hashed("127.0.0.1"),
        format!("  [127.0.0.1]:{port}\t{}", key.replace(' ', "  ")),
        // Several of one kind: one that fits is enough.
        format!("[127.0.0.1]:{port} {wrong}\n[127.0.0.1]:{port} {key}"),
        format!("nonsense\n@unknown * {wrong}\n* ssh-ed25519 ???\n[127.0.0.1]:{port} {key}"),
    ] {
        sshd.write_known_hosts(&format!("{known}\n"));
        if let Err(error) = limited(hostler::ssh::Session::connect(&sshd.stranger(), &strict())).await {
            panic!("{known}: {error}");
        }
    }
    for unknown in [
        String::new(),
        format!("# [127.0.0.1]:{port} {key}"),
        format!("*,![127.0.0.1]:{port},!127.0.0.1 {key}"),
        format!("[127.0.0.1]:1 {key}"),
        // Known without the port by another key: that says nothing about this port.
        format!("127.0.0.1 {wrong}"),
        hashed("[127.0.0.1]:1"),
        format!("@cert-authority * {key}"),
    ] {
        sshd.write_known_hosts(&format!("{unknown}\n"));
        let error = refused(&sshd.stranger(), &strict()).await;
        assert!(matches!(*error.reason, Reason::UnknownHostKey { .. }), "{unknown}: {error}");
    }
    // A pin does not make a revoked key good again.
    for pin in [sshd.host_key("ed25519"), fingerprint_by_openssh(&sshd.path("host_ed25519.pub"))] {
        sshd.write_known_hosts(&format!("@revoked * {key}\n"));
        let pinned = Connection { identity: Some(sshd.path("user_key")), host_key: Some(pin), ..Connection::default() };
        let error = refused(&sshd.target_by(pinned), &accepting()).await;
        assert!(matches!(&*error.reason, Reason::Revoked { .. }), "{error}");
    }
    sshd.write_known_hosts(&format!("* {key}\n@revoked * {key}\n"));
    let error = refused(&sshd.stranger(), &accepting()).await;
    assert!(matches!(&*error.reason, Reason::Revoked { place, .. } if *place == (sshd.known_hosts(), 2)), "{error}");
    assert!(error.to_string().contains("is revoked: ED25519 SHA256:"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_known_hosts_files_count_and_configuration_names_them() {
    let sshd = Sshd::start();
    fs::create_dir_all(sshd.path("home/.ssh")).unwrap();
    fs::write(sshd.path("second"), format!("rainbow {}\n", sshd.host_key("ed25519"))).unwrap();
    let config = "Host 127.*\n UserKnownHostsFile ~/.ssh/none DIR/second\n HostKeyAlias rainbow\n IdentityFile DIR/user_key\n";
    fs::write(sshd.path("home/.ssh/config"), config.replace("DIR", sshd.dir.path().to_str().unwrap())).unwrap();
    connect(&sshd.target_by(Connection::default()), &strict()).await;
    let global = Target { known_hosts: Vec::new(), global_known_hosts: vec![sshd.path("second")], ..sshd.target_by(Connection::default()) };
    connect(&global, &strict()).await;
    // Without a file to remember it in, a stranger is accepted by nobody but a person.
    let nowhere = Target { global_known_hosts: Vec::new(), ..global };
    let error = refused(&nowhere, &accepting()).await;
    assert!(matches!(*error.reason, Reason::NotSaved { .. }), "{error}");
    connect(&nowhere, &Asked::answering(&["yes"]).0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_vouches_for_a_host() {
    let config = "HostCertificate DIR/host_ed25519-cert.pub\n";
    let ca = tempfile::tempdir().unwrap();
    let ca_key = ca.path().join("ca");
    keygen(&ca_key, "ed25519", "");
    let authority = fs::read_to_string(ca.path().join("ca.pub")).unwrap();
    let sshd = Sshd::with(&["ed25519"], "");
    let sign = |principals: &str, options: &[&str]| {
        let key = sshd.path("host_ed25519.pub");
        let mut arguments = vec!["-q", "-s", ca_key.to_str().unwrap(), "-I", "rainbowdash", "-h", "-n", principals];
        arguments.extend(options);
        arguments.push(key.to_str().unwrap());
        ssh_keygen(&arguments);
    };
    let restarted = || {
        // The same host key behind another sshd, with the certificate.
        let text = fs::read_to_string(sshd.path("sshd_config")).unwrap();
        let lines: String = text.lines().filter(|line| line.starts_with("HostKey ")).map(|line| format!("{line}\n")).collect();
        Sshd::with(&[], &format!("{lines}{}", config.replace("DIR", sshd.dir.path().to_str().unwrap())))
    };
    sign("127.0.0.1,nas", &[]);
    let certified = restarted();
    certified.write_known_hosts(&format!("@cert-authority 127.0.0.*,[127.0.0.*]:* {authority}"));
    connect(&certified.stranger(), &strict()).await;
    // Another authority, another name, another time: the key itself is then a stranger's.
    certified.write_known_hosts(&format!("@cert-authority * {}\n", sshd.host_key("ed25519")));
    let error = refused(&certified.stranger(), &strict()).await;
    assert!(matches!(*error.reason, Reason::UnknownHostKey { .. }), "{error}");
    for (principals, options) in [("nas", &[][..]), ("127.0.0.1", &["-V", "20200101:20210101"][..])] {
        sign(principals, options);
        let certified = restarted();
        certified.write_known_hosts(&format!("@cert-authority * {authority}"));
        let error = refused(&certified.stranger(), &strict()).await;
        assert!(matches!(*error.reason, Reason::UnknownHostKey { .. }), "{error}");
    }
    // A revoked authority vouches for nobody.
    sign("127.0.0.1", &[]);
    let certified = restarted();
    certified.write_known_hosts(&format!("@cert-authority * {authority}@revoked * {authority}"));
    refused(&certified.stranger(), &strict()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_remembered_is_accepted_by_a_person_alone() {
    let sshd = Sshd::start();
    // A folder where the file should be: neither read nor written, whoever the user is.
    fs::create_dir_all(sshd.known_hosts()).unwrap();
    for _ in 0..2 {
        let error = refused(&sshd.stranger(), &accepting()).await;
        assert!(matches!(*error.reason, Reason::NotSaved { .. }), "{error}");
        assert!(error.to_string().contains("can't be saved: ED25519 SHA256:") && error.hint().contains("known_hosts"), "{error}");
    }
    let (access, asked) = Asked::answering(&["yes"]);
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut access = Arc::into_inner(access).expect("nobody else has it");
    access.events = Some(hostler::event::Events::new(sender));
    let access = Arc::new(access);
    connect(&sshd.stranger(), &access).await;
    let hostler::event::Event::Warning { line } = told.try_recv().expect("a warning") else { panic!("no warning") };
    assert!(line.contains("rainbowdash: its host key SHA256:") && line.contains("the next run asks again"), "{line}");
    assert_eq!(asked.questions().len(), 1);
    assert!(access.is_new(&sshd.stranger()).await);
    // Accepted once, it counts for the whole run.
    let key = fetch_host_key(&sshd.stranger(), &access).await.unwrap();
    assert_eq!(fingerprint(&key), fingerprint_by_openssh(&sshd.path("host_ed25519.pub")));
    connect(&sshd.stranger(), &access).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_fetched_replaced_and_forgotten_for_one_host_only() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let target = sshd.stranger();
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let wrong = other.host_key("ed25519");
    let others = format!("# mine\npie {wrong}\n@revoked nas {wrong}\n");
    sshd.write_known_hosts(&format!("{others}{name} {wrong}\n{name},pie {wrong}\n"));
    let key = limited(fetch_host_key(&target, &strict())).await.unwrap();
    assert_eq!(fingerprint(&key), fingerprint_by_openssh(&sshd.path("host_ed25519.pub")));
    refused(&target, &strict()).await;
    replace(&target, &key).unwrap();
    connect(&target, &strict()).await;
    let line = format!("{name} {}\n", sshd.host_key("ed25519").rsplit_once(" a comment").unwrap().0);
    assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), format!("{others}pie {wrong}\n{line}"));
    forget(&target).unwrap();
    assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), format!("{others}pie {wrong}\n"));
    // Hashed on request, and readable for ssh itself.
    let hashing = Target { hash_known_hosts: true, ..target };
    remember(&hashing, &key).unwrap();
    let text = fs::read_to_string(sshd.known_hosts()).unwrap();
    assert!(text.lines().last().unwrap().starts_with("|1|"), "{text}");
    let found = ssh_keygen(&["-F", &name, "-f", sshd.known_hosts().to_str().unwrap()]);
    assert!(found.contains("found: line"), "{found}");
    connect(&hashing, &strict()).await;
    forget(&hashing).unwrap();
    assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), format!("{others}pie {wrong}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_nobody_releases_is_waited_for_for_seconds() {
    let sshd = Sshd::start();
    let target = sshd.stranger();
    let key = limited(fetch_host_key(&target, &accepting())).await.unwrap();
    let ssh = sshd.path("home/.ssh");
    fs::create_dir_all(&ssh).unwrap();
    let folder = fs::File::open(ssh).unwrap();
    folder.lock().unwrap();
    for change in [remember(&target, &key), replace(&target, &key), forget(&target)] {
        let error = format!("{:#}", change.unwrap_err());
        assert!(error.contains("another program has held the lock on ") && error.contains(" for 5 s"), "{error}");
    }
    let kept = target.clone();
    let waiting = std::thread::spawn(move || remember(&kept, &key));
    folder.unlock().unwrap();
    waiting.join().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_stay_as_they_are() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let wrong = other.host_key("ed25519");
    // A comment in Latin-1, on its own and behind the host's own key.
    let latin = [b"# B\xfccher\n".as_slice(), format!("pie {wrong} B").as_bytes(), b"\xfccher\n"].concat();
    fs::create_dir_all(sshd.path("home/.ssh")).unwrap();
    fs::write(sshd.known_hosts(), &latin).unwrap();
    connect(&sshd.stranger(), &accepting()).await;
    let line = format!("{name} {}\n", sshd.host_key("ed25519").rsplit_once(" a comment").unwrap().0);
    assert_eq!(fs::read(sshd.known_hosts()).unwrap(), [latin.as_slice(), line.as_bytes()].concat());
    connect(&sshd.stranger(), &strict()).await;
    let old = [latin.as_slice(), format!("{name},pie {wrong} ").as_bytes(), b"\xff\n"].concat();
    fs::write(sshd.known_hosts(), &old).unwrap();
    let key = limited(fetch_host_key(&sshd.stranger(), &strict())).await.unwrap();
    replace(&sshd.stranger(), &key).unwrap();
    let expected = [latin.as_slice(), format!("pie {wrong} ").as_bytes(), b"\xff\n", line.as_bytes()].concat();
    assert_eq!(fs::read(sshd.known_hosts()).unwrap(), expected);
}

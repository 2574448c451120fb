//! Ways to a machine, and what is said where there is none.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hostler::ssh::{Limits, Reason, Session, Target};
use hostler_core::inventory::Connection;

use crate::sshd::*;

fn at(sshd: &Sshd, host: &str, port: u16) -> Target {
    Target { host: host.to_owned(), port, ..sshd.target() }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_and_names_are_addresses_too() {
    let sshd = Sshd::start();
    for host in ["::1", "localhost"] {
        connect(&at(&sshd, host, sshd.port), &strict()).await;
    }
    // known_hosts writes them as ssh does.
    connect(&Target { host: "::1".to_owned(), ..sshd.stranger() }, &accepting()).await;
    let known = std::fs::read_to_string(sshd.known_hosts()).unwrap();
    assert!(known.starts_with(&format!("[::1]:{} ssh-ed25519 ", sshd.port)), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jump_hosts_of_the_inventory_and_of_the_configuration_lead_to_a_machine() {
    let (machine, first, second) = (Sshd::start(), Sshd::start(), Sshd::start());
    std::fs::create_dir_all(machine.path("home/.ssh")).unwrap();
    let mut config = String::new();
    for (name, hop) in [("first", &first), ("second", &second)] {
        config += &format!("Host {name}\n HostName 127.0.0.1\n Port {}\n IdentityFile {}\n", hop.port, hop.path("user_key").display());
        config += &format!(" UserKnownHostsFile {}\n", hop.path("known").display());
        std::fs::write(hop.path("known"), format!("* {}\n", hop.host_key("ed25519"))).unwrap();
    }
    let by = |jump: Option<&str>| {
        machine.target_by(Connection {
            identity: Some(machine.path("user_key")),
            host_key: Some(machine.host_key("ed25519")),
            jump: jump.map(str::to_owned),
            ..Connection::default()
        })
    };
    let accepted = || [&first, &second, &machine].map(|sshd| sshd.log().matches("Accepted publickey").count());
    std::fs::write(machine.path("home/.ssh/config"), &config).unwrap();
    connect(&by(Some("first,second")), &strict()).await;
    assert_eq!(accepted(), [1, 1, 1]);
    // One hop after another, each named by the one before.
    let chained = config.replace("Host second\n", "Host second\n ProxyJump first\n") + "Host 127.*\n ProxyJump second\n";
    std::fs::write(machine.path("home/.ssh/config"), chained).unwrap();
    connect(&by(None), &strict()).await;
    assert_eq!(accepted(), [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sshd_is_refused() {
    let sshd = Sshd::start();
    let port = free_port();
    let error = refused(&at(&sshd, "127.0.0.1", port), &strict()).await;
    assert_eq!(error.to_string(), format!("rainbowdash: 127.0.0.1:{port} refuses connections"));
    assert_eq!(
        error.hint(),
        "check that sshd is running on rainbowdash, that its port is `port` in the inventory, and that no firewall rejects connections"
    );
    assert!(error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_nobody_knows_is_said() {
    let sshd = Sshd::start();
    let error = refused(&at(&sshd, "pie.invalid", 22), &strict()).await;
    assert!(error.to_string().starts_with("rainbowdash: pie.invalid:22 can't be resolved: "), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_waited_out() {
    let sshd = Sshd::start();
    let second = Duration::from_secs(1);
    let access = impatient(Limits { connect: second, handshake: second, ..Limits::default() });
    // A listener that takes no more: the kernel answers nothing.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
        assert!(held.len() < 10_000, "the backlog has no end");
    }
    let begun = Instant::now();
    let error = refused(&at(&sshd, "127.0.0.1", address.port()), &access).await;
    assert_eq!(error.to_string(), format!("rainbowdash: no answer from 127.0.0.1:{} within 1 s", address.port()));
    assert!(error.hint().starts_with("check that rainbowdash is powered on"), "{}", error.hint());
    assert!(error.is_retryable());
    // One that accepts and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let error = refused(&at(&sshd, "127.0.0.1", port), &access).await;
    assert_eq!(error.to_string(), format!("rainbowdash: no answer from 127.0.0.1:{port} within 1 s"));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sshd_is_said() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(50) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let access = impatient(Limits { hang_up: Duration::from_secs(1), ..Limits::default() });
    let error = refused(&at(&sshd, "127.0.0.1", port), &access).await;
    assert_eq!(*error.reason, Reason::HungUp, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jump_hosts_lead_to_a_third_machine() {
    let (machine, first, second) = (Sshd::start(), Sshd::start(), Sshd::start());
    let jump =
        |host: &Sshd, name: &str, before: Option<Target>| Target { name: name.to_owned(), jump: before.map(Box::new), ..host.target() };
    let hops = jump(&second, "second", Some(jump(&first, "first", None)));
    let target = Target { jump: Some(Box::new(hops)), ..machine.target() };
    let access = strict();
    let (one, two) = tokio::join!(connect(&target, &access), connect(&target, &access));
    assert_eq!(output(&one, "echo one").await + &output(&two, "echo two").await, "one\ntwo\n");
    // One connection a jump host, however many go through it.
    for host in [&first, &second] {
        assert_eq!(host.log().matches("Accepted publickey").count(), 1, "{}", host.log());
    }
    assert_eq!(machine.log().matches("Accepted publickey").count(), 2);
    // Through the jump host there must be something to reach, and its key must be right.
    let error = refused(&Target { port: free_port(), ..target.clone() }, &access).await;
    assert!(matches!(&*error.reason, Reason::JumpRefused { by, .. } if by == "second"), "{error}");
    let error = refused(&Target { host_key: first.target().host_key, ..target }, &access).await;
    assert!(matches!(*error.reason, Reason::HostKeyChanged { .. }), "{error}");
    // The jump host's own trouble is told as its own.
    let stranger = Target { name: "first".to_owned(), host_key: None, ..first.target() };
    let error = refused(&Target { jump: Some(Box::new(stranger)), ..machine.target() }, &strict()).await;
    assert!(matches!(*error.reason, Reason::UnknownHostKey { .. }) && error.machine == "first", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_that_forbids_it_is_named() {
    let machine = Sshd::start();
    for config in ["AllowTcpForwarding no\n", "PermitOpen 127.0.0.1:1\n"] {
        let jump = Sshd::with(&["ed25519"], config);
        let hop = Target { name: "bastion".to_owned(), ..jump.target() };
        let error = refused(&Target { jump: Some(Box::new(hop)), ..machine.target() }, &strict()).await;
        assert_eq!(
            error.to_string(),
            format!("rainbowdash: jump host bastion can't connect to 127.0.0.1:{}: forwarding is not allowed", machine.port)
        );
        assert!(error.hint().contains("AllowTcpForwarding"), "{}", error.hint());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_is_a_way() {
    let sshd = Sshd::start();
    // What carries the bytes is this computer's own ssh through a second sshd.
    let bastion = Sshd::start();
    std::fs::write(bastion.path("known"), format!("* {}\n", bastion.host_key("ed25519"))).unwrap();
    let command = format!(
        "ssh -F none -i {} -o IdentityAgent=none -o UserKnownHostsFile={} -p {} -W [%h]:%p %r@127.0.0.1 # 100%%",
        bastion.path("user_key").display(),
        bastion.path("known").display(),
        bastion.port
    );
    let target = sshd.target_by(Connection {
        identity: Some(sshd.path("user_key")),
        host_key: Some(sshd.host_key("ed25519")),
        proxy_command: Some(command),
        ..Connection::default()
    });
    let session = connect(&target, &strict()).await;
    assert_eq!(output(&session, "echo through").await, "through\n");
    let proxies = || descendants(std::process::id() as i32).iter().filter(|pid| is_proxy(**pid, bastion.port)).count();
    assert_eq!(proxies(), 1);
    drop(session);
    let begun = Instant::now();
    while proxies() > 0 {
        assert!(begun.elapsed() < LIMIT, "the proxy outlives its connection");
        tokio::task::yield_now().await;
    }
}

fn is_proxy(pid: i32, port: u16) -> bool {
    let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.starts_with("ssh\0") && arguments.contains(&format!("\0{port}\0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_that_fails_is_quoted() {
    let sshd = Sshd::start();
    for (command, said) in [
        ("sh -c 'echo one >&2; echo no such bastion >&2; exit 7'", "one; no such bastion"),
        ("/nowhere/nc %h %p", "not found"),
        ("sh -c 'exit 0'", ""),
    ] {
        let target = sshd.target_by(Connection {
            identity: Some(sshd.path("user_key")),
            host_key: Some(sshd.host_key("ed25519")),
            proxy_command: Some(command.to_owned()),
            ..Connection::default()
        });
        let error = refused(&target, &strict()).await;
        assert!(matches!(*error.reason, Reason::ProxyFailed { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().starts_with("run the command by hand: "), "{}", error.hint());
    }
    let other_hostler = r#"sh -c 'printf "error: its port is closed\n  caused by: connection refused\nhint: turn it on\n" >&2; exit 1'"#;
    let target = sshd.target_by(Connection { proxy_command: Some(other_hostler.to_owned()), ..Connection::default() });
    let error = refused(&target, &strict()).await;
    assert_eq!((error.to_string().as_str(), error.hint().as_str()), ("rainbowdash: its port is closed: connection refused", "turn it on"));
    let silent = sshd.target_by(Connection { proxy_command: Some("sleep 60".to_owned()), ..Connection::default() });
    let access = impatient(Limits { handshake: Duration::from_secs(1), ..Limits::default() });
    let error = refused(&silent, &access).await;
    assert!(error.to_string().starts_with("rainbowdash: no answer from "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sshd_that_is_full_for_a_while_is_waited_for() {
    let sshd = Sshd::with(&["ed25519"], "MaxStartups 2\nLoginGraceTime 0\n");
    // Two that are greeted; sshd may still be busy with whoever looked whether it listens.
    let (mut held, begun) = (Vec::new(), Instant::now());
    while held.len() < 2 {
        assert!(begun.elapsed() < LIMIT);
        let mut stream = TcpStream::connect(("127.0.0.1", sshd.port)).unwrap();
        let mut greeting = [0; 4];
        if stream.read_exact(&mut greeting).is_ok() && greeting == *b"SSH-" {
            held.push(stream);
        }
    }
    let access = impatient(Limits { hang_up: Duration::from_millis(500), ..Limits::default() });
    let error = refused(&sshd.target(), &access).await;
    assert_eq!(*error.reason, Reason::HungUp, "{error}");
    assert!(error.hint().contains("MaxStartups"), "{}", error.hint());
    let target = sshd.target();
    let waiting = tokio::spawn(async move { Session::connect(&target, &strict()).await.map(|_| ()) });
    // It has been turned away at least once more.
    let turned_away = || sshd.log().matches("MaxStartups").count();
    let (before, begun) = (turned_away(), Instant::now());
    while turned_away() == before && begun.elapsed() < Duration::from_secs(2) {
        tokio::task::yield_now().await;
    }
    drop(held);
    limited(waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connect_at_once_to_an_sshd_that_drops_some() {
    let sshd = Sshd::with(&["ed25519"], "MaxStartups 2:50:4\n");
    let (target, access) = (sshd.target(), strict());
    let connecting: Vec<_> = (0..12)
        .map(|_| {
            let (target, access) = (target.clone(), access.clone());
            tokio::spawn(async move { Session::connect(&target, &access).await.map(|_| ()) })
        })
        .collect();
    for one in connecting {
        limited(one).await.unwrap().unwrap();
    }
    assert!(sshd.log().contains("MaxStartups"), "nobody was dropped:\n{}", sshd.log());
}

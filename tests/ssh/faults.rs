//! Connections that end, and machines that fall silent.

use std::time::{Duration, Instant};

use hostler::ssh::{Exit, Limits, Part, RunError, Session};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sshd::*;

fn signal(pids: &[i32], signal: Signal) {
    for pid in pids {
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

/// Runs `script` and does `harm` when it says that it has begun.
async fn harmed(session: &Session, script: &str, payload: Vec<Part>, harm: impl Fn() + Send) -> Result<Exit, RunError> {
    let line = |text: &str| {
        if text == "begun" {
            harm();
        }
    };
    limited(session.run(script, payload, |_| {}, line)).await
}

/// Lasts as long as the sshd that it came by, and no longer: nothing is left of a test.
const LASTING: &str = "while kill -0 $PPID 2>/dev/null; do sleep 0.2; done";

#[tokio::test(flavor = "multi_thread")]
async fn an_sshd_killed_in_mid_run_is_a_lost_connection() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let error =
        harmed(&session, &format!("echo begun; {LASTING}"), Vec::new(), || signal(&sshd.children(), Signal::SIGKILL)).await.unwrap_err();
    assert!(matches!(error, RunError::Lost(_)), "{error}");
    assert!(error.to_string().starts_with("lost the connection: "), "{error}");
    let begun = Instant::now();
    while !session.is_closed() {
        assert!(begun.elapsed() < LIMIT);
        tokio::task::yield_now().await;
    }
    let error = limited(session.run("true", Vec::new(), |_| {}, |_| {})).await.unwrap_err();
    assert!(matches!(error, RunError::Lost(_)), "{error}");
    // The next connection is a new one.
    let session = connect(&sshd.target(), &strict()).await;
    assert_eq!(output(&session, "echo back").await, "back\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sshd_killed_in_mid_upload_is_a_lost_connection() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    let payload = vec![Part::Bytes(vec![0; 200 << 20])];
    let script = &format!("head -c 1000000 >/dev/null; echo begun; {LASTING}");
    let error = harmed(&session, script, payload, || signal(&sshd.children(), Signal::SIGKILL)).await.unwrap_err();
    assert!(matches!(error, RunError::Lost(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_script_is_no_lost_connection() {
    let sshd = Sshd::start();
    let session = connect(&sshd.target(), &strict()).await;
    assert_eq!(harmed(&session, "echo begun; kill -KILL $$", Vec::new(), || {}).await.unwrap(), Exit::Signal("KILL".to_owned()));
    assert!(!session.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_machine_is_noticed_while_it_is_waited_for() {
    let sshd = Sshd::start();
    let access = impatient(Limits { keepalive: Duration::from_millis(500), ..Limits::default() });
    let session = connect(&sshd.target(), &access).await;
    let begun = Instant::now();
    let error =
        harmed(&session, &format!("echo begun; {LASTING}"), Vec::new(), || signal(&sshd.children(), Signal::SIGSTOP)).await.unwrap_err();
    assert!(matches!(&error, RunError::Lost(why) if why.contains("no answer for")), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_machine_is_noticed_while_it_is_sent_to() {
    let sshd = Sshd::start();
    let second = Duration::from_secs(1);
    let access = impatient(Limits { keepalive: second, stall: 2 * second, ..Limits::default() });
    let session = connect(&sshd.target(), &access).await;
    let begun = Instant::now();
    let script = "echo begun; exec cat >/dev/null";
    let payload = vec![Part::Stream { stream: Box::new(tokio::io::repeat(0)), len: 1 << 40 }];
    let error = harmed(&session, script, payload, || signal(&sshd.children(), Signal::SIGSTOP)).await.unwrap_err();
    assert!(matches!(error, RunError::Lost(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_machine_that_says_nothing_for_long_is_left_alone() {
    let sshd = Sshd::start();
    let tenth = Duration::from_millis(100);
    let access = impatient(Limits { keepalive: tenth, stall: 5 * tenth, ..Limits::default() });
    let session = connect(&sshd.target(), &access).await;
    // Takes none of its input for many times the limits: the window is full, the connection is fine.
    let payload = vec![Part::Bytes(vec![0; 20 << 20])];
    let exit = limited(session.run("sleep 3; cat >/dev/null", payload, |_| {}, |_| {})).await.unwrap();
    assert_eq!(exit, Exit::Status(0));
}

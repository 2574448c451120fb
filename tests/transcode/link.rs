//! The link to the status page: a new token takes the buttons from those who have the old one.

use std::fs;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::page::ask_with;
use super::shares::Shares;
use super::stand_in::StandIn;

const SETTINGS: &str = r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#;
const OLD: &str = "an-old-token";

/// What a run said, and how it ended.
struct Ended {
    status: i32,
    out: String,
    said: String,
    /// Request lines.
    asked: Vec<String>,
}

/// `hostler transcode link WORDS`, with a real page behind an API server, which has the Secret and the page's pod. `may_change`: whether the
/// user may replace the Secret.
fn run(actions: &str, words: &[&str], may_change: bool, then: impl FnOnce(&str, &Ended)) {
    let shares = Shares::new(SETTINGS);
    fs::create_dir_all(shares.inbox("requests")).expect("made");
    shares.setting_file("page-token", &format!("{OLD}\n"));
    let file = shares.settings_folder().join("page-token");
    let (_page, address) = shares.page_with(&["--actions", actions, "--token-file", &file.display().to_string()]);
    let (secret, page) = (std::sync::Mutex::new(BASE64.encode(OLD)), address.clone());
    let proxy = hostler_core::protocol::films::PAGE;
    let server = StandIn::seeing(move |line, head, body| {
        let (method, path) = line.split_once(' ').expect("a request line");
        let mut secret = secret.lock().expect("no panic");
        if let Some(path) = path.strip_prefix(proxy) {
            let token = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-hostler-token:")).unwrap_or("X-Nothing: 1");
            let headers = format!("X-Hostler: 1\r\n{token}\r\nContent-Length: {}\r\n", body.len());
            let (head, body) = ask_with(&page, &format!("{method} {path}"), &headers, body);
            return (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body);
        }
        let answer = match (method, path.split('?').next().unwrap_or_default().rsplit('/').next()) {
            ("PATCH", Some("page-token")) if !may_change => {
                return (403, json!({"kind": "Status", "message": "secrets is forbidden"}).to_string());
            }
            ("PATCH", Some("page-token")) => {
                let change: Value = serde_json::from_str(body).expect("JSON");
                change["data"]["token"].as_str().expect("a token").clone_into(&mut secret);
                json!({})
            }
            (_, Some("page-token")) => json!({"data": {"token": *secret}}),
            // The next pod reads what is there by then.
            ("DELETE", Some("pods")) => {
                fs::write(&file, BASE64.decode(&*secret).expect("base64")).expect("written");
                json!({})
            }
            (_, Some("page")) => json!({"spec": {"ports": [{"nodePort": 30080}]}}),
            (_, Some("nodes")) => json!({"items": [{"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}}]}),
            other => panic!("nobody should ask for {other:?}"),
        };
        (200, answer.to_string())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "x", "cluster":
        {"server": server.address}}], "users": [], "contexts": [{"name": "x", "context": {"cluster": "x", "user": ""}}]});
    fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
    command.args(["transcode", "link"]).args(words).arg("--kubeconfig").arg(folder.path().join("kubeconfig"));
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ended = Ended {
        status: output.status.code().expect("it ends by itself"),
        out: text(output.stdout),
        said: text(output.stderr),
        asked: server.requests().0,
    };
    then(&address, &ended);
}

/// Whether the page acts for someone who has this token.
fn acts(page: &str, token: &str) -> bool {
    let headers = format!("Origin: http://{page}\r\nContent-Length: 0\r\nX-Hostler-Token: {token}\r\n");
    !ask_with(page, "POST /retry/no-such-film-00000000", &headers, "").0.starts_with("HTTP/1.1 403")
}

fn token(link: &str) -> &str {
    link.trim_end().rsplit("#token=").next().expect("it is a link")
}

#[test]
fn a_link_is_printed_and_nothing_is_changed() {
    run("token", &[], true, |page, ended| {
        assert_eq!((ended.status, ended.out.trim_end()), (0, format!("http://192.0.2.7:30080/#token={OLD}").as_str()), "{}", ended.said);
        assert!(ended.asked.iter().all(|line| line.starts_with("GET ")), "{:?}", ended.asked);
        assert!(acts(page, OLD));
    });
}

#[test]
fn a_new_link_works_and_the_old_one_does_not() {
    run("token", &["--new"], true, |page, ended| {
        assert_eq!(ended.status, 0, "{}", ended.said);
        let new = token(&ended.out);
        assert!(new != OLD && new.len() == 43, "{}", ended.out);
        assert!(acts(page, new) && !acts(page, OLD), "{}", ended.said);
        assert!(ended.said.contains("the old link no longer works") && !ended.said.contains(new), "{}", ended.said);
        assert!(ended.asked.iter().all(|line| !line.contains(new)), "no address has the token: {:?}", ended.asked);
    });
}

#[test]
fn a_page_that_lets_everyone_act_is_named() {
    run("open", &["--new"], true, |_, ended| {
        assert!(ended.status == 0 && ended.said.contains("everyone can use the buttons of the status page"), "{}", ended.said);
    });
}

#[test]
fn who_may_not_change_the_secret_changes_nothing() {
    run("token", &["--new"], false, |page, ended| {
        assert_eq!(ended.status, 3, "{}", ended.said);
        assert!(ended.out.is_empty() && ended.said.contains("may not do this"), "{}", ended.said);
        assert!(!ended.asked.iter().any(|line| line.starts_with("DELETE")), "{:?}", ended.asked);
        assert!(acts(page, OLD));
    });
}

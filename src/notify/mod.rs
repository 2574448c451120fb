//! What a timer of each machine starts: it looks at its machine, on one control plane at a time at the cluster, too, and sends what there is to
//! report. What is to be sent is written down before, and crossed out afterwards.

mod facts;
mod kept;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hostler_core::facts::Facts;
use hostler_core::notify::{Films, MOST_BYTES, Scope, Seen, Settings, digest, look, not_kept};
use hostler_core::protocol::{films, path};
use hostler_core::trusted::by_itself;
use hostler_core::words::counted;

use crate::event::{Event, Events};
use crate::{atomic, own_api, user_file, web};
use kept::Kept;

/// For all messages of one run; what is left is sent by the next one.
const SENDING: Duration = Duration::from_secs(40);
/// A control plane that has not looked for so long no longer reports about the cluster: it has missed a run of the timer.
const TURN: Duration = Duration::from_secs(270);

/// Looks, and sends what there is to report.
///
/// # Errors
/// The machine could not be looked at, or something could not be sent: the next run tries again, and `hostler status` shows it.
pub async fn run(events: &Events) -> Result<()> {
    let file = Path::new(path::NOTIFY_SETTINGS);
    let bytes = user_file::read(file, MOST_BYTES).with_context(|| format!("{} can't be read", file.display()))?;
    let settings = Settings::parse(&bytes).with_context(|| format!("{} is not valid", file.display()))?;
    let facts = facts::gather(settings.snapshots()).await?;
    let now = jiff::Timestamp::now().as_second();

    let mut own = look(Scope::Own, &settings, &facts);
    let cluster = look(Scope::Cluster, &settings, &facts);
    let speaks = match by_itself(&facts) {
        Some(_) => about_cluster(&settings, &facts, &cluster, now).await.unwrap_or_else(|error| {
            own.findings.push(not_kept(&settings, &format!("{error:#}")));
            None
        }),
        None => None,
    };
    let mut waiting = vec![Kept::own(Path::new(path::NOTIFY_LEDGER)).noted(&own, now).await?];
    let is_well = own.is_well() && cluster.is_well() && speaks.is_some();
    waiting.extend(speaks);

    let sent = send(&settings, &mut waiting, now).await;
    mark_unsent(Path::new(path::NOTIFY_UNSENT), sent.is_err(), now)?;
    let sent = sent.context("a notification could not be sent")?;
    let is_well = is_well && waiting.iter().all(|kept| kept.ledger.next(now).is_none());
    if let Some(heartbeat) = settings.heartbeat.as_ref().filter(|_| is_well) {
        web::ping(heartbeat).await.context("the heartbeat could not be sent")?;
    }
    let how = match (is_well, waiting.len()) {
        (true, _) => "no problems",
        (false, 1) => "another machine reports about the cluster",
        (false, _) => "there are problems, or a check got no answer",
    };
    events.send(Event::Note { line: format!("{} sent; {how}", counted(sent, "notification")) });
    Ok(())
}

/// What waits to be sent about the cluster. `None`: another control plane reports about it.
async fn about_cluster(settings: &Settings, facts: &Facts, seen: &Seen, now: i64) -> Result<Option<Kept>> {
    let client = own_api::client().await?;
    if own_api::acquire(&client, kept::NAME, settings.machine.as_str(), TURN).await?.is_none() {
        return Ok(None);
    }
    let mut kept = Kept::in_cluster(&client).await?;
    if settings.digest && kept.ledger.is_digest_due(now) {
        let films = count_films(&client).await;
        if let Some(text) = digest(settings, facts, films.map(|films| (films, kept.ledger.films()))) {
            kept.ledger.summarize(text, films.map(|films| films.done), now);
        }
    }
    kept.noted(seen, now).await.map(Some)
}

/// What the status page of films counts, where there is one that answers.
async fn count_films(client: &kube::Client) -> Option<Films> {
    let request = axum::http::Request::get(format!("{}/metrics", films::PAGE)).body(Vec::new()).ok()?;
    Films::parse(&client.request_text(request).await.ok()?)
}

/// Sends what waits, the oldest of each ledger first, and returns how many messages it sent.
async fn send(settings: &Settings, waiting: &mut [Kept], now: i64) -> Result<usize> {
    let since = Instant::now();
    let mut sent = 0;
    for kept in waiting {
        while let Some(message) = kept.ledger.next(now).filter(|_| since.elapsed() < SENDING) {
            web::post(&settings.url, &format!("{}: {}", settings.cluster, message.title), &message.text).await?;
            kept.ledger.sent();
            kept.save().await?;
            sent += 1;
        }
    }
    Ok(sent)
}

/// Keeps since when nothing can be sent, for the machine's facts.
fn mark_unsent(file: &Path, failed: bool, now: i64) -> Result<()> {
    let context = || format!("{} can't be written", file.display());
    match (failed, file.exists()) {
        (true, false) => atomic::write(file, format!("{now}\n").as_bytes(), 0o600).with_context(context),
        (false, true) => std::fs::remove_file(file).with_context(context),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hostler_core::notify::Finding;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that answers with what is in the first value, and keeps what it was asked in the second.
    async fn server() -> (String, Arc<Mutex<String>>, Arc<Mutex<Vec<String>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}/s3cret", listener.local_addr().expect("bound"));
        let (answer, asked) = (Arc::new(Mutex::new(String::new())), Arc::<Mutex<Vec<String>>>::default());
        let (answers, keeps) = (answer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                // Head and body may come apart.
                let is_whole = |request: &[u8]| {
                    let text = String::from_utf8_lossy(request);
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    body.len() >= length.unwrap_or(0)
                };
                while !is_whole(&request) {
                    match stream.read(&mut piece).await {
                        Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                        _ => break,
                    }
                }
                keeps.lock().expect("unpoisoned").push(String::from_utf8_lossy(&request).into_owned());
                let answer = format!("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", answers.lock().expect("unpoisoned"));
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (url, answer, asked)
    }

    fn settings(url: &str) -> Settings {
        let text = serde_json::json!({
            "cluster": "home", "machine": "rarity", "url": url, "heartbeat": null, "digest": false,
            "snapshots": {"to": "/var/backups/hostler", "every": null},
        });
        Settings::parse(text.to_string().as_bytes()).expect("valid")
    }

    fn seen(keys: &[&str]) -> Seen {
        let finding = |key: &&str| Finding {
            key: (*key).to_owned(),
            title: "a disk is failing",
            text: format!("{key} fails"),
            over: ("a problem has ended", format!("{key} is well")),
            gone: None,
            lasts: 0,
            is_problem: true,
        };
        Seen { findings: keys.iter().map(finding).collect(), ..Seen::default() }
    }

    #[tokio::test]
    async fn what_can_t_be_sent_is_kept_on_disk_and_sent_once_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kept/ledger.json");
        let (url, answer, asked) = server().await;
        let run = async |keys: &[&str], now: i64| {
            let mut waiting = vec![Kept::own(&file).noted(&seen(keys), now).await.expect("written")];
            send(&settings(&url), &mut waiting, now).await.map_err(|error| format!("{error:#}"))
        };
        for (status, why) in [
            ("503 x", "it answered 503 Service Unavailable"),
            ("403 x", "it rejects the notification"),
            ("302 x\r\nLocation: http://127.0.0.1:9/other", "it redirects to another address"),
        ] {
            status.clone_into(&mut answer.lock().expect("unpoisoned"));
            let error = run(&["sda"], 0).await.expect_err("it is not accepted");
            assert!(error.starts_with(why) && !error.contains("s3cret"), "{error}");
        }
        assert_eq!(asked.lock().expect("unpoisoned").drain(..).count(), 3);
        "200 OK".clone_into(&mut answer.lock().expect("unpoisoned"));
        assert_eq!(run(&["sdb"], 60).await, Ok(3));
        let asked: Vec<String> = asked.lock().expect("unpoisoned").drain(..).collect();
        let of = |request: &String| {
            let (head, body) = request.split_once("\r\n\r\n").expect("a request");
            let title = head.lines().find_map(|line| line.strip_prefix("title: ")).expect("a title");
            assert!(head.starts_with("POST /s3cret HTTP/1.1"), "{head}");
            format!("{title} | {body}")
        };
        let wanted = [
            "home: a disk is failing | sda fails",
            "home: a disk is failing | sdb fails",
            "home: a problem has ended | sda is well, after 1 minute",
        ];
        assert_eq!(asked.iter().map(of).collect::<Vec<_>>(), wanted);
        assert_eq!(run(&["sdb"], 120).await, Ok(0));
        let error = format!("{:#}", web::ping("http://127.0.0.1:9/s3cret").await.expect_err("nobody listens"));
        assert!(error.contains("it does not answer") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn since_when_nothing_can_be_sent_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("unsent");
        let marked = |failed: bool, now: i64| {
            mark_unsent(&file, failed, now).expect("written");
            std::fs::read_to_string(&file).ok()
        };
        assert_eq!(
            [marked(false, 1), marked(true, 2), marked(true, 3), marked(false, 4)],
            [None, Some("2\n".into()), Some("2\n".into()), None]
        );
    }

    /// The program runs the script on the machine that it is on: here, on this computer.
    #[tokio::test]
    async fn a_machine_gathers_its_own_facts() {
        let facts = facts::gather("/nowhere").await.expect("facts");
        assert!(facts.clock > 0 && facts.disk_size > 0, "{facts:?}");
    }
}

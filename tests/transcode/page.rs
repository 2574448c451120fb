//! The status page, as a browser with and without JavaScript, another site and a scraper meet it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::films::Made;
use super::shares::Shares;

/// Status line, headers and body.
fn ask(address: &str, request: &str, headers: &str) -> (String, String) {
    ask_with(address, request, headers, "")
}

pub fn ask_with(address: &str, request: &str, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n{body}").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_film_that_failed_is_tried_again_from_the_page() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let (_page, address) = shares.page();
    shares.drop("Movies/<i>Up</i> & \"down\".mkv", b"Not a film at all.\n".repeat(100));
    let _watcher = shares.watch();
    let page = || ask(&address, "GET /", "").1;
    shares.wait("the film on the page", || page().contains("the file is not a film"));
    let html = page();
    assert!(html.contains("Movies&#x2f;&lt;i&gt;Up&lt;&#x2f;i&gt; &amp; &quot;down&quot;.mkv"), "{html}");
    let form = html.split("action=\"/retry/").nth(1).expect("a form for it");
    let retry = format!("POST /retry/{}", form.split('"').next().expect("an id"));

    let (head, _) = ask(&address, &retry, "Origin: http://evil.example\r\nContent-Length: 0\r\n");
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(ask(&address, &retry, "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n").0.starts_with("HTTP/1.1 403"));
    assert!(ask(&address, "POST /retry/..%2f..%2fpaused", "X-Hostler: 1\r\nContent-Length: 0\r\n").0.starts_with("HTTP/1.1 404"));
    assert!(ask(&address, &retry.replace("POST", "GET"), "").0.starts_with("HTTP/1.1 405"), "a link changes nothing");
    let rounds = || shares.log().matches(": failed: the file is not a film").count();
    assert_eq!(rounds(), 1);

    // As a browser without JavaScript sends the form: it is led back to the page.
    let (head, _) = ask(&address, &retry, &format!("Origin: http://{address}\r\nContent-Length: 0\r\n"));
    assert!(head.starts_with("HTTP/1.1 303") && head.contains("location: /\r\n"), "{head}");
    shares.wait("a second attempt", || rounds() == 2);
}

#[test]
fn the_page_follows_what_happens() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let (_page, address) = shares.page();
    let (head, _) = ask(&address, "GET /", "");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(ask(&address, "GET /healthz", "").0.starts_with("HTTP/1.1 200"));
    // What is live: each change is an event with the part of the page that changes.
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    shares.drop("Movies/Up.mkv", Made::Short.bytes());
    let _watcher = shares.watch();
    let live = BufReader::new(stream).lines().map_while(Result::ok).any(|line| line.contains("<b>1</b> done"));
    assert!(live, "the stream tells of the film's end");
    assert!(ask(&address, "GET /metrics", "").1.contains("hostler_transcode_films{state=\"done\"} 1"));
    assert!(ask(&address, "POST /pause", "X-Hostler: 1\r\nContent-Length: 0\r\n").0.starts_with("HTTP/1.1 303"));
    shares.wait("the pause on the page", || ask(&address, "GET /", "").1.contains("Resume"));
    // A share that goes away leaves the page, with what was known.
    fs::rename(shares.inbox(".hostler-share"), shares.inbox("gone")).expect("renamed");
    shares.wait("the trouble on the page", || {
        let html = ask(&address, "GET /", "").1;
        html.contains("is not mounted") && html.contains("<b>1</b> done")
    });
}

/// However many pages are open, the rest is served.
#[test]
fn open_pages_have_a_limit() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let (_page, address) = shares.page();
    let open = || {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut line).expect("answered");
        (line, reader)
    };
    let mut streams: Vec<_> = (0..70).map(|_| open()).collect();
    assert!(streams[0].0.contains(" 200 ") && streams[69].0.contains(" 503 "), "{} {}", streams[0].0, streams[69].0);
    assert!(ask(&address, "GET /", "").0.starts_with("HTTP/1.1 200"));
    // Where one is closed, another may be opened.
    streams.clear();
    shares.wait("the pages to be closed", || open().0.contains(" 200 "));
}

#[test]
fn what_is_in_the_library_is_encoded_again_where_its_original_is_gone() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    // As an earlier page left it.
    fs::create_dir_all(shares.inbox("requests")).expect("made");
    fs::write(shares.inbox("requests/from-library.up-00000000"), "half").expect("written");
    let (_page, address) = shares.page();
    shares.wait("the half copy to go", || !shares.inbox("requests/from-library.up-00000000").exists());
    shares.drop("Movies/Up.mp4", Made::Short.bytes());
    let _watcher = shares.watch();
    shares.wait("the film", || shares.films_in_library() == ["Movies/Up.mkv"] && shares.is_idle());
    let first = fs::read(shares.in_library("Movies/Up.mkv")).expect("a film");
    let entry = fs::read_dir(shares.inbox("ledger")).expect("a ledger").next().expect("a film").expect("readable");
    let id = entry.path().file_stem().expect("an id").to_string_lossy().into_owned();
    let post = |path: &str| ask(&address, &format!("POST /redo/{path}"), "X-Hostler: 1\r\nContent-Length: 0\r\n");
    let left: Vec<_> = fs::read_dir(shares.inbox("trash")).expect("a trash").map(|entry| entry.expect("readable").path()).collect();
    left.iter().for_each(|entry| fs::remove_dir_all(entry).expect("removed"));

    let (head, body) = post(&id);
    assert!(head.starts_with("HTTP/1.1 409") && body.contains("--from-library"), "{head} {body}");
    assert!(post("up-00000000/from-library").0.starts_with("HTTP/1.1 409"), "nobody knows it");
    assert!(post(&format!("{id}/from-library")).0.starts_with("HTTP/1.1 303"));
    let again = || fs::read(shares.in_library("Movies/Up.mkv")).is_ok_and(|film| film != first);
    shares.wait("another version in the library", || again() && shares.is_idle());
    assert_eq!(shares.films_in_library(), ["Movies/Up.mkv"]);
    // What it was made of, and what it replaced.
    assert_eq!(shares.in_trash(), [first.clone(), first]);
}

/// A site whose name leads here (DNS rebinding) is the page's own for a browser: it reads nothing, and presses nothing.
#[test]
fn a_name_on_the_internet_reaches_nothing() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let (_page, address) = shares.page_with(&["--actions", "open"]);
    for host in ["Host: evil.example\r\n", "Host: 192.168.1.11.evil.example:30080\r\n", ""] {
        for request in ["GET /", "GET /api/status", "GET /metrics", "GET /events", "POST /pause"] {
            let mut stream = TcpStream::connect(&address).expect("connected");
            let own = "Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 0\r\nConnection: close\r\n";
            write!(stream, "{request} HTTP/1.1\r\n{host}{own}\r\n").expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("Movies"), "{host}{request}: {answer}");
        }
    }
    assert!(!shares.inbox("paused").exists());
}

/// Looking is free; acting needs the token, where the inventory does not say otherwise.
#[test]
fn actions_need_the_token() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    fs::create_dir_all(shares.inbox("requests")).expect("made");
    shares.setting_file("page-token", "a-long-token\n");
    let file = shares.settings_folder().join("page-token").display().to_string();
    let paused = || shares.inbox("paused").exists();
    let right = "X-Hostler-Token: a-long-token\r\n";
    let wrong = ["", "X-Hostler-Token: a-long-toke\r\n", "X-Hostler-Token: \r\n", "Cookie: token=a-long-token\r\n"];
    for (actions, hint) in [("token", "`hostler transcode link`"), ("off", "use `hostler transcode`")] {
        let (_page, address) = shares.page_with(&["--actions", actions, "--token-file", &file]);
        let post = |path: &str, headers: &str| {
            ask(&address, &format!("POST {path}"), &format!("Origin: http://{address}\r\nContent-Length: 0\r\n{headers}"))
        };
        for path in ["/", "/api/status", "/metrics"] {
            let (head, _) = ask(&address, &format!("GET {path}"), "");
            assert!(head.starts_with("HTTP/1.1 200"), "{actions} {path}");
            assert!(head.contains("content-security-policy: default-src 'none'") && head.contains("nosniff"), "{path}: {head}");
        }
        for headers in wrong {
            for path in
                ["/pause", "/test", "/test/Movies", "/resume", "/redo/up-00000000", "/redo/up-00000000/from-library", "/retry/up-00000000"]
            {
                let (head, body) = post(path, headers);
                assert!(head.starts_with("HTTP/1.1 403") && body.contains(hint), "{actions} {path} {headers}: {head} {body}");
            }
        }
        assert!(post("/pause?token=a-long-token", "").0.starts_with("HTTP/1.1 403"), "addresses are logged");
        assert!(!paused());
        let foreign = ask(&address, "POST /pause", &format!("Origin: http://evil.example\r\nContent-Length: 0\r\n{right}"));
        assert!(foreign.0.starts_with("HTTP/1.1 403"), "{foreign:?}");
        assert!(post("/pause", right).0.starts_with("HTTP/1.1 303") && paused());
        assert!(post("/resume", right).0.starts_with("HTTP/1.1 303") && !paused());
        assert_eq!(ask(&address, "GET /", "").1.contains("<form"), actions == "token");
    }
    let (_page, address) = shares.page_with(&["--actions", "open"]);
    assert!(ask(&address, "POST /pause", "X-Hostler: 1\r\nContent-Length: 0\r\n").0.starts_with("HTTP/1.1 303") && paused());
    let samples = (0..4).map(|_| ask(&address, "POST /test", "X-Hostler: 1\r\nContent-Length: 0\r\n").0[..12].to_owned());
    assert_eq!(samples.collect::<Vec<_>>(), ["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 409"]);
}

/// What waits for its owner is answered on the page, and what failed is dismissed there; a film that there is none of is said to be none.
#[test]
fn a_film_gets_its_name_on_the_page_before_and_after_it_is_done() {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#);
    let (_page, address) = shares.page();
    shares.drop("Movies/title_t00.mkv", Made::Short.bytes());
    shares.drop("Movies/text.mkv", b"Not a film at all.\n".repeat(100));
    let _watcher = shares.watch();
    let page = || ask(&address, "GET /", "").1;
    shares.wait("both on the page", || page().contains("which film is this?") && page().contains("the file is not a film"));
    let html = page();
    let id = |action: &str| {
        let form = html.split(&format!("action=\"/{action}/")).nth(1).expect("a form for it");
        form.split('"').next().expect("an id").to_owned()
    };
    let post = |path: &str, body: &str| {
        let headers = format!("X-Hostler: 1\r\nContent-Length: {}\r\n", body.len());
        ask_with(&address, &format!("POST {path}"), &headers, body).0
    };
    for path in ["/retry/film-12345678", "/accept/film-12345678", "/dismiss/film-12345678", "/name/film-12345678"] {
        assert!(post(path, "name=x").starts_with("HTTP/1.1 404"), "{path}");
    }
    let (held, failed) = (id("name"), id("retry"));
    for wrong in ["", "name=", "name=a%2Fb", "name=.hidden", "other=x"] {
        assert!(post(&format!("/name/{held}"), wrong).starts_with("HTTP/1.1 409"), "{wrong}");
    }
    assert!(post(&format!("/titles/{held}"), "titles=one").starts_with("HTTP/1.1 409"));
    assert!(post(&format!("/name/{held}"), "name=Up%20(2009)").starts_with("HTTP/1.1 303"));
    assert!(post(&format!("/dismiss/{failed}"), "").starts_with("HTTP/1.1 303"));
    shares.wait("the film under its name", || shares.in_library("Movies/Up (2009).mkv").exists() && page().contains("<b>1</b> done"));
    shares.wait("the failed one to go", || !page().contains("the file is not a film") && shares.reasons().is_empty());
    assert_eq!(shares.in_trash().len(), 2, "both originals");

    fs::write(shares.in_library("Movies/Up (2009).en.srt"), "text").expect("written");
    fs::write(shares.in_library("Movies/Taken.mkv"), "another").expect("written");
    assert!(!post(&format!("/name/{held}"), "name=Taken").starts_with("HTTP/1.1 303"));
    assert!(post(&format!("/name/{held}"), "name=Up").starts_with("HTTP/1.1 303"));
    let names = ["Movies/Taken.mkv", "Movies/Up.en.srt", "Movies/Up.mkv"];
    shares.wait("the new name in the library", || shares.films_in_library() == names);
    let ledger = shares.inbox("ledger").join(format!("{held}.json"));
    shares.wait("the new name on record", || fs::read_to_string(&ledger).is_ok_and(|text| text.contains("\"Movies/Up.mkv\"")));
}

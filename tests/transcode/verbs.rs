//! The verbs of `hostler transcode`, through a stand-in for the API server that leads to a real page, or answers for one.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use super::page::ask_with;
use super::shares::Shares;
use super::stand_in::StandIn;

const SETTINGS: &str = r#"{"folders": {"Movies": {}, "Series": {}}, "stableSeconds": 0, "reserve": 0, "minSaving": null}"#;

/// Someone at a terminal, with a kubeconfig.
struct Terminal {
    server: StandIn,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// `page`: what answers on the status page's behalf, by method, path and body.
    fn new(page: impl Fn(&str, &str, &str) -> (u16, String) + Send + 'static) -> Terminal {
        let proxy = hostler_core::protocol::films::PAGE;
        let server = StandIn::answering(move |line, body| {
            let (method, path) = line.split_once(' ').expect("a request line");
            match path.strip_prefix(proxy) {
                Some(path) => page(method, path, body),
                None => (200, json!({"data": {"token": "dG9rZW4="}}).to_string()),
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "x", "cluster":
            {"server": server.address}}], "users": [], "contexts": [{"name": "x", "context": {"cluster": "x", "user": ""}}]});
        fs::write(folder.path().join("kubeconfig"), text.to_string()).expect("written");
        Terminal { server, folder }
    }

    /// Before a real page.
    fn of(page: String) -> Terminal {
        Terminal::new(move |method, path, body| {
            let headers = format!("X-Hostler: 1\r\nContent-Length: {}\r\n", body.len());
            let (head, body) = ask_with(&page, &format!("{method} {path}"), &headers, body);
            (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body)
        })
    }

    /// Exit status, and all that was said.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.arg("transcode").args(words).arg("--kubeconfig").arg(self.folder.path().join("kubeconfig"));
        ended(command)
    }

    /// Requests that change something.
    fn posts(&self) -> usize {
        self.server.requests().0.iter().filter(|line| line.starts_with("POST")).count()
    }
}

fn ended(mut command: Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ends by itself"), String::from_utf8(said).expect("UTF-8"))
}

fn record(shares: &Shares, id: &str, path: &str, stage: &serde_json::Value) {
    fs::create_dir_all(shares.inbox("ledger")).expect("made");
    let record = json!({"id": id, "path": path, "folder": "Movies", "stamp": {"size": 9, "modified": 1}, "round": 1,
        "claimed": "2026-11-23T21:00:00Z", "stage": stage});
    fs::write(shares.inbox("ledger").join(format!("{id}.json")), record.to_string()).expect("written");
}

fn requests(shares: &Shares) -> Vec<String> {
    let entries = fs::read_dir(shares.inbox("requests")).expect("a folder");
    entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect()
}

/// Films that wait for an answer and one that failed, as a watcher put them on record, and their page.
fn evening() -> (Shares, Terminal, impl Drop) {
    let shares = Shares::new(SETTINGS);
    for part in ["requests", "trash", "failed", "claim", "work", "watch/Movies", "watch/Series"] {
        fs::create_dir_all(shares.inbox(part)).expect("made");
    }
    let at = "2026-11-23T21:00:00Z";
    record(&shares, "disc-00000001", "Movies/Disc.iso", &json!({"is": "held", "question": "which?", "titles": [1, 2, 4], "at": at}));
    record(&shares, "video-ts-00000002", "Movies/VIDEO_TS", &json!({"is": "held", "question": "which film is this?", "at": at}));
    record(&shares, "text-00000003", "Movies/Text.mkv", &json!({"is": "failed", "reason": "not a film", "at": at}));
    let published = json!({"path": "Movies/Up.mkv", "size": 2, "sha256": "00", "replaced": false, "media_server": null, "at": at});
    record(&shares, "up-00000004", "Movies/Up.mkv", &json!({"is": "done", "published": published, "machine": "rarity", "took": 1.0}));
    fs::create_dir_all(shares.in_library("Movies")).expect("made");
    fs::write(shares.in_library("Movies/Up.mkv"), "up").expect("written");
    fs::write(shares.in_library("Movies/Taken.mkv"), "another").expect("written");
    let (page, address) = shares.page();
    let terminal = Terminal::of(address.clone());
    shares.wait("the films on the page", || ask_with(&address, "GET /", "", "").1.contains("Disc.iso"));
    (shares, terminal, page)
}

/// What can't be done is refused with what can: nothing is confirmed that will not happen.
#[test]
fn what_can_not_be_done_is_refused_with_a_hint_that_fits() {
    let (shares, terminal, _page) = evening();
    let cases: [(&[&str], i32, &[&str], &str); 11] = [
        (&["titles", "disc", "3"], 3, &["the disc has no title 3: it has titles 1, 2 and 4"], ""),
        (&["titles", "disc", "1,5,9"], 3, &["the disc has no titles 5 and 9: it has titles 1, 2 and 4"], ""),
        (&["titles", "VIDEO_TS", "1"], 3, &["waiting for a name"], "`hostler transcode name video-ts-00000002 NAME`"),
        (&["titles", "disc", "1-3"], 2, &["separate the numbers with commas: 1,3"], ""),
        (&["titles", "disc", "a"], 2, &["separate the numbers with commas: 1,3"], ""),
        (&["titles", "disc", "0"], 2, &["separate the numbers with commas: 1,3"], ""),
        (&["test", "--folder", "Nope"], 3, &["watch/ has no folder `Nope`"], "`Movies`, `Series`"),
        (&["name", "up", "a/b"], 3, &["is not a valid file name"], ""),
        (&["name", "up", "Taken"], 3, &["the library already has `Movies/Taken.mkv`"], ""),
        (&["redo", "up"], 3, &["is no longer in the trash"], "--from-library"),
        (&["retry", "nothing"], 2, &["no failed film matches"], "run `hostler transcode status` to list the films"),
    ];
    for (words, status, messages, hint) in cases {
        let before = terminal.posts();
        let (ended, said) = terminal.run(words);
        assert_eq!(ended, status, "{words:?}: {said}");
        assert!(messages.iter().all(|message| said.contains(message)), "{words:?}: {said}");
        let given = said.lines().find_map(|line| line.trim().strip_prefix("hint: ")).unwrap_or_default();
        assert!(if hint.is_empty() { !given.contains("lists films") } else { given.contains(hint) }, "{words:?}: {said}");
        assert!(terminal.posts() <= before + 1, "{words:?} was sent again");
        assert_eq!(requests(&shares), [""; 0], "{words:?}");
    }
    // What was refused was no sample.
    for _ in 0..4 {
        assert!(terminal.run(&["test", "--folder", "Nope"]).1.contains("has no folder"));
    }
    assert!(terminal.run(&["titles", "disc", "4,1"]).1.contains("will be encoded"));
    assert_eq!(requests(&shares), ["titles.disc-00000001"]);
}

/// Also the one that undoes the others.
#[test]
fn the_order_is_changed_in_the_terminal() {
    let (shares, terminal, _page) = evening();
    record(&shares, "new-00000005", "Movies/New.mkv", &json!({"is": "claimed"}));
    shares.wait("the film on the page", || terminal.run(&["status"]).1.contains("Movies/New.mkv"));
    for verb in ["first", "later", "skip", "normal"] {
        let (ended, said) = terminal.run(&[verb, "new"]);
        assert_eq!(ended, 0, "{verb}: {said}");
        assert_eq!(requests(&shares), [format!("{verb}.new-00000005")]);
        fs::remove_file(shares.inbox("requests").join(format!("{verb}.new-00000005"))).expect("it is there");
    }
}

#[test]
fn a_finished_film_has_its_new_name_everywhere() {
    let (shares, terminal, _page) = evening();
    let (ended, said) = terminal.run(&["name", "up", "Up (2009)"]);
    assert!(ended == 0 && said.contains("up-00000004 will be named `Up (2009)` in the library"), "{said}");
    // In the cluster the page can't write to the library: a publisher renames the film.
    assert!(shares.in_library("Movies/Up.mkv").exists());
    assert_eq!(requests(&shares), ["name.up-00000004"]);
    let watcher = shares.watch();
    shares.wait("the name on the page", || terminal.run(&["status"]).1.contains("done         Movies/Up (2009) "));
    assert_eq!(shares.films_in_library(), ["Movies/Taken.mkv", "Movies/Up (2009).mkv"]);
    // Taken since it was checked: nothing is replaced, and the page shows the reason.
    shares.wait("the film to be left alone", || requests(&shares).is_empty());
    fs::write(shares.inbox("requests/name.up-00000004"), "Taken").expect("written");
    shares.wait("the reason on the page", || terminal.run(&["status"]).1.contains("the library already has `Movies/Taken.mkv`"));
    // Anyone who can write to the share can write a request.
    fs::write(shares.inbox("requests/name.up-00000004"), "../../Up").expect("written");
    shares.wait("its end", || requests(&shares).is_empty());
    drop(watcher);
    assert_eq!(shares.films_in_library(), ["Movies/Taken.mkv", "Movies/Up (2009).mkv"]);
    assert_eq!(fs::read_to_string(shares.in_library("Movies/Taken.mkv")).expect("a film"), "another");
}

/// An answer that does not come may be that of a change that was done.
#[test]
fn a_change_is_asked_for_once() {
    let view = serde_json::to_string(&hostler::transcode::view::View::default()).expect("JSON");
    for (status, code) in [(503, 4), (429, 1), (504, 1), (500, 1)] {
        let view = view.clone();
        let terminal =
            Terminal::new(move |method, _, _| if method == "GET" { (200, view.clone()) } else { (status, "the inbox hangs\n".into()) });
        let (ended, said) = terminal.run(&["pause"]);
        assert_eq!(ended, code, "{status}: {said}");
        assert!(said.contains("the inbox hangs"), "{status}: {said}");
        assert_eq!(terminal.posts(), 1, "{status}: {said}");
    }
}

#[test]
fn an_answer_without_an_end_is_not_read_to_it() {
    let terminal = Terminal::new(|_, _, _| (200, "x".repeat(40 << 20)));
    for words in [&["status"][..], &["pause"], &["retry", "up"]] {
        let (ended, said) = terminal.run(words);
        assert!(ended == 1 && said.contains("the answer from the status page is too large: the limit is 34 MB"), "{words:?}: {said}");
    }
    // Ten thousand films fit.
    let mut view = hostler::transcode::view::View::default();
    let film = json!({"id": "a-film-with-a-long-name-00000001", "name": "Movies/".to_owned() + &"x".repeat(200), "place":
        "Movies/".to_owned() + &"x".repeat(200), "was": "12.3 GB", "is": "2.1 GB", "machine": "rainbowdash", "took": "1h02m", "when":
        "Mon 23 Nov, 21:00", "replaced": false, "remarks": ["x".repeat(200), "x".repeat(200), "x".repeat(200)]});
    view.done = vec![serde_json::from_value(film).expect("a film"); 10_000];
    let text = serde_json::to_string(&view).expect("JSON");
    println!("{} bytes", text.len());
    let terminal = Terminal::new(move |_, _, _| (200, text.clone()));
    let (ended, said) = terminal.run(&["status"]);
    assert!(ended == 0 && said.contains("done         Movies/"), "{said}");
}

/// HandBrake would wait for ever for some of these.
#[test]
fn what_is_not_a_film_is_not_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    nix::unistd::mkfifo(folder.path().join("pipe").as_path(), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let cases = [
        (path("missing.mkv"), "does not exist"),
        (path(""), "is a folder"),
        (path("pipe"), "is not a regular file"),
        ("/dev/zero".to_owned(), "is not a regular file"),
    ];
    for (film, why) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostler"));
        command.args(["transcode", "try", &film]);
        let (status, said) = ended(command);
        assert!(status == 2 && said.contains(why) && said.lines().filter(|line| line.starts_with("error:")).count() == 1, "{film}: {said}");
    }
}

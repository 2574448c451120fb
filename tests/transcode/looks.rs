//! The status page as a person meets it: in a real browser, on a screen and on a phone, by day and by night, with and without JavaScript,
//! with a mouse and with a keyboard. Pictures of it are left in `pictures`, beside the program that was built.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::browser::Browser;
use super::shares::Shares;
use super::stand_in::StandIn;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const FAILED: &str = "the-room-2003-0b5c1f2e";
const SCREEN: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// An evening's work, as watcher, encoders and publishers put it on record. None of them runs.
fn evening() -> Shares {
    let shares = Shares::new(r#"{"folders": {"Movies": {}}}"#);
    for part in ["ledger", "work", "requests", "trash", "failed", "claim"] {
        fs::create_dir_all(shares.inbox(part)).expect("made");
    }
    let now = jiff::Timestamp::now();
    let ago = |minutes: i64| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
    let mut claimed = 10_000;
    let mut film = |id: &str, path: &str, size: u64, stage: serde_json::Value| {
        claimed -= 1;
        let record = json!({"id": id, "path": path, "folder": "Movies", "stamp": {"size": size, "modified": 1}, "round": 1,
            "claimed": ago(claimed), "stage": stage});
        fs::write(shares.inbox("ledger").join(format!("{id}.json")), record.to_string()).expect("written");
    };
    let published = |name: &str, size: u64, minutes: i64, replaced: bool| {
        json!({"path": format!("Movies/{name}.mkv"), "size": size, "sha256": "00", "replaced": replaced, "media_server": null,
            "space": [1_240_000_000_000_u64, 4_000_000_000_000_u64], "at": ago(minutes)})
    };
    let done = [
        ("Amélie (2001)", 190),
        ("Spirited Away (2001)", 340),
        ("The Grand Budapest Hotel (2014)", 420),
        ("Up (2009)", 1500),
        ("Paddington 2 (2017)", 1700),
        ("Metropolis (1927)", 3100),
        ("Alien (1979)", 3300),
        ("Arrival (2016)", 3400),
        ("Brazil (1985)", 6100),
    ];
    for ((name, minutes), number) in done.into_iter().zip(0_u64..) {
        let id = format!("done-{number}-12345678");
        let size = 2_100_000_000 + number * 150_000_000;
        let place = published(name, size, minutes, number == 1);
        let machine = if number % 2 == 0 { "rarity" } else { "applejack" };
        let stage = json!({"is": "done", "published": place, "machine": machine, "took": 5400 + number * 371});
        film(&id, &format!("Movies/{name}.mkv"), size * 3, stage);
    }
    let reason = "the original is damaged or truncated: 41207 of 142800 frames could be decoded (28.9 %)";
    film(FAILED, "Movies/The Room (2003).iso", 4_100_000_000, json!({"is": "failed", "reason": reason, "at": ago(55)}));
    let working = [
        ("raiders-1981-11111111", "Movies/Raiders of the Lost Ark (1981)/Raiders of the Lost Ark.mkv", "rarity", 0.634, 41.2, 2300),
        ("up-2009-22222222", "Movies/(500) Days of Summer (2009)/(500) Days of Summer.mkv", "applejack", 0.127, 38.9, 6100),
    ];
    for (id, path, machine, part, rate, left) in working {
        film(id, path, 24_300_000_000, json!({"is": "claimed"}));
        progress(&shares, id, machine, part, rate, left);
    }
    for (name, number) in ["Heat (1995)", "WALL·E (2008)", "Das Leben der Anderen (2006)"].into_iter().zip(0_u64..) {
        film(
            &format!("queued-{number}-12345678"),
            &format!("Movies/{name}.mkv"),
            8_300_000_000 + number * 9_000_000_000,
            json!({"is": "claimed"}),
        );
    }
    let change = |id: &str, key: &str, value: serde_json::Value| {
        let file = shares.inbox("ledger").join(format!("{id}.json"));
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("a record")).expect("JSON");
        record[key] = value;
        fs::write(file, record.to_string()).expect("written");
    };
    change("queued-1-12345678", "original", json!("published"));
    change("queued-1-12345678", "earlier", published("WALL·E (2008)", 17_000_000_000, 20, false));
    change("queued-2-12345678", "priority", json!("skipped"));
    let mut waiting: serde_json::Map<String, serde_json::Value> =
        (0..3).map(|number| (format!("queued-{number}-12345678"), json!("waiting for a free machine"))).collect();
    waiting.insert("queued-2-12345678".to_owned(), json!("skipped"));
    // The watcher looks a little ahead, so that it is not taken for silent while the test runs.
    let status = json!({"at": ago(-60), "hold": null, "waiting": waiting, "trouble": null, "space": [412_000_000_000_u64, 2_000_000_000_000_u64],
        "machines": [{"name": "applejack", "state": "ready"}, {"name": "fluttershy", "state": "ready"}, {"name": "pinkiepie", "state": "lost"},
            {"name": "rarity", "state": "ready"}],
        "media_servers": [{"server": "Plex", "text": "Plex shows the film", "fine": true, "at": ago(190)}, {"server": "Jellyfin", "text":
            "Jellyfin was not notified: it does not answer", "fine": false, "at": ago(190)}],
        "arriving": [["Movies/Stalker (1979).mkv", 13_400_000_000_u64, "being copied"]]});
    fs::write(shares.inbox("status.json"), status.to_string()).expect("written");
    shares
}

fn progress(shares: &Shares, id: &str, machine: &str, done: f64, rate: f64, left: u64) {
    let now = jiff::Timestamp::now();
    let progress = json!({"who": "pod", "machine": machine, "phase": "encoding", "done": done, "rate": rate, "eta_seconds": left,
        "began": (now - jiff::SignedDuration::from_mins(61)).to_string(), "at": (now + jiff::SignedDuration::from_mins(60)).to_string()});
    fs::create_dir_all(shares.inbox("work").join(id)).expect("made");
    fs::write(shares.inbox("work").join(id).join("progress.json"), progress.to_string()).expect("written");
}

fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pictures");
    fs::create_dir_all(&folder).expect("made");
    folder
}

fn is_asked(shares: &Shares) -> bool {
    shares.inbox("requests").join(format!("retry.{FAILED}")).exists()
}

#[test]
fn a_person_sees_what_happens_on_every_screen() {
    let shares = evening();
    let (_page, address) = shares.page();
    let browser = Browser::new();
    let folder = pictures();
    for (name, size, dense, dark) in [
        ("screen-day", SCREEN, 1, false),
        ("screen-night", SCREEN, 1, true),
        ("phone-day", PHONE, 2, false),
        ("phone-night", PHONE, 2, true),
    ] {
        browser.look(size, dense, dark);
        browser.open(&format!("http://{address}/"));
        browser.wait("the films", |browser| browser.text().contains("Raiders of the Lost Ark"));
        let text = browser.text();
        for words in [
            "63.4 %",
            "41.2 fps",
            "rarity",
            "28.9 %",
            "waiting for a free machine",
            "being copied",
            "2 in progress",
            "1 failed",
            "412 GB free",
            "fluttershy",
            "idle",
            "lost",
            "skipped",
            "its original is in the library",
            "Plex shows the film",
            "it does not answer",
            "smaller than the originals",
        ] {
            assert!(text.contains(words), "{name}: no {words:?} in {text}");
        }
        let wide = browser.value("document.documentElement.scrollWidth - window.innerWidth").as_i64().expect("a number");
        assert!(wide <= 0, "{name}: {wide} dots stick out at the side");
        // Every text against what is behind it: 4.5 to 1 is what the WCAG ask for.
        let faint = browser.value(FAINT);
        assert_eq!(faint, json!([]), "{name}: too faint to be read");
        let small =
            browser.value("[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height).filter(h => h < 44)");
        assert_eq!(small, json!([]), "{name}: buttons too small for a finger");
        browser.picture(&folder.join(format!("{name}.png")));
    }
}

/// Texts whose contrast is too low, with the ratio.
const FAINT: &str = "(() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (!colour.endsWith(', 0)')) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    return [...document.querySelectorAll('main *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.offsetParent)
        .map((e) => {
            const [one, two] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
            return [e.textContent.trim(), Math.round((one + 0.05) / (two + 0.05) * 10) / 10];
        }).filter(([, ratio]) => ratio < 4.5);
})()";

#[test]
fn the_page_is_live_and_can_be_used_with_a_keyboard() {
    let shares = evening();
    let (_page, address) = shares.page();
    let browser = Browser::new();
    browser.look(SCREEN, 1, false);
    browser.open(&format!("http://{address}/"));
    browser.wait("the films", |browser| browser.text().contains("63.4 %"));
    browser.value("window.sameDocument = true");

    // By the skip link into the films, then to the button.
    browser.press(&[TAB]);
    assert_eq!(browser.value("document.activeElement.className"), "skip");
    browser.press(&[TAB, TAB]);
    // Each film in work has its own: to publish it now, and to skip it.
    assert_eq!(browser.value("document.activeElement.id"), "now-raiders-1981-11111111");
    browser.press(&[TAB, TAB, TAB, TAB]);
    let button = format!("retry-{FAILED}");
    assert_eq!(browser.value("document.activeElement.id"), button.as_str());
    let ring = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.value(ring), "solid", "it shows where the keyboard is");

    progress(&shares, "raiders-1981-11111111", "rarity", 0.648, 41.2, 2200);
    browser.wait("the new percent", |browser| browser.text().contains("64.8 %"));
    assert_eq!(browser.value("window.sameDocument"), true, "nothing was loaded anew");
    assert_eq!(browser.value("document.activeElement.id"), button.as_str(), "the keyboard is where it was");

    assert!(!is_asked(&shares));
    browser.press(&[ENTER]);
    browser.wait("the request", |_| is_asked(&shares));
    browser.wait("the page again", |browser| browser.value("location.pathname") == "/" && browser.text().contains("64.8 %"));
}

#[test]
fn the_page_works_without_javascript() {
    let shares = evening();
    let (_page, address) = shares.page();
    let browser = Browser::new();
    browser.look(PHONE, 1, false);
    browser.javascript(false);
    browser.open(&format!("http://{address}/"));
    browser.wait("the films", |browser| browser.text().contains("63.4 %"));
    progress(&shares, "raiders-1981-11111111", "rarity", 0.648, 41.2, 2200);
    browser.wait("the new percent", |browser| browser.text().contains("64.8 %"));
    browser.click(&format!("#retry-{FAILED}"));
    browser.wait("the request", |_| is_asked(&shares));
    browser.click("#pause");
    browser.wait("the pause", |_| shares.inbox("paused").exists());
}

/// The link gives the browser the token once; the address does not keep it, and the next visit needs no link.
#[test]
fn the_link_with_the_token_makes_the_buttons_work() {
    let shares = evening();
    shares.setting_file("page-token", "a-long-token\n");
    let file = shares.settings_folder().join("page-token").display().to_string();
    let (_page, address) = shares.page_with(&["--actions", "token", "--token-file", &file]);
    let browser = Browser::new();
    browser.look(SCREEN, 1, false);
    browser.open(&format!("http://{address}/"));
    browser.click(&format!("#retry-{FAILED}"));
    browser.wait("the answer", |browser| browser.text().contains("hostler transcode link"));
    assert!(!is_asked(&shares));
    browser.open("about:blank");
    browser.open(&format!("http://{address}/#token=a-long-token"));
    browser.click(&format!("#retry-{FAILED}"));
    browser.wait("the request", |_| is_asked(&shares));
    assert_eq!(browser.value("location.href"), format!("http://{address}/").as_str());
    browser.open(&format!("http://{address}/"));
    browser.click("#pause");
    browser.wait("the pause", |_| shares.inbox("paused").exists());
    assert!(!browser.text().contains("hostler transcode link"));
}

/// A page of somebody else's that sends the form in the visitor's name.
#[test]
fn another_site_in_the_same_browser_changes_nothing() {
    let shares = evening();
    let (_page, address) = shares.page();
    let target = format!("http://{address}/retry/{FAILED}");
    let trap: &'static str =
        format!("<title>trap</title><form method=post action='{target}'></form><script>document.forms[0].submit()</script>").leak();
    let elsewhere = StandIn::new(move |_| trap);
    let browser = Browser::new();
    // Another port is the same site and another origin; `localhost` is another site.
    for trap in [elsewhere.address.clone(), elsewhere.address.replace("127.0.0.1", "localhost")] {
        browser.open(&trap);
        browser.wait("the answer", |browser| browser.text().contains("came from another site"));
        assert!(!is_asked(&shares), "{trap}");
    }
    browser.open(&format!("http://{address}/"));
    browser.click(&format!("#retry-{FAILED}"));
    browser.wait("the request", |_| is_asked(&shares));
}

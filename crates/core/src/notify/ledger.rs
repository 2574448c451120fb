//! What was reported, and what is left to send. It is written before anything is sent, and after each message: where that is interrupted, a message
//! may come twice, and none is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Finding, Seen};
use crate::words::for_seconds;

/// Messages that wait: an address that does not answer for weeks must not fill a ConfigMap.
const MOST_WAITING: usize = 50;
/// Findings at once. More are counted when there are fewer.
const MOST_KNOWN: usize = 200;
/// Seconds without a look after which what was seen before counts for nothing.
const GAP: i64 = 10 * 60;
const WEEK: i64 = 7 * 24 * 60 * 60;
/// Seconds by which a look may be early.
const EARLY: i64 = 60;

/// Of a machine about itself, or of the control planes about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// By the finding's key.
    known: BTreeMap<String, Known>,
    /// The oldest first.
    waiting: Vec<Message>,
    /// How many were too many to wait.
    dropped: u64,
    /// When the last summary was made, in seconds since the epoch.
    digest: Option<i64>,
    /// How many films were done then.
    films: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Known {
    /// Seconds since the epoch.
    since: i64,
    /// When it was seen last, until it is reported.
    seen: i64,
    reported: bool,
    over_title: String,
    over: String,
    gone: Option<String>,
}

/// A message to the user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// Seconds since the epoch.
    pub at: i64,
    pub title: String,
    pub text: String,
}

impl Ledger {
    /// Takes up what was seen at `now`, in seconds since the epoch: what has lasted long enough, and what has ended, waits to be sent.
    pub fn note(&mut self, seen: &Seen, now: i64) {
        for finding in &seen.findings {
            let Finding { key, title, text, over, gone, lasts, .. } = finding;
            if !self.known.contains_key(key) && self.known.len() >= MOST_KNOWN {
                continue;
            }
            let known = self.known.entry(key.clone()).or_default();
            // Not looked at meanwhile, as everything was off; or the clock was set.
            if !known.reported && !(known.seen..known.seen + GAP).contains(&now) {
                known.since = now;
            }
            if !known.reported {
                known.seen = now;
            }
            (known.over_title, known.over, known.gone) = (over.0.to_owned(), over.1.clone(), gone.clone());
            if !known.reported && now - known.since >= *lasts {
                known.reported = true;
                self.waiting.push(Message { at: now, title: (*title).to_owned(), text: text.clone() });
            }
        }
        let is_of = |parts: &[String], key: &str| parts.iter().any(|parts| covers(parts, key));
        let ended = |key: &String| {
            !seen.findings.iter().any(|finding| finding.key == *key)
                && !is_of(&seen.unknown, key)
                && (!is_of(&seen.undecided, key) || is_of(&seen.there, key))
        };
        let ended: Vec<String> = self.known.keys().filter(|key| ended(key)).cloned().collect();
        for key in ended {
            let Some(Known { since, reported: true, over_title, over, gone, .. }) = self.known.remove(&key) else { continue };
            let is_there = is_of(&seen.there, &key);
            self.waiting.push(match gone.filter(|_| !is_there) {
                Some(text) => Message { at: now, title: "a problem has ended".to_owned(), text },
                None => Message { at: now, title: over_title, text: format!("{over}, after {}", for_seconds(now - since)) },
            });
        }
        self.bound();
    }

    /// Whether the weekly summary is due.
    pub fn is_digest_due(&self, now: i64) -> bool {
        // One from a time that has not come is of a wrong clock.
        self.digest.is_none_or(|last| now - last >= WEEK - EARLY || last > now + EARLY)
    }

    /// How many films were done at the last summary, as far as that is known.
    pub fn films(&self) -> Option<u64> {
        self.films
    }

    /// The weekly summary waits to be sent. `films`: how many are done.
    pub fn summarize(&mut self, text: String, films: Option<u64>, now: i64) {
        self.digest = Some(now);
        self.films = films.or(self.films);
        self.waiting.push(Message { at: now, title: "weekly summary".to_owned(), text });
        self.bound();
    }

    /// Those that came last are kept: they say how it is now.
    fn bound(&mut self) {
        let many = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..many);
        self.dropped += many as u64;
    }

    /// The oldest message that waits, as it is sent at `now`.
    pub fn next(&self, now: i64) -> Option<Message> {
        let first = self.waiting.first()?;
        let late = now - first.at;
        let mut message = first.clone();
        if late >= 10 * 60 {
            message.text += &format!(" (reported {} late)", for_seconds(late));
        }
        if self.dropped > 0 {
            message.text += &format!(" (earlier notifications that could not be sent: {})", self.dropped);
        }
        Some(message)
    }

    /// The oldest message was sent.
    pub fn sent(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting.remove(0);
            self.dropped = 0;
        }
    }
}

/// Whether `key` begins with these parts.
fn covers(parts: &str, key: &str) -> bool {
    key.strip_prefix(parts).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || parts.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(name: &str) -> Finding {
        Finding {
            key: format!("node/{name}"),
            title: "a machine is lost",
            text: format!("{name} is lost"),
            over: ("a machine is back", format!("{name} is back")),
            gone: Some(format!("{name} was removed")),
            lasts: 180,
            is_problem: true,
        }
    }

    fn seen(names: &[&str]) -> Seen {
        Seen { findings: names.iter().map(|name| lost(name)).collect(), there: vec!["node/rarity".to_owned()], ..Seen::default() }
    }

    /// All that waits, sent.
    fn send(ledger: &mut Ledger, now: i64) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(message) = ledger.next(now) {
            sent.push(message.text);
            ledger.sent();
        }
        sent
    }

    #[test]
    fn a_problem_that_lasts_is_reported_once_and_so_is_its_end() {
        let mut ledger = Ledger::default();
        let mut told = Vec::new();
        for (now, names) in
            [(0, &["rarity"][..]), (120, &["rarity"]), (240, &["rarity"]), (360, &["rarity"]), (480, &["rarity"]), (600, &[]), (720, &[])]
        {
            ledger.note(&seen(names), now);
            // As another control plane reads it.
            ledger = serde_json::from_str(&serde_json::to_string(&ledger).expect("JSON")).expect("a ledger");
            told.extend(send(&mut ledger, now).into_iter().map(|text| (now, text)));
        }
        assert_eq!(told, [(240, "rarity is lost".to_owned()), (600, "rarity is back, after 10 minutes".to_owned())]);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn what_passes_or_is_not_known_is_not_reported() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&["rarity"]), 0);
        ledger.note(&seen(&[]), 120);
        assert_eq!(send(&mut ledger, 120), [""; 0]);
        ledger.note(&seen(&["rarity"]), 240);
        ledger.note(&seen(&["rarity"]), 600);
        assert_eq!(send(&mut ledger, 600), ["rarity is lost"]);
        ledger.note(&Seen { unknown: vec!["node/".to_owned()], ..Seen::default() }, 720);
        assert_eq!(send(&mut ledger, 720), [""; 0], "it may still be lost");
    }

    #[test]
    fn what_was_seen_before_all_was_off_does_not_count() {
        let mut ledger = Ledger::default();
        for now in [0, 120, 9000, 9120] {
            ledger.note(&seen(&["rarity"]), now);
        }
        assert_eq!(send(&mut ledger, 9120), [""; 0], "its kubelet is just starting");
        ledger.note(&seen(&["rarity"]), 9240);
        assert_eq!(send(&mut ledger, 9240), ["rarity is lost"]);
    }

    #[test]
    fn what_is_removed_is_not_called_well() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&["applejack"]), 0);
        ledger.note(&seen(&["applejack"]), 200);
        ledger.note(&seen(&[]), 300);
        assert_eq!(send(&mut ledger, 300), ["applejack is lost", "applejack was removed"]);
    }

    #[test]
    fn what_could_not_be_sent_is_sent_later_in_order_and_once() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&["rarity"]), 0);
        ledger.note(&seen(&["rarity"]), 200);
        assert_eq!(ledger.next(200).map(|message| message.text).as_deref(), Some("rarity is lost"));
        // The address does not answer: nothing was sent.
        ledger.note(&seen(&[]), 900);
        let sent = send(&mut ledger, 900);
        assert_eq!(sent, ["rarity is lost (reported 11 minutes late)", "rarity is back, after 15 minutes"]);
        assert_eq!(send(&mut ledger, 1000), [""; 0]);
    }

    #[test]
    fn a_ledger_has_bounds() {
        let mut ledger = Ledger::default();
        for round in 0..100 {
            ledger.note(&seen(&["rarity"]), round * 1000);
            ledger.note(&seen(&["rarity"]), round * 1000 + 400);
            ledger.note(&seen(&[]), round * 1000 + 500);
        }
        let sent = send(&mut ledger, 100_000);
        assert_eq!(
            (sent.len(), sent[0].contains("(earlier notifications that could not be sent: 150)")),
            (MOST_WAITING, true),
            "{}",
            sent[0]
        );
        let names: Vec<String> = (0..500).map(|number| format!("m{number}")).collect();
        ledger.note(&seen(&names.iter().map(String::as_str).collect::<Vec<_>>()), 200_000);
        assert_eq!(ledger.known.len(), MOST_KNOWN);
    }

    #[test]
    fn a_summary_is_due_once_a_week() {
        let mut ledger = Ledger::default();
        assert!(ledger.is_digest_due(0), "the first shows that messages arrive");
        ledger.summarize("all is well".to_owned(), None, 0);
        assert!(!ledger.is_digest_due(WEEK - 120) && ledger.is_digest_due(WEEK - 30));
        ledger.digest = Some(WEEK * 100);
        assert!(ledger.is_digest_due(0), "the clock was wrong");
    }
}

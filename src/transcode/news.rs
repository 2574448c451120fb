//! Notifications: a film failed, a machine is lost, disk space is low. They are sent to one URL, of ntfy or a webhook: a POST with the text as
//! its body.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::quantity;

use super::ledger::{Film, Stage};
use crate::{user_file, web};

/// Attempts: a lost machine may have run CoreDNS, so that names don't resolve for a while.
const TRIES: u32 = 8;
/// Delay before the second attempt; it doubles for each further one.
const FIRST_WAIT: Duration = Duration::from_secs(4);

/// An address is shorter.
const MOST_BYTES: usize = 8 << 10;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub title: &'static str,
    pub text: String,
}

/// What was sent, so that it is sent only once. A new watcher repeats notifications about lasting conditions.
#[derive(Debug, Default)]
pub struct News {
    lost: BTreeSet<String>,
    low: BTreeSet<&'static str>,
}

impl News {
    /// A film that failed, or waits for its owner.
    pub fn film(film: &Film) -> Option<Message> {
        if let Stage::Held { question, .. } = &film.stage {
            return Some(Message { title: "a film is waiting for an answer", text: format!("{}: {question}", film.called()) });
        }
        let Stage::Failing { reason, .. } = &film.stage else { return None };
        Some(Message { title: "a film could not be encoded", text: format!("{}: {reason}", film.called()) })
    }

    /// Machines that are lost now.
    pub fn machines(&mut self, lost: BTreeSet<String>) -> Vec<Message> {
        let gone = lost.difference(&self.lost).map(|name| Message {
            title: "a machine stopped reporting",
            text: format!("{name} has not reported for a minute; its films are encoded on other machines"),
        });
        let back = self.lost.difference(&lost).map(|name| Message { title: "a machine is back", text: format!("{name} is back") });
        let messages = gone.chain(back).collect();
        self.lost = lost;
        messages
    }

    /// Free and total bytes of a share. Space is low below `little`, until it is a quarter above that. `trash`: bytes that emptying the trash
    /// would give back.
    pub fn space(&mut self, share: &'static str, (free, all): (u64, u64), little: u64, trash: u64) -> Option<Message> {
        if all == 0 || free >= little {
            if free >= little / 4 * 5 {
                self.low.remove(share);
            }
            return None;
        }
        let back = if trash > 0 { format!("; the trash holds {}", quantity::size(trash)) } else { String::new() };
        let (free, all) = (quantity::size(free), quantity::size(all));
        let text = format!("the {share} has {free} of {all} free; films that do not fit wait until there is space{back}");
        self.low.insert(share).then_some(Message { title: "disk space is low", text })
    }
}

/// Sends it in the background to the address in `file`, with retries for some minutes.
pub fn send(file: &Path, message: Message) {
    let file = file.to_owned();
    tokio::spawn(async move {
        let mut wait = FIRST_WAIT;
        for again in (0..TRIES).rev() {
            match post(&file, &message).await {
                Ok(()) => return,
                Err(error) if again == 0 => tracing::warn!("the notification \"{}\" can't be sent: {error:#}", message.title),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
    });
}

async fn post(file: &Path, message: &Message) -> Result<()> {
    // It may come a minute after the pod.
    let address = user_file::read(file, MOST_BYTES).with_context(|| format!("{} can't be read", file.display()))?;
    web::post(String::from_utf8_lossy(&address).trim(), message.title, &message.text).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(messages: Vec<Message>) -> Vec<String> {
        messages
            .into_iter()
            .map(|message| message.text.split_once(' ').map_or(String::new(), |(name, _)| format!("{name}: {}", message.title)))
            .collect()
    }

    #[test]
    fn a_notification_is_sent_when_a_machine_is_lost_and_when_it_is_back() {
        let mut news = News::default();
        let lost = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        assert_eq!(titles(news.machines(lost(&[]))), [""; 0]);
        assert_eq!(titles(news.machines(lost(&["rarity"]))), ["rarity: a machine stopped reporting"]);
        assert_eq!(titles(news.machines(lost(&["rarity"]))), [""; 0], "once");
        assert_eq!(titles(news.machines(lost(&["applejack"]))), ["applejack: a machine stopped reporting", "rarity: a machine is back"]);
    }

    #[test]
    fn low_disk_space_is_reported_once() {
        let mut news = News::default();
        let mut low = |free| news.space("inbox", (free, 1000), 100, 0).is_some();
        assert_eq!([200, 99, 50, 110, 90, 125, 99].map(&mut low), [false, true, false, false, false, false, true]);
        assert!(news.space("library", (0, 0), 100, 0).is_none(), "not known");
        let message = News::default().space("inbox", (1, 1000), 100, 3_000_000_000).expect("it is low");
        assert!(message.text.ends_with("the trash holds 3 GB"), "{}", message.text);
    }
}

//! What somebody is told of without looking: a film that failed, a machine that is lost, a disk that runs full. By one address, ntfy's or a
//! webhook's: a POST with the text as its body.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::quantity;
use reqwest::Url;

use super::layout::shown;
use super::ledger::{Film, Stage};
use super::media_server::{answer, client};

/// A machine that is lost may have run what finds addresses by name: a message is worth some tries.
const TRIES: u32 = 8;
/// Before the second try; twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(4);

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub title: &'static str,
    pub text: String,
}

/// What has been told, so that it is told once. A watcher that is new tells again of what lasts.
#[derive(Debug, Default)]
pub struct News {
    lost: BTreeSet<String>,
    low: BTreeSet<&'static str>,
}

impl News {
    /// A film that is given up.
    pub fn film(film: &Film) -> Option<Message> {
        let Stage::Failing { reason, .. } = &film.stage else { return None };
        Some(Message { title: "a film could not be encoded", text: format!("{}: {reason}", shown(&film.path)) })
    }

    /// Machines that are lost as of now.
    pub fn machines(&mut self, lost: BTreeSet<String>) -> Vec<Message> {
        let gone = lost.difference(&self.lost).map(|name| Message {
            title: "a machine is lost",
            text: format!("{name} has not been heard from for a minute; what it encoded is encoded elsewhere"),
        });
        let back = self.lost.difference(&lost).map(|name| Message { title: "a machine is back", text: format!("{name} is back") });
        let messages = gone.chain(back).collect();
        self.lost = lost;
        messages
    }

    /// Room on a share: free bytes, and all. It is little below `little`, and no longer so a quarter above that.
    pub fn space(&mut self, share: &'static str, (free, all): (u64, u64), little: u64) -> Option<Message> {
        if all == 0 || free >= little {
            if free >= little / 4 * 5 {
                self.low.remove(share);
            }
            return None;
        }
        let text =
            format!("the {share} has {} free of {}; films wait when there is no room for them", quantity::size(free), quantity::size(all));
        self.low.insert(share).then_some(Message { title: "disk space is low", text })
    }
}

/// Sends it, and tries again for some minutes where it does not arrive. Nothing waits for that.
pub fn tell(address: &str, message: Message) {
    let address = address.to_owned();
    tokio::spawn(async move {
        let mut wait = FIRST_WAIT;
        for again in (0..TRIES).rev() {
            match send(&address, &message).await {
                Ok(()) => return,
                Err(error) if again == 0 => tracing::warn!("nobody was told that {}: {error:#}", message.title),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
    });
}

async fn send(address: &str, message: &Message) -> Result<()> {
    let url = Url::parse(address).context("the address of `notify` is wrong")?;
    answer(client()?.post(url).header("Title", message.title).body(message.text.clone())).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(messages: Vec<Message>) -> Vec<String> {
        messages
            .into_iter()
            .map(|message| message.text.split_once(' ').map_or(String::new(), |(name, _)| format!("{name}: {}", message.title)))
            .collect()
    }

    #[test]
    fn a_machine_is_told_of_when_it_goes_and_when_it_comes() {
        let mut news = News::default();
        let lost = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        assert_eq!(told(news.machines(lost(&[]))), [""; 0]);
        assert_eq!(told(news.machines(lost(&["rarity"]))), ["rarity: a machine is lost"]);
        assert_eq!(told(news.machines(lost(&["rarity"]))), [""; 0], "once");
        assert_eq!(told(news.machines(lost(&["applejack"]))), ["applejack: a machine is lost", "rarity: a machine is back"]);
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told_of_once() {
        let mut news = News::default();
        let mut low = |free| news.space("inbox", (free, 1000), 100).is_some();
        assert_eq!([200, 99, 50, 110, 90, 125, 99].map(&mut low), [false, true, false, false, false, false, true]);
        assert!(news.space("library", (0, 0), 100).is_none(), "not known");
    }
}

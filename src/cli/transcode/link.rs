//! The link to the status page, and a new token for it.

use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hostler_core::failure::{ExitStatus, Failure};
use ring::rand::{SecureRandom, SystemRandom};

use super::Cluster;
use super::remote::Page;
use crate::event::Event;
use crate::report::Reporter;
use crate::transcode::access;

/// How long the page's pod may take to end and to come back: a minute on a small computer with much to do.
const LIMIT: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Prints the link. `new`: with a new token, once nothing accepts the present one any more.
///
/// # Errors
/// The cluster can't be reached, has no page, or its page does not come back.
pub async fn link(new: bool, cluster: &Cluster, reporter: &Reporter) -> Result<()> {
    let page = Page::of(cluster).await?;
    let present = page.token().await?;
    let address = page.address().await?;
    let token = if new { replaced(&page, &present, reporter).await? } else { present };
    reporter.secret_result(&access::link(address, &token), &token).await;
    Ok(())
}

/// A new token, which the page accepts in place of `old`. A changed Secret would reach its pod only after a minute or two, so the pod is
/// replaced.
async fn replaced(page: &Page, old: &str, reporter: &Reporter) -> Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the kernel provided no random numbers"))?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    page.set_token(&token).await?;
    page.delete_pods().await?;
    let until = Instant::now() + LIMIT;
    loop {
        match page.accepts(old).await {
            // It answers, and not to the old one: its pod is the new one.
            Ok(false) => break,
            // Without any token, too: `transcode.page.actions` is `open`.
            Ok(true) if page.accepts("").await.unwrap_or_default() => {
                let line = "everyone can use the buttons of the status page, with or without a token: `transcode.page.actions` is `open`";
                let line = line.to_owned();
                reporter.events().send(Event::Warning { line });
                break;
            }
            // The pod ends, or is not ready yet.
            Ok(true) | Err(_) if Instant::now() < until => tokio::time::sleep(LOOK_EVERY).await,
            Ok(true) => {
                let message = format!("the token was replaced, but the page still accepts the old one after {} s", LIMIT.as_secs());
                return Err(Failure::new(ExitStatus::Failed, message, "run `kubectl -n transcode delete pods -l app=page`").into());
            }
            Err(error) => {
                let message = format!("the token was replaced, but the page does not answer after {} s: {error}", LIMIT.as_secs());
                let hint = "run `kubectl -n transcode get pods`, and once the page is running, `hostler transcode link`";
                return Err(Failure::new(ExitStatus::Unreachable, message, hint).into());
            }
        }
    }
    let line = "the old link no longer works: give the new one to everyone who may use the buttons".to_owned();
    reporter.events().send(Event::Note { line });
    Ok(token)
}

//! Downloads from release sites: resumed after an interruption, and accepted only with the published checksum.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hostler_core::digest::hex;
use hostler_core::failure::{ExitStatus, Failure};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};
use sha2::{Digest, Sha256};
use tokio::fs::{self, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::event::Unit;
use crate::user_file;
use crate::workstation::task::Task;

/// Attempts per file; received bytes are kept.
const ATTEMPTS: u32 = 5;
/// Attempts if a site can't be reached at all.
const CONNECTS: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);
/// The most that is taken from a site for one file; the largest release has 0.2 GB.
const MOST_BYTES: u64 = 4 << 30;
/// A connection without data for this long is closed.
const SILENCE: Duration = Duration::from_secs(20);

/// Where to fetch published files: from their own sites, or from a mirror that has `https://HOST/PATH` at `MIRROR/HOST/PATH`.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    /// Without a trailing slash.
    pub mirror: Option<String>,
}

impl Sites {
    /// The URL to fetch `address` from.
    pub fn locate(&self, address: &str) -> String {
        match (&self.mirror, address.strip_prefix("https://")) {
            (Some(mirror), Some(rest)) => format!("{mirror}/{rest}"),
            _ => address.to_owned(),
        }
    }
}

/// # Errors
/// This computer's CA certificates can't be read.
pub fn client() -> Result<reqwest::Client> {
    Ok(builder().build()?)
}

/// A client whose connections end when they are silent.
pub fn builder() -> reqwest::ClientBuilder {
    // Another part of the program may have set it before; there is only this provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("hostler/", env!("CARGO_PKG_VERSION"));
    reqwest::Client::builder().user_agent(agent).connect_timeout(Duration::from_secs(10)).read_timeout(SILENCE)
}

/// Why an attempt failed, and whether another one makes sense.
enum Ended {
    Permanent(anyhow::Error),
    Unreachable(anyhow::Error),
    Interrupted(anyhow::Error),
}

/// Downloads `address` to `folder`; the file's name is its checksum. Without one (`None`) it can't be verified, and is always fetched again.
///
/// # Errors
/// Refused if the bytes differ from what was published; an error of the site; a full disk.
pub async fn download(client: &reqwest::Client, address: &str, sha256: Option<&str>, folder: &Path, task: &Task) -> Result<PathBuf> {
    fs::create_dir_all(folder).await.with_context(|| format!("{} can't be created", folder.display()))?;
    let name = sha256.map_or_else(|| format!("unpinned-{}", hostler_core::digest::sha256(address.as_bytes())), str::to_owned);
    let (whole, part) = (folder.join(&name), folder.join(format!("{name}.part")));
    match sha256 {
        Some(sum) if whole.is_file() && sum_of(&whole).await? == sum => return Ok(whole),
        Some(_) => {}
        None => drop(fs::remove_file(&part).await),
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (limit, why) = match fetch(client, address, &part, task).await {
            Ok(()) => match sha256 {
                None => break,
                Some(sum) => {
                    let is = sum_of(&part).await?;
                    if is == sum {
                        break;
                    }
                    // Resuming can't fix wrong bytes.
                    fs::remove_file(&part).await?;
                    let what = format!(
                        "the file from {address} does not match its published checksum: its sha256 is {is}, expected \
                        {sum}"
                    );
                    let hint = "a proxy may have changed the file, or its publisher may have replaced it: try another network, or compare its checksum with the one on the release page";
                    (2, Failure::new(ExitStatus::Refused, what, hint).into())
                }
            },
            Err(Ended::Permanent(why)) => return Err(why),
            Err(Ended::Unreachable(why)) => (CONNECTS, why),
            Err(Ended::Interrupted(why)) => (ATTEMPTS, why),
        };
        if attempt >= limit {
            return Err(why);
        }
        task.line(&format!("{why:#}: retrying"));
        sleep(PAUSE).await;
    }
    fs::rename(&part, &whole).await?;
    Ok(whole)
}

/// Appends the missing bytes to `part`.
async fn fetch(client: &reqwest::Client, address: &str, part: &Path, task: &Task) -> Result<(), Ended> {
    let broke = |why: anyhow::Error| Ended::Interrupted(why.context(format!("the download of {address} was interrupted")));
    let local = |why: std::io::Error| Ended::Permanent(anyhow!(why).context(format!("{} can't be written", part.display())));
    // A link would be written through, and opening a pipe blocks.
    if fs::symlink_metadata(part).await.is_ok_and(|there| !there.is_file()) {
        fs::remove_file(part).await.map_err(local)?;
    }
    let have = fs::metadata(part).await.map_or(0, |metadata| metadata.len());
    let mut request = client.get(address);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        // It may have led to a URL that is signed.
        Err(error) if !error.is_connect() => return Err(broke(error.without_url().into())),
        // Only the root cause is of use: the errors between name layers of libraries.
        Err(error) => return Err(Ended::Unreachable(anyhow!("{address} can't be reached: {}", anyhow!(error).root_cause()))),
    };
    let resumed = response.status() == StatusCode::PARTIAL_CONTENT && starts_at(&response) == Some(have);
    match response.status() {
        StatusCode::OK => {}
        StatusCode::PARTIAL_CONTENT if resumed => {}
        // The partial file is longer than the published one, or another version.
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
            fs::remove_file(part).await.map_err(local)?;
            return Err(broke(anyhow!("the server can't resume the download at byte {have}")));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => return Err(broke(anyhow!("{status}"))),
        status => return Err(Ended::Permanent(anyhow!("{address}: {status}"))),
    }
    let mut done = if resumed { have } else { 0 };
    let total = response.content_length().map_or(0, |left| done + left);
    let mut file = OpenOptions::new().create(true).write(true).append(resumed).truncate(!resumed).open(part).await.map_err(local)?;
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => {
                file.write_all(&bytes).await.map_err(local)?;
                done += bytes.len() as u64;
                if done > MOST_BYTES {
                    return Err(Ended::Permanent(anyhow!(
                        "the file at {address} is too large for a release: the limit is {MOST_BYTES} \
                        bytes"
                    )));
                }
                task.progress(done, total, Unit::Bytes);
            }
            Ok(None) => break,
            Err(error) => {
                file.flush().await.map_err(local)?;
                return Err(broke(error.without_url().into()));
            }
        }
    }
    file.sync_all().await.map_err(local)?;
    if total > 0 && done < total {
        return Err(broke(anyhow!("{done} of {total} bytes received")));
    }
    Ok(())
}

/// The first byte of a partial response, by its `Content-Range: bytes 100-199/200` (RFC 9110, 14.4).
fn starts_at(response: &reqwest::Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

async fn sum_of(path: &Path) -> Result<String> {
    let mut file = fs::File::from_std(user_file::regular(path).with_context(|| format!("{} can't be read", path.display()))?);
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

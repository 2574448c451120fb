//! Requests to servers of the web from pods and machines: bounded in time and bytes, with TLS checked, and without redirects.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};

const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer that is read. A page of 50 films has 200 kB.
const MOST_BYTES: usize = 8 << 20;

/// An HTTP client for pods and machines.
///
/// # Errors
/// TLS can't be set up.
pub fn client() -> Result<Client> {
    // Another client of this process may have set it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The image of a pod has no CA certificates, and a machine need not have any.
    let roots: Result<Vec<Certificate>, _> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root)).collect();
    // A redirect would take the token along to wherever it leads.
    Ok(Client::builder().tls_certs_only(roots?).redirect(Policy::none()).connect_timeout(LIMIT).timeout(LIMIT).build()?)
}

/// The body of a successful answer. Errors don't contain the request's headers: one is the token.
///
/// # Errors
/// There is no answer, or it is an error. `sent`: what a server that refuses has refused, for the message.
pub async fn answer(request: RequestBuilder, sent: &str) -> Result<String> {
    let response = request.send().await.map_err(reqwest::Error::without_url).context("it does not answer")?;
    let status = response.status();
    match status.as_u16() {
        200..=299 => body(response).await,
        300..=399 => bail!(
            "it redirects to another address ({status}): set the URL of the final address, because hostler sends the \
            {sent} only to this server"
        ),
        401 | 403 => bail!("it rejects the {sent}"),
        _ => bail!("it answered {status}"),
    }
}

/// At most [`MOST_BYTES`] of an answer.
async fn body(mut response: Response) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MOST_BYTES {
            bail!("its answer is too large: more than {MOST_BYTES} bytes");
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends a notification to an ntfy topic or a webhook: a POST with the text as its body. `title` is ASCII. Errors don't contain the address.
///
/// # Errors
/// It was not accepted.
pub async fn post(address: &str, title: &str, text: &str) -> Result<()> {
    let url = Url::parse(address).context("the URL in `notify` is not valid")?;
    // What other programs may read as more than a header has no place in one.
    let title: String = title.chars().filter(|c| matches!(c, ' '..='~')).collect();
    answer(client()?.post(url).header("Title", title).body(text.to_owned()), "notification").await.map(drop)
}

/// Asks for the address, to show that this computer lives. Errors don't contain it.
///
/// # Errors
/// The server does not answer, or answers that this is wrong.
pub async fn ping(address: &str) -> Result<()> {
    let url = Url::parse(address).context("the URL in `heartbeat` is not valid")?;
    answer(client()?.get(url), "heartbeat").await.map(drop)
}

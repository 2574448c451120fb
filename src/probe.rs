//! Runs in the pods that verify a cluster: each probe resolves and asks all others, directly and through a Service, and reports over HTTP
//! what is still missing. With one pod per machine it tests DNS, the pod network and kube-proxy on all of them.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hostler_core::words::counted;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Time from one round to the next.
const EVERY: Duration = Duration::from_millis(500);
/// Limit for resolving a name, or for one answer.
const WITHIN: Duration = Duration::from_secs(2);
/// Longer than any request or answer of a probe.
const LONGEST: u64 = 8 << 10;

/// What a probe looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its own name, for `/who`: the pod's.
    pub name: String,
    /// Number of probes, including this one.
    pub expect: usize,
    /// Name that resolves to the address of every probe.
    pub each: Place,
    /// Name of the Service that leads to one of them.
    pub any: Place,
}

/// A name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

impl Probe {
    /// Answers on `listener` and asks the others twice a second; `log` gets a line whenever the result changes. Never ends by itself.
    pub async fn run(self, listener: TcpListener, log: impl Fn(&str)) {
        let (missing, seen) = watch::channel(vec!["the first round has not finished".to_owned()]);
        tokio::spawn(serve(listener, self.name.clone(), seen));
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let found = self.check(resolve).await;
            missing.send_if_modified(|before| {
                let changed = *before != found;
                if changed {
                    log(&match found.as_slice() {
                        [] => format!("ready: {0} of {0} addresses answer, directly and through {1}", self.expect, self.any.host),
                        missing => missing.join("; "),
                    });
                    *before = found;
                }
                changed
            });
        }
    }

    /// What is missing now; empty if nothing is.
    async fn check(&self, resolve: impl AsyncFn(&Place) -> io::Result<Vec<SocketAddr>>) -> Vec<String> {
        let (each, any) = tokio::join!(self.check_each(&resolve), self.check_any(&resolve));
        each.into_iter().chain(any.err()).collect()
    }

    async fn check_each(&self, resolve: &impl AsyncFn(&Place) -> io::Result<Vec<SocketAddr>>) -> Vec<String> {
        let name = &self.each.host;
        let addresses: BTreeSet<SocketAddr> = match resolve(&self.each).await {
            Ok(addresses) => addresses.into_iter().collect(),
            Err(error) => return vec![format!("{name} does not resolve: {error}")],
        };
        let mut missing = Vec::new();
        if addresses.len() != self.expect {
            missing.push(format!("{name} resolves to {} of {} addresses", addresses.len(), self.expect));
        }
        let mut asked = JoinSet::new();
        for address in addresses {
            asked.spawn(async move { (address, who(address, &address.to_string()).await) });
        }
        let mut names = BTreeSet::new();
        let mut silent = BTreeSet::new();
        // A task ends with an error only if it panicked; then its answer is missing, which the count of names shows.
        while let Some(Ok((address, answer))) = asked.join_next().await {
            match answer {
                Ok(name) => drop(names.insert(name)),
                Err(error) => drop(silent.insert(format!("no answer from {address}: {error}"))),
            }
        }
        if silent.is_empty() && missing.is_empty() && names.len() != self.expect {
            missing.push(format!(
                "several probes answer with the same name: {} addresses, {}: {}",
                self.expect,
                counted(names.len(), "name"),
                Vec::from_iter(names).join(", ")
            ));
        }
        missing.extend(silent);
        missing
    }

    async fn check_any(&self, resolve: &impl AsyncFn(&Place) -> io::Result<Vec<SocketAddr>>) -> Result<(), String> {
        let name = &self.any.host;
        let addresses = resolve(&self.any).await.map_err(|error| format!("{name} does not resolve: {error}"))?;
        let address = *addresses.first().ok_or_else(|| format!("{name} has no address"))?;
        match who(address, name).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("no answer through {name} ({address}): {error}")),
        }
    }
}

/// All addresses of a place, by the system's resolver.
async fn resolve(place: &Place) -> io::Result<Vec<SocketAddr>> {
    let found = within(tokio::net::lookup_host((place.host.as_str(), place.port))).await?;
    Ok(found.collect())
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("not within {} s", WITHIN.as_secs()));
    timeout(WITHIN, work).await.map_err(late)?
}

/// Asks the probe at `address` for its name.
async fn who(address: SocketAddr, host: &str) -> io::Result<String> {
    within(async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET /who HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(LONGEST).read_to_string(&mut answer).await?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200 ") && !body.trim().is_empty() => Ok(body.trim().to_owned()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer does not come from a hostler probe")),
        }
    })
    .await
}

/// Answers `GET /who` and `GET /ready`, one connection each.
async fn serve(listener: TcpListener, name: String, missing: watch::Receiver<Vec<String>>) {
    loop {
        // E.g. out of file descriptors: the next connection may succeed.
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(EVERY).await;
            continue;
        };
        let (name, missing) = (name.clone(), missing.clone());
        tokio::spawn(within(async move {
            let Some(request) = request(&mut stream).await? else { return Ok(()) };
            let answer = answer(&request, &name, &missing.borrow());
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }));
    }
}

/// The first line of a request, after reading its whole head; `None` if that does not arrive.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut stream = stream.take(LONGEST);
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(String::from_utf8_lossy(&head).lines().next().map(str::to_owned))
}

fn answer(request: &str, name: &str, missing: &[String]) -> String {
    let (status, body) = match request.split(' ').collect::<Vec<_>>().as_slice() {
        ["GET", "/who", _] => ("200 OK", format!("{name}\n")),
        ["GET", "/ready", _] if missing.is_empty() => ("200 OK", "ready\n".to_owned()),
        ["GET", "/ready", _] => ("503 Service Unavailable", format!("{}\n", missing.join("\n"))),
        ["GET", ..] => ("404 Not Found", "use /who or /ready\n".to_owned()),
        _ => ("405 Method Not Allowed", "use GET\n".to_owned()),
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe's `/who` and `/ready` at an address of its own.
    async fn answering(name: &str, missing: &[&str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (_, seen) = watch::channel(missing.iter().map(|text| (*text).to_owned()).collect());
        tokio::spawn(serve(listener, name.to_owned(), seen));
        address
    }

    /// An address where nothing listens.
    async fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound")
    }

    async fn missing(expect: usize, each: io::Result<Vec<SocketAddr>>, any: io::Result<Vec<SocketAddr>>) -> Vec<String> {
        let place = |host: &str| Place { host: host.to_owned(), port: 1 };
        let probe = Probe { name: "me".to_owned(), expect, each: place("each"), any: place("any") };
        let answers = std::sync::Mutex::new([("each", Some(each)), ("any", Some(any))]);
        let resolve = async |place: &Place| {
            let mut answers = answers.lock().expect("no other thread");
            let found = answers.iter_mut().find(|(host, _)| *host == place.host).and_then(|(_, answer)| answer.take());
            found.expect("every name is resolved once per round")
        };
        probe.check(resolve).await
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn ready_when_all_answer() {
        let probes = vec![answering("a", &[]).await, answering("b", &[]).await];
        assert_eq!(missing(2, Ok(probes.clone()), Ok(vec![probes[1]])).await, [""; 0]);
    }

    #[tokio::test]
    async fn not_ready_while_an_address_is_missing() {
        let probe = answering("a", &[]).await;
        assert_eq!(missing(2, Ok(vec![probe]), Ok(vec![probe])).await, ["each resolves to 1 of 2 addresses"]);
    }

    #[tokio::test]
    async fn not_ready_while_one_is_silent() {
        let (probe, silent) = (answering("a", &[]).await, refusing().await);
        let missing = missing(2, Ok(vec![probe, silent]), Ok(vec![probe])).await;
        assert_eq!(missing, [format!("no answer from {silent}: Connection refused (os error 111)")]);
    }

    #[tokio::test]
    async fn two_addresses_of_one_probe_are_one_probe() {
        let (one, other) = (answering("a", &[]).await, answering("a", &[]).await);
        assert_eq!(
            missing(2, Ok(vec![one, other]), Ok(vec![one])).await,
            ["several probes answer with the same name: 2 addresses, 1 name: a"]
        );
    }

    #[tokio::test]
    async fn not_ready_while_names_do_not_resolve() {
        let (each, any) = (Err(io::Error::other("no such name")), Ok(vec![]));
        assert_eq!(missing(1, each, any).await, ["each does not resolve: no such name", "any has no address"]);
    }

    #[tokio::test]
    async fn the_service_must_answer_too() {
        let (probe, silent) = (answering("a", &[]).await, refusing().await);
        let missing = missing(1, Ok(vec![probe]), Ok(vec![silent])).await;
        assert_eq!(missing, [format!("no answer through any ({silent}): Connection refused (os error 111)")]);
    }

    #[tokio::test]
    async fn another_server_is_not_a_probe() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("it is asked");
            request(&mut stream).await.expect("it is asked over HTTP");
            stream.write_all(b"HTTP/1.1 302 Found\r\n\r\nlogin").await.expect("the asker reads");
        });
        let error = who(address, "x").await.expect_err("it is not a probe");
        assert_eq!(error.to_string(), "the answer does not come from a hostler probe");
    }

    #[tokio::test]
    async fn ready_reports_what_is_missing() {
        let address = answering("a", &["each resolves to 1 of 2 addresses", "any has no address"]).await;
        let answer = ask(address, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\neach resolves to 1 of 2 addresses\nany has no address\n"), "{answer}");
        let ready = ask(answering("a", &[]).await, "GET /ready HTTP/1.1\r\n\r\n").await;
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    }

    #[tokio::test]
    async fn other_requests_are_errors() {
        let address = answering("a", &[]).await;
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /who HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert!(ask(address, "\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
    }

    #[tokio::test]
    async fn a_request_in_pieces_is_one_request() {
        let (mut near, mut far) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move { near.write_all(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n").await });
        assert_eq!(request(&mut far).await.expect("it is whole").as_deref(), Some("GET /who HTTP/1.1"));
        writer.await.expect("it ran").expect("all was read");
    }

    #[tokio::test]
    async fn probes_find_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let place = Place { host: "127.0.0.1".to_owned(), port: address.port() };
        let probe = Probe { name: "only".to_owned(), expect: 1, each: place.clone(), any: place };
        let (lines, mut logged) = tokio::sync::mpsc::unbounded_channel();
        let running = tokio::spawn(probe.run(listener, move |line| drop(lines.send(line.to_owned()))));
        let line = timeout(Duration::from_secs(10), logged.recv()).await.expect("the first round starts at once");
        assert_eq!(line.as_deref(), Some("ready: 1 of 1 addresses answer, directly and through 127.0.0.1"));
        assert!(ask(address, "GET /ready HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
        assert!(ask(address, "GET /who HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\nonly\n"));
        running.abort();
    }
}

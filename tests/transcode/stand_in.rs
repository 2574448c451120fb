//! A server that answers what it is told to, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct StandIn {
    pub address: String,
    /// Request line without the version, and the headers.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl StandIn {
    pub fn new(answer: impl Fn(&str) -> &'static str + Send + 'static) -> StandIn {
        StandIn::answering(move |line, _| (200, answer(line).to_owned()))
    }

    /// Answers a request line and a body with a status and a text.
    pub fn answering(answer: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> StandIn {
        StandIn::seeing(move |line, _, body| answer(line, body))
    }

    /// As [`answering`](StandIn::answering), by the headers, too, which are between the two.
    pub fn seeing(answer: impl Fn(&str, &str, &str) -> (u16, String) + Send + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<(String, String)>>>::default();
        let kept = Arc::clone(&asked);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &answer, &kept);
            }
        });
        StandIn { address, asked }
    }

    pub fn requests(&self) -> (Vec<String>, Vec<String>) {
        self.asked.lock().expect("no panic").iter().cloned().unzip()
    }
}

fn serve(stream: TcpStream, answer: &impl Fn(&str, &str, &str) -> (u16, String), kept: &Mutex<Vec<(String, String)>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut head) = (String::new(), String::new());
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    while reader.read_line(&mut head).ok()? > 2 {}
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    let mut given = String::new();
    reader.by_ref().take(length).read_to_string(&mut given).ok()?;
    // Before the answer: who has that may ask what was asked.
    kept.lock().expect("no panic").push((line.clone(), head.to_ascii_lowercase()));
    let (status, body) = answer(&line, &head, &given);
    let text = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    reader.get_mut().write_all(text.as_bytes()).ok()
}

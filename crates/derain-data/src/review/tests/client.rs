//! What the tests share: a browser's requests, and judges that wait in threads of their own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use image::{Rgb, RgbImage};
use serde_json::{Value, json};

use super::super::{ReviewOptions, ReviewServer, WebJudge};
use crate::Error;
use crate::clean::{CleanImage, CleanOptions};
use crate::judge::{Candidate, Judge, Verdict};

/// No test waits longer for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn has(&self, header: &str) -> bool {
        self.head.to_lowercase().contains(&header.to_lowercase())
    }
}

/// Sends a request with these header lines and nothing else.
pub(super) fn ask(server: &ReviewServer, line: &str, headers: &[String], body: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(stream, "{line} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
}

pub(super) fn token(server: &ReviewServer) -> &str {
    server.url().rsplit_once('=').unwrap().1
}

pub(super) fn host(server: &ReviewServer) -> String {
    format!("Host: {}", server.address())
}

pub(super) fn header(server: &ReviewServer) -> String {
    format!("X-Review-Token: {}", token(server))
}

pub(super) fn get(server: &ReviewServer, path: &str) -> Answer {
    ask(server, &format!("GET {path}"), &[host(server), header(server)], "")
}

pub(super) fn post(server: &ReviewServer, body: &Value) -> Answer {
    ask(server, "POST /verdict", &[host(server), header(server)], &body.to_string())
}

pub(super) fn say(server: &ReviewServer, video: usize, revision: u64, verdict: &str) -> Answer {
    post(server, &json!({"video": video, "revision": revision, "verdict": verdict}))
}

pub(super) fn start(folder: &Path) -> ReviewServer {
    ReviewServer::start(folder.join("verdicts.jsonl"), &ReviewOptions::default()).unwrap()
}

/// Judges in a thread of its own a picture of one level.
pub(super) fn judge(
    mut judge: WebJudge,
    video: &'static str,
    frames: usize,
    next: Option<usize>,
    size: (u32, u32),
    level: u8,
) -> JoinHandle<Result<Verdict, Error>> {
    thread::spawn(move || {
        let (image, input) = (RgbImage::from_pixel(size.0, size.1, Rgb([level; 3])), RgbImage::new(size.0, size.1));
        let mut votes = [0; 101];
        votes[37] = 9;
        let clip = CleanImage::new(CleanOptions::default());
        let (image, input, votes, clip) = (&image, &input, &votes, &clip);
        let candidate = Candidate { video, frames, image, percentile: 37, votes, input, clip, next };
        judge.judge(&candidate)
    })
}

/// The queue once `shown` candidates are shown.
pub(super) fn wait_for(server: &ReviewServer, shown: usize) -> Value {
    for _ in 0..PATIENCE.as_millis() / 5 {
        let state = get(server, "/state").json();
        if state["videos"].as_array().unwrap().iter().filter(|video| video["stage"] == "shown").count() == shown {
            return state;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("never were {shown} candidates shown");
}

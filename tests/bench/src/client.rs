//! One HTTP/1.1 connection that is kept alive, and no more of HTTP than the programs under test answer.
//!
//! A client library would be half the load on a machine that also runs what is measured.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer that is measured is longer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What was answered.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// Fails loudly if anything else was answered.
    pub(crate) fn expect(&self, status: u16) -> anyhow::Result<&[u8]> {
        ensure!(
            self.status == status,
            "{} was answered instead of {status}: {}",
            self.status,
            String::from_utf8_lossy(self.body)
        );
        Ok(self.body)
    }

    /// A text field of the JSON body.
    pub(crate) fn text(&self, field: &str) -> anyhow::Result<String> {
        let body: serde_json::Value = serde_json::from_slice(self.body)?;
        let text = body.get(field).and_then(serde_json::Value::as_str);
        Ok(text.with_context(|| format!("the answer has no {field}"))?.to_owned())
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and waits for its whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await.context("cannot send")?;
        self.received.clear();
        let head = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            self.receive().await?;
        };
        let (status, length) = read_head(self.received.get(..head).unwrap_or_default())?;
        while self.received.len() < head + length {
            self.receive().await?;
        }
        ensure!(self.received.len() == head + length, "more was answered than was announced");
        Ok(Answer { status, body: self.received.get(head..).unwrap_or_default() })
    }

    /// Sends a request whose answer comes in chunks for as long as it takes, keeps none of it, and says how many
    /// lines came.
    pub(crate) async fn count_lines(mut self, request: &[u8]) -> anyhow::Result<u64> {
        self.stream.write_all(request).await.context("cannot send")?;
        self.received.clear();
        self.receive().await?;
        ensure!(self.received.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&self.received));
        let (mut lines, mut counted) = (0, 0);
        loop {
            lines += line_ends(&self.received, counted);
            if self.received.ends_with(LAST_CHUNK) {
                return Ok(lines);
            }
            // Of the last chunk only a part may have come.
            let read = self.received.len().saturating_sub(LAST_CHUNK.len());
            self.received.drain(..read);
            counted = self.received.len();
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        ensure!(self.received.len() < ANSWER_BYTES_MAX, "the answer is too long");
        let count = self.stream.read_buf(&mut self.received).await.context("cannot receive")?;
        ensure!(count > 0, "the connection was closed before the answer was there");
        Ok(())
    }
}

/// A request as it goes over the wire.
pub(crate) fn request(into: &mut Vec<u8>, line: &str, token: &str, body: &str) {
    into.clear();
    for part in [line, " HTTP/1.1\r\nhost: 127.0.0.1\r\n"] {
        into.extend_from_slice(part.as_bytes());
    }
    if !token.is_empty() {
        for part in ["authorization: Bearer ", token, "\r\n"] {
            into.extend_from_slice(part.as_bytes());
        }
    }
    let length = body.len().to_string();
    for part in ["content-type: application/json\r\ncontent-length: ", &length, "\r\n\r\n", body] {
        into.extend_from_slice(part.as_bytes());
    }
}

/// What an answer in chunks ends with.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Ends of lines from there on, but those between chunks. A line of JSON holds no carriage return.
fn line_ends(bytes: &[u8], from: usize) -> u64 {
    let before = std::iter::once(&0).chain(bytes);
    let ends = before.zip(bytes).skip(from).filter(|(before, byte)| **byte == b'\n' && **before != b'\r');
    ends.map(|_| 1).sum()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The status and the length of the body.
fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
    let mut length = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("an answer in chunks is not read here");
        }
    }
    Ok((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_status_and_length() {
        let head = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(read_head(head).unwrap(), (401, 12));
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn lines_are_counted_without_those_between_chunks() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\n6\r\n{}\n{}\n\r\n0\r\n\r\n";
        let counts = [0, 24, 25, answer.len()].map(|from| line_ends(answer, from));
        assert_eq!(counts, [2, 2, 1, 0]);
    }

    #[test]
    fn a_request_is_whole() {
        let mut bytes = Vec::new();
        request(&mut bytes, "POST /v1/logins", "csk_x", "{}");
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "POST /v1/logins HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer csk_x\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        );
    }
}

//! The little of HTTP/1.1 that the tests and the demonstration speak: a request with a body of known
//! length, an answer with a body of known length, and the connection kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longest line of a head, and most lines in it.
const LINE_BYTES_MAX: u64 = 16 << 10;
const HEADERS_MAX: usize = 100;

/// Largest body that is taken.
const BODY_BYTES_MAX: usize = 64 << 20;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, for a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that requests follow each other on.
#[derive(Debug)]
pub struct Connection<S> {
    stream: BufReader<S>,
}

impl Connection<TcpStream> {
    /// Connects without TLS; no answer may take longer than `time_max`.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn open(address: SocketAddr, time_max: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, time_max)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(time_max)).context("cannot bound the answers")?;
        stream.set_write_timeout(Some(time_max)).context("cannot bound the requests")?;
        stream.set_nodelay(true).context("cannot set the connection up")?;
        Ok(Self::over(stream))
    }
}

impl<S: Read + Write> Connection<S> {
    /// Speaks over a stream that is connected already.
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// Where the connection breaks, or what comes is not an answer with a length.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nHost: node\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let sent = self.stream.get_mut().write_all(head.as_bytes()).and_then(|()| {
            self.stream.get_mut().write_all(body)?;
            self.stream.get_mut().flush()
        });
        // A server may refuse a request before it has read all of it: what it says comes first.
        let answer = self.read(method);
        match (sent, answer) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) => {
                Err(error).with_context(|| format!("{method} {target} could not be sent"))
            }
            (Ok(()), Err(error)) => Err(error).with_context(|| format!("{method} {target} was not answered")),
        }
    }

    fn read(&mut self, method: &str) -> Result<Response> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut response =
            Response { status: status.context("the answer has no status")?, ..Response::default() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if response.headers.len() == HEADERS_MAX {
                bail!("the answer has more than {HEADERS_MAX} headers");
            }
            let (name, value) = line.split_once(':').context("a header of the answer has no colon")?;
            response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if method == "HEAD" || response.status == 204 || response.status == 304 {
            return Ok(response);
        }
        if response.header("transfer-encoding").is_some() {
            response.body = self.chunks()?;
            return Ok(response);
        }
        let length: usize = response
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .context("the answer has no length")?;
        response.body = self.bytes(length)?;
        Ok(response)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let length = usize::from_str_radix(digits, 16).context("a chunk of the answer has no length")?;
            if body.len() + length > BODY_BYTES_MAX {
                bail!("the answer is larger than {BODY_BYTES_MAX} bytes");
            }
            body.extend(self.bytes(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        if length > BODY_BYTES_MAX {
            bail!("the answer is larger than {BODY_BYTES_MAX} bytes");
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).context("the answer is cut short")?;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .context("the connection broke")?;
        if line.pop() != Some(b'\n') {
            bail!("the connection was closed");
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with its answer ready.
    struct Prepared(&'static [u8]);

    impl Read for Prepared {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Prepared {
        fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
            Ok(buffer.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn answer(bytes: &'static [u8]) -> Result<Response> {
        Connection::over(Prepared(bytes)).request("GET", "/", &[], &[])
    }

    #[test]
    fn a_body_comes_by_its_length_or_in_chunks() {
        let response = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc").unwrap();
        assert_eq!(
            (response.status, response.text().as_str(), response.header("etag")),
            (200, "abc", Some("x"))
        );
        let response =
            answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!(response.text(), "abc");
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error_and_never_a_shorter_body() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"[..],
            b"HTTP/1.1 200 OK\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"",
        ] {
            assert!(answer(bytes).is_err());
        }
    }
}

//! The tests' hand in a guest: orders to the service `test-probe`, which runs there as root.
//!
//! One line out, one line and so many bytes in. What the tests do with it, a person could do on the node: read and
//! write files below `/proc` and `/sys`, and start processes.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Its port in the guest.
pub const PORT: u16 = 7390;

/// How long an order may take: ten thousand processes are started by one of them.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(240);

/// No answer is longer, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// How the probe's own refusals begin, and no error of the way to it.
const REFUSED: &str = "the probe cannot";

/// A connection to the probe.
#[derive(Debug)]
pub struct Probe {
    stream: RefCell<BufReader<TcpStream>>,
}

impl Probe {
    /// Connects by a port of the loopback that leads to the probe.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn connect(port: u16) -> Result<Self> {
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("nobody forwards to the probe")?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).context("cannot bound the probe's answers")?;
        stream.set_nodelay(true).context("cannot set the connection up")?;
        Ok(Self { stream: RefCell::new(BufReader::new(stream)) })
    }

    /// The content of a file.
    ///
    /// # Errors
    /// Where it cannot be read, or the guest does not answer.
    pub fn read(&self, path: &str) -> Result<String> {
        self.order(&format!("read {path}"))
    }

    /// Writes one line into a file; folders on the way are made.
    ///
    /// # Errors
    /// Where it cannot be written, or the guest does not answer.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        self.order(&format!("write {path} {text}")).map(drop)
    }

    /// The same without waiting for an answer: for what stops the guest.
    ///
    /// # Errors
    /// Where the guest has gone.
    pub fn write_last(self, path: &str, text: &str) -> Result<()> {
        let line = format!("write {path} {text}\n");
        self.stream.borrow_mut().get_mut().write_all(line.as_bytes()).context("the guest has gone")
    }

    /// Writes the same line into a file so many times.
    ///
    /// # Errors
    /// Where it cannot be written, or the guest does not answer.
    pub fn write_often(&self, count: u32, path: &str, text: &str) -> Result<()> {
        self.order(&format!("repeat {count} {path} {text}")).map(drop)
    }

    /// Sends a datagram to an address and port, as the guest's own routes have it.
    ///
    /// # Errors
    /// Where it cannot be sent, or the guest does not answer.
    pub fn send(&self, address: &str, text: &str) -> Result<()> {
        self.order(&format!("send {address} {text}")).map(drop)
    }

    /// Connects, from within the guest, to whoever listens on an address and port.
    ///
    /// # Errors
    /// Where nobody does, or the guest does not answer.
    pub fn connect_within(&self, address: SocketAddr) -> Result<()> {
        self.order(&format!("connect {address}")).map(drop)
    }

    /// Has PID 1 panic.
    ///
    /// # Errors
    /// Where that cannot be done. The guest may end before it has answered, which is no error.
    pub fn break_pid_1(self) -> Result<()> {
        match self.order("break-pid-1") {
            Err(error) if error.to_string().starts_with(REFUSED) => Err(error),
            _ => Ok(()),
        }
    }

    /// The names in a folder.
    ///
    /// # Errors
    /// Where it is not there, or the guest does not answer.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        Ok(self.order(&format!("list {path}"))?.lines().map(str::to_owned).collect())
    }

    /// Mounts a file system of the kernel's own.
    ///
    /// # Errors
    /// Where it cannot be mounted, or the guest does not answer.
    pub fn mount(&self, kind: &str, path: &str) -> Result<()> {
        self.order(&format!("mount {kind} {path}")).map(drop)
    }

    /// Starts `parents` processes one after the other, each of which leaves `children` short-lived ones to PID 1.
    ///
    /// # Errors
    /// Where one cannot be started, or the guest does not answer.
    pub fn leave_orphans(&self, parents: u32, children: u32) -> Result<()> {
        self.order(&format!("orphans {parents} {children}")).map(drop)
    }

    /// How many processes of the guest have ended and are not reaped.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn zombies(&self) -> Result<usize> {
        self.order("zombies")?.parse().context("a number of zombies")
    }

    fn order(&self, line: &str) -> Result<String> {
        let mut stream = self.stream.borrow_mut();
        stream.get_mut().write_all(format!("{line}\n").as_bytes()).context("the guest has gone")?;
        let mut head = String::new();
        stream.read_line(&mut head).with_context(|| format!("the probe does not answer {line:?}"))?;
        let (word, length) = head.trim_end().split_once(' ').context("the probe has gone")?;
        let length: u64 = length.parse().context("an answer has a length")?;
        let mut bytes = Vec::new();
        stream
            .by_ref()
            .take(length.min(ANSWER_BYTES_MAX))
            .read_to_end(&mut bytes)
            .context("the probe stops short")?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if word != "ok" {
            bail!("{REFUSED} {line:?}: {text}");
        }
        Ok(text)
    }
}

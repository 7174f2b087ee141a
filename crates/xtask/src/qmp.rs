//! QEMU's control socket: one JSON object a line, over a Unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long QEMU may take to answer an order.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Lines (events, mostly) that are passed over before an answer; more is not QEMU.
const LINES_MAX: usize = 10_000;

/// A connection to a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects, and takes QEMU out of its negotiation state.
    ///
    /// # Errors
    /// Where nobody listens on the socket or the greeting is not QEMU's.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot reach QEMU's control socket {}", socket.display()))?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).context("cannot bound QEMU's answers")?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        let greeting = qmp.read()?;
        if greeting.get("QMP").is_none() {
            bail!("what listens on {} is not QEMU: {greeting}", socket.display());
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Gives an order and returns what QEMU answers.
    ///
    /// # Errors
    /// Where QEMU refuses, in its own words, or has gone.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let order = json!({"execute": command, "arguments": arguments});
        let stream = self.stream.get_mut();
        stream.write_all(format!("{order}\n").as_bytes()).context("QEMU has gone")?;
        for _ in 0..LINES_MAX {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("it does not say why"));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
        bail!("QEMU answers {command} with events only")
    }

    /// Cuts the power: the machine starts again at once, nobody in it is told.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn system_reset(&mut self) -> Result<()> {
        self.execute("system_reset", &json!({})).map(drop)
    }

    /// Halts the guest's processors.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn halt(&mut self) -> Result<()> {
        self.execute("stop", &json!({})).map(drop)
    }

    /// Lets the guest's processors run again.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn resume(&mut self) -> Result<()> {
        self.execute("cont", &json!({})).map(drop)
    }

    /// Pulls a device out.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn device_del(&mut self, id: &str) -> Result<()> {
        self.execute("device_del", &json!({ "id": id })).map(drop)
    }

    /// Gives a property of a device another value.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn set_property(&mut self, device: &str, property: &str, value: &Value) -> Result<()> {
        let path = format!("/machine/peripheral/{device}");
        self.execute("qom-set", &json!({ "path": path, "property": property, "value": value })).map(drop)
    }

    /// Puts the cable of a network card in, or pulls it out.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn set_link(&mut self, card: &str, up: bool) -> Result<()> {
        self.execute("set_link", &json!({"name": card, "up": up})).map(drop)
    }

    /// Plugs a device in: its driver and its properties, all of them as words.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn device_add(&mut self, driver: &str, properties: &[(&str, &str)]) -> Result<()> {
        let mut device = serde_json::Map::from_iter([("driver".to_owned(), json!(driver))]);
        device.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        self.execute("device_add", &Value::Object(device)).map(drop)
    }

    /// Presses the power button for a moment.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn press_power_button(&mut self) -> Result<()> {
        self.execute("system_powerdown", &json!({})).map(drop)
    }

    /// Presses keys together for a moment, by QEMU's names for them.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn press_keys(&mut self, names: &[&str]) -> Result<()> {
        let keys: Vec<Value> = names.iter().map(|name| json!({"type": "qcode", "data": name})).collect();
        self.execute("send-key", &json!({ "keys": keys })).map(drop)
    }

    /// Ends QEMU.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", &json!({})).map(drop)
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).context("QEMU does not answer")?;
        if count == 0 {
            bail!("QEMU has gone");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU answers with no JSON: {}", line.trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn events_are_passed_over_and_a_refusal_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut writer = stream;
            writer.write_all(b"{\"QMP\": {}}\n").unwrap();
            for answer in
                ["{\"return\": {}}", "{\"event\": \"RESET\"}\n{\"error\": {\"desc\": \"no such thing\"}}"]
            {
                reader.read_line(&mut String::new()).unwrap();
                writer.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
        });
        let error = Qmp::connect(&socket).unwrap().device_del("x").unwrap_err().to_string();
        assert_eq!(error, "QEMU refuses device_del: no such thing");
        server.join().unwrap();
    }
}

//! The services that the tests of init have it keep: each verb is one that behaves as its name says, once a file says
//! that it should. They come into a guest in an archive behind the image's; nothing of them is in the image.
//!
//! The verb `probe` is the tests' hand in the guest: it answers the orders of [`imbrex_tests::probe`] on a port.

#![forbid(unsafe_code)]

mod breaker;
mod time_server;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use imbrex_tests::added_services::LEAST_IN_GUEST;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{SigSet, Signal};

/// How often a service looks for the file that it waits for.
const POLL: Duration = Duration::from_millis(100);

/// How long somebody who listens may take to be reached.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// What the process that is too large takes at a time, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// The length of a line of the storm, its end included, and how many are written at a time.
const STORM_LINE_BYTES: u64 = 100;
const STORM_LINES_AT_ONCE: u64 = 640;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["probe", port] => probe(port),
        ["crash", file] => return crash(Path::new(file)),
        ["hog", file, mib] => hog(Path::new(file), mib),
        ["storm", file, bytes] => storm(Path::new(file), bytes),
        ["stubborn"] => stubborn(),
        ["flush", seconds] => flush(seconds),
        ["say", file] => say(Path::new(file)),
        ["time", ahead_s] => time_server::serve(ahead_s),
        ["notify", file] => notify(Path::new(file)),
        ["check", file] => {
            return if Path::new(file).exists() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
        ["idle"] => idle(),
        ["idle-apart"] => nix::unistd::setsid().context("cannot leave the session").and_then(|_| idle()),
        ["family", file] => family(Path::new(file)),
        ["leave", file] => leave(Path::new(file)),
        ["parent", count] => parent(count),
        _ => Err(anyhow::anyhow!("guest-service has no verb {words:?}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does nothing until it is stopped.
fn idle() -> Result<()> {
    loop {
        std::thread::park();
    }
}

/// Leaves a child in a session of its own, which its end alone does not end, and says its number in the file.
fn leave(file: &Path) -> Result<()> {
    let mut command = Command::new(std::env::current_exe().context("who am I")?);
    let child = command.arg("idle-apart").spawn().context("cannot start a child")?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(file, child.id().to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// Leaves a child, and ends when the file says so.
fn family(file: &Path) -> Result<()> {
    leave(&file.with_extension("child"))?;
    wait_for(file)
}

/// Fails at once, with something to say, until the file is there.
fn crash(file: &Path) -> ExitCode {
    if file.exists() {
        println!("mended");
        return idle().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    for line in 1..=5 {
        println!("broken on purpose, line {line}");
    }
    ExitCode::from(7)
}

/// Waits for the file and takes it away, so that the next start does not find it.
fn wait_for(file: &Path) -> Result<()> {
    while !file.exists() {
        std::thread::sleep(POLL);
    }
    fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

/// Takes more and more memory, and uses it: so many MiB where nobody stops it.
fn hog(file: &Path, mib: &str) -> Result<()> {
    let steps: usize = mib.parse().context("a hog has a number of MiB")?;
    wait_for(file)?;
    let mut taken = Vec::new();
    for step in 0..steps {
        taken.push(vec![u8::try_from(step % 255 + 1)?; STEP_BYTES]);
    }
    bail!("{} MiB were given, and nobody minded", taken.len())
}

/// Writes so many bytes of lines as fast as they are taken; says how many in the file `FILE.lines`.
fn storm(file: &Path, bytes: &str) -> Result<()> {
    let bytes: u64 = bytes.parse().context("a storm has a number of bytes")?;
    wait_for(file)?;
    let line = format!("{:-<width$}\n", "storm ", width = usize::try_from(STORM_LINE_BYTES - 1)?);
    let lines_at_once = line.repeat(usize::try_from(STORM_LINES_AT_ONCE)?);
    let mut output = std::io::stdout().lock();
    let mut lines = 0;
    while lines * STORM_LINE_BYTES < bytes {
        output.write_all(lines_at_once.as_bytes()).context("nobody takes the storm")?;
        lines += STORM_LINES_AT_ONCE;
    }
    output.flush().context("nobody takes the storm")?;
    drop(output);
    let told = file.with_extension("lines");
    fs::write(&told, lines.to_string()).with_context(|| format!("cannot write {}", told.display()))?;
    idle()
}

/// Does not hear SIGTERM.
fn stubborn() -> Result<()> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block().context("cannot block a signal")?;
    idle()
}

/// Takes its time once it is told to end, and says on the console that it had it.
fn flush(seconds: &str) -> Result<()> {
    let seconds = seconds.parse().context("a number of seconds")?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block().context("cannot block a signal")?;
    mask.wait().context("cannot wait for a signal")?;
    std::thread::sleep(Duration::from_secs(seconds));
    fs::write("/dev/console", "test-flush: flushed\n").context("there is no console")
}

/// Says what the file says, each time that it is there.
fn say(file: &Path) -> Result<()> {
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.is_empty() {
            std::thread::sleep(POLL);
            continue;
        }
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
        println!("{text}");
    }
}

/// Says by sd_notify(3) that it is ready and, each second, that it lives; until the file has its own number: then it is
/// silent. The next start has another number.
fn notify(file: &Path) -> Result<()> {
    let place = std::env::var("NOTIFY_SOCKET").context("nobody wants to know")?;
    let socket = UnixDatagram::unbound().context("there is no socket")?;
    let say = |text: &str| {
        socket.send_to(text.as_bytes(), &place).with_context(|| format!("{place} takes nothing")).map(drop)
    };
    say("STATUS=begun\nREADY=1")?;
    let own = std::process::id().to_string();
    while !fs::read_to_string(file).is_ok_and(|text| text.trim() == own) {
        say("WATCHDOG=1")?;
        std::thread::sleep(Duration::from_secs(1));
    }
    idle()
}

/// Starts so many children that end at once, and ends without waiting for any: they are PID 1's then.
fn parent(count: &str) -> Result<()> {
    for _ in 0..count.parse::<u32>().context("a number of children")? {
        Command::new(LEAST_IN_GUEST).spawn().context("cannot start a child")?;
    }
    Ok(())
}

/// Answers orders, one connection after the other.
fn probe(port: &str) -> Result<()> {
    let port: u16 = port.parse().context("a port is a number")?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).context("cannot listen")?;
    for stream in listener.incoming() {
        // A connection that breaks has said what it wanted.
        let _ = stream.map_err(anyhow::Error::from).and_then(|stream| serve(&stream));
    }
    Ok(())
}

fn serve(mut stream: &TcpStream) -> Result<()> {
    for line in BufReader::new(stream).lines() {
        let (word, answer) = match order(&line?) {
            Ok(answer) => ("ok", answer),
            Err(error) => ("failed", format!("{error:#}").into_bytes()),
        };
        stream.write_all(format!("{word} {}\n", answer.len()).as_bytes())?;
        stream.write_all(&answer)?;
    }
    Ok(())
}

fn order(line: &str) -> Result<Vec<u8>> {
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    match words.as_slice() {
        ["read", path] => fs::read(path).with_context(|| format!("cannot read {path}")),
        ["write", path, text] => {
            if let Some(folder) = Path::new(path).parent() {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            }
            fs::write(path, text).with_context(|| format!("cannot write {path}")).map(|()| Vec::new())
        }
        ["list", path] => {
            let entries = fs::read_dir(path).with_context(|| format!("cannot list {path}"))?;
            let names: Vec<String> =
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            Ok(names.join("\n").into_bytes())
        }
        ["mount", kind, path] => mount(Some(*kind), *path, Some(*kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {kind} at {path}"))
            .map(|()| Vec::new()),
        ["repeat", count, rest] => {
            let (path, text) = rest.split_once(' ').context("a path and a text")?;
            for _ in 0..count.parse::<u32>().context("a number of times")? {
                fs::write(path, text).with_context(|| format!("cannot write {path}"))?;
            }
            Ok(Vec::new())
        }
        ["send", address, text] => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot send")?;
            socket.send_to(text.as_bytes(), address).with_context(|| format!("cannot send to {address}"))?;
            Ok(Vec::new())
        }
        ["connect", address] => {
            let target = address.parse().with_context(|| format!("{address} is no address"))?;
            TcpStream::connect_timeout(&target, CONNECT_TIME_MAX)
                .with_context(|| format!("nobody listens on {address}"))
                .map(|_| Vec::new())
        }
        ["break-pid-1"] => breaker::break_pid_1().map(|()| Vec::new()),
        ["orphans", parents, children] => orphans(parents, children),
        ["zombies"] => Ok(zombies().to_string().into_bytes()),
        _ => bail!("the probe has no order {line:?}"),
    }
}

/// Has so many parents, one after the other, leave so many children each to PID 1.
fn orphans(parents: &str, children: &str) -> Result<Vec<u8>> {
    let program = std::env::current_exe().context("who am I")?;
    for _ in 0..parents.parse::<u32>().context("a number of parents")? {
        let status = Command::new(&program).args(["parent", children]).status().context("cannot start")?;
        if !status.success() {
            bail!("a parent failed: {status}");
        }
    }
    Ok(Vec::new())
}

/// How many processes have ended and are not reaped.
fn zombies() -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    // The state follows the name, which stands in parentheses and may hold anything.
    stats
        .filter(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
        .count()
}

//! The whole program `imbrex-drive` over loopback: what a GB costs it in CPU, HTTP and the sockets included, beside what the
//! sockets alone cost. It has no target of its own: that of DESIGN.md is the engine's ([`crate::bench::engine_runs`]).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bench::Sizes;
use crate::bench::bare_socket;
use crate::bench::row::{Kind, Row};
use crate::bench::sample::Sample;
use crate::command::{run_shown, until};
use crate::http_client::Connection;
use crate::step::Step;
use crate::workspace::Workspace;

/// How many connections put and get at once.
const CLIENTS: u64 = 8;
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// The kernel counts the CPU time of processes in hundredths of a second (`USER_HZ` of x86-64).
const TICKS_PER_S: f64 = 100.0;

/// The process; killed when dropped, since what it stored is not wanted any more.
struct Drive {
    child: Child,
    address: SocketAddr,
}

/// CPU seconds for a GB put and for a GB got of each block size.
///
/// # Errors
/// Where the program cannot be built or started, or answers something else than it should.
pub fn rows(workspace: &Workspace, directory: &Path, sizes: &Sizes) -> Result<Vec<Row>> {
    let step = Step::begin("Building imbrex-drive");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    run_shown(command.args(["build", "--release", "--quiet", "--locked", "--package", "imbrex-drive"]))?;
    step.done("");
    let mut rows = Vec::new();
    for block_bytes in [1_u64 << 20, 4 << 20] {
        let step = Step::begin(format!("imbrex-drive over loopback, blocks of {} MiB", block_bytes >> 20));
        let [mut put, mut get, mut put_rate, mut get_rate, mut taken, mut sent] =
            [(); 6].map(|()| Sample::default());
        for _ in 0..sizes.repetitions {
            let costs =
                run(&workspace.program("imbrex-drive"), directory, block_bytes, sizes.loopback_bytes)?;
            put.note(costs[0].cpu_s_per_gb);
            get.note(costs[1].cpu_s_per_gb);
            put_rate.note(costs[0].mb_per_s);
            get_rate.note(costs[1].mb_per_s);
            let sockets = bare_socket::cost(CLIENTS, sizes.loopback_bytes)?;
            taken.note(sockets.taken);
            sent.note(sockets.sent);
        }
        step.done("");
        let sides = [("written", "PUTs", put, put_rate, taken), ("read", "GETs", get, get_rate, sent)];
        for (name, verb, cpu, rate, sockets) in sides {
            let row = Row::new(
                format!("whole drive process: CPU for a GB {name}, {} MiB blocks", block_bytes >> 20),
                Kind::Measured,
                cpu.median(),
                "core-seconds/GB",
            );
            let row = row
                .spread(cpu.least(), cpu.greatest())
                .conditions(format!(
                    "user and system time of imbrex-drive, {verb} of {} MiB by {CLIENTS} connections over loopback; \
                     the drive is a file in the directory under test",
                    sizes.loopback_bytes >> 20
                ))
                .against("the same bytes over as many bare connections, the serving side alone", sockets.median())
                .against("MB/s", rate.median());
            rows.push(row);
        }
    }
    Ok(rows)
}

struct Cost {
    mb_per_s: f64,
    cpu_s_per_gb: f64,
}

/// Puts, then gets, all blocks over several connections.
fn run(program: &Path, directory: &Path, block_bytes: u64, bytes: u64) -> Result<[Cost; 2]> {
    let file = directory.join("loopback.drive");
    // There may be one from a run that was interrupted.
    let _ = fs::remove_file(&file);
    let drive = Drive::start(program, &file, bytes * 2 + (1 << 30))?;
    let count = bytes / block_bytes / CLIENTS;
    let length = usize::try_from(block_bytes)?;
    let body: Vec<u8> = (0..length).map(|place| u8::try_from(place * 31 % 251).unwrap_or(0)).collect();
    let path = |client: u64, number: u64| format!("/v1/blocks/{:064x}", (client << 32 | number) + 1);
    let put = drive.measure(bytes, |connection, client| {
        for number in 0..count {
            let answer = connection.request("PUT", &path(client, number), &[], &body)?;
            ensure!(answer.status == 201, "a PUT was answered {}: {}", answer.status, answer.text());
        }
        Ok(())
    })?;
    let get = drive.measure(bytes, |connection, client| {
        for number in 0..count {
            let answer = connection.request("GET", &path(client, number), &[], &[])?;
            ensure!(answer.status == 200, "a GET was answered {}: {}", answer.status, answer.text());
            ensure!(answer.body.len() == length, "a GET brought {} bytes", answer.body.len());
        }
        Ok(())
    })?;
    drop(drive);
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok([put, get])
}

impl Drive {
    fn start(program: &Path, file: &Path, size_bytes: u64) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("--simulated")
            .arg(file)
            .args(["--size", &format!("{}MiB", size_bytes >> 20), "--listen", "127.0.0.1:0"])
            .args(["--blocks-max", "100000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("cannot hear imbrex-drive")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("imbrex-drive said nothing")?;
        let address =
            line.split("http://").nth(1).and_then(|rest| rest.split(',').next()?.trim().parse().ok());
        let mut drive = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        drive.address = address.with_context(|| format!("imbrex-drive said no address, but: {line}"))?;
        let serves = || {
            let mut connection = Connection::open(drive.address, ANSWER_TIME_MAX).ok()?;
            let answer = connection.request("GET", "/v1/blocks?limit=1", &[], &[]).ok()?;
            (answer.status == 200).then_some(())
        };
        until(ANSWER_TIME_MAX, serves).context("imbrex-drive did not serve its new drive in time")?;
        Ok(drive)
    }

    fn measure(
        &self,
        bytes: u64,
        work: impl Fn(&mut Connection<std::net::TcpStream>, u64) -> Result<()> + Sync,
    ) -> Result<Cost> {
        let (cpu_s, began) = (self.cpu_s()?, Instant::now());
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let work = &work;
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    scope.spawn(move || work(&mut Connection::open(self.address, ANSWER_TIME_MAX)?, client))
                })
                .collect();
            let end = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                thread.join().unwrap_or_else(|_| anyhow::bail!("a client panicked"))
            };
            clients.into_iter().map(end).collect()
        });
        outcomes.into_iter().collect::<Result<Vec<()>>>()?;
        #[expect(clippy::cast_precision_loss, reason = "some GB")]
        let gb = bytes as f64 / 1e9;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Cost { mb_per_s: gb * 1e3 / seconds, cpu_s_per_gb: (self.cpu_s()? - cpu_s) / gb })
    }

    /// User and system time of the process in seconds.
    fn cpu_s(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .context("imbrex-drive has ended")?;
        // Fields 14 and 15 (proc_pid_stat(5)); the name before them, in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u32>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("the process's stat is too short")?;
        Ok(f64::from(user + system) / TICKS_PER_S)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // Its end is all that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

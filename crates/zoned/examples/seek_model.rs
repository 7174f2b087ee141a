//! The seek model beside what is published of real drives, or any other workload on it. All times are simulated.
//!
//! `seek_model` prints the table; `seek_model --pattern random --block 64K ...` runs a workload: see `seek_model --help`.

use std::process::ExitCode;

use imbrex_zoned::simulated::disk::{
    DiskParameters, Measured, NOT_FITTED, PUBLISHED, Pattern, Published, Region, Workload,
};

/// Over how many seeds the figures of the table are averaged.
const SEEDS: u32 = 8;

const HELP: &str = "\
seek_model                 prints the published figures beside the model's
seek_model OPTIONS         runs a workload on the model

  --drive 15tb|20tb        the drive (15tb: that of the table; 20tb: derived from it)
  --pattern sequential     each job its own part of the zones, one zone after another
            random         writes at the pointers of random zones, reads of random blocks (the default)
            streams        each job fills random zones of its own part, one after another
            turns          one write to each of --zones zones in turn, again and again
  --block BYTES            the size of an operation (256K)
  --jobs N, --depth N      jobs, and operations that each keeps in flight (1 and 1)
  --write-percent N        the share of writes (0); in a mix the reads are random
  --first-zone N           the first zone used (524, the first sequential one of the 15 TB drive)
  --zones N                how many zones are used (all from the first; in turn, 128)
  --stride N               turns: the distance from one zone to the next (1)
  --beyond-pointer         the reads lie beyond the write pointers
  --unmerged               writes that wait for a zone are not merged, as without a scheduler
  --resets                 a zone is reset before it is first written
  --flush-every BYTES      a job flushes whenever it has written so much
  --cache-off              writes complete on the medium
  --flush-among-others     a flush does not run alone (SAS; SATA has it run alone)
  --seconds S              how long operations are begun (30)
  --job-bytes BYTES        a job ends after so many bytes
  --seed N                 what random choices follow from (0)

BYTES take K, M, G for powers of 1024.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        print_table();
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match parse(&arguments) {
        Ok((parameters, workload)) => {
            print_run(&parameters, &workload);
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("seek_model: {sentence}; --help lists the options");
            ExitCode::from(2)
        }
    }
}

fn print_table() {
    let parameters = DiskParameters::published_15_tb();
    println!("{}; MiB/s, simulated time; the model's is the mean over {SEEDS} seeds\n", parameters.name);
    println!("{:<34}{:>10}{:>8}{:>9}{:>16}", "workload", "published", "model", "differs", "seeds");
    let mut latencies: Vec<String> = PUBLISHED.iter().map(|row| print_row(row, &parameters)).collect();
    println!("\nfrom the same source, and not fitted");
    latencies.extend(NOT_FITTED.iter().map(|row| print_row(row, &parameters)));
    println!("\nlatencies in ms, published / model (seed 0); the model promises nothing of them");
    latencies.iter().for_each(|line| println!("{line}"));
}

/// Prints a row of the table, and returns a line of latencies.
fn print_row(row: &Published, parameters: &DiskParameters) -> String {
    let runs: Vec<Measured> = (0..SEEDS).map(|seed| row.workload(u64::from(seed)).run(parameters)).collect();
    let rates: Vec<f64> = runs.iter().map(Measured::mebibytes_per_s).collect();
    let mean = rates.iter().sum::<f64>() / f64::from(SEEDS);
    let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rates.iter().copied().fold(0.0, f64::max);
    let differs = (mean / row.mebibytes_per_s - 1.0) * 100.0;
    let seeds = format!("{least:.1} to {most:.1}");
    println!("{:<34}{:>10.1}{mean:>8.1}{differs:>+8.1}%{seeds:>16}", row.what, row.mebibytes_per_s);
    println!("    {}", row.how);
    let beside = |(percent, published): &(f64, f64)| {
        format!("p{percent} {published} / {:.1}", runs[0].latency_ms(*percent))
    };
    let latencies: Vec<String> = row.latencies_ms.iter().map(beside).collect();
    format!("{:<34}{}", row.what, latencies.join("   "))
}

fn print_run(parameters: &DiskParameters, workload: &Workload) {
    println!("{}; simulated time", parameters.name);
    println!("{workload:?}");
    let measured = workload.run(parameters);
    println!(
        "{:.1} MiB/s, {:.1} operations/s over {:.2} s",
        measured.mebibytes_per_s(),
        measured.operations_per_s(),
        measured.seconds
    );
    let latencies = [1.0, 50.0, 90.0, 99.0, 99.9, 100.0];
    let latencies: Vec<String> =
        latencies.iter().map(|&percent| format!("p{percent} {:.2}", measured.latency_ms(percent))).collect();
    println!("latency in ms: {}", latencies.join("  "));
    let arm = measured.breakdown;
    let whole = arm.seek_ns + arm.rotate_ns + arm.transfer_ns + arm.idle_ns;
    let percent = |part_ns: u64| format!("{} %", (part_ns * 100 + whole / 2) / whole.max(1));
    println!(
        "the arm: seeks {}, rotation {}, transfer {}, idle {}; {} accesses, {} of which did not go straight on",
        percent(arm.seek_ns),
        percent(arm.rotate_ns),
        percent(arm.transfer_ns),
        percent(arm.idle_ns),
        arm.accesses,
        arm.approaches
    );
}

fn parse(arguments: &[String]) -> Result<(DiskParameters, Workload), String> {
    let zone_bytes = 256 << 20;
    let mut parameters = DiskParameters::published_15_tb();
    let mut first_zone = None;
    let mut stride = 1;
    let mut zone_count = None;
    let mut pattern = "random".to_owned();
    let mut workload = Workload {
        pattern: Pattern::Random,
        region: Region { start_bytes: 0, zone_bytes, zone_count: 0 },
        block_bytes: 256 << 10,
        jobs: 1,
        depth: 1,
        write_percent: 0,
        reads_beyond_pointer: false,
        merges: true,
        resets: false,
        flush_every_bytes: None,
        job_bytes_max: u64::MAX,
        seconds_max: 30.0,
        seed: 0,
    };
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{option} wants a value"));
        match option.as_str() {
            "--drive" => parameters = drive(value()?)?,
            "--pattern" => pattern.clone_from(value()?),
            "--block" => workload.block_bytes = number(value()?)?,
            "--jobs" => workload.jobs = count(value()?)?,
            "--depth" => workload.depth = count(value()?)?,
            "--write-percent" => workload.write_percent = number(value()?)?,
            "--first-zone" => first_zone = Some(number(value()?)?),
            "--zones" => zone_count = Some(number(value()?)?),
            "--stride" => stride = number(value()?)?,
            "--beyond-pointer" => workload.reads_beyond_pointer = true,
            "--unmerged" => workload.merges = false,
            "--resets" => workload.resets = true,
            "--flush-every" => workload.flush_every_bytes = Some(number(value()?)?),
            "--cache-off" => parameters.write_cache = false,
            "--flush-among-others" => parameters.flush_alone = false,
            "--seconds" => {
                let value = value()?;
                workload.seconds_max =
                    value.parse().map_err(|_| format!("{value} is no number of seconds"))?;
            }
            "--job-bytes" => workload.job_bytes_max = number(value()?)?,
            "--seed" => workload.seed = number(value()?)?,
            _ => return Err(format!("{option} is no option")),
        }
    }
    let zones_all = parameters.device_bytes / zone_bytes;
    let first_zone = first_zone.unwrap_or(524);
    let zones_left = zones_all.saturating_sub(first_zone);
    // Of zones written in turn, --zones says how many: they go on through the whole drive.
    let turns = zone_count.unwrap_or(128);
    workload.pattern = match pattern.as_str() {
        "sequential" => Pattern::Sequential,
        "random" => Pattern::Random,
        "streams" => Pattern::Streams,
        "turns" => Pattern::Turns { zones: turns, stride },
        _ => return Err(format!("{pattern} is no pattern")),
    };
    let zone_count = zone_count.filter(|_| pattern != "turns").unwrap_or(zones_left);
    workload.region = Region { start_bytes: first_zone * zone_bytes, zone_bytes, zone_count };
    if zone_count > zones_left {
        return Err(format!("the drive has {zones_all} zones"));
    }
    workload.check()?;
    Ok((parameters, workload))
}

fn drive(name: &str) -> Result<DiskParameters, String> {
    match name {
        "15tb" => Ok(DiskParameters::published_15_tb()),
        "20tb" => Ok(DiskParameters::derived_20_tb()),
        _ => Err(format!("{name} is no drive")),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: Option<u64> = digits.parse().ok();
    number.and_then(|number| number.checked_mul(1 << shift)).ok_or(format!("{text} is no number"))
}

fn count(text: &str) -> Result<usize, String> {
    usize::try_from(number(text)?).map_err(|_| format!("{text} is too many"))
}

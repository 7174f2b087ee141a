//! The commands, one file each.

mod drives;
mod format;
mod get;
mod health;
mod history;
mod ls;
mod node;
mod put;
mod rm;
mod scrub;
mod services;
mod slot;
mod verify;

use crate::error::Error;
use crate::options::{Command, Options};
use crate::output::Output;
use crate::session::Session;

/// Does what the command line says.
///
/// # Errors
/// As the command.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let Options { target, transfer, json, command } = options;
    let session = Session::new(target, transfer, Output::new(json));
    match command {
        Command::Node => node::run(&session).await,
        Command::Drives { id } => drives::run(&session, id.as_deref()).await,
        Command::Services => services::run(&session).await,
        Command::Clear { services } => services::clear(&session, &services).await,
        Command::Health(options) => health::run(&session, &options).await,
        Command::History(options) => history::run(&session, &options.order).await,
        Command::Slot(options) => slot::run(&session, &options).await,
        Command::Format(options) => format::run(&session, options).await,
        Command::Put(options) => put::run(&session, options).await,
        Command::Get(options) => get::run(&session, options).await,
        Command::Ls(options) => ls::run(&session, options).await,
        Command::Rm(options) => rm::run(&session, options).await,
        Command::Scrub(options) => scrub::run(&session, options).await,
        Command::Verify(options) => verify::run(&session, options).await,
        Command::Completions { shell } => completions(shell, session.output),
    }
}

fn completions(shell: clap_complete::Shell, output: Output) -> Result<(), Error> {
    let mut command = <Options as clap::CommandFactory>::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "imbrexctl", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())
}

//! The `roost` command.

mod args;
mod commands;
mod exact;
mod output;
mod trace;

use std::process::ExitCode;

use clap::Parser as _;
use roost_server::telemetry::start_logs;

use crate::args::{Cli, Command};
use crate::output::{Failure, Output, note};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // What Loro says of a document that it fails on may quote it.
    std::panic::set_hook(Box::new(|panic| note(format!("roost: {panic}"))));
    let output = Output { json: cli.json };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&Failure::other(format!("cannot start: {error}"))),
    };
    let done = runtime.block_on(run(&cli, &output));
    // A request under way must not hold the exit up; each command has closed its workspace, and what counts is on the disk.
    runtime.shutdown_background();
    match done.and_then(|()| output::written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}

async fn run(cli: &Cli, output: &Output) -> Result<(), Failure> {
    match &cli.command {
        Command::Serve(settings) => {
            start_logs("info");
            commands::serve(settings.clone()).await
        }
        command => {
            start_logs("warn");
            match command {
                Command::Demo { keep } => commands::demo(output, *keep).await,
                Command::Init { name } => commands::init(cli, output, name).await,
                Command::Share { scope, expires, passcode_stdin, qr } => {
                    commands::share(cli, output, (*scope, *expires), *passcode_stdin, *qr).await
                }
                Command::Join { name, link, passcode_stdin } => {
                    commands::join(cli, output, name, link, *passcode_stdin).await
                }
                Command::Devices => commands::devices(cli, output).await,
                Command::Revoke { device } => commands::revoke(cli, output, device).await,
                Command::Rename { device, name } => commands::rename(cli, output, device, name).await,
                Command::Scope { device, scope } => commands::set_scope(cli, output, device, *scope).await,
                Command::Links => commands::links(cli, output).await,
                Command::Unlink { id } => commands::unlink(cli, output, id).await,
                Command::Token(command) => commands::token(cli, output, command).await,
                Command::Recovery(command) => commands::recovery(cli, output, command).await,
                Command::Docs => commands::docs(cli, output).await,
                Command::Get { document, path } => commands::get(cli, document, path.as_deref()).await,
                Command::Set { document, path, value } => commands::set(cli, output, document, path, value).await,
                Command::Cat { document } => commands::cat(cli, document).await,
                Command::Insert { document, position, text } => {
                    commands::insert(cli, output, document, *position, text).await
                }
                Command::Delete { document, position, len } => {
                    commands::delete(cli, output, document, *position, *len).await
                }
                Command::Replay(replay) => commands::replay(cli, output, replay).await,
                Command::Sync { wait, watch } => commands::sync(cli, output, *wait, *watch).await,
                Command::Status => commands::status(cli, output).await,
                Command::History { document, at, restore } => {
                    commands::history(cli, output, document, at.as_deref(), *restore).await
                }
                Command::Undo { document } => commands::undo(cli, output, document).await,
                Command::Quarantine { command } => commands::quarantine(cli, output, command.as_ref()).await,
                Command::Doctor => commands::doctor(cli, output).await,
                Command::Digest { document } => commands::digest(cli, output, document).await,
                Command::Serve(_) => Ok(()),
            }
        }
    }
}

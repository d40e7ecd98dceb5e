//! Flags, store, serve, stop.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use roost_server::config::Settings;
use roost_server::telemetry;
use roost_shared::Plain;

/// The Roost server: keeps devices in step through bytes it cannot read
#[derive(Parser)]
#[command(name = "roost-server", version)]
struct Command {
    #[command(flatten)]
    settings: Settings,
}

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::start_logs("info");
    let settings = Command::parse().settings;
    let served = roost_server::run(settings, |address| {
        let _ = writeln!(std::io::stdout(), "listening on http://{address}");
    });
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "roost-server: {}", Plain(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

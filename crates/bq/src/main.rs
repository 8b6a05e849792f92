//! The `bq` binary: parses the command line, calls one command, maps its error to an exit code.
//!
//! Everything it runs lives in the library crates; read `run/mod.rs` to see how they are joined.

mod cli;
mod commands;
mod cookie;
mod exit;
mod patience;
mod run;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Miner(args) => commands::miner::mine(&args),
        Command::Wallet(command) => commands::wallet::wallet(command),
        Command::Pool(command) => commands::pool::pool(command),
        Command::Signer(args) => commands::signer::signer(&args),
        Command::Bans(command) => commands::access::bans(&command),
        Command::Audit(args) => match args.command {
            None => commands::pool::audit(&args.data),
            Some(command) => commands::proof::proof(command),
        },
        Command::Status(args) => commands::status::status(&args),
        Command::Bench(command) => commands::bench::bench(&command),
        Command::Sim(args) => commands::sim::sim(&args),
        Command::Swarm(args) => commands::swarm::swarm(&args),
        Command::Conformance(args) => commands::conformance::conformance(&args),
        Command::Config(command) => commands::config::config(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

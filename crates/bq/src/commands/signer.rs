//! `bq signer`: the pool's key in a process of its own (SPEC 8.12).

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use bq_runtime::{Config, DataDir, Layers, RawConfig, RawSigner, init_logging, load};
use bq_signer::Limits;
use bq_signer_link::{ServerConfig, SignerServer};

use crate::{
    cli::SignerArgs,
    exit::{UsageError, say},
    run::{WalletSigner, signer_wallet},
};

/// Answers the pool until it is killed, which it may be at any moment.
///
/// # Errors
/// [`UsageError`] for a wrong setting; key, record or socket that cannot be opened.
pub(crate) fn signer(args: &SignerArgs) -> anyhow::Result<()> {
    let config = load(&layers(args)).map_err(|error| UsageError(error.to_string()))?.config;
    init_logging(&config.log)?;
    let server = server_config(&config, args.adopt)?;
    let _locked = DataDir::lock(&server.state)?;
    let wallet = signer_wallet(&config, &server.state)?;
    let (address, socket) = (wallet.address(), server.socket.display().to_string());
    let server = SignerServer::open(server, Box::new(WalletSigner(wallet))).context("bq signer")?;
    say(&format!("signs for {address} at {socket}"));
    server.serve().context(socket)
}

fn layers(args: &SignerArgs) -> Layers {
    let flags = RawConfig {
        network: args.network.map(|network| network.name().to_owned()),
        signer: RawSigner {
            socket: args.socket.clone(),
            key_file: args.key_file.clone(),
            password_file: args.password_file.clone(),
            state: args.state.clone(),
            ..RawSigner::default()
        },
        ..RawConfig::default()
    };
    Layers { flags, environment: std::env::vars().collect(), file: args.config.clone() }
}

fn server_config(config: &Config, adopts: bool) -> Result<ServerConfig, UsageError> {
    let wanted = |path: &Option<PathBuf>, setting: &str, flag: &str| {
        path.clone().ok_or_else(|| UsageError(format!("{setting}: missing; or {flag} PATH")))
    };
    let signer = &config.signer;
    Ok(ServerConfig {
        network: config.network,
        genesis: config.params.genesis_id(),
        socket: wanted(&signer.socket, "signer.socket", "--socket")?,
        state: wanted(&signer.state, "signer.state", "--state")?,
        limits: Limits {
            payout_max: signer.payout_max,
            day_max: signer.day_max,
            statements_hour_max: signer.statements_per_hour_max,
        },
        patience: Duration::from_millis(signer.patience_ms),
        peer_uid: signer.peer_uid,
        adopts,
        connections_max: signer.connections_max,
    })
}

//! `bq wallet request ...`: what the owner of an address asks of a pool, signed with the address's key.

use std::{
    net::SocketAddr,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use bq_access::Action;
use bq_mining_message::{RequestDone, SignedRequest};
use bq_primitives::{BlockId, WorkerName};
use bq_request::Request;
use bq_runtime::load;
use bq_wallet::{Password, Wallet};

use super::{access::token_line, http};
use crate::{
    cli::{RequestCommand, RunArgs},
    exit::{UsageError, say},
    run::layers,
};

pub(super) fn request(
    command: &RequestCommand,
    (wallet, password_file): (&Path, &Path),
    pool: SocketAddr,
    dry_run: bool,
) -> anyhow::Result<()> {
    let action = action(command)?;
    let wallet = Wallet::open(wallet, &Password::read_file(password_file)?)?;
    let json = serde_json::to_string(&signed(&wallet, genesis(&wallet)?, action.to_string())?)?;
    if dry_run {
        say(&json);
        return Ok(());
    }
    let done: RequestDone = serde_json::from_str(&http::post(pool, "/api/v1/requests", json)?)?;
    tell(&done);
    Ok(())
}

/// A request of now.
pub(super) fn signed(wallet: &Wallet, genesis: BlockId, wish: String) -> anyhow::Result<SignedRequest> {
    let time_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let request = Request { genesis, address: wallet.address(), time_ms, wish }.to_string();
    let witness = wallet.sign_request(&request)?;
    Ok(SignedRequest {
        request,
        public_key: hex::encode(witness.public_key.as_slice()),
        signature: hex::encode(witness.signature.as_slice()),
    })
}

/// The wallet's chain, as this build knows it.
pub(super) fn genesis(wallet: &Wallet) -> anyhow::Result<BlockId> {
    let args = RunArgs { network: Some(wallet.network()), ..RunArgs::default() };
    Ok(load(&layers(&args)).map_err(|error| UsageError(error.to_string()))?.config.params.genesis_id())
}

fn action(command: &RequestCommand) -> anyhow::Result<Action> {
    Ok(match command {
        RequestCommand::Token { worker } => {
            let name = |text: &String| WorkerName::new(text).map_err(|error| UsageError(format!("--worker: {error}")));
            Action::Token(worker.as_ref().map(name).transpose()?)
        }
        RequestCommand::Tokens => Action::Tokens,
        RequestCommand::Revoke { id } => {
            Action::Revoke(id.parse().map_err(|_| UsageError(format!("{id}: not the first 16 digits of a token")))?)
        }
        RequestCommand::Lock => Action::Lock,
        RequestCommand::Unlock => Action::Unlock,
    })
}

fn tell(done: &RequestDone) {
    match done {
        RequestDone::Token(new) => say(&new.token),
        RequestDone::Revoked { sessions } => say(&format!("taken back; {sessions} sessions ended")),
        RequestDone::Locked { sessions } => {
            say(&format!("locked: only the address's tokens open it now; {sessions} sessions without one ended"));
        }
        RequestDone::Unlocked => say("anyone may mine to the address again"),
        RequestDone::Settings(taken) => say(&format!("taken as number {}", taken.number)),
        RequestDone::Tokens { tokens } if tokens.is_empty() => say("none"),
        RequestDone::Tokens { tokens } => tokens.iter().for_each(|token| say(&token_line(token))),
    }
}

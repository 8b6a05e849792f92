use std::sync::Arc;

use bq_mining_message::{AccessApi, AccessError, TokenWish};
use serde_json::json;

use super::{Answer, json};
use crate::{
    RpcServices,
    args::Args,
    fault::{Code, Fault},
};

/// Part of the RPC (docs/rpc.md), as the next one.
const SESSIONS_DEFAULT: usize = 1_000;
const SESSIONS_MAX: usize = 100_000;
const BAN_SECS_DEFAULT: u64 = 86_400;

pub(super) fn list_miner_bans(services: &RpcServices, _: &mut Args) -> Answer {
    json(access(services)?.bans())
}

pub(super) fn set_miner_ban(services: &RpcServices, args: &mut Args) -> Answer {
    let access = access(services)?;
    let (peer, command): (String, String) = (args.value("peer")?, args.value("command")?);
    let secs = args.optional("seconds")?;
    match (command.as_str(), secs) {
        ("add", secs) => json(access.ban(&peer, secs.unwrap_or(BAN_SECS_DEFAULT))?),
        ("lift", None) => Ok(json!({ "lifted": access.lift_ban(&peer)? })),
        ("lift", Some(_)) => Err(Fault::parameter("seconds", "does not belong to lift")),
        (other, _) => Err(Fault::parameter("command", format!("{other:?} is neither add nor lift"))),
    }
}

pub(super) fn list_tokens(services: &RpcServices, _: &mut Args) -> Answer {
    json(access(services)?.tokens())
}

pub(super) fn create_token(services: &RpcServices, args: &mut Args) -> Answer {
    let wish = TokenWish {
        address: args.value("address")?,
        username: args.optional("username")?,
        worker: args.optional("worker")?,
    };
    json(access(services)?.make_token(&wish)?)
}

pub(super) fn revoke_token(services: &RpcServices, args: &mut Args) -> Answer {
    let id: String = args.value("id")?;
    Ok(json!({ "sessions": access(services)?.revoke_token(&id)? }))
}

pub(super) fn list_sessions(services: &RpcServices, args: &mut Args) -> Answer {
    let address: Option<String> = args.optional("address")?;
    let limit = args.optional("limit")?.unwrap_or(SESSIONS_DEFAULT);
    if !(1..=SESSIONS_MAX).contains(&limit) {
        return Err(Fault::parameter("limit", format!("is a number from 1 to {SESSIONS_MAX}")));
    }
    json(access(services)?.sessions(address.as_deref(), limit))
}

fn access(services: &RpcServices) -> Result<&Arc<dyn AccessApi>, Fault> {
    let missing =
        || Fault::new(Code::Unavailable, "this process serves no miners, or its JSON-RPC listens beyond loopback");
    services.access.as_ref().ok_or_else(missing)
}

impl From<AccessError> for Fault {
    fn from(error: AccessError) -> Self {
        let code = match &error {
            AccessError::NoSuchToken(_) => Code::NotFound,
            AccessError::Disk(_) => Code::Store,
            _ => Code::InvalidParameter,
        };
        Self::new(code, error.to_string())
    }
}

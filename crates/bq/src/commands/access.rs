//! `bq bans ...`, `bq pool token ...`, `bq pool sessions`: who may mine, asked of a running pool over its JSON-RPC.

use bq_mining_message::{BanInfo, NewToken, SessionInfo, TokenInfo};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::pool::{answered, client};
use crate::{
    cli::{BansCommand, NodeArgs, TokenCommand},
    exit::say,
};

pub(crate) fn bans(command: &BansCommand) -> anyhow::Result<()> {
    match command {
        BansCommand::List { node, json } => {
            let bans: Vec<BanInfo> = ask(node, "listminerbans", &json!([]))?;
            show(*json, &bans, |ban| {
                let BanInfo { peer, reason, since, until, bans } = ban;
                format!("{peer:<40} {reason:<14} since {since} until {until}, ban {bans}")
            })
        }
        BansCommand::Add { peer, secs, node } => {
            let params = json!({ "peer": peer, "command": "add", "seconds": secs });
            let ban: BanInfo = ask(node, "setminerban", &params)?;
            say(&format!("{} is banned until {}", ban.peer, ban.until));
            Ok(())
        }
        BansCommand::Lift { peer, node } => {
            let lifted: Value = ask(node, "setminerban", &json!({ "peer": peer, "command": "lift" }))?;
            say(if lifted["lifted"] == true { "lifted" } else { "there was no ban" });
            Ok(())
        }
    }
}

pub(super) fn tokens(command: &TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::New { address, username, worker, node, json } => {
            let params = json!({ "address": address, "username": username, "worker": worker });
            let new: NewToken = ask(node, "createtoken", &params)?;
            say(&if *json { serde_json::to_string(&new)? } else { new.token });
            Ok(())
        }
        TokenCommand::List { node, json } => {
            let tokens: Vec<TokenInfo> = ask(node, "listtokens", &json!([]))?;
            show(*json, &tokens, token_line)
        }
        TokenCommand::Revoke { id, node } => {
            let ended: Value = ask(node, "revoketoken", &json!({ "id": id }))?;
            say(&format!("taken back; {} sessions ended", ended["sessions"]));
            Ok(())
        }
    }
}

pub(super) fn sessions(node: &NodeArgs, address: Option<&str>, limit: usize, as_json: bool) -> anyhow::Result<()> {
    let sessions: Vec<SessionInfo> = ask(node, "listsessions", &json!({ "address": address, "limit": limit }))?;
    show(as_json, &sessions, |session| {
        let SessionInfo { id, algorithm, address, worker, peer, authorised, token } = session;
        let (peer, token) = (peer.as_deref().unwrap_or("trusted"), token.as_deref().unwrap_or("no token"));
        format!("{id} {algorithm:<8} {address} {worker:<16} {peer:<22} since {authorised} {token}")
    })
}

/// One token, for people.
pub(super) fn token_line(token: &TokenInfo) -> String {
    let TokenInfo { id, address, username, worker, made_by, made, used } = token;
    let (username, worker) = (username.as_deref().unwrap_or("*"), worker.as_deref().unwrap_or("*"));
    let used = used.map_or_else(|| "never".to_owned(), |used| used.to_string());
    format!("{id} {address} {username:<12} {worker:<16} by {made_by} {made}, used {used}")
}

fn ask<T: DeserializeOwned>(node: &NodeArgs, method: &'static str, params: &Value) -> anyhow::Result<T> {
    client(node)?.call(method, params).map_err(answered)
}

fn show<T: Serialize>(as_json: bool, list: &[T], line: impl Fn(&T) -> String) -> anyhow::Result<()> {
    if as_json {
        say(&serde_json::to_string(list)?);
    } else if list.is_empty() {
        say("none");
    } else {
        list.iter().for_each(|item| say(&line(item)));
    }
    Ok(())
}

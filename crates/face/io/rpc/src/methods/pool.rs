use std::{path::PathBuf, sync::Arc};

use bq_pool_machine::{Decision, PoolOperator, Reason};
use bq_primitives::{Address, Amount, TxId};
use serde_json::json;

use super::{Answer, json};
use crate::{
    AccountSettingsShape, PoolStatusShape, RpcServices,
    args::{Args, parse},
    fault::{Code, Fault},
};

pub(super) fn get_pool_status(services: &RpcServices, _: &mut Args) -> Answer {
    json(PoolStatusShape::from(pool(services)?.pool_status()))
}

pub(super) fn get_account_settings(services: &RpcServices, args: &mut Args) -> Answer {
    let pool = pool(services)?;
    let text: String = args.value("address")?;
    let address = Address::parse(&text, pool.network()).map_err(|error| Fault::parameter("address", error))?;
    json(pool.account_settings(&address.key_hash).map(AccountSettingsShape::from))
}

pub(super) fn pool_decide(services: &RpcServices, args: &mut Args) -> Answer {
    let pool = pool(services)?;
    let reason = Reason {
        who: args.optional::<String>("who")?.unwrap_or_else(|| "operator".to_owned()),
        why: args.value("reason")?,
    };
    let dry_run = args.optional("dryrun")?.unwrap_or(false);
    let command: String = args.value("command")?;
    let decision = decision(&command, pool.as_ref(), args)?;
    // What belongs to another command is a mistake, not a decoration.
    args.refuse_rest()?;
    let sentence = pool.decide(&decision, &reason, dry_run)?;
    Ok(json!({ "done": !dry_run, "sentence": sentence }))
}

pub(super) fn pool_backup(services: &RpcServices, args: &mut Args) -> Answer {
    let folder: PathBuf = args.value("folder")?;
    let dry_run = args.optional("dryrun")?.unwrap_or(false);
    if !folder.is_absolute() {
        return Err(Fault::parameter(
            "folder",
            "must begin at the root: the process has a working directory of its own",
        ));
    }
    let sentence = pool(services)?.back_up(&folder, dry_run)?;
    Ok(json!({ "done": !dry_run, "sentence": sentence }))
}

fn decision(command: &str, pool: &dyn PoolOperator, args: &mut Args) -> Result<Decision, Fault> {
    Ok(match command {
        "pause" => Decision::Pause,
        "resume" => Decision::Resume,
        "recover" if args.optional("forced")?.unwrap_or(false) => Decision::RecoverForced,
        "recover" => Decision::Recover,
        "withdraw" => {
            let amount = amount(args)?;
            let text: String = args.value("address")?;
            let to = Address::parse(&text, pool.network()).map_err(|error| Fault::parameter("address", error))?;
            Decision::Withdraw { amount, to }
        }
        "adopt" => {
            let txid: TxId = args.hash("txid")?;
            match args.value::<String>("as")?.as_str() {
                "withdrawal" => Decision::AdoptWithdrawal(txid),
                "refill" => Decision::AdoptRefill(txid),
                "payout" => Decision::AdoptPayout(txid),
                other => {
                    return Err(Fault::parameter("as", format!("{other:?} is not withdrawal, refill or payout")));
                }
            }
        }
        "write-off" => match args.optional::<String>("from")?.as_deref() {
            None | Some("pool") => Decision::WriteOff(amount(args)?),
            Some("suspense") => Decision::WriteOffSuspense(amount(args)?),
            Some(other) => return Err(Fault::parameter("from", format!("{other:?} is neither pool nor suspense"))),
        },
        "release-suspense" => Decision::ReleaseSuspense(amount(args)?),
        other => {
            let known = "pause, resume, withdraw, adopt, write-off, recover or release-suspense";
            return Err(Fault::parameter("command", format!("{other:?} is not {known}")));
        }
    })
}

/// Atoms as text, so that no reader rounds them.
fn amount(args: &mut Args) -> Result<Amount, Fault> {
    let atoms: u64 = parse("amount", &args.value::<String>("amount")?)?;
    Amount::from_atoms(atoms).map_err(|error| Fault::parameter("amount", error))
}

fn pool(services: &RpcServices) -> Result<&Arc<dyn PoolOperator>, Fault> {
    let missing = || Fault::new(Code::Unavailable, "this process has no pool, or its JSON-RPC listens beyond loopback");
    services.pool.as_ref().ok_or_else(missing)
}

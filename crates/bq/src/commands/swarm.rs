//! `bq swarm`: what the command line asks of a crowd of miners.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bq_primitives::Algorithm;
use bq_runtime::raise_file_limit;
use bq_swarm::{CrowdPlan, FloodKind, FloodPlan, GivenServer, Plan, ServerPlan, SharePlan};

use crate::{
    cli::SwarmArgs,
    exit::{UsageError, say},
};

pub(crate) fn swarm(args: &SwarmArgs) -> anyhow::Result<()> {
    let plan = plan(args)?;
    plan.check().map_err(|error| UsageError(error.to_string()))?;
    // A low limit shows as miners that are lost, with the reason.
    let _as_it_is = raise_file_limit();
    let figures = bq_swarm::swarm(&plan)?;
    figures.table().iter().for_each(|line| say(line));
    let Some(file) = &args.json else { return Ok(()) };
    std::fs::write(file, format!("{}\n", figures.to_json())).with_context(|| file.display().to_string())
}

fn plan(args: &SwarmArgs) -> anyhow::Result<Plan> {
    let sharing = by_algorithm("--shares", &args.shares)?;
    let shares = sharing.map(|count| {
        (count > 0).then(|| SharePlan { count, connections: args.share_connections.into(), window: args.window.into() })
    });
    Ok(Plan {
        server: server(args)?,
        crowd: CrowdPlan {
            miners: by_algorithm("--miners", &args.miners)?,
            proven: args.proven,
            tls: args.tls,
            sources: args.sources.into(),
            proxy_headers: args.proxy_headers,
            opening_max: args.opening.into(),
        },
        rest: Duration::from_secs(args.rest),
        tips: args.tips,
        shares,
        floods: args.floods.iter().map(|flood| flood_of(flood)).collect::<Result<_, _>>()?,
        flood: Duration::from_secs(args.flood_secs),
        storms: args.storms,
        takeovers: args.takeovers,
        key_changes: args.key_changes.clone(),
        kills: args.kills,
        soak: Duration::from_secs(args.soak),
    })
}

fn server(args: &SwarmArgs) -> anyhow::Result<ServerPlan> {
    if args.urls.is_empty() {
        let own = || std::env::current_exe().context("this program's own path");
        return Ok(ServerPlan::Own(args.server.clone().map_or_else(own, Ok)?));
    }
    let mut ports = [None; Algorithm::COUNT];
    for url in &args.urls {
        let (algorithm, address) = named("--url", url)?;
        let address = address.parse::<SocketAddr>().map_err(|error| UsageError(format!("--url {url}: {error}")))?;
        ports[algorithm.index()] = Some(address);
    }
    let (user, pid) = (args.user.clone().unwrap_or_default(), args.pid);
    Ok(ServerPlan::Given(GivenServer { ports, user, pid, is_remote_allowed: args.allow_remote }))
}

fn by_algorithm(flag: &str, values: &[String]) -> Result<[usize; Algorithm::COUNT], UsageError> {
    let mut counts = [0; Algorithm::COUNT];
    for value in values {
        let (algorithm, count) = named(flag, value)?;
        counts[algorithm.index()] = number(flag, value, count)?;
    }
    Ok(counts)
}

fn flood_of(value: &str) -> Result<FloodPlan, UsageError> {
    let (kind, count) = split("--flood", value)?;
    let known = || FloodKind::ALL.map(FloodKind::name).join(", ");
    let kind = FloodKind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = kind.ok_or_else(|| UsageError(format!("--flood {value}: known are {}", known())))?;
    Ok(FloodPlan { kind, connections: number("--flood", value, count)? })
}

fn named<'a>(flag: &str, value: &'a str) -> Result<(Algorithm, &'a str), UsageError> {
    let (name, rest) = split(flag, value)?;
    let algorithm = name.parse().map_err(|error| UsageError(format!("{flag} {value}: {error}")))?;
    Ok((algorithm, rest))
}

fn split<'a>(flag: &str, value: &'a str) -> Result<(&'a str, &'a str), UsageError> {
    value.split_once('=').ok_or_else(|| UsageError(format!("{flag} {value}: NAME=VALUE")))
}

fn number(flag: &str, value: &str, count: &str) -> Result<usize, UsageError> {
    count.parse().map_err(|error| UsageError(format!("{flag} {value}: {error}")))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(arguments: &[&str]) -> anyhow::Result<Plan> {
        let parsed = Cli::parse_from(["bq", "swarm"].iter().chain(arguments));
        let Command::Swarm(args) = parsed.command else { panic!("{arguments:?} is another command") };
        plan(&args)
    }

    #[test]
    fn what_is_asked_becomes_a_plan() {
        let plan =
            asked(&["--miners", "sha256d=10", "--miners", "ethash=4", "--shares", "randomx=7", "--flood", "deaf=2"]);
        let Plan { crowd, shares, floods, .. } = plan.expect("a plan");
        assert_eq!(crowd.miners, [10, 0, 4]);
        assert_eq!(shares.map(|shares| shares.map(|shares| shares.count)), [None, Some(7), None]);
        assert!(matches!(floods[..], [FloodPlan { kind: FloodKind::Deaf, connections: 2 }]));
        let sources = NonZeroUsize::new(16).expect("not zero");
        assert_eq!((crowd.sources, crowd.tls, crowd.proxy_headers), (sources, false, false));
    }

    #[test]
    fn a_given_server_is_named_by_algorithm() {
        let plan = asked(&["--url", "randomx=127.0.0.1:3334", "--user", "a", "--pid", "5"]).expect("a plan");
        let ServerPlan::Given(given) = &plan.server else { panic!("{:?}", plan.server) };
        assert_eq!((given.pid, given.ports[1].map(|port| port.port())), (Some(5), Some(3334)));
        for wrong in [["--miners", "10"], ["--miners", "scrypt=10"], ["--flood", "rain=1"], ["--shares", "ethash=x"]] {
            assert!(asked(&wrong).is_err(), "{wrong:?}");
        }
    }
}

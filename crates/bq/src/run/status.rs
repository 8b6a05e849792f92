//! What `bq run` shows a person: a block of lines redrawn in place on a terminal, one line per event elsewhere.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bq_chain_api::AtomsView;
use bq_chain_api::NodeApi;
use bq_condition::ConditionList;
use bq_primitives::{Algorithm, Amount, Height};
use bq_views::{BlockStateView, BlockView, ConditionView, Event, HealthView, Page, PoolView, PoolViews, hashrate_text};
use tokio::sync::broadcast;

/// Everything the view reads; it changes nothing.
pub(crate) struct StatusSources {
    pub(crate) node: Arc<dyn NodeApi>,
    pub(crate) pool: Arc<dyn PoolViews>,
    pub(crate) conditions: ConditionList,
    pub(crate) events: broadcast::Receiver<Event>,
    pub(crate) connect: Vec<ConnectLine>,
    pub(crate) dashboard: SocketAddr,
}

/// A ready-to-paste command for one stock miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectLine {
    pub(crate) algorithm: Algorithm,
    pub(crate) command: String,
}

impl ConnectLine {
    /// The stock miner's command line for one Stratum port, paying to `address`.
    pub(crate) fn new(algorithm: Algorithm, port: SocketAddr, address: &str) -> Self {
        let command = match algorithm {
            Algorithm::Sha256d => {
                format!("minerd -a sha256d -o stratum+tcp://{port} -u {address}.rig1 -p x")
            }
            Algorithm::RandomX => format!("xmrig -a rx/0 -o {port} -u {address}.rig1 -p x"),
            Algorithm::Ethash => {
                format!("ethminer --farm-retries 99 --retry-delay 2 -P stratum1+tcp://{address}.rig1@{port}")
            }
        };
        Self { algorithm, command }
    }

    /// Where a device of Stratum V2 is pointed.
    pub(crate) fn v2(port: SocketAddr, key: &str) -> Self {
        Self { algorithm: Algorithm::Sha256d, command: format!("stratum2+tcp://{port}/{key}") }
    }
}

/// Shows the status until it is dropped, or the pool stops.
pub(crate) async fn show(mut sources: StatusSources) {
    let terminal = std::io::stdout().is_terminal();
    let started = Instant::now();
    say(&header_lines(&sources));
    let period = if terminal { Duration::from_secs(1) } else { Duration::from_secs(30) };
    let mut ticks = tokio::time::interval(period);
    let mut lines_drawn = 0;
    loop {
        tokio::select! {
            event = sources.events.recv() => match event {
                Ok(event) if !terminal => say(&[event_line(&event)]),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            },
            _ = ticks.tick() => {
                let (node, pool) = (Arc::clone(&sources.node), Arc::clone(&sources.pool));
                let conditions = sources.conditions.clone();
                let view = move || (frame(&*node, &*pool, started.elapsed()), condition_lines(&conditions));
                let Ok((mut lines, stops)) = tokio::task::spawn_blocking(view).await else { break };
                if terminal {
                    lines.extend(stops);
                    lines_drawn = redraw(&lines, lines_drawn);
                } else {
                    lines.truncate(1);
                    lines.extend(stops);
                    say(&lines);
                }
            }
        }
    }
}

fn header_lines(sources: &StatusSources) -> Vec<String> {
    let mut lines = vec![String::new(), format!("dashboard  http://{}/", sources.dashboard)];
    lines.push("connect a miner (put your own address in place of this one):".to_owned());
    lines.extend(sources.connect.iter().map(|line| format!("  {:<8} {}", line.algorithm, line.command)));
    lines.push(String::new());
    lines
}

fn frame(node: &dyn NodeApi, pool: &dyn PoolViews, up: Duration) -> Vec<String> {
    let (view, blocks) = match (pool.pool(), pool.blocks(&Page::first(5))) {
        (Ok(view), Ok(blocks)) => (view, blocks.blocks),
        (Err(error), _) | (_, Err(error)) => return vec![format!("status is not available: {error}")],
    };
    let mut lines = vec![summary_line(node, &view, up)];
    lines.push(String::new());
    lines.push(format!(
        "{:<9} {:>11} {:>11} {:>12} {:>9} {:>9} {:>7} {:>7}",
        "", "pool", "network", "difficulty", "accepted", "rejected", "effort", "blocks"
    ));
    lines.extend(view.algorithms.iter().map(|(name, algorithm)| {
        let rejected: u64 = algorithm.shares.rejected.values().sum();
        format!(
            "{:<9} {:>11} {:>11} {:>12} {:>9} {:>9} {:>6.0}% {:>7}",
            name,
            hashrate_text(algorithm.pool_hashrate),
            hashrate_text(algorithm.network_hashrate),
            algorithm.network_difficulty,
            algorithm.shares.accepted,
            rejected,
            algorithm.effort * 100.0,
            algorithm.blocks
        )
    }));
    lines.push(String::new());
    lines.push("last blocks of the pool".to_owned());
    lines.extend(blocks.iter().map(|block| format!("  {}", block_text(block, view.coinbase_maturity))));
    lines.push(String::new());
    lines.push(format!(
        "balances   immature {}   payable {}   in flight {}   paid {}",
        coins(&view.immature),
        coins(&view.payable),
        coins(&view.in_flight),
        coins(&view.paid)
    ));
    if view.ledger_imbalance != "0" {
        lines.push(format!("THE BOOKS ARE WRONG: imbalance {} atoms, payouts stop", view.ledger_imbalance));
    }
    lines
}

/// One line for each condition that holds.
fn condition_lines(conditions: &ConditionList) -> Vec<String> {
    let health = HealthView::new(&conditions.read());
    health.conditions().map(|(component, condition)| condition_line(component, condition)).collect()
}

/// A condition in one line, as the status line and `bq status` show it.
pub(crate) fn condition_line(component: &str, condition: &ConditionView) -> String {
    let seconds = unix_seconds().saturating_sub(condition.since);
    format!("{component}: {} for {seconds} s: {}", condition.name, condition.reason)
}

fn summary_line(node: &dyn NodeApi, view: &PoolView, up: Duration) -> String {
    let tip = node.tip();
    let age = match tip.height {
        Height::GENESIS => "genesis".to_owned(),
        _ => format!("{} s ago", unix_seconds().saturating_sub(tip.time.0)),
    };
    let blocks: u64 = view.algorithms.values().map(|algorithm| algorithm.blocks).sum();
    let total: u64 = view.algorithms.values().map(|algorithm| algorithm.shares.accepted).sum();
    let seconds = up.as_secs();
    format!(
        "bq {} | height {} | tip {} | {} miners, {} connections | {} shares | {} blocks | paid {} | up {:02}:{:02}:{:02}",
        view.network,
        tip.height,
        age,
        view.miners_active,
        view.connections,
        total,
        blocks,
        coins(&view.paid),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn event_line(event: &Event) -> String {
    match event {
        Event::Tip { height, id, algorithm, .. } => {
            format!("tip      {height} {algorithm} {}", id.get(..16).unwrap_or(id))
        }
        Event::Block(block) => format!("block    {}", block_text(block, 0)),
        Event::Payout { txid, amount, payees, state } => {
            format!("payout   {state} {} to {payees} accounts, txid {txid}", coins(amount))
        }
    }
}

fn block_text(block: &BlockView, maturity: u32) -> String {
    let state = match block.state {
        BlockStateView::Found => "found".to_owned(),
        BlockStateView::Immature if maturity > 0 => {
            format!("immature {}/{maturity}", block.confirmations)
        }
        BlockStateView::Immature => "immature".to_owned(),
        BlockStateView::Matured => "matured".to_owned(),
        BlockStateView::Orphaned => "orphaned".to_owned(),
    };
    format!("{:>7} {:<8} {:<14} reward {}", block.height, block.algorithm, state, coins(&block.reward))
}

fn coins(atoms: &AtomsView) -> String {
    let amount = atoms.0.parse().ok().and_then(|atoms| Amount::from_atoms(atoms).ok());
    amount.map_or_else(|| format!("{} atoms", atoms.0), |amount| amount.to_string())
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn say(lines: &[String]) {
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    // A closed pipe must not stop the node.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Draws over the last frame and returns how many lines stand there now.
fn redraw(lines: &[String], lines_drawn: usize) -> usize {
    let mut text = String::new();
    if lines_drawn > 0 {
        let _ = write!(text, "\x1b[{lines_drawn}A\x1b[J");
    }
    for line in lines {
        // No wrapping: a wrapped line would break the count of lines to go up.
        let _ = writeln!(text, "\x1b[?7l{line}\x1b[?7h");
    }
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_a_line_to_paste() {
        let port = "127.0.0.1:3333".parse().unwrap();
        let line = |algorithm| ConnectLine::new(algorithm, port, "dbq1x").command;
        assert_eq!(line(Algorithm::Sha256d), "minerd -a sha256d -o stratum+tcp://127.0.0.1:3333 -u dbq1x.rig1 -p x");
        assert_eq!(line(Algorithm::RandomX), "xmrig -a rx/0 -o 127.0.0.1:3333 -u dbq1x.rig1 -p x");
        assert_eq!(
            line(Algorithm::Ethash),
            "ethminer --farm-retries 99 --retry-delay 2 -P stratum1+tcp://dbq1x.rig1@127.0.0.1:3333"
        );
    }
}

use std::sync::Arc;

use bq_chain_api::{NodeApi, PeerNetwork, SyncApi, Template};
use bq_condition::ConditionList;
use bq_mining_message::{AccessApi, MiningControl};
use bq_pool_machine::PoolOperator;
use tokio::sync::watch;

use crate::long_polls::LongPolls;

/// Gives the newest template of a pool; nothing until there is one.
pub type PoolTemplate = Arc<dyn Fn() -> Option<Arc<Template>> + Send + Sync>;

/// Who answers the methods. What is missing makes its methods answer that this process does not have it.
#[derive(Clone)]
pub struct RpcServices {
    /// The chain.
    pub node: Arc<dyn NodeApi>,
    /// The same node's header tree and mempool (`getrawmempool`, unconfirmed `getrawtransaction`).
    pub sync: Option<Arc<dyn SyncApi>>,
    /// The built-in miner (`getminingconfig`, `setminingconfig`).
    pub mining: Option<Arc<dyn MiningControl>>,
    /// The pool's books (`getpoolstatus`, `pooldecide`, `poolbackup`). They move money or write files, so all but the first need a
    /// login, and they are served on loopback only.
    pub pool: Option<Arc<dyn PoolOperator>>,
    /// Who may mine (`listminerbans`, `setminerban`, `listtokens`, `createtoken`, `revoketoken`, `listsessions`). All need a login, for
    /// they tell network addresses or let somebody in, and they are served on loopback only.
    pub access: Option<Arc<dyn AccessApi>>,
    /// The template that the pool's miners work on (`getblocktemplate` without an address).
    pub pool_template: Option<PoolTemplate>,
    /// What every part of the process says of itself (`getconditions`).
    pub conditions: ConditionList,
    /// The peer-to-peer layer (`getpeerinfo`, `addnode`).
    pub peers: Option<Arc<dyn PeerNetwork>>,
}

impl RpcServices {
    /// A node alone.
    #[must_use]
    pub fn new(node: Arc<dyn NodeApi>) -> Self {
        let of_node = Arc::clone(&node);
        let conditions = ConditionList::default().with("node", Arc::new(move || of_node.conditions()));
        Self { node, sync: None, mining: None, pool: None, access: None, pool_template: None, conditions, peers: None }
    }
}

/// What every method sees.
pub(crate) struct Context {
    pub(crate) services: RpcServices,
    /// Those that wait.
    pub(crate) long_polls: Arc<LongPolls>,
    /// Becomes true when the server stops: whoever waits must come to an end.
    pub(crate) closing: watch::Receiver<bool>,
}

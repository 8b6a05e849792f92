mod chain;
mod headers;
mod invalid;
mod reorg;
mod restart;
mod rig;
mod tables;
mod transactions;

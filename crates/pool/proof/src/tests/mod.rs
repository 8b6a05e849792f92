mod bytes;
mod coinbase;
mod export;
mod follow;
mod log;
mod receipt;
mod share;
mod world;

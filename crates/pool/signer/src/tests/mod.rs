mod judge;
mod log;
mod messages;
mod restart;
mod statements;

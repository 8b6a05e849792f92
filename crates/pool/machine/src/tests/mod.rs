mod audit;
mod bad_input;
mod chain;
mod events;
mod recovery;
mod stops;
mod storms;
mod world;

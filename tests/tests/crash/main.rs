//! The real program dies, again and again, and goes on: at named points, at any moment, with its power cut.

mod kills;
mod luck;
mod points;
mod power;
mod restarts;
mod scene;
mod write_log;

//! The bq binary: wiring only.

fn main() {}

//! Prints what the miner's self-test finds on this machine: `cargo run --release -p bq-miner --example sha256d_kernels`.

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
fn main() {
    for report in bq_miner::sha256d_kernels() {
        match report.hashrate {
            Ok(hashrate) => println!("{:8} {:6.1} MH/s", report.kernel.name(), hashrate / 1e6),
            Err(error) => println!("{:8} {error}", report.kernel.name()),
        }
    }
}

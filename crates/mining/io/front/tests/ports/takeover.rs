//! SPEC 11.13 over real sockets, within one process. Nobody logs anything here, as where an operator wants warnings only.

use crate::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_go_on_at_the_successor_whatever_is_logged() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    let (first, second) = (job.find(16, 1 << 40), job.find_other(16, 1 << 40));
    assert_eq!(client.submit(&first).await, "true");
    let bench = bench.replaced(true).await;
    assert_eq!((client.submit(&first).await.as_str(), client.submit(&second).await.as_str()), ("22", "true"));
    assert_eq!((bench.server.connections(), bench.pool.shares().len()), (1, 2));
    bench.server.shutdown().await;
}

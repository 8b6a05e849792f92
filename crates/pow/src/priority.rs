/// Lets every other thread of the machine go before the calling one (lowest `nice` level), for mining threads beside a node.
/// A refusal costs the others speed only, so it is not reported.
pub fn lower_thread_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: changes one scheduling attribute of the calling thread (`who` zero) and touches no memory.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The `nice` level of the calling thread.
    fn level() -> i32 {
        // SAFETY: only asks.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn only_the_calling_thread_is_lowered() {
        let before = level();
        let lowered = std::thread::spawn(|| {
            lower_thread_priority();
            level()
        });
        assert_eq!(lowered.join().unwrap(), 19);
        assert_eq!(level(), before);
    }
}

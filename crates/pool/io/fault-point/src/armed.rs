use std::{
    io::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use crate::{FaultPoint, VARIABLE};

/// At which passing of which point this process dies.
#[derive(Debug)]
struct Armed {
    point: FaultPoint,
    left: AtomicU32,
}

impl Armed {
    /// `name` or `name:n`.
    fn parse(text: &str) -> Option<Self> {
        let (name, passing) = text.split_once(':').unwrap_or((text, "1"));
        let point = FaultPoint::ALL.into_iter().find(|point| point.name() == name)?;
        let left = passing.parse().ok().filter(|left| *left > 0)?;
        Some(Self { point, left: AtomicU32::new(left) })
    }

    /// Whether this passing is the one.
    fn passes(&self, point: FaultPoint) -> bool {
        let pass = |left: u32| left.checked_sub(1);
        self.point == point && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, pass) == Ok(1)
    }

    /// Whether the next passing is, or the last one was: other threads still run while the process dies.
    fn is_due(&self, point: FaultPoint) -> bool {
        self.point == point && self.left.load(Ordering::SeqCst) <= 1
    }
}

/// The environment is read once.
fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let read = || {
        let text = std::env::var(VARIABLE).ok()?;
        // A test that misspells a point would wait for a death that never comes.
        Some(Armed::parse(&text).unwrap_or_else(|| die(&format!("{VARIABLE}: no such point: {text}"))))
    };
    ARMED.get_or_init(read).as_ref()
}

pub(crate) fn reach(point: FaultPoint) {
    if armed().is_some_and(|armed| armed.passes(point)) {
        die(&format!("died at {}", point.name()));
    }
}

pub(crate) fn hold(point: FaultPoint) {
    while armed().is_some_and(|armed| armed.is_due(point)) {
        thread::park();
    }
}

fn die(why: &str) -> ! {
    // Past the log, which may be buffered or filtered: a test looks for this line.
    let _ = writeln!(std::io::stderr(), "{why}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_armed_by_its_name_and_the_number_of_a_passing() {
        for point in FaultPoint::ALL {
            assert_eq!(Armed::parse(point.name()).expect("a name").point, point);
        }
        for wrong in ["", "no_such_point", "share_not_written:", "share_not_written:0", "share_not_written:x"] {
            assert!(Armed::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn only_the_passing_that_was_asked_for_is_the_last() {
        let armed = Armed::parse("payout_not_sent:2").expect("a name");
        assert!(!armed.passes(FaultPoint::PayoutNotHeard) && !armed.is_due(FaultPoint::PayoutNotSent));
        assert!(!armed.passes(FaultPoint::PayoutNotSent) && armed.is_due(FaultPoint::PayoutNotSent));
        assert!(armed.passes(FaultPoint::PayoutNotSent) && !armed.passes(FaultPoint::PayoutNotSent));
        assert!(armed.is_due(FaultPoint::PayoutNotSent), "nobody gets past it while the process dies");
    }
}

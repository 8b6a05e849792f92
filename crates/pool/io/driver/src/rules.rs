use bq_pool_machine::{Applied, Command, Event, Fault, Outside, Shares, State, next};

/// The rules of money as the driver asks for them: what an event does to the books, and what is to be done. A simulator puts
/// wrong ones in their place, to see that they are found.
#[derive(Clone, Copy)]
pub struct Rules {
    /// As [`State::apply`].
    pub apply: fn(&mut State, &Event, &dyn Shares) -> Result<Applied, Fault>,
    /// As [`bq_pool_machine::next`].
    pub next: fn(&State, &Outside) -> Result<Vec<Command>, Fault>,
}

impl Rules {
    /// The machine's: every pool but a simulated one has these.
    pub const MACHINE: Self = Self { apply: State::apply, next };
}

//! The simple processor that programs are made to keep busy (RandomX specification 6.2): its macro-ops and its three ports.

/// The cycle at which a program is long enough (`RANDOMX_SUPERSCALAR_LATENCY`).
pub(super) const LATENCY: usize = 170;
/// Cycles that micro-ops may be put on.
const CYCLES: usize = LATENCY + 4;

/// A set of ports, a bit each.
type PortSet = u8;
const P0: PortSet = 1;
const P1: PortSet = 2;
const P5: PortSet = 4;
const P01: PortSet = P0 | P1;
const P05: PortSet = P0 | P5;
const P015: PortSet = P0 | P1 | P5;

/// What the processor decodes an instruction into.
#[derive(Clone, Copy)]
pub(super) struct MacroOp {
    /// Cycles until its result can be used.
    pub(super) latency: usize,
    micro_ops: MicroOps,
    /// It uses the result of the macro-op before it.
    waits: bool,
}

/// Which ports can execute a macro-op.
#[derive(Clone, Copy)]
enum MicroOps {
    /// A move between registers, which takes no port.
    None,
    One(PortSet),
    /// Both in the same cycle.
    Two(PortSet, PortSet),
}

impl MacroOp {
    pub(super) const SUB_OR_XOR: Self = Self::one(1, P015);
    pub(super) const ADD_OR_XOR_CONSTANT: Self = Self::one(1, P015);
    pub(super) const LEA: Self = Self::one(1, P01);
    pub(super) const MULTIPLY: Self = Self::one(3, P1);
    pub(super) const MULTIPLY_AFTER_LOAD: Self = Self { waits: true, ..Self::MULTIPLY };
    pub(super) const ROTATE: Self = Self::one(1, P05);
    pub(super) const LOAD_CONSTANT: Self = Self::one(1, P015);
    pub(super) const MOVE: Self = Self { latency: 0, micro_ops: MicroOps::None, waits: false };
    pub(super) const MULTIPLY_WIDE: Self = Self { latency: 4, micro_ops: MicroOps::Two(P1, P5), waits: false };

    const fn one(latency: usize, ports: PortSet) -> Self {
        Self { latency, micro_ops: MicroOps::One(ports), waits: false }
    }
}

/// Which ports are taken in which cycle.
pub(super) struct Schedule {
    busy: [PortSet; CYCLES],
}

impl Schedule {
    pub(super) const fn new() -> Self {
        Self { busy: [0; CYCLES] }
    }

    /// The first cycle from `cycle` on at which `op` can execute, if there is one. `ready` is when the result of the
    /// macro-op before it can be used.
    pub(super) fn find(&self, op: MacroOp, cycle: usize, ready: usize) -> Option<usize> {
        let from = if op.waits { cycle.max(ready) } else { cycle };
        match op.micro_ops {
            MicroOps::None => Some(from),
            MicroOps::One(ports) => (from..CYCLES).find(|&at| self.free_port(ports, at).is_some()),
            // The two share no port, so that each can be looked for alone.
            MicroOps::Two(first, second) => {
                (from..CYCLES).find(|&at| self.free_port(first, at).is_some() && self.free_port(second, at).is_some())
            }
        }
    }

    /// Takes the ports for `op` at the first such cycle from `cycle` on.
    pub(super) fn take(&mut self, op: MacroOp, cycle: usize) -> Option<usize> {
        let at = self.find(op, cycle, cycle)?;
        match op.micro_ops {
            MicroOps::None => {}
            MicroOps::One(ports) => self.occupy(ports, at),
            MicroOps::Two(first, second) => {
                self.occupy(first, at);
                self.occupy(second, at);
            }
        }
        Some(at)
    }

    /// The port of `ports` to use at a cycle: the one that multiplications need last.
    fn free_port(&self, ports: PortSet, cycle: usize) -> Option<PortSet> {
        let free = ports & !self.busy[cycle];
        [P5, P0, P1].into_iter().find(|port| free & port != 0)
    }

    fn occupy(&mut self, ports: PortSet, cycle: usize) {
        if let Some(port) = self.free_port(ports, cycle) {
            self.busy[cycle] |= port;
        }
    }
}

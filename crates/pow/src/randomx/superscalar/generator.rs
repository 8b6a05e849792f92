//! How a program is drawn (RandomX specification 6.3): instructions are picked to fit the decoder of the reference
//! processor, and their operands from the registers that would be ready by then.

use super::{
    Instruction, Operation, Program, reciprocal,
    reference_cpu::{LATENCY, MacroOp, Schedule},
};
use crate::randomx::blake_generator::BlakeGenerator;

/// Most instructions of a program.
const INSTRUCTIONS_MAX: usize = 3 * LATENCY + 2;
/// How many cycles later than planned an operand may be ready.
const STALL_CYCLES_MAX: usize = 4;
/// How many instructions in a row may be thrown away for want of operands.
const THROWN_AWAY_MAX: usize = 256;
/// The register that an x86 `lea` cannot add to without a displacement.
const NOT_FOR_LEA: usize = 5;

/// Draws the next program.
pub(super) fn generate(random: &mut BlakeGenerator) -> Program {
    let drawn = Generator::new(random).run();
    Program { address_register: address_register(&drawn), instructions: drawn.iter().map(Drawn::decode).collect() }
}

/// The register with the longest chain of operations behind it, were every operation one cycle long.
fn address_register(drawn: &[Drawn]) -> usize {
    let mut depths = [0_usize; 8];
    for instruction in drawn {
        let (dst, src) = (instruction.dst, instruction.src.unwrap_or(instruction.dst));
        depths[dst] = depths[dst].max(depths[src]) + 1;
    }
    let deepest = depths.into_iter().max();
    depths.into_iter().position(|depth| Some(depth) == deepest).unwrap_or(0)
}

/// Instructions as the specification numbers them: constants of 7, 8 and 9 bytes are three instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    SubR,
    XorR,
    AddRs,
    MulR,
    RorC,
    AddC7,
    XorC7,
    AddC8,
    XorC8,
    AddC9,
    XorC9,
    MulhR,
    SmulhR,
    MulRcp,
}

impl Kind {
    const fn macro_ops(self) -> &'static [MacroOp] {
        match self {
            Self::SubR | Self::XorR => &[MacroOp::SUB_OR_XOR],
            Self::AddRs => &[MacroOp::LEA],
            Self::MulR => &[MacroOp::MULTIPLY],
            Self::RorC => &[MacroOp::ROTATE],
            Self::AddC7 | Self::XorC7 | Self::AddC8 | Self::XorC8 | Self::AddC9 | Self::XorC9 => {
                &[MacroOp::ADD_OR_XOR_CONSTANT]
            }
            Self::MulhR | Self::SmulhR => &[MacroOp::MOVE, MacroOp::MULTIPLY_WIDE, MacroOp::MOVE],
            Self::MulRcp => &[MacroOp::LOAD_CONSTANT, MacroOp::MULTIPLY_AFTER_LOAD],
        }
    }

    /// Which macro-op reads the source register, if any does.
    const fn source_op(self) -> Option<usize> {
        match self {
            Self::SubR | Self::XorR | Self::AddRs | Self::MulR => Some(0),
            Self::MulhR | Self::SmulhR => Some(1),
            _ => None,
        }
    }

    /// Which macro-op settles the destination register.
    const fn destination_op(self) -> usize {
        if matches!(self, Self::MulRcp) { 1 } else { 0 }
    }

    /// Which macro-op yields the result.
    const fn result_op(self) -> usize {
        if matches!(self, Self::MulRcp | Self::MulhR | Self::SmulhR) { 1 } else { 0 }
    }

    const fn is_multiplication(self) -> bool {
        matches!(self, Self::MulR | Self::MulhR | Self::SmulhR | Self::MulRcp)
    }

    /// Instructions that must not follow one another on a register with the same operand, since together they would be
    /// one: all of a group.
    const fn group(self) -> Self {
        match self {
            Self::SubR => Self::AddRs,
            Self::AddC8 | Self::AddC9 => Self::AddC7,
            Self::XorC8 | Self::XorC9 => Self::XorC7,
            other => other,
        }
    }
}

/// An instruction while its operands are being chosen, and after.
#[derive(Clone, Copy)]
struct Drawn {
    kind: Kind,
    dst: usize,
    src: Option<usize>,
    /// The byte whose bits 2 and 3 are a shift.
    modifier: u8,
    immediate: u32,
    operand: Operand,
}

/// What distinguishes an instruction from others of its group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Constant,
    Register(usize),
    /// A number drawn for the purpose: as good as never equal.
    Drawn(u32),
}

impl Drawn {
    /// An instruction without registers yet.
    fn new(kind: Kind, random: &mut BlakeGenerator) -> Self {
        let mut drawn = Self { kind, dst: 0, src: None, modifier: 0, immediate: 0, operand: Operand::Constant };
        match kind {
            Kind::AddRs => drawn.modifier = random.byte(),
            Kind::RorC => drawn.immediate = draw_until(|bits| bits != 0, || u32::from(random.byte() & 63)),
            Kind::MulRcp => {
                drawn.immediate = draw_until(|divisor| divisor & divisor.wrapping_sub(1) != 0, || random.word());
            }
            Kind::AddC7 | Kind::AddC8 | Kind::AddC9 | Kind::XorC7 | Kind::XorC8 | Kind::XorC9 => {
                drawn.immediate = random.word();
            }
            Kind::MulhR | Kind::SmulhR => drawn.operand = Operand::Drawn(random.word()),
            Kind::SubR | Kind::XorR | Kind::MulR => {}
        }
        drawn
    }

    #[expect(clippy::cast_possible_truncation, reason = "a rotation is drawn below 64")]
    fn decode(&self) -> Instruction {
        let src = self.src.unwrap_or(self.dst);
        let constant = i64::from(self.immediate.cast_signed()).cast_unsigned();
        let operation = match self.kind {
            Kind::SubR => Operation::Subtract { src },
            Kind::XorR => Operation::Xor { src },
            Kind::AddRs => Operation::AddShifted { src, shift: (self.modifier >> 2) & 3 },
            Kind::MulR => Operation::Multiply { src },
            Kind::RorC => Operation::RotateRight { bits: self.immediate as u8 },
            Kind::AddC7 | Kind::AddC8 | Kind::AddC9 => Operation::AddConstant(constant),
            Kind::XorC7 | Kind::XorC8 | Kind::XorC9 => Operation::XorConstant(constant),
            Kind::MulhR => Operation::MultiplyHigh { src },
            Kind::SmulhR => Operation::MultiplyHighSigned { src },
            Kind::MulRcp => Operation::MultiplyConstant(reciprocal(self.immediate)),
        };
        Instruction { dst: self.dst, operation }
    }
}

fn draw_until(accept: impl Fn(u32) -> bool, mut draw: impl FnMut() -> u32) -> u32 {
    loop {
        let value = draw();
        if accept(value) {
            return value;
        }
    }
}

/// How the decoder splits 16 bytes of code: the sizes of its slots.
#[derive(Clone, Copy, PartialEq, Eq)]
struct DecodeGroup(&'static [u8]);

impl DecodeGroup {
    const D484: Self = Self(&[4, 8, 4]);
    const D7333: Self = Self(&[7, 3, 3, 3]);
    const D3733: Self = Self(&[3, 7, 3, 3]);
    const D493: Self = Self(&[4, 9, 3]);
    const D4444: Self = Self(&[4, 4, 4, 4]);
    const D3310: Self = Self(&[3, 3, 10]);

    fn next(current: Option<Kind>, multiplications: usize, decode_cycle: usize, random: &mut BlakeGenerator) -> Self {
        match current {
            Some(Kind::MulhR | Kind::SmulhR) => Self::D3310,
            _ if multiplications <= decode_cycle => Self::D4444,
            Some(Kind::MulRcp) => [Self::D493, Self::D484][usize::from(random.byte() & 1)],
            _ => [Self::D484, Self::D7333, Self::D3733, Self::D493][usize::from(random.byte() & 3)],
        }
    }

    /// An instruction whose first macro-op fits slot number `slot`.
    fn draw(self, slot: usize, random: &mut BlakeGenerator) -> Drawn {
        let is_last = slot + 1 == self.0.len();
        let mut one_of = |kinds: &[Kind]| kinds[usize::from(random.byte()) % kinds.len()];
        let kind = match self.0[slot] {
            3 if is_last => one_of(&[Kind::SubR, Kind::XorR, Kind::MulhR, Kind::SmulhR]),
            3 => one_of(&[Kind::SubR, Kind::XorR]),
            4 if self == Self::D4444 && !is_last => Kind::MulR,
            4 => one_of(&[Kind::RorC, Kind::AddRs]),
            7 => one_of(&[Kind::XorC7, Kind::AddC7]),
            8 => one_of(&[Kind::XorC8, Kind::AddC8]),
            9 => one_of(&[Kind::XorC9, Kind::AddC9]),
            _ => Kind::MulRcp,
        };
        Drawn::new(kind, random)
    }
}

/// What the choice of operands looks at.
#[derive(Clone, Copy, Default)]
struct RegisterState {
    /// The cycle from which its value can be used.
    ready: usize,
    /// Group and operand of what was last done to it.
    last: Option<(Kind, Operand)>,
}

struct Generator<'a> {
    random: &'a mut BlakeGenerator,
    schedule: Schedule,
    registers: [RegisterState; 8],
    program: Vec<Drawn>,
    /// The instruction being issued, and how many of its macro-ops are.
    current: Option<(Drawn, usize)>,
    /// Kind of the instruction drawn last; nothing after a decode group was given up.
    last_kind: Option<Kind>,
    cycle: usize,
    /// When the result of the last macro-op can be used.
    result_ready: usize,
    multiplications: usize,
    thrown_away: usize,
    is_saturated: bool,
}

/// What became of a slot of a decode group.
enum Slot {
    Filled,
    /// The instruction for it had to be thrown away.
    TryAgain,
    GroupEnds,
}

impl<'a> Generator<'a> {
    const fn new(random: &'a mut BlakeGenerator) -> Self {
        Self {
            random,
            schedule: Schedule::new(),
            registers: [RegisterState { ready: 0, last: None }; 8],
            program: Vec::new(),
            current: None,
            last_kind: None,
            cycle: 0,
            result_ready: 0,
            multiplications: 0,
            thrown_away: 0,
            is_saturated: false,
        }
    }

    fn run(mut self) -> Vec<Drawn> {
        for decode_cycle in 0..LATENCY {
            if self.is_complete() {
                break;
            }
            let group = DecodeGroup::next(self.last_kind, self.multiplications, decode_cycle, self.random);
            let mut slot = 0;
            while slot < group.0.len() {
                match self.fill(group, slot) {
                    Slot::Filled => slot += 1,
                    Slot::TryAgain => {}
                    Slot::GroupEnds => break,
                }
            }
            self.cycle += 1;
        }
        self.program
    }

    fn is_complete(&self) -> bool {
        self.is_saturated || self.program.len() >= INSTRUCTIONS_MAX
    }

    /// Issues one macro-op into a slot.
    fn fill(&mut self, group: DecodeGroup, slot: usize) -> Slot {
        let decoded_at = self.cycle;
        let (mut drawn, op_index) = match self.current {
            Some(current) => current,
            None if self.is_complete() => return Slot::GroupEnds,
            None => {
                let drawn = group.draw(slot, self.random);
                self.last_kind = Some(drawn.kind);
                (drawn, 0)
            }
        };
        self.current = Some((drawn, op_index));
        let kind = drawn.kind;
        let op = kind.macro_ops()[op_index];
        let Some(mut at) = self.schedule.find(op, self.cycle, self.result_ready) else {
            self.is_saturated = true;
            return Slot::GroupEnds;
        };
        if kind.source_op() == Some(op_index) && !self.within_stall(&mut at, &mut drawn, Self::choose_source) {
            return self.throw_away();
        }
        if kind.destination_op() == op_index && !self.within_stall(&mut at, &mut drawn, Self::choose_destination) {
            return self.throw_away();
        }
        self.current = Some((drawn, op_index));
        self.thrown_away = 0;
        let Some(at) = self.schedule.take(op, at) else {
            self.is_saturated = true;
            return Slot::GroupEnds;
        };
        self.issued(drawn, op_index, at);
        self.cycle = decoded_at;
        Slot::Filled
    }

    /// Tries `choose` at this cycle and a few later ones, which delays everything after; whether it found a register.
    fn within_stall(
        &mut self,
        at: &mut usize,
        drawn: &mut Drawn,
        choose: impl Fn(&mut Self, usize, &mut Drawn) -> bool,
    ) -> bool {
        for _ in 0..STALL_CYCLES_MAX {
            if choose(self, *at, drawn) {
                return true;
            }
            *at += 1;
            self.cycle += 1;
        }
        false
    }

    fn throw_away(&mut self) -> Slot {
        self.current = None;
        if self.thrown_away < THROWN_AWAY_MAX {
            self.thrown_away += 1;
            Slot::TryAgain
        } else {
            self.last_kind = None;
            Slot::GroupEnds
        }
    }

    /// Enters the effects of the macro-op number `op_index` of `drawn`, executed at cycle `at`.
    fn issued(&mut self, drawn: Drawn, op_index: usize, at: usize) {
        let kind = drawn.kind;
        let ops = kind.macro_ops();
        self.result_ready = at + ops[op_index].latency;
        if kind.result_op() == op_index {
            self.registers[drawn.dst] =
                RegisterState { ready: self.result_ready, last: Some((kind.group(), drawn.operand)) };
        }
        self.is_saturated |= at >= LATENCY;
        if op_index + 1 < ops.len() {
            self.current = Some((drawn, op_index + 1));
            return;
        }
        self.current = None;
        self.program.push(drawn);
        self.multiplications += usize::from(kind.is_multiplication());
    }

    fn choose_source(&mut self, at: usize, drawn: &mut Drawn) -> bool {
        let ready = self.registers_where(|_, state| state.ready <= at);
        let is_lea = drawn.kind == Kind::AddRs;
        // Were the other of two taken, nothing would be left to add to.
        let chosen = if is_lea && ready.len() == 2 && ready.contains(&NOT_FOR_LEA) {
            Some(NOT_FOR_LEA)
        } else {
            self.one_of(&ready)
        };
        if let Some(src) = chosen {
            drawn.src = Some(src);
            if !matches!(drawn.operand, Operand::Drawn(_)) {
                drawn.operand = Operand::Register(src);
            }
        }
        chosen.is_some()
    }

    fn choose_destination(&mut self, at: usize, drawn: &mut Drawn) -> bool {
        let group = drawn.kind.group();
        let may_be_source = matches!(drawn.kind, Kind::MulhR | Kind::SmulhR);
        // Two multiplications in a row would pile up trailing zeroes, but are better than no program.
        let may_repeat_multiplication = group != Kind::MulR || self.thrown_away > 0;
        let suitable = self.registers_where(|register, state| {
            state.ready <= at
                && (may_be_source || drawn.src != Some(register))
                && (may_repeat_multiplication || state.last.is_none_or(|(last, _)| last != Kind::MulR))
                && state.last != Some((group, drawn.operand))
                && (drawn.kind != Kind::AddRs || register != NOT_FOR_LEA)
        });
        let chosen = self.one_of(&suitable);
        drawn.dst = chosen.unwrap_or(drawn.dst);
        chosen.is_some()
    }

    fn registers_where(&self, suits: impl Fn(usize, &RegisterState) -> bool) -> Vec<usize> {
        let states = self.registers.iter().enumerate();
        states.filter(|(register, state)| suits(*register, state)).map(|(register, _)| register).collect()
    }

    /// Draws one; nothing is drawn where there is no choice.
    fn one_of(&mut self, registers: &[usize]) -> Option<usize> {
        match registers {
            [] => None,
            [only] => Some(*only),
            several => Some(several[self.random.word() as usize % several.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blake2::{Blake2b, Digest, digest::consts::U32};

    /// An instruction in the eight bytes that the published digests are taken over.
    fn encode(drawn: &Drawn) -> [u8; 8] {
        let [dst, src] = [drawn.dst, drawn.src.unwrap_or(drawn.dst)].map(|register| u8::try_from(register).unwrap());
        let [a, b, c, d] = drawn.immediate.to_le_bytes();
        [drawn.kind as u8, dst, src, drawn.modifier, a, b, c, d]
    }

    #[test]
    fn programs_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../vectors/randomx.json")).unwrap();
        let cases = &vectors["superscalar_program_blake2b"];
        let mut random = BlakeGenerator::new(cases["key_ascii"].as_str().unwrap().as_bytes());
        let digests = cases["first10"].as_array().unwrap();
        assert_eq!(digests.len(), 10);
        for digest in digests {
            let bytes: Vec<u8> = Generator::new(&mut random).run().iter().flat_map(encode).collect();
            assert_eq!(hex::encode(Blake2b::<U32>::digest(&bytes)), digest.as_str().unwrap());
        }
    }
}

use std::{slice, sync::Arc};

use super::{
    interpreter::Interpreter,
    program::{Instruction, PROGRAM_SIZE},
    state::VmState,
    *,
};
use crate::randomx::{
    cache::Cache,
    dataset::Dataset,
    tests::rounding_probe,
    vm::{RandomXEngine, Table, Vm},
};

#[test]
fn whole_hashes_equal_the_library() {
    let Some(mut machine) = Machine::new().unwrap() else { return };
    let mut dataset = Dataset::unbuilt();
    for key in [b"first", b"other"] {
        let cache = Arc::new(Cache::build(key, None).unwrap());
        let mut library = Vm::new(Table::Light(Arc::clone(&cache))).unwrap();
        machine.begin(b"0");
        for input in 0..8_u64 {
            run_by_steps(&mut machine, |item| dataset.item(&cache, item));
            let expected = library.hash(input.to_string().as_bytes());
            assert_eq!(machine.finish_and_begin((input + 1).to_string().as_bytes()), expected);
        }
        run_by_steps(&mut machine, |item| dataset.item(&cache, item));
        assert_eq!(machine.finish(), library.hash(b"8"));
    }
}

/// Any bytes do for a dataset: memory that nobody wrote reads as zeroes and takes up nothing.
#[test]
fn turns_equal_the_library() {
    if Machine::new().unwrap().is_none() {
        return;
    }
    let dataset = Arc::new(Dataset::unbuilt());
    let mut library = Vm::of(RandomXEngine::Library, Table::Fast(Arc::clone(&dataset))).unwrap();
    let mut own = Vm::of(RandomXEngine::Own, Table::Fast(dataset)).unwrap();
    assert_eq!([library.engine(), own.engine()], [RandomXEngine::Library, RandomXEngine::Own]);
    let inputs: Vec<String> = (0..9).map(|input| format!("input {input}")).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(String::as_bytes).collect();
    let expected: Vec<PowHash> = inputs.iter().map(|input| library.hash(input)).collect();
    let probe = rounding_probe();
    for vm in [&mut library, &mut own] {
        // In ones and twos, so that a machine also begins or ends alone.
        let mut values = vec![];
        for inputs in [&inputs[..5], &inputs[5..6], &inputs[6..]].iter().flat_map(|inputs| inputs.chunks(2)) {
            values.extend(vm.feed(inputs));
            assert_eq!(rounding_probe(), probe);
        }
        values.extend(vm.drain());
        assert_eq!(values, expected);
        assert_eq!(vm.drain(), []);
        vm.feed(&inputs[..2]);
        assert_eq!(vm.hash(inputs[5]), expected[5]);
        assert_eq!(vm.drain(), []);
    }
}

#[test]
fn programs_read_the_item_that_steps_are_given() {
    let Some(mut machine) = Machine::new().unwrap() else { return };
    let dataset = Dataset::unbuilt();
    for input in 0..50_u8 {
        machine.begin(&[input]);
        machine.start_program();
        let read = machine.dataset_start(&dataset).wrapping_add((machine.turn.state.ma & DATASET_LINE_MASK) as usize);
        assert_eq!((read.addr() - dataset.memory().addr()) as u64, machine.next_item() * 64);
    }
}

fn run_by_steps(machine: &mut Machine, mut item: impl FnMut(u64) -> [u64; 8]) {
    for _ in 0..PROGRAMS {
        machine.start_program();
        for _ in 0..PROGRAM_ITERATIONS {
            let item = item(machine.next_item());
            Machine::step(slice::from_mut(machine), &[item]);
        }
        machine.end_program();
    }
}

#[test]
fn random_programs_equal_the_model() {
    for mut bench in benches() {
        for seed in 0..1000 {
            bench.compare(&random_program(seed), 3);
        }
        bench.compare_scratchpads();
    }
}

/// Programs that are half one opcode, with the operands at which something changes.
#[test]
fn every_opcode_equals_the_model() {
    const IMMEDIATES: [u32; 12] =
        [0, 1, 2, 7, 8, 63, 64, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fff8, 0xffff_ffff];
    let mut benches = benches();
    for opcode in 0..=u8::MAX {
        for variant in 0..5_u64 {
            let mut bytes = random_program(u64::from(opcode) << 8 | variant);
            for index in (0..PROGRAM_SIZE).step_by(2) {
                let instruction = &mut bytes[128 + 8 * index..][..8];
                instruction[0] = opcode;
                if instruction[3] & 1 == 0 {
                    instruction[2] = instruction[1];
                }
                if instruction[5] & 1 == 0 {
                    let immediate = IMMEDIATES[usize::from(instruction[4]) % IMMEDIATES.len()];
                    instruction[4..].copy_from_slice(&immediate.to_le_bytes());
                }
            }
            benches.iter_mut().for_each(|bench| bench.compare(&bytes, 2));
        }
    }
    benches.iter().for_each(Bench::compare_scratchpads);
}

/// The longest code there can be fits.
#[test]
fn programs_of_one_opcode_compile() {
    for mut bench in benches() {
        for opcode in 0..=u8::MAX {
            let mut bytes = random_program(u64::from(opcode));
            bytes[128..].iter_mut().step_by(8).for_each(|byte| *byte = opcode);
            bench.compare(&bytes, 1);
        }
    }
}

#[test]
fn all_rounding_modes_and_all_instructions_occur() {
    let programs: Vec<_> = (0..100).flat_map(|seed| decode(&random_program(seed))).collect();
    let kinds: std::collections::HashSet<_> = programs.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 23);
    let Some(mut bench) = benches().pop() else { return };
    let mut modes = [0; 4];
    for seed in 0..100 {
        bench.compare(&random_program(seed), 1);
        modes[bench.model.rounding as usize] += 1;
    }
    assert!(modes.iter().all(|&count| count > 5), "{modes:?}");
}

#[test]
fn edges_of_the_encoding() {
    let decode_one = |bytes: [u8; 8]| {
        let mut program = [0; PROGRAM_BYTES];
        program[128..136].copy_from_slice(&bytes);
        decode(&program)[0]
    };
    // IMUL_RCP by zero, a power of two, and otherwise.
    assert_eq!(decode_one([76, 1, 0, 0, 0, 0, 0, 0]), Instruction::Nop);
    assert_eq!(decode_one([76, 1, 0, 0, 0, 0, 0, 0x80]), Instruction::Nop);
    let three = Instruction::ImulRcp { dst: 1, reciprocal: 0xaaaa_aaaa_aaaa_aaaa };
    assert_eq!(decode_one([76, 1, 0, 0, 3, 0, 0, 0]), three);
    let largest = Instruction::ImulRcp { dst: 1, reciprocal: 0x8000_0000_8000_0000 };
    assert_eq!(decode_one([76, 1, 0, 0, 0xff, 0xff, 0xff, 0xff]), largest);
    // A branch's own bit is set and the one below cleared, at both ends of what `mod.cond` selects.
    let branch = |addend, mask| Instruction::Cbranch { dst: 2, addend, mask, target: 0 };
    assert_eq!(decode_one([214, 2, 0, 0, 0xff, 0xff, 0xff, 0xff]), branch(!0x80, 0xff00));
    assert_eq!(decode_one([238, 2, 0, 0xf0, 0, 0, 0, 0]), branch(0x80_0000, 0x7f80_0000));
}

/// A compiled program and its model, each with a VM of its own that start and stay equal.
struct Bench {
    machine: Machine,
    model: VmState,
    scratchpad: Vec<Block>,
}

/// One for each way to round, none where machines cannot run.
fn benches() -> Vec<Bench> {
    let (Some(mut own_way), Some(mut controlled)) = (Machine::new().unwrap(), Machine::new().unwrap()) else {
        return Vec::new();
    };
    controlled.compiler.round_controlled();
    for machine in [&mut own_way, &mut controlled] {
        machine.begin(b"any");
    }
    let bench =
        |machine: Machine| Bench { model: VmState::default(), scratchpad: machine.scratchpad.to_vec(), machine };
    vec![bench(own_way), bench(controlled)]
}

impl Bench {
    fn compare(&mut self, bytes: &[u8; PROGRAM_BYTES], iterations: u64) {
        let (configuration, program) = (Configuration::decode(bytes), decode(bytes));
        self.machine.turn.state.start(&configuration);
        self.machine.compiler.compile(&program, configuration.read, Switch::Never);
        self.model.start(&configuration);
        let Self { machine, model, scratchpad } = self;
        let mut interpreter = Interpreter { program: &program, read: configuration.read, state: model, scratchpad };
        for iteration in 0..iterations {
            let item = std::array::from_fn(|index| 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + iteration));
            Machine::step(slice::from_mut(machine), &[item]);
            interpreter.iterate(|_| item);
            assert_eq!(machine.turn.state, *interpreter.state, "{program:#?}");
        }
    }

    fn compare_scratchpads(&self) {
        assert!(*self.machine.scratchpad == *self.scratchpad);
    }
}

/// By the same hash that makes seeds, so that it needs no special processor.
fn random_program(seed: u64) -> [u8; PROGRAM_BYTES] {
    let mut blocks = [Block::ZERO; PROGRAM_BYTES / 64];
    for (index, block) in (0_u64..).zip(&mut blocks) {
        *block = hash_512(&[seed.to_le_bytes(), index.to_le_bytes()].concat());
    }
    *as_bytes(&blocks)
}

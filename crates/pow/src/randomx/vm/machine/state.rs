use std::{ffi::c_void, ptr};

use super::{aes::Block, program::Configuration};

/// Bytes of the scratchpad.
pub(super) const SCRATCHPAD_BYTES: usize = 2 << 20;
/// How often a program runs.
pub(super) const ITERATIONS: u64 = 2048;
/// Keeps an address inside the scratchpad, at a multiple of 64.
pub(super) const SCRATCHPAD_LINE_MASK: u32 = (2 << 20) - 64;
/// Keeps an address inside the first 2 GiB of the dataset, at a multiple of 64.
pub(super) const DATASET_LINE_MASK: u32 = (1 << 31) - 64;

/// The 256 bytes that end a program (specification, chapter 1.1): r0 to r7, f0 to f3, e0 to e3, a0 to a3. Floating point
/// numbers are kept as their bits, so that no Rust code ever computes with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Registers {
    pub(super) r: [u64; 8],
    pub(super) f: [[u64; 2]; 4],
    pub(super) e: [[u64; 2]; 4],
    pub(super) a: [[u64; 2]; 4],
}

impl Registers {
    pub(super) fn to_bytes(self) -> [u8; 256] {
        let mut bytes = [0; 256];
        let floats = [self.f, self.e, self.a];
        let words = self.r.iter().chain(floats.as_flattened().as_flattened());
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// Everything that the loop of a program reads and writes besides scratchpad and dataset; between two iterations it is the
/// whole state of the VM. Compiled code finds the fields by their offsets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct VmState {
    pub(super) registers: Registers,
    /// Or-ed into values loaded for group E.
    pub(super) e_mask: [u64; 2],
    /// `spAddr0` in the low, `spAddr1` in the high half, of the next iteration; masked when used at the latest.
    pub(super) scratchpad_address: u64,
    /// `ma`, where the next iteration reads the dataset.
    pub(super) ma: u32,
    pub(super) mx: u32,
    /// `fprc`, the rounding mode.
    pub(super) rounding: u32,
}

/// The state of a machine and where its program goes. Compiled code finds the fields by their offsets.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Turn {
    pub(super) scratchpad: *mut Block,
    /// Where the dataset's address 0 is, the program's own offset added.
    pub(super) dataset: *const u8,
    /// Iterations still to do.
    pub(super) iterations: u64,
    /// The two lines of the scratchpad that the present iteration reads, and writes at its end.
    pub(super) lines: [*mut u8; 2],
    /// Its code, for its present rounding mode.
    pub(super) code: *const c_void,
    /// Its code for the first rounding mode.
    pub(super) first_code: *const c_void,
    /// Whose turn it is after an iteration.
    pub(super) next: *mut Turn,
    /// In the machine whose last iteration is the last of all: the code that returns to the caller.
    pub(super) leave: *const c_void,
    pub(super) state: VmState,
}

impl VmState {
    /// Ready for the first iteration of a program. The rounding mode goes on from the program before.
    pub(super) fn start(&mut self, configuration: &Configuration) {
        self.registers = Registers { a: configuration.a, ..Registers::default() };
        self.e_mask = configuration.e_mask;
        self.ma = configuration.ma;
        self.mx = configuration.mx;
        self.scratchpad_address = u64::from(configuration.ma) << 32 | u64::from(configuration.mx);
    }
}

impl Turn {
    /// A turn that goes nowhere yet.
    pub(super) fn idle() -> Self {
        Self {
            state: VmState::default(),
            scratchpad: ptr::null_mut(),
            dataset: ptr::null(),
            iterations: 0,
            lines: [ptr::null_mut(); 2],
            code: ptr::null(),
            first_code: ptr::null(),
            next: ptr::null_mut(),
            leave: ptr::null(),
        }
    }
}

// SAFETY: every run sets the pointers before it uses them; between runs they are only numbers.
unsafe impl Send for Turn {}

use std::{
    ffi::{CStr, c_int, c_void},
    ptr::{self, NonNull},
};

/// Bytes of one buffer, whole pages.
pub(super) const CODE_BYTES: usize = 64 << 10;
const NAME: &CStr = c"bq-randomx";

/// Memory for generated code that is never writable and executable at one address: the same pages are mapped twice. So no
/// system call is needed to change from writing to running, a hundred times per second and thread.
pub(super) struct CodeMemory {
    writable: NonNull<u8>,
    executable: NonNull<u8>,
}

// SAFETY: owns both mappings; nothing about them belongs to a thread.
unsafe impl Send for CodeMemory {}

impl CodeMemory {
    /// Nothing where the system refuses, for instance because it forbids generated code.
    pub(super) fn new() -> Option<Self> {
        let length = libc::off_t::try_from(CODE_BYTES).ok()?;
        // SAFETY: a new anonymous file, closed below whatever happens; its mappings outlive the descriptor.
        unsafe {
            let file = libc::memfd_create(NAME.as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 {
                return None;
            }
            let sized = libc::ftruncate(file, length) == 0;
            let writable = sized.then(|| map(file, libc::PROT_READ | libc::PROT_WRITE)).flatten();
            let executable = sized.then(|| map(file, libc::PROT_READ | libc::PROT_EXEC)).flatten();
            libc::close(file);
            match (writable, executable) {
                (Some(writable), Some(executable)) => Some(Self { writable, executable }),
                (one, other) => {
                    one.into_iter().chain(other).for_each(|mapping| unmap(mapping));
                    None
                }
            }
        }
    }

    /// Replaces the code. False, and nothing done, if it is too long.
    #[must_use]
    pub(super) fn write(&mut self, code: &[u8]) -> bool {
        if code.len() > CODE_BYTES {
            return false;
        }
        // SAFETY: the length was checked, and `&mut self` says that nobody runs or writes this code now.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), self.writable.as_ptr(), code.len()) };
        serialize();
        true
    }

    /// Where the code runs.
    pub(super) const fn start(&self) -> *const c_void {
        self.executable.as_ptr().cast_const().cast()
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, unmapped only here; `&mut self` says that nobody runs the code.
        unsafe {
            unmap(self.writable);
            unmap(self.executable);
        }
    }
}

/// # Safety
/// `file` must be an open file of [`CODE_BYTES`] bytes.
unsafe fn map(file: c_int, protection: c_int) -> Option<NonNull<u8>> {
    // SAFETY: the kernel chooses an unused address.
    let address = unsafe { libc::mmap(ptr::null_mut(), CODE_BYTES, protection, libc::MAP_SHARED, file, 0) };
    NonNull::new(address.cast()).filter(|_| address != libc::MAP_FAILED)
}

/// # Safety
/// `mapping` must come from [`map`] and not be used again.
unsafe fn unmap(mapping: NonNull<u8>) {
    // SAFETY: the whole of a mapping that the caller owns.
    unsafe { libc::munmap(mapping.as_ptr().cast(), CODE_BYTES) };
}

/// A processor that is told of new code through another address than the one it runs at must execute a serializing
/// instruction in between (the manuals of both makers). `iretq` to the next line is the cheapest that needs no privilege: 40 ns, where
/// `cpuid` in a virtual machine takes 4 microseconds.
fn serialize() {
    // SAFETY: returns to the line after it with the stack, the flags and the selectors that it had. The stack pointer is moved
    // over the red zone first.
    unsafe {
        std::arch::asm!(
            "mov {stack}, rsp",
            "sub rsp, 128",
            "and rsp, -16",
            "mov {scratch:e}, ss",
            "push {scratch}",
            "push {stack}",
            "pushfq",
            "mov {scratch:e}, cs",
            "push {scratch}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "iretq",
            "2:",
            stack = out(reg) _,
            scratch = out(reg) _,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_what_was_written_last() {
        let mut memory = CodeMemory::new().unwrap();
        for value in (0..20_000_u32).chain([u32::MAX]) {
            // mov eax, value; ret
            let mut code = vec![0xb8];
            code.extend(value.to_le_bytes());
            code.push(0xc3);
            assert!(memory.write(&code));
            // SAFETY: the code above is a whole function of this type.
            let function = unsafe { std::mem::transmute::<*const c_void, extern "C" fn() -> u32>(memory.start()) };
            assert_eq!(function(), value);
        }
    }

    #[test]
    fn too_much_code_is_refused() {
        assert!(!CodeMemory::new().unwrap().write(&[0x90; CODE_BYTES + 1]));
    }
}

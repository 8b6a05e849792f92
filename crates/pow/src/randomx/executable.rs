use std::ptr::{self, NonNull};

use crate::PowError;

/// Machine code of ours in memory of its own: written once, then readable and executable but never writable again.
pub(super) struct Executable {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is owned exclusively and never changes.
unsafe impl Send for Executable {}
// SAFETY: as above.
unsafe impl Sync for Executable {}

impl Executable {
    /// Copies `code` to where it can run. Systems that forbid that give the error.
    pub(super) fn new(code: &[u8]) -> Result<Self, PowError> {
        let bytes = code.len().max(1);
        let no_memory = || PowError::Memory { what: "machine code", bytes: code.len() as u64 };
        // SAFETY: asks for fresh pages wherever the kernel likes, which touches no memory in use.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(no_memory());
        }
        let executable = Self { start: NonNull::new(start.cast()).ok_or_else(no_memory)?, bytes };
        // SAFETY: the mapping is writable, at least as long as `code`, and known to nobody else.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), executable.start.as_ptr(), code.len()) };
        // SAFETY: the whole of our own mapping.
        let protected = unsafe { libc::mprotect(start, bytes, libc::PROT_READ | libc::PROT_EXEC) };
        if protected == 0 { Ok(executable) } else { Err(no_memory()) }
    }

    /// The first byte of the code; it stays there while `self` lives.
    pub(super) const fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, unmapped only here; those who run the code hold a reference to us.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn code_runs_where_it_lies() {
        // mov eax, 42; ret
        let code = Executable::new(&[0xb8, 42, 0, 0, 0, 0xc3]).unwrap();
        // SAFETY: the bytes are a function of this type, and `code` outlives the call.
        let answer = unsafe { std::mem::transmute::<*const u8, extern "sysv64" fn() -> u32>(code.start())() };
        assert_eq!(answer, 42);
    }
}

use crate::PowError;

/// Why there is no GPU to use, or why it must not be used any longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// This machine has no CUDA driver: the usual case.
    #[error("no CUDA driver (libcuda.so.1 not found)")]
    NoDriver,
    /// The driver lacks a function that CUDA 11 has.
    #[error("the CUDA driver is too old: it lacks {symbol}")]
    OldDriver {
        /// The function.
        symbol: &'static str,
    },
    /// There is a driver and no GPU that it may use.
    #[error("the CUDA driver finds no GPU")]
    NoDevice,
    /// There is no GPU of that number.
    #[error("no GPU {got}: the CUDA driver finds {count}")]
    NoSuchDevice {
        /// Asked for.
        got: usize,
        /// How many there are.
        count: usize,
    },
    /// The GPU cannot run our kernels.
    #[error("{name} has compute capability {}.{}, at least 7.0 is needed", .compute.0, .compute.1)]
    OldDevice {
        /// What the driver calls it.
        name: String,
        /// Its compute capability, major and minor.
        compute: (u32, u32),
    },
    /// A driver call failed. After most such failures the GPU does nothing more for this process.
    #[error("{call} failed: {text} ({code})")]
    Driver {
        /// The function.
        call: &'static str,
        /// Its result.
        code: u32,
        /// What the driver says about it.
        text: String,
    },
    /// A table does not fit into the GPU's memory.
    #[error("{what} takes {bytes} bytes of GPU memory, {free} are free")]
    Memory {
        /// What was to be built.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// What there is.
        free: u64,
    },
    /// A kernel gives other results than the CPU: GPU, driver or kernel is faulty.
    #[error("the GPU computes wrongly: {what} differs from the CPU's")]
    Wrong {
        /// What was compared.
        what: &'static str,
    },
    /// Too many of the GPU's hits were none.
    #[error("{bad_hits} hits of the GPU were none; it is not used any more")]
    Unreliable {
        /// How many.
        bad_hits: u64,
    },
    /// No dataset is ready for the epoch.
    #[error("the GPU has no Ethash dataset for epoch {epoch}")]
    NoDataset {
        /// The epoch asked for.
        epoch: u32,
    },
    /// The CPU could not build what it checks the GPU with.
    #[error(transparent)]
    Pow(#[from] PowError),
}

impl GpuError {
    /// There is nothing to use here, and nothing is broken.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::NoDriver | Self::NoDevice)
    }
}

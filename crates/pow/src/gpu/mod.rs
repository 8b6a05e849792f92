//! Search on CUDA GPUs, where there is one: optional at run time, and never believed.
//!
//! The driver (`libcuda.so.1`) is loaded when first asked for, and its absence is an error like any other. The kernels are
//! CUDA C in `kernels/*.cu`; the PTX beside each is made from it by `make gpu-kernels` and committed, so that a user needs the
//! driver and no toolkit. Tests compile the same sources for the CPU and run the host side against them.
//!
//! Read [`GpuDevice`] and [`GpuError`] first.

mod device;
mod driver;
mod error;
mod ethash;
mod hits;
mod sha256d;

pub use device::{GpuCounters, GpuDevice, GpuInfo};
pub use error::GpuError;

#[cfg(test)]
mod tests;

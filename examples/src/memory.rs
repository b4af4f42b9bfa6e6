//! The allocator of every example.
//!
//! A training step frees and allocates hundreds of megabytes. The system's allocator hands them back to the kernel each
//! time, and getting cleared pages again took a quarter of a step (docs/log.md).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's `include/mimalloc.h`, which the bindings do not name: milliseconds until freed
/// memory goes back to the kernel, -1 for never.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Keeps freed memory for the next step instead of handing it back: the process stays at its peak.
pub fn keep_freed() {
    // SAFETY: sets an integer option of the allocator, which allows it at any time from any thread.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}

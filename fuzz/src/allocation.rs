//! An allocator that finds sizes taken from a file unchecked. libFuzzer sees only memory that was touched.

use std::alloc::{GlobalAlloc, Layout, System};

/// More than any target needs at once: the largest rotary table takes 128 MiB.
const LARGEST: usize = 512 << 20;

/// The system's allocator, which ends the run when one allocation asks for more than half a gibibyte.
pub struct Limited;

fn check(size: usize) {
    if size > LARGEST {
        eprintln!("allocation of {size} bytes");
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller's promise is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: as for `alloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

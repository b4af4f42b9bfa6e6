//! Readers made by others panic on some malformed files, and data from outside must not.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `read` gives, or what it says in panicking. The program's panic hook hears of it first, and by default prints it.
/// Whatever `read` was changing is not to be used again.
pub(crate) fn caught<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        // Some say the whole of what they read.
        let text: String = text.unwrap_or("nothing").chars().take(200).collect();
        format!("something its reader does not bear ({text})")
    })
}

//! Turns panics of third-party readers into errors. Some malformed files cause such panics, and outside data must not
//! end the program.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a reader and turns its panic into an error with its message. The program's panic hook runs first, and by
/// default prints the message. Anything that `read` was modifying must not be used afterwards.
///
/// # Errors
/// When `read` panics.
pub(crate) fn caught<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        format!(
            "data that its reader fails on ({})",
            shortened(text.unwrap_or("no message"))
        )
    })
}

/// The beginning of a message: some messages quote everything that was read.
pub(crate) fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

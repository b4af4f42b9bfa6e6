use crate::DataError;

/// Is notified of what a [`DataLoader`](crate::DataLoader) does. `()` ignores all notifications.
pub trait LoaderObserver: Send {
    /// A conversation was tokenised; the current buffer now has this many `conversations` and `tokens`. A buffer may
    /// take seconds.
    fn tokenized(&mut self, conversations: u64, tokens: u64) {
        let _ = (conversations, tokens);
    }

    /// The buffer is packed, and its rows are handed out.
    fn packed(&mut self) {}

    /// A record was skipped. The error says where it is, if it is in a file, and what is wrong with it.
    fn bad_record(&mut self, error: &DataError) {
        let _ = error;
    }
}

impl LoaderObserver for () {}

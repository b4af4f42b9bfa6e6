//! What everything is made from.

use serde::{Deserialize, Serialize};

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`; other roles pass through the template unchanged.
    pub role: String,
    /// The text of the turn, never trimmed.
    pub content: String,
}

/// A sequence of turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The turns in order.
    pub messages: Vec<Message>,
    /// Where it came from, when the data says so (`source` in smol-smoltalk).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

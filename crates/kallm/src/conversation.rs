//! Shortens a conversation to fit into the model's positions.

use crate::error::Result;
use smoltalk_data::{ChatTokenizer, Message};

/// The end of a conversation, ready for the assistant's next turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestTurns {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Oldest exchanges that were removed to make room.
    pub forgotten: usize,
}

/// Ids of the conversation up to the assistant's next turn, at most `room` of them. If it is longer, the oldest turns
/// are removed, each with its answer. A system turn stays. `None` if the last turn alone is too long; nothing is
/// removed then.
///
/// # Errors
/// When the chat template fails.
pub fn encode_latest(
    tokenizer: &ChatTokenizer,
    messages: &mut Vec<Message>,
    room: usize,
) -> Result<Option<LatestTurns>> {
    let oldest = usize::from(messages.first().is_some_and(|message| message.role == "system"));
    let mut latest = messages.clone();
    let mut ids = tokenizer.encode_chat(&latest, true)?;
    while ids.len() > room && latest.len() > oldest + 2 {
        latest.drain(oldest..oldest + 2);
        ids = tokenizer.encode_chat(&latest, true)?;
    }
    if ids.len() > room {
        return Ok(None);
    }
    let forgotten = (messages.len() - latest.len()) / 2;
    *messages = latest;
    Ok(Some(LatestTurns { ids, forgotten }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_exchanges_are_forgotten_and_the_system_turn_is_not() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let all = [
            Message::system("Be brief."),
            Message::user("first"),
            Message::assistant("one"),
            Message::user("second"),
            Message::assistant("two"),
            Message::user("third"),
        ];
        let last = [all[0].clone(), all[3].clone(), all[4].clone(), all[5].clone()];
        let whole = tokenizer.encode_chat(&all, true).unwrap();

        let mut messages = all.to_vec();
        let latest = |ids, forgotten| Some(LatestTurns { ids, forgotten });
        let found = encode_latest(&tokenizer, &mut messages, whole.len()).unwrap();
        assert_eq!((found, messages.len()), (latest(whole.clone(), 0), 6));
        let found = encode_latest(&tokenizer, &mut messages, whole.len() - 1).unwrap();
        assert_eq!(messages, last);
        assert_eq!(found, latest(tokenizer.encode_chat(&last, true).unwrap(), 1));
        assert_eq!(encode_latest(&tokenizer, &mut messages, 1).unwrap(), None);
        assert_eq!(messages, last, "what could not be said changes nothing");
    }

    #[test]
    fn without_a_system_turn_the_first_exchange_goes_first() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let mut messages = vec![
            Message::user("first"),
            Message::assistant("one"),
            Message::user("second"),
        ];
        let room = tokenizer.encode_chat(&messages, true).unwrap().len() - 1;
        assert!(encode_latest(&tokenizer, &mut messages, room).unwrap().is_some());
        assert_eq!(messages, [Message::user("second")]);
    }
}

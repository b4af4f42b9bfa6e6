//! A conversation that fits into the model's positions.

use crate::terminal::note;
use anyhow::Result;
use smoltalk_data::{ChatTokenizer, Message};

/// A turn of a conversation.
pub fn turn(role: &str, content: &str) -> Message {
    Message {
        role: role.to_string(),
        content: content.to_string(),
    }
}

/// Ids of the conversation up to the assistant's next turn.
///
/// # Errors
/// When the chat template fails.
pub fn encode(tokenizer: &ChatTokenizer, messages: &[Message]) -> Result<Vec<u32>> {
    Ok(tokenizer.encode(&tokenizer.apply_chat_template(messages, true)?))
}

/// As [`encode`], of at most `room` ids: of a conversation that is longer the oldest turns are removed, each with the
/// answer to it, and a note says so. A system turn stays. `None` when the last turn alone is too long.
///
/// # Errors
/// When the chat template fails.
pub fn encode_latest(tokenizer: &ChatTokenizer, messages: &mut Vec<Message>, room: usize) -> Result<Option<Vec<u32>>> {
    let oldest = usize::from(messages.first().is_some_and(|message| message.role == "system"));
    let mut forgotten = 0;
    let mut ids = encode(tokenizer, messages)?;
    while ids.len() > room && messages.len() > oldest + 2 {
        messages.drain(oldest..oldest + 2);
        forgotten += 1;
        ids = encode(tokenizer, messages)?;
    }
    if forgotten > 0 {
        note(format_args!(
            "(the conversation no longer fits into {room} tokens: the {forgotten} oldest of its exchanges are forgotten)"
        ));
    }
    Ok(Some(ids).filter(|ids| ids.len() <= room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_exchanges_are_forgotten_and_the_system_turn_is_not() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let all = [
            turn("system", "Be brief."),
            turn("user", "first"),
            turn("assistant", "one"),
            turn("user", "second"),
            turn("assistant", "two"),
            turn("user", "third"),
        ];
        let last = [all[0].clone(), all[3].clone(), all[4].clone(), all[5].clone()];
        let whole = encode(&tokenizer, &all).unwrap();

        let mut messages = all.to_vec();
        let ids = encode_latest(&tokenizer, &mut messages, whole.len()).unwrap();
        assert_eq!((ids, messages.len()), (Some(whole.clone()), 6));
        let ids = encode_latest(&tokenizer, &mut messages, whole.len() - 1).unwrap();
        assert_eq!(messages, last);
        assert_eq!(ids, Some(encode(&tokenizer, &last).unwrap()));
        assert_eq!(encode_latest(&tokenizer, &mut messages, 1).unwrap(), None);
        assert_eq!(messages, [all[0].clone(), all[5].clone()]);
    }

    #[test]
    fn without_a_system_turn_the_first_exchange_goes_first() {
        let tokenizer = ChatTokenizer::byte_level().unwrap();
        let mut messages = vec![turn("user", "first"), turn("assistant", "one"), turn("user", "second")];
        let room = encode(&tokenizer, &messages).unwrap().len() - 1;
        assert!(encode_latest(&tokenizer, &mut messages, room).unwrap().is_some());
        assert_eq!(messages, [turn("user", "second")]);
    }
}

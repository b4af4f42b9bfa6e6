//! Plain text as conversations, to train on together with others.

use crate::error::{KallmError, OfPath, Result};
use smoltalk_data::{Conversation, Message, Source};
use std::path::Path;

/// Paragraphs are joined until a piece has this many characters.
const PIECE: usize = 1000;

/// A text file as conversations of one assistant turn each: paragraphs, separated by blank lines, joined up to about a
/// thousand characters.
///
/// # Errors
/// When the file cannot be read or holds nothing.
pub fn conversations(path: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(path).of_path("read", path)?;
    let pieces = pieces(&text);
    if pieces.is_empty() {
        let remedy = "is this the right file?";
        return Err(KallmError::unusable(path.display(), "text", "none", remedy));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let conversation = |piece: String| Conversation {
        messages: vec![Message::assistant(piece)],
        source: Some(name.to_string()),
    };
    Ok(Source::from_conversations(
        pieces.into_iter().map(conversation).collect(),
    ))
}

fn pieces(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let mut pieces: Vec<String> = Vec::new();
    for paragraph in text
        .split("\n\n")
        .map(str::trim)
        .filter(|paragraph| !paragraph.is_empty())
    {
        match pieces.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => {
                piece.push_str("\n\n");
                piece.push_str(paragraph);
            }
            None => pieces.push(paragraph.to_string()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_stay_whole_and_none_is_lost() {
        let paragraphs: Vec<String> = (0..60)
            .map(|index| format!("{index} {}", "word ".repeat(20).trim()))
            .collect();
        let text = format!("\n\n{}\n", paragraphs.join("\n\n"));
        let found = pieces(&text);
        assert!((5..8).contains(&found.len()), "{}", found.len());
        assert_eq!(found.join("\n\n"), paragraphs.join("\n\n"));
        assert!(found.iter().all(|piece| piece.len() < PIECE + 200));
        assert_eq!(pieces(&text.replace('\n', "\r\n")), found);
        assert!(pieces(" \n\n \n").is_empty());
    }
}

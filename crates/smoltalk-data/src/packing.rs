//! Packs conversations into rows of equal length. Every policy counts the tokens that it adds, cuts and drops.

use crate::Tokenized;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How conversations become rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// The published recipe (TRL's ConstantLengthDataset): an end-of-turn token after every conversation, all joined,
    /// cut into exact lengths, the rest of each buffer dropped. Conversations straddle rows and see each other.
    #[default]
    Concat,
    /// Each whole conversation goes into the row it fills best; attention and positions stay within a conversation.
    BestFit,
    /// One conversation per row, padded on the right.
    None,
}

/// What [`Packing::BestFit`] and [`Packing::None`] do with a conversation longer than a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// Keep its beginning.
    #[default]
    Truncate,
    /// Cut it into pieces of a row's length.
    Split,
    /// Leave it out.
    Drop,
}

/// One row. All fields have the row's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRow {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Whether each token is a target. The first token of a row or document is never a target.
    pub loss_mask: Vec<bool>,
    /// Position of each token in its document; `None` when the row counts from 0 to its end.
    pub positions: Option<Vec<u32>>,
    /// Document of each token, with padding as a separate document; `None` when the row is one document.
    pub documents: Option<Vec<u32>>,
}

/// Where the tokens went. Always
/// `tokens_in + tokens_added = tokens_out + tokens_truncated + tokens_dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackingCounts {
    /// Conversations read.
    pub conversations: u64,
    /// Of these, the ones without tokens. They are left out, so that no row consists of separators.
    pub conversations_empty: u64,
    /// Their tokens.
    pub tokens_in: u64,
    /// Tokens that the policy added: end-of-turn separators and padding.
    pub tokens_added: u64,
    /// Tokens in the rows.
    pub tokens_out: u64,
    /// Of these, targets.
    pub targets: u64,
    /// Tokens cut from conversations longer than a row, and the rest of a buffer shorter than one.
    pub tokens_truncated: u64,
    /// Tokens of conversations or rows left out: overlong ones, and those without any target.
    pub tokens_dropped: u64,
    /// Rows made.
    pub rows: u64,
    /// Rows left out because they had no target.
    pub rows_dropped: u64,
}

/// A packing policy with its row length.
#[derive(Clone, Copy, Debug)]
pub struct Packer {
    /// The policy.
    pub packing: Packing,
    /// Conversations longer than a row.
    pub overlong: Overlong,
    /// Tokens in a row, at least 2.
    pub sequence_length: usize,
    /// The end-of-turn token of [`Packing::Concat`].
    pub eos: u32,
    /// The token that fills a row.
    pub pad: u32,
    /// Whether the separators of [`Packing::Concat`] are targets.
    pub train_on_separators: bool,
}

impl Packer {
    /// Packs one buffer of conversations. [`Packing::BestFit`] orders the rows by their longest conversation; otherwise
    /// they are in the order of the conversations.
    pub fn pack(&self, mut buffer: Vec<Tokenized>, counts: &mut PackingCounts) -> Vec<PackedRow> {
        let read = buffer.len();
        counts.conversations += read as u64;
        buffer.retain(|tokenized| !tokenized.ids.is_empty());
        counts.conversations_empty += (read - buffer.len()) as u64;
        counts.tokens_in += buffer.iter().map(|tokenized| tokenized.ids.len() as u64).sum::<u64>();
        let rows = match self.packing {
            Packing::Concat => self.concat(buffer, counts),
            Packing::BestFit => self.fill(self.best_fit(self.pieces(buffer, counts)), counts),
            Packing::None => self.fill(
                self.pieces(buffer, counts)
                    .into_iter()
                    .map(|piece| vec![piece])
                    .collect(),
                counts,
            ),
        };
        let mut kept = Vec::with_capacity(rows.len());
        for row in rows {
            let targets = row.loss_mask.iter().filter(|target| **target).count() as u64;
            if targets == 0 {
                counts.rows_dropped += 1;
                counts.tokens_dropped += row.ids.len() as u64;
            } else {
                counts.rows += 1;
                counts.tokens_out += row.ids.len() as u64;
                counts.targets += targets;
                kept.push(row);
            }
        }
        kept
    }

    fn concat(&self, buffer: Vec<Tokenized>, counts: &mut PackingCounts) -> Vec<PackedRow> {
        let mut joined = Tokenized::default();
        for tokenized in buffer {
            joined.ids.extend(tokenized.ids);
            joined.loss_mask.extend(tokenized.loss_mask);
            joined.ids.push(self.eos);
            joined.loss_mask.push(self.train_on_separators);
            counts.tokens_added += 1;
        }
        let length = self.sequence_length;
        counts.tokens_truncated += (joined.ids.len() % length) as u64;
        let rows = joined
            .ids
            .chunks_exact(length)
            .zip(joined.loss_mask.chunks_exact(length));
        rows.map(|(ids, mask)| {
            let mut row = PackedRow {
                ids: ids.to_vec(),
                loss_mask: mask.to_vec(),
                positions: None,
                documents: None,
            };
            row.loss_mask[0] = false;
            row
        })
        .collect()
    }

    /// Conversations no longer than a row.
    fn pieces(&self, buffer: Vec<Tokenized>, counts: &mut PackingCounts) -> Vec<Tokenized> {
        let length = self.sequence_length;
        let mut pieces = Vec::with_capacity(buffer.len());
        for mut tokenized in buffer {
            if tokenized.ids.len() <= length {
                pieces.push(tokenized);
                continue;
            }
            match self.overlong {
                Overlong::Drop => counts.tokens_dropped += tokenized.ids.len() as u64,
                Overlong::Truncate => {
                    counts.tokens_truncated += (tokenized.ids.len() - length) as u64;
                    tokenized.ids.truncate(length);
                    tokenized.loss_mask.truncate(length);
                    pieces.push(tokenized);
                }
                Overlong::Split => {
                    let cut = tokenized.ids.chunks(length).zip(tokenized.loss_mask.chunks(length));
                    pieces.extend(cut.map(|(ids, mask)| Tokenized {
                        ids: ids.to_vec(),
                        loss_mask: mask.to_vec(),
                    }));
                }
            }
        }
        pieces
    }

    /// Best-fit decreasing: every piece, longest first, into the fullest row that still has room.
    fn best_fit(&self, mut pieces: Vec<Tokenized>) -> Vec<Vec<Tokenized>> {
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.ids.len()));
        let mut rows: Vec<Vec<Tokenized>> = Vec::new();
        let mut by_room: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for piece in pieces {
            let needed = piece.ids.len();
            let (row, room) = fullest_row(&mut by_room, needed).unwrap_or_else(|| {
                rows.push(Vec::new());
                (rows.len() - 1, self.sequence_length)
            });
            rows[row].push(piece);
            by_room.entry(room - needed).or_default().push(row);
        }
        rows
    }

    fn fill(&self, rows: Vec<Vec<Tokenized>>, counts: &mut PackingCounts) -> Vec<PackedRow> {
        rows.into_iter().map(|pieces| self.row(pieces, counts)).collect()
    }

    fn row(&self, pieces: Vec<Tokenized>, counts: &mut PackingCounts) -> PackedRow {
        let length = self.sequence_length;
        let mut row = Tokenized::default();
        let (mut positions, mut documents) = (Vec::with_capacity(length), Vec::with_capacity(length));
        for (document, piece) in (0u32..).zip(pieces) {
            let start = row.ids.len();
            positions.extend(0..piece.ids.len() as u32);
            documents.extend(std::iter::repeat_n(document, piece.ids.len()));
            row.ids.extend(piece.ids);
            row.loss_mask.extend(piece.loss_mask);
            row.loss_mask[start] = false;
        }
        let padding = length - row.ids.len();
        let document = documents.last().map_or(0, |last| last + 1);
        counts.tokens_added += padding as u64;
        row.ids.extend(std::iter::repeat_n(self.pad, padding));
        row.loss_mask.extend(std::iter::repeat_n(false, padding));
        positions.extend(0..padding as u32);
        documents.extend(std::iter::repeat_n(document, padding));
        // Padding on the right is after everything that is looked at, so a row of one conversation needs neither.
        let several = self.packing == Packing::BestFit;
        PackedRow {
            ids: row.ids,
            loss_mask: row.loss_mask,
            positions: several.then_some(positions),
            documents: several.then_some(documents),
        }
    }
}

/// Takes the fullest row with room for `needed` tokens out of the rows by their room, and that room.
fn fullest_row(by_room: &mut BTreeMap<usize, Vec<usize>>, needed: usize) -> Option<(usize, usize)> {
    let (&room, rows) = by_room.range_mut(needed..).next()?;
    let row = rows.pop()?;
    if rows.is_empty() {
        by_room.remove(&room);
    }
    Some((row, room))
}

//! The edits that turn one text into another, as Tercom searches for them: shifts of runs of words that shorten the edit
//! distance most, until none does, then the edit distance.

/// Longest run that is shifted, and how far.
const MAX_RUN: usize = 10;
const MAX_DISTANCE: usize = 50;
/// Shifts tried in all.
const MAX_TRIED: usize = 1000;
/// Cells on each side of the diagonal of the table of distances.
const BEAM: usize = 25;
const INFINITE: usize = usize::MAX / 2;

#[derive(Clone, Copy, PartialEq)]
enum Edit {
    Keep,
    Replace,
    Insert,
    Delete,
}

/// The number of edits.
pub(super) fn edits(text: &[&str], reference: &[&str]) -> usize {
    if reference.is_empty() {
        return text.len();
    }
    let (mut words, mut shifts, mut tried) = (text.to_vec(), 0, 0);
    loop {
        let best = best_shift(&words, reference, &mut tried);
        let Some(best) = best.filter(|best| tried < MAX_TRIED && best.gain > 0) else {
            break;
        };
        shifts += 1;
        words = best.words;
    }
    shifts + distance(&words, reference).0
}

/// The edit distance, and the edits from the first word on.
fn distance(text: &[&str], reference: &[&str]) -> (usize, Vec<Edit>) {
    let columns = reference.len() + 1;
    let mut table = vec![(INFINITE, Edit::Keep); columns * (text.len() + 1)];
    for (column, cell) in table.iter_mut().take(columns).enumerate() {
        *cell = (column, Edit::Insert);
    }
    let ratio = if text.is_empty() {
        1.0
    } else {
        reference.len() as f64 / text.len() as f64
    };
    let wide = ratio / 2.0 > BEAM as f64;
    let beam = if wide {
        (ratio / 2.0 + BEAM as f64).ceil() as usize
    } else {
        BEAM
    };
    for row in 1..=text.len() {
        let diagonal = (row as f64 * ratio).floor() as usize;
        let last = row == text.len();
        let end = if last { columns } else { columns.min(diagonal + beam) };
        for column in diagonal.saturating_sub(beam)..end {
            table[row * columns + column] = cheapest(&table, columns, row, column, text, reference);
        }
    }
    (table[table.len() - 1].0, traced(&table, columns, text.len()))
}

/// The cheapest way to a cell; keeping or replacing goes before deleting, and that before inserting.
fn cheapest(
    table: &[(usize, Edit)],
    columns: usize,
    row: usize,
    column: usize,
    text: &[&str],
    reference: &[&str],
) -> (usize, Edit) {
    let above = table[(row - 1) * columns + column].0;
    if column == 0 {
        return (above + 1, Edit::Delete);
    }
    let same = text[row - 1] == reference[column - 1];
    let kept = if same { Edit::Keep } else { Edit::Replace };
    let ways = [
        (table[(row - 1) * columns + column - 1].0 + usize::from(!same), kept),
        (above + 1, Edit::Delete),
        (table[row * columns + column - 1].0 + 1, Edit::Insert),
    ];
    let mut best = (INFINITE, Edit::Keep);
    for way in ways {
        if way.0 < best.0 {
            best = way;
        }
    }
    best
}

fn traced(table: &[(usize, Edit)], columns: usize, rows: usize) -> Vec<Edit> {
    let (mut row, mut column) = (rows, columns - 1);
    let mut edits = Vec::new();
    while row > 0 || column > 0 {
        let edit = table[row * columns + column].1;
        edits.push(edit);
        row -= usize::from(edit != Edit::Insert && row > 0);
        column -= usize::from(edit != Edit::Delete && column > 0);
    }
    edits.reverse();
    edits
}

/// Which word of the text stands for each expected word, and which words are wrong on both sides.
struct Alignment {
    /// One more than the index, so that 0 is before the first word.
    text: Vec<usize>,
    wrong_expected: Vec<bool>,
    wrong_text: Vec<bool>,
}

impl Alignment {
    fn new(edits: &[Edit]) -> Self {
        let mut alignment = Self {
            text: Vec::new(),
            wrong_expected: Vec::new(),
            wrong_text: Vec::new(),
        };
        for &edit in edits {
            let wrong = edit != Edit::Keep;
            if edit != Edit::Insert {
                alignment.wrong_text.push(wrong);
            }
            if edit != Edit::Delete {
                alignment.text.push(alignment.wrong_text.len());
                alignment.wrong_expected.push(wrong);
            }
        }
        alignment
    }
}

/// A run of words that both texts have at different places.
struct Run {
    text: usize,
    expected: usize,
    length: usize,
}

struct Shift<'a> {
    gain: i64,
    length: usize,
    from: usize,
    to: usize,
    words: Vec<&'a str>,
}

impl Shift<'_> {
    /// The larger gain, then the longer run, then the earlier one, then the earlier place, then the later words.
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = (
            self.gain,
            self.length,
            std::cmp::Reverse(self.from),
            std::cmp::Reverse(self.to),
        );
        let others = (
            other.gain,
            other.length,
            std::cmp::Reverse(other.from),
            std::cmp::Reverse(other.to),
        );
        rank > others || rank == others && self.words > other.words
    }
}

fn best_shift<'a>(words: &[&'a str], reference: &[&str], tried: &mut usize) -> Option<Shift<'a>> {
    let (before, edits) = distance(words, reference);
    let alignment = Alignment::new(&edits);
    let mut best: Option<Shift> = None;
    for run in runs(words, reference) {
        if is_right(&run, &alignment) {
            continue;
        }
        for to in places(&run, &alignment) {
            let shifted = moved(words, &run, to);
            let shift = Shift {
                gain: before as i64 - distance(&shifted, reference).0 as i64,
                length: run.length,
                from: run.text,
                to,
                words: shifted,
            };
            *tried += 1;
            if best.as_ref().is_none_or(|best| shift.is_better_than(best)) {
                best = Some(shift);
            }
        }
        if *tried >= MAX_TRIED {
            break;
        }
    }
    best
}

fn runs(words: &[&str], reference: &[&str]) -> Vec<Run> {
    let mut runs = Vec::new();
    for text in 0..words.len() {
        for expected in 0..reference.len() {
            if text.abs_diff(expected) > MAX_DISTANCE {
                continue;
            }
            let pairs = words[text..].iter().zip(&reference[expected..]);
            let longest = pairs.take(MAX_RUN).take_while(|(a, b)| a == b).count();
            runs.extend((1..=longest).map(|length| Run { text, expected, length }));
        }
    }
    runs
}

/// Whether either side is right already, or the run would be shifted into itself.
fn is_right(run: &Run, alignment: &Alignment) -> bool {
    let text = &alignment.wrong_text[run.text..run.text + run.length];
    let expected = &alignment.wrong_expected[run.expected..run.expected + run.length];
    let aligned = alignment.text[run.expected];
    let inside = aligned > run.text && aligned <= run.text + run.length;
    !text.contains(&true) || !expected.contains(&true) || inside
}

/// Where the run may go: before the first word, or after the words that stand for the expected ones.
fn places(run: &Run, alignment: &Alignment) -> Vec<usize> {
    let mut places = Vec::new();
    for offset in 0..=run.length {
        let place = match (run.expected + offset).checked_sub(1) {
            None => Some(0),
            Some(index) => alignment.text.get(index).copied(),
        };
        let Some(place) = place else {
            break;
        };
        if places.last() != Some(&place) {
            places.push(place);
        }
    }
    places
}

fn moved<'a>(words: &[&'a str], run: &Run, to: usize) -> Vec<&'a str> {
    let (start, end) = (run.text, run.text + run.length);
    let mut rest = [&words[..start], &words[end..]].concat();
    // A place after the run counts the run's words; one within it counts from its start.
    let at = match to {
        to if to < start => to,
        to if to > end => to - run.length,
        to => to.min(rest.len()),
    };
    let tail = rest.split_off(at.min(rest.len()));
    rest.extend(&words[start..end]);
    rest.extend(tail);
    rest
}

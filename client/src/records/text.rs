//! A text field that is set whole: only what changed is written, so that what others type into the rest stays.
//!
//! What the two texts begin and end with in common is left alone. Between them, a short text is compared by characters, a
//! longer one by words, a very long one by lines (imara-diff's histogram algorithm, whose cost stays near-linear); where
//! little is common, the middle is replaced at once.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput, TokenSource};
use loro::{LoroResult, LoroText};

use crate::operations::insertion::insert_utf8;

/// Bytes up to which texts are compared by characters.
const BY_CHARACTERS_MAX: usize = 4 * 1024;
/// Bytes up to which they are compared by words.
const BY_WORDS_MAX: usize = 1024 * 1024;
/// Of the shorter text, at least a part of this size stays; else it is replaced.
const KEPT_PART: usize = 4;

/// Writes what is different in `after`.
pub(crate) fn replace(text: &LoroText, after: &str) -> LoroResult<()> {
    let before = text.to_string();
    // From the end, so that the places before stay as they are.
    for (from, to) in changes(&before, after).into_iter().rev() {
        text.delete_utf8(from.start, from.len())?;
        insert_utf8(text, from.start, &after[to])?;
    }
    Ok(())
}

/// The parts of `before` to be replaced by parts of `after`, in order.
fn changes(before: &str, after: &str) -> Vec<(Range<usize>, Range<usize>)> {
    if before == after {
        return Vec::new();
    }
    let start = common(before.char_indices(), after.char_indices());
    let (one, other) = (&before[start..], &after[start..]);
    let end = common(from_end(one), from_end(other));
    let (one, other) = (&one[..one.len() - end], &other[..other.len() - end]);
    let whole = (start..start + one.len(), start..start + other.len());
    if one.is_empty() || other.is_empty() {
        return vec![whole];
    }
    let len = one.len().max(other.len());
    let (unit, algorithm) = if len <= BY_CHARACTERS_MAX {
        (Unit::Character, Algorithm::Myers) // the histogram is of no use for few different units
    } else if len <= BY_WORDS_MAX {
        (Unit::Word, Algorithm::Histogram)
    } else {
        (Unit::Line, Algorithm::Histogram)
    };
    let input = InternedInput::new(Units { text: one, unit }, Units { text: other, unit });
    let diff = Diff::compute(algorithm, &input);
    let [from, to] = [&input.before, &input.after].map(|tokens| {
        let ends = tokens.iter().scan(start, |end, token| {
            *end += input.interner[*token].len();
            Some(*end)
        });
        std::iter::once(start).chain(ends).collect::<Vec<usize>>()
    });
    let hunks = diff.hunks().map(|hunk| {
        let place = |ends: &[usize], units: &Range<u32>| ends[units.start as usize]..ends[units.end as usize];
        (place(&from, &hunk.before), place(&to, &hunk.after))
    });
    let hunks: Vec<_> = hunks.collect();
    let kept = one.len() - hunks.iter().map(|(from, _)| from.len()).sum::<usize>();
    if kept < one.len().min(other.len()) / KEPT_PART { vec![whole] } else { hunks }
}

/// The length in bytes that two texts have in common from one end.
fn common(one: impl Iterator<Item = (usize, char)>, other: impl Iterator<Item = (usize, char)>) -> usize {
    let both = one.zip(other).take_while(|((_, one), (_, other))| one == other);
    both.map(|((_, same), _)| same.len_utf8()).sum()
}

fn from_end(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.char_indices().rev()
}

/// The unit that texts are compared by.
#[derive(Clone, Copy)]
enum Unit {
    Character,
    Word,
    Line,
}

/// A text in its units.
#[derive(Clone, Copy)]
struct Units<'a> {
    text: &'a str,
    unit: Unit,
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut characters = self.text.char_indices();
        let (_, first) = characters.next()?;
        let end = match self.unit {
            Unit::Character => first.len_utf8(),
            Unit::Word if !first.is_alphanumeric() => first.len_utf8(),
            Unit::Word => {
                let end = characters.find(|(_, character)| !character.is_alphanumeric());
                end.map_or(self.text.len(), |(at, _)| at)
            }
            Unit::Line => self.text.find('\n').map_or(self.text.len(), |at| at + 1),
        };
        let (unit, rest) = self.text.split_at(end);
        self.text = rest;
        Some(unit)
    }
}

impl<'a> TokenSource for Units<'a> {
    type Token = &'a str;
    type Tokenizer = Self;

    fn tokenize(&self) -> Self {
        *self
    }

    fn estimate_tokens(&self) -> u32 {
        let of = match self.unit {
            Unit::Character => 1,
            Unit::Word => 4,
            Unit::Line => 40,
        };
        u32::try_from(self.text.len() / of).unwrap_or(u32::MAX)
    }
}

//! Long insertions into a text, in pieces that Loro merges in near-linear time.
//!
//! Where two devices write at once, Loro's cost is the square of the longest insertion: a million characters in one take
//! seconds and hundreds of megabytes at each merge, undo and look back. Pieces that are inserted from the last to the
//! first lie beside one another and stay apart in Loro's tracker, and no other device's words come between them.

use loro::{LoroResult, LoroText};

/// Bytes of one piece, about.
const PIECE: usize = 4 * 1024;

/// Inserts into a text, long content in pieces. `at` counts code points, as [`LoroText::insert`] does.
///
/// ```
/// # use roost::loro::LoroDoc;
/// let loro = LoroDoc::new();
/// let text = loro.get_text("text");
/// roost::insert_text(&text, 0, "plums")?;
/// roost::insert_text(&text, 5, &" and more".repeat(10_000))?;
/// assert_eq!(text.len_unicode(), 90_005);
/// # Ok::<_, roost::loro::LoroError>(())
/// ```
pub fn insert_text(text: &LoroText, at: usize, content: &str) -> LoroResult<()> {
    pieces(content).try_for_each(|piece| text.insert(at, piece))
}

/// [`insert_text`], with `at` in bytes.
pub(crate) fn insert_utf8(text: &LoroText, at: usize, content: &str) -> LoroResult<()> {
    pieces(content).try_for_each(|piece| text.insert_utf8(at, piece))
}

/// The pieces of a text, the last first.
fn pieces(content: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(content);
    std::iter::from_fn(move || {
        let whole = rest.take()?;
        let start = whole.len().saturating_sub(PIECE);
        if start == 0 {
            return Some(whole);
        }
        let (before, piece) = whole.split_at(whole.ceil_char_boundary(start));
        rest = Some(before);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_text_are_the_text_whatever_the_width_of_its_characters() {
        for content in ["", "a", "é", "🐓"].into_iter().flat_map(|one| [1, 2, 1_000, 5_000].map(|n| one.repeat(n))) {
            let mut all: Vec<&str> = pieces(&content).collect();
            assert!(all.iter().all(|piece| piece.len() <= PIECE), "a piece of {} bytes", content.len());
            assert_eq!(all.len(), content.len().div_ceil(PIECE).max(1));
            all.reverse();
            assert_eq!(all.concat(), content);
        }
    }
}

//! Text that others wrote, where a person reads it: data, never codes for a terminal or the end of a line.

use std::fmt;

/// Shows text on one line, with every character escaped that a terminal or a log would obey rather than show.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a>(pub &'a str);

impl Plain<'_> {
    /// An escaped character is a control (C0, DEL, C1), a mark that turns the direction of what follows, the end of
    /// a line or paragraph, and what breaks or annotates a line unseen. Joiners are shown: words and emoji are made of them.
    pub fn escapes(character: char) -> bool {
        character.is_control()
            || matches!(
                character,
                '\u{61c}'
                    | '\u{200b}'
                    | '\u{200e}'
                    | '\u{200f}'
                    | '\u{2028}'..='\u{202e}'
                    | '\u{2066}'..='\u{206f}'
                    | '\u{feff}'
                    | '\u{fff9}'..='\u{fffb}'
            )
    }
}

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(Self::escapes) {
            match piece.chars().next_back().filter(|last| Self::escapes(*last)) {
                Some(last) => write!(f, "{}{}", &piece[..piece.len() - last.len_utf8()], last.escape_default())?,
                None => f.write_str(piece)?,
            }
        }
        Ok(())
    }
}

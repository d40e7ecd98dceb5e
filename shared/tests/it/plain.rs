//! Text that others wrote is shown on one line, and commands no terminal.

use proptest::prelude::*;
use roost_shared::Plain;

/// What a terminal obeys, a reader is misled by, or a line ends at; one of each kind, and the ends of each range.
const OBEYED: &[char] = &[
    '\0', '\u{7}', '\u{8}', '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{1b}', '\u{1f}', '\u{7f}', '\u{80}', '\u{85}',
    '\u{9b}', '\u{9f}', '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}',
    '\u{2066}', '\u{2069}', '\u{206f}', '\u{feff}', '\u{fff9}', '\u{fffb}',
];

#[test]
fn what_is_obeyed_is_escaped() {
    for character in OBEYED {
        let shown = Plain(&format!("a{character}b")).to_string();
        assert!(shown.starts_with("a\\") && shown.ends_with('b') && shown.is_ascii(), "{character:?}: {shown}");
    }
    assert_eq!(Plain("new\nline\u{1b}[2J\u{202e}rtl").to_string(), "new\\nline\\u{1b}[2J\\u{202e}rtl");
}

#[test]
fn what_people_write_is_shown_as_it_is() {
    for text in ["", " leading space", "C:\\notes", "\"quoted\"", "Café", "👩‍👩‍👧", "می‌خواهم", "שלום", "日本語"]
    {
        assert_eq!(Plain(text).to_string(), text);
    }
}

proptest! {
    #[test]
    fn nothing_that_is_obeyed_is_left(text in any::<String>(), at in any::<prop::sample::Index>()) {
        let cut = text.char_indices().map(|(at, _)| at).nth(at.index(text.chars().count() + 1)).unwrap_or(text.len());
        for obeyed in OBEYED {
            let text = format!("{}{obeyed}{}", &text[..cut], &text[cut..]);
            let shown = Plain(&text).to_string();
            prop_assert!(!shown.chars().any(Plain::escapes), "{shown:?}");
            prop_assert!(shown.len() > text.len());
        }
    }
}

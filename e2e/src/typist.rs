//! Typed sessions made up from a seed: the same seed is the same session, so that tests need no recording.
//!
//! A session has the shape of the sequential traces of josephg/editing-traces, and whatever reads those reads it. Its
//! typist writes in bursts, slips and mends it, deletes words, jumps about, cuts, copies and pastes, and knows more than
//! ASCII.

use serde::Serialize;

use crate::sim::random::Random;

/// The number of words the typist knows.
const WORDS: usize = 400;
const SYLLABLES: [&str; 32] = [
    "ba", "cro", "del", "fi", "gru", "ho", "ji", "kem", "lo", "mur", "na", "os", "pli", "qua", "re", "spo", "tu",
    "vel", "wix", "yo", "zan", "äh", "brö", "çe", "ñu", "ße", "ый", "жу", "λο", "梅", "の", "ก้",
];
/// Letters beside the right ones.
const SLIPS: [char; 8] = ['q', 'w', 'x', 'ö', 'j', 'к', 'p', '.'];
/// One code point each, or several that are seen as one.
const EMOJI: [&str; 8] = ["😀", "🪶", "👩\u{200d}🌾", "🏳\u{fe0f}\u{200d}🌈", "🇩🇪", "👍🏽", "e\u{301}", "✓"];

/// One edit: at so many code points, delete so many, insert that.
#[derive(Debug, Serialize)]
pub struct Patch(pub usize, pub usize, pub String);

/// The patches of one moment.
#[derive(Debug, Serialize)]
pub struct Transaction {
    pub time: String,
    pub patches: Vec<Patch>,
}

/// A session, from an empty text on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    start_content: &'static str,
    pub end_content: String,
    pub txns: Vec<Transaction>,
}

impl Session {
    /// The session of this seed: so many edits, and what is left of the last burst.
    pub fn typed(seed: u64, edits: usize) -> Self {
        let mut typist = Typist::new(Random::new(seed));
        while typist.edits < edits {
            typist.burst();
            typist.rest();
            typist.turn();
        }
        Self { start_content: "", end_content: typist.text.iter().collect(), txns: typist.txns }
    }
}

struct Typist {
    random: Random,
    words: Vec<String>,
    text: Vec<char>,
    caret: usize,
    now_ms: u64,
    edits: usize,
    txns: Vec<Transaction>,
}

impl Typist {
    fn new(mut random: Random) -> Self {
        let words = (0..WORDS).map(|_| word(&mut random)).collect();
        Self { random, words, text: Vec::new(), caret: 0, now_ms: 0, edits: 0, txns: Vec::new() }
    }

    /// Some words in a row, key by key.
    fn burst(&mut self) {
        for _ in 0..self.random.between(3, 24) {
            for letter in self.any_word().chars() {
                if self.random.one_in(20) {
                    self.slip();
                }
                self.write(letter.encode_utf8(&mut [0; 4]));
            }
            match self.random.below(40) {
                0 => self.delete_word(),
                1 | 2 => {
                    let emoji = EMOJI[self.random.index(EMOJI.len())];
                    self.write(emoji);
                }
                3..=5 => self.write("."),
                6 => self.write("\n"),
                _ => {}
            }
            self.write(" ");
        }
    }

    /// An act of a person between two bursts.
    fn turn(&mut self) {
        match self.random.below(16) {
            0..=4 => self.jump(),
            5 | 6 => {
                for _ in 0..self.random.between(1, 4) {
                    self.delete_word();
                }
            }
            7 => {
                for _ in 0..self.random.between(5, 40) {
                    self.backspace();
                }
            }
            8 => self.paste(),
            9 => self.write_over(),
            10 => self.move_stretch(),
            11 => self.copy_stretch(),
            _ => {}
        }
    }

    fn rest(&mut self) {
        self.now_ms += self.random.between(800, 20_000);
    }

    /// Wrong letters, seen and taken back one by one.
    fn slip(&mut self) {
        let wrong = self.random.between(1, 4);
        for _ in 0..wrong {
            let letter = SLIPS[self.random.index(SLIPS.len())];
            self.write(letter.encode_utf8(&mut [0; 4]));
        }
        for _ in 0..wrong {
            self.backspace();
        }
    }

    /// To the end, to somewhere near, or anywhere.
    fn jump(&mut self) {
        let (len, far) = (self.text.len(), self.random.index(200));
        self.caret = match self.random.below(4) {
            0 => self.random.index(len + 1),
            1 => self.caret.saturating_sub(far),
            2 => (self.caret + far).min(len),
            _ => len,
        };
    }

    fn backspace(&mut self) {
        if self.caret > 0 {
            self.edit(self.caret - 1, 1, "");
        }
    }

    /// The word before the caret, and the blanks behind it.
    fn delete_word(&mut self) {
        let before = &self.text[..self.caret];
        let end = before.iter().rposition(|letter| !letter.is_whitespace()).map_or(0, |at| at + 1);
        let start = before[..end].iter().rposition(|letter| letter.is_whitespace()).map_or(0, |at| at + 1);
        self.edit(start, self.caret - start, "");
    }

    /// Some words from elsewhere.
    fn paste(&mut self) {
        let mut words = Vec::new();
        for _ in 0..self.random.between(5, 60) {
            words.push(self.any_word());
        }
        self.write(&words.join(" "));
    }

    /// A word in the place of what was selected.
    fn write_over(&mut self) {
        let (start, len) = self.stretch(40);
        let word = self.any_word();
        self.edit(start, len, &word);
    }

    /// Cut and pasted elsewhere, in one transaction.
    fn move_stretch(&mut self) {
        let (start, len) = self.stretch(300);
        let cut: String = self.text[start..start + len].iter().collect();
        let cut_out = self.apply(start, len, "");
        let to = self.random.index(self.text.len() + 1);
        let put_in = self.apply(to, 0, &cut);
        self.record(vec![cut_out, put_in]);
    }

    fn copy_stretch(&mut self) {
        let (start, len) = self.stretch(300);
        let copied: String = self.text[start..start + len].iter().collect();
        self.jump();
        self.write(&copied);
    }

    /// Start and length of a part of the text.
    fn stretch(&mut self, len_max: usize) -> (usize, usize) {
        let start = self.random.index(self.text.len() + 1);
        (start, self.random.index(len_max).min(self.text.len() - start))
    }

    /// Of the words it knows; some come more often than others.
    fn any_word(&mut self) -> String {
        let at = self.random.index(WORDS).min(self.random.index(WORDS));
        self.words[at].clone()
    }

    fn write(&mut self, what: &str) {
        self.edit(self.caret, 0, what);
    }

    fn edit(&mut self, at: usize, deleted: usize, inserted: &str) {
        let patch = self.apply(at, deleted, inserted);
        self.record(vec![patch]);
    }

    /// The caret is behind what was inserted.
    fn apply(&mut self, at: usize, deleted: usize, inserted: &str) -> Patch {
        drop(self.text.splice(at..at + deleted, inserted.chars()));
        self.caret = at + inserted.chars().count();
        Patch(at, deleted, inserted.to_owned())
    }

    /// An edit of nothing is none.
    fn record(&mut self, mut patches: Vec<Patch>) {
        patches.retain(|Patch(_, deleted, inserted)| *deleted > 0 || !inserted.is_empty());
        if patches.is_empty() {
            return;
        }
        self.now_ms += self.random.between(40, 300);
        self.edits += patches.len();
        self.txns.push(Transaction { time: time(self.now_ms), patches });
    }
}

fn word(random: &mut Random) -> String {
    (0..random.between(1, 5)).map(|_| SYLLABLES[random.index(SYLLABLES.len())]).collect()
}

/// RFC 3339, from the first of January on; a session is over within the month.
fn time(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    let (day, hour, minute, second) = (1 + hours / 24, hours % 24, minutes % 60, seconds % 60);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

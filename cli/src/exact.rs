//! JSON as a person gives it, kept as it is written: a number that would be rounded is refused.

use serde_json::Value;

use crate::output::Failure;

/// The value of a JSON text whose every number is one that a document holds.
pub fn read(json: &str) -> Result<Value, Failure> {
    let value = serde_json::from_str(json)
        .map_err(|error| Failure::other(format!("{json} is not JSON ({error}); text needs quotes: '\"text\"'")))?;
    match numbers(json).into_iter().find(|number| !fits(number)) {
        None => Ok(value),
        Some(number) => Err(Failure::other(format!(
            "{number} would be rounded: whole numbers go from {} to {}, others have as many digits as a double keeps; \
             give it as text to keep it as it is: '\"{number}\"'",
            i64::MIN,
            i64::MAX
        ))),
    }
}

/// The numbers in a text that is JSON, as they are written.
fn numbers(json: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find(|character: char| matches!(character, '"' | '-' | '0'..='9')) {
        let token = &rest[at..];
        let len = if token.starts_with('"') { string_len(token) } else { number_len(token) };
        if !token.starts_with('"') {
            found.push(&token[..len]);
        }
        rest = &token[len..];
    }
    found
}

/// The length of the string that begins here, both quotes counted.
fn string_len(token: &str) -> usize {
    let mut is_escaped = false;
    let end = token[1..].find(|character: char| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    });
    end.map_or(token.len(), |end| end + 2)
}

fn number_len(token: &str) -> usize {
    token.find(|character: char| !matches!(character, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')).unwrap_or(token.len())
}

/// A document holds exactly this number.
fn fits(number: &str) -> bool {
    if !number.contains(['.', 'e', 'E']) {
        return number.parse::<i64>().is_ok();
    }
    // A double is told from all others by the digits it is shown with; more than these it does not keep.
    number.parse::<f64>().is_ok_and(|double| decimal(&format!("{double:e}")) == decimal(number))
}

/// A number without its sign: its digits from the first to the last that is not zero, and which power of ten the last
/// counts.
fn decimal(number: &str) -> Option<(String, i64)> {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((String::new(), 0));
    }
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let fraction = i64::try_from(fraction.len()).ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    Some((kept.trim_start_matches('0').to_owned(), exponent.checked_add(dropped)?.checked_sub(fraction)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_holds_is_kept_as_it_is_written() {
        for (json, kept) in [
            ("9007199254740993", "9007199254740993"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0", "0"),
            ("0.1", "0.1"),
            ("1e2", "100.0"),
            ("100.00", "100.0"),
            ("1.50E+3", "1500.0"),
            ("-0.0", "-0.0"),
            ("0.000e9", "0.0"),
            ("1e22", "1e+22"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("8.41e21", "8.41e+21"),
            ("[1,-2,{\"a\":3.25}]", "[1,-2,{\"a\":3.25}]"),
            ("\"12345678901234567890123\"", "\"12345678901234567890123\""),
            ("{\"18446744073709551615\":\"\\\"1e400\\\\\"}", "{\"18446744073709551615\":\"\\\"1e400\\\\\"}"),
            ("null", "null"),
            (" [true, false] ", "[true,false]"),
        ] {
            assert_eq!(read(json).unwrap().to_string(), kept, "{json}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_refused_wherever_it_stands() {
        for number in [
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "12345678901234567890123",
            "12345678901234567890123.0",
            "9007199254740993.0",
            "0.12345678901234567890",
            "3.14159265358979323846",
            "1e-400",
            "4.9e-324",
            "1e400",
        ] {
            for json in [
                number.to_owned(),
                format!("[{number}]"),
                format!("[{{\"id\":{number}}}]"),
                format!("{{\"a\":\"\\\\\",\"b\":[1, {number} ]}}"),
            ] {
                assert!(read(&json).is_err(), "{json}");
            }
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "text", "01", "1.", "[1,]", "NaN", "\"open"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    /// A double is written with the digits it is shown with, and is read as itself.
    #[test]
    fn every_double_that_is_printed_is_taken() {
        for bits in (0..2_000_u64).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let double = f64::from_bits(bits);
            if double.is_finite() {
                let printed = serde_json::to_string(&double).unwrap();
                assert_eq!(read(&printed).unwrap().as_f64().map(f64::to_bits), Some(bits), "{printed}");
            }
        }
    }
}

//! `PROTOCOL.md` says of limits and error codes what the code says: every row of its tables, and every constant and code.

use std::collections::BTreeMap;
use std::path::Path;

use roost_server::ApiError;
use roost_shared::Code;
use roost_shared::limits::{APPEND_BYTES_MAX, ENVELOPE_MAX, LOG_ENTRIES_MAX};

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

/// The rows of the tables in a section of the page, each as its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = read("shared/PROTOCOL.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the page has this section");
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what |"));
    let cells =
        |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect() };
    lines.map(cells).collect()
}

#[test]
fn error_codes_are_those_of_the_page() {
    let mut rows = rows("14. Error codes");
    assert_eq!(rows.remove(0)[..4], ["#", "code", "HTTP", "retry"]);
    let said: Vec<_> = rows.iter().map(|row| row[..4].join(" ")).collect();
    let are: Vec<_> = Code::ALL
        .iter()
        .map(|code| {
            let refusal = ApiError::from(*code);
            assert_eq!(refusal.retry_after_ms().is_some(), code.is_retryable(), "{code}");
            assert!(code.is_retryable() || !refusal.detail().contains("later"), "{code}: {}", refusal.detail());
            let retry = if code.is_retryable() { "yes" } else { "" };
            format!("{} `{code}` {} {retry}", code.number(), refusal.status())
        })
        .collect();
    assert_eq!(said, are);
}

#[test]
fn limits_are_those_of_the_page() {
    let constants = constants();
    let mut said = BTreeMap::new();
    for row in rows("16. Limits") {
        let [what, limit, constant] = &row[..] else { panic!("a limit has three cells: {row:?}") };
        let constant = constant.trim_matches('`').to_owned();
        let limit = amount(limit, &constant);
        assert!(!what.is_empty(), "{constant}: of what?");
        assert!(said.insert(constant.clone(), limit).is_none(), "{constant} stands twice");
    }
    assert_eq!(said, constants);
}

/// What a cell such as `1 MiB − 4 KiB` or `10 minutes` comes to, in the unit that the constant's name ends in.
fn amount(cell: &str, constant: &str) -> u64 {
    match cell.split_once(" + ").map(|parts| (parts, true)).or(cell.split_once(" − ").map(|parts| (parts, false))) {
        Some(((left, right), true)) => amount(left, constant) + amount(right, constant),
        Some(((left, right), false)) => amount(left, constant) - amount(right, constant),
        None => {
            let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
            let number: u64 = match number.split_once('^') {
                Some((of, power)) => of.parse::<u64>().unwrap().pow(power.parse().unwrap()),
                None => number.replace(',', "").parse().unwrap_or_else(|_| panic!("{constant}: {cell}")),
            };
            number * in_unit(unit, constant)
        }
    }
}

fn in_unit(unit: &str, constant: &str) -> u64 {
    let ms = match unit {
        "" => return 1,
        "KiB" => return 1_024,
        "MiB" => return 1_024 * 1_024,
        "ms" => 1,
        "s" => 1_000,
        "minutes" => 60_000,
        "h" => 3_600_000,
        "days" => 24 * 3_600_000,
        other => panic!("{constant}: {other} is no unit"),
    };
    match constant.rsplit_once('_') {
        Some((_, "MS")) => ms,
        Some((_, "S")) => ms / 1_000,
        _ => panic!("{constant} is no time"),
    }
}

/// Every constant of `limits.rs`, as its source says: a list of them here would be a second one to keep.
fn constants() -> BTreeMap<String, u64> {
    let source = read("shared/src/limits.rs");
    let mut constants = BTreeMap::new();
    for line in source.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let (name, rest) = line.split_once(": ").unwrap();
        let (_, expression) = rest.strip_suffix(';').expect("on one line").split_once(" = ").unwrap();
        constants.insert(name.to_owned(), evaluated(expression, &constants));
    }
    let known = [
        ("ENVELOPE_MAX", ENVELOPE_MAX as u64),
        ("APPEND_BYTES_MAX", APPEND_BYTES_MAX as u64),
        ("LOG_ENTRIES_MAX", LOG_ENTRIES_MAX),
    ];
    for (name, value) in known {
        assert_eq!(constants[name], value, "{name} is read wrongly");
    }
    constants
}

fn evaluated(expression: &str, constants: &BTreeMap<String, u64>) -> u64 {
    type Operation = fn(u64, u64) -> u64;
    let operations: [(&str, Operation); 4] =
        [(" << ", |a, b| a << b), (" + ", |a, b| a + b), (" - ", |a, b| a - b), (" * ", |a, b| a * b)];
    for (sign, operation) in operations {
        // From the right: what stands left of the last sign is done first.
        if let Some((left, right)) = expression.rsplit_once(sign) {
            return operation(evaluated(left, constants), evaluated(right, constants));
        }
    }
    let number = expression.replace('_', "").parse::<u64>();
    number.unwrap_or_else(|_| *constants.get(expression).unwrap_or_else(|| panic!("what is {expression}?")))
}

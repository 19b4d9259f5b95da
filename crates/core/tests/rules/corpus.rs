//! Reads the tables in `tests/corpora`: a head line, then columns between tabs.

use std::path::Path;

/// The rows of the table `name`, without its head line.
pub(crate) fn rows<const COLUMNS: usize>(name: &str) -> Vec<[String; COLUMNS]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpora");
    let text = std::fs::read_to_string(folder.join(name)).expect("the corpus is in the checkout");
    text.lines()
        .skip(1)
        .map(|line| columns(line, name))
        .collect()
}

/// Undoes the escaping of a column: it is the inside of a JSON string.
pub(crate) fn unescape(column: &str) -> String {
    serde_json::from_str(&format!("\"{column}\"")).expect("the column is a JSON string")
}

fn columns<const COLUMNS: usize>(line: &str, name: &str) -> [String; COLUMNS] {
    let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
    columns
        .try_into()
        .unwrap_or_else(|_| panic!("{name}: {line:?} has other columns"))
}

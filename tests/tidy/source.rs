//! The files of this package, and Rust text without what is not code.

use std::fs;
use std::path::Path;

/// A file of this package: path from its root, and text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Its text without comments, literals and tests.
    pub(crate) fn code(&self) -> String {
        if self.path.ends_with("/tests.rs") {
            return String::new();
        }
        without_tests(&without_literals(&self.text))
    }

    /// `sync` for `src/sync/lock.rs` and for `src/sync.rs`.
    pub(crate) fn room(&self) -> &str {
        let name = self.path.split('/').nth(1).unwrap_or(&self.path);
        name.strip_suffix(".rs").unwrap_or(name)
    }
}

pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of these folders with one of these endings. A folder that does not exist has none.
pub(crate) fn files(folders: &[&str], endings: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = folders
        .iter()
        .map(|folder| package().join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder can be read").path();
            let name = path.display().to_string();
            if path.is_dir() {
                folders.extend((!name.ends_with("/target")).then_some(path));
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(File::new(relative(&path), &read(&path)));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub(crate) fn relative(path: &Path) -> &str {
    path.strip_prefix(package())
        .ok()
        .and_then(Path::to_str)
        .expect("a path of ours")
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rust text with blanks in place of comments and of what literals hold. Line numbers stay.
fn without_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = opaque(rest, &code);
        let (part, after) = rest.split_at(if length == 0 { next.len_utf8() } else { length });
        if length == 0 {
            code.push_str(part);
        } else {
            code.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    code
}

/// How many bytes of `rest` are one comment or literal; 0 when it starts with code.
fn opaque(rest: &str, before: &str) -> usize {
    let until = |end: &str, from: usize| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |place| from + place + end.len())
    };
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(hashes)), hashes + 2);
        }
    }
    // A lifetime has no second quote after one character.
    let mut chars = rest.chars();
    let is_char = chars.next() == Some('\'')
        && match chars.next() {
            Some('\\') => true,
            _ => chars.next() == Some('\''),
        };
    if is_char { quoted(rest, '\'') } else { 0 }
}

/// The length of a literal in quotes with escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return place + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Code with blanks in place of items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let Some(start) = code.find(MARK) else {
        return code.to_owned();
    };
    let (before, item) = code.split_at(start);
    let mut depth = 0;
    let end = item.char_indices().find_map(|(place, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return Some(place + 1),
            _ => {}
        }
        (c == '}' && depth == 0).then_some(place + 1)
    });
    let (item, after) = item.split_at(end.unwrap_or(item.len()));
    let blank: String = item.chars().filter(|c| *c == '\n').collect();
    format!("{before}{blank}{}", without_tests(after))
}

/// Tables whose names stand for two cases each.
const DOUBLE: [(&str, [&str; 2]); 2] = [
    ("both_homes! {", ["_across", "_within"]),
    ("both_backends! {", ["_processes", "_threads"]),
];

/// The names in the tables of cases: those of `case(...)`, and for each in one of [`DOUBLE`] two.
pub(crate) fn cases(text: &str) -> Vec<String> {
    let single = text.split("case(").skip(1);
    let single = single.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    let mut names: Vec<String> = single.map(str::to_owned).collect();
    for (table, suffixes) in DOUBLE {
        let tables = text.split(table).skip(1);
        let tables = tables.filter_map(|rest| rest.split('}').next());
        for name in tables.flat_map(|table| table.split('"').skip(1).step_by(2)) {
            names.extend(suffixes.map(|suffix| format!("{name}{suffix}")));
        }
    }
    names
}

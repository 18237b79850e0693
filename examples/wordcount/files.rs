//! Which files are counted.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

/// What a text file's name ends in.
const TEXT: [&str; 36] = [
    "adoc", "bash", "c", "cc", "cfg", "cpp", "cs", "css", "csv", "go", "h", "hpp", "htm", "html",
    "ini", "java", "js", "json", "kt", "log", "lua", "md", "pl", "py", "rb", "rs", "rst", "sh",
    "sql", "tex", "toml", "ts", "tsv", "txt", "yaml", "yml",
];

/// The files below a folder, in order, and the folders that could not be read.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) problems: Vec<(PathBuf, String)>,
}

/// All text files below `folder`, but for hidden folders and build results. Symbolic links are not followed.
pub(crate) fn below(folder: &Path) -> Found {
    let mut found = Found::default();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                found.problems.push((folder, error.to_string()));
                continue;
            }
        };
        for entry in entries {
            if let Err(error) = entry.and_then(|entry| sort_in(&entry, &mut folders, &mut found)) {
                found.problems.push((folder.clone(), error.to_string()));
            }
        }
    }
    found.files.sort();
    found.problems.sort();
    found
}

/// Only folders and regular files: opening a FIFO would wait for somebody to write to it.
fn sort_in(entry: &DirEntry, folders: &mut Vec<PathBuf>, found: &mut Found) -> io::Result<()> {
    let kind = entry.file_type()?;
    let path = entry.path();
    if kind.is_dir() {
        let name = entry.file_name();
        let left_out = name == "target" || name.as_encoded_bytes().starts_with(b".");
        folders.extend((!left_out).then_some(path));
    } else if kind.is_file() && is_text(&path) {
        found.files.push(path);
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| TEXT.contains(&ending.to_ascii_lowercase().as_str()))
}

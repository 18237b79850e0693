//! What the command line asks for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) const USAGE: &str = "usage: wordcount [--workers N] [--chaos] [FOLDER]";

pub(crate) struct Options {
    pub(crate) folder: PathBuf,
    pub(crate) workers: usize,
    pub(crate) chaos: bool,
}

pub(crate) enum Asked {
    Run(Options),
    Help,
}

/// The options, or one line that says what is wrong with them.
pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let (mut folder, mut workers, mut chaos, mut only_folders) = (None, None, false, false);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        match text.as_str() {
            "--" if !only_folders => only_folders = true,
            "--help" | "-h" if !only_folders => return Ok(Asked::Help),
            "--chaos" if !only_folders => chaos = true,
            "--workers" if !only_folders => {
                let value = words.next().ok_or("--workers needs a number")?;
                workers = Some(number(&value.to_string_lossy())?);
            }
            option if !only_folders && option.starts_with("--workers=") => {
                workers = Some(number(&option["--workers=".len()..])?);
            }
            option if !only_folders && option.starts_with('-') => {
                return Err(format!("unknown option {option:?}; {USAGE}"));
            }
            _ => match folder.replace(word) {
                None => {}
                Some(first) => return Err(format!("two folders: {first:?} and {text:?}")),
            },
        }
    }
    Ok(Asked::Run(Options {
        folder: existing(folder.map_or_else(default_folder, PathBuf::from))?,
        workers: workers.unwrap_or_else(multiproc::cpu_count),
        chaos,
    }))
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("--workers 0: a pool needs at least one worker".to_owned()),
        Ok(workers) => Ok(workers),
        Err(error) => Err(format!("--workers {text:?}: {error}")),
    }
}

fn existing(folder: PathBuf) -> Result<PathBuf, String> {
    match folder.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(folder),
        Ok(_) => Err(format!("{}: not a folder", folder.display())),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}

/// The package around the current folder, or that folder itself where there is none.
fn default_folder() -> PathBuf {
    let current = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let package = current
        .ancestors()
        .find(|folder| folder.join("Cargo.toml").is_file());
    package.map(Path::to_path_buf).unwrap_or(current)
}

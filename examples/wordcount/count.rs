//! The words of one file, and of all.

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A larger file is counted in pieces of about this many bytes.
const PIECE: u64 = 128 * 1024;

/// What was counted in one piece of a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Words in lower case, in no order.
    words: Vec<(String, u64)>,
    /// Bytes of the text that was counted.
    bytes: u64,
    /// Why not all of the piece was counted.
    problem: Option<String>,
}

/// Counts the words between two places of the file of that name, as far as it can be read and is text. This is the pool's task.
pub(crate) fn count_piece(name: Vec<u8>, from: u64, to: u64) -> Counted {
    let mut content = Vec::new();
    let path = PathBuf::from(OsString::from_vec(name));
    let read = open(&path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        // What was read before an error stays in `content`.
        file.take(to - from).read_to_end(&mut content)
    });
    let (text, encoding) = match std::str::from_utf8(&content) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = &content[..error.valid_up_to()];
            let problem = format!("not UTF-8 after {} bytes", from + valid.len() as u64);
            (
                std::str::from_utf8(valid).unwrap_or_default(),
                Some(problem),
            )
        }
    };
    Counted {
        words: words(text).into_iter().collect(),
        bytes: text.len() as u64,
        problem: read.err().map(|error| error.to_string()).or(encoding),
    }
}

/// Where to cut a file so that no cut is inside a word: behind bytes that are ASCII and neither letter nor digit, which
/// in UTF-8 are never part of another character. The last piece is open, for a file that grows or cannot be read.
pub(crate) fn pieces(path: &Path) -> Vec<Range<u64>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    if path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.len() > PIECE)
    {
        while let Ok(Some(to)) = boundary(path, from + PIECE) {
            pieces.push(from..to);
            from = to;
        }
    }
    pieces.push(from..u64::MAX);
    pieces
}

/// The first place at or after `from` where a file may be cut.
fn boundary(path: &Path, from: u64) -> io::Result<Option<u64>> {
    let mut file = open(path)?;
    let mut place = file.seek(SeekFrom::Start(from))?;
    let mut window = [0; 256];
    loop {
        let read = file.read(&mut window)?;
        let mut bytes = window[..read].iter();
        if let Some(index) = bytes.position(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
        {
            return Ok(Some(place + index as u64 + 1));
        }
        if read == 0 {
            return Ok(None);
        }
        place += read as u64;
    }
}

/// Opens a regular file. It was one when it was found; what it is now must neither be waited for nor be followed.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("no longer a regular file"))
    }
}

/// How often each word occurs. A word is a longest run of letters and digits, in lower case.
fn words(text: &str) -> HashMap<String, u64> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut lower = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        lower.clear();
        if word.is_ascii() {
            lower.push_str(word);
            lower.make_ascii_lowercase();
        } else {
            lower.push_str(&word.to_lowercase());
        }
        match counts.get_mut(lower.as_str()) {
            Some(count) => *count += 1,
            None => drop(counts.insert(lower.clone(), 1)),
        }
    }
    counts
}

/// What was counted in all files.
#[derive(Default)]
pub(crate) struct Total {
    pub(crate) words: HashMap<String, u64>,
    pub(crate) files: Vec<FileTotal>,
}

/// What was counted in one file.
#[derive(PartialEq, Eq)]
pub(crate) struct FileTotal {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) words: u64,
    pub(crate) problem: Option<String>,
}

impl Total {
    /// The pieces of a file come one after the other. What follows a problem is not counted.
    pub(crate) fn add(&mut self, path: &Path, counted: Counted) {
        if self.files.last().is_none_or(|file| file.path != path) {
            self.files.push(FileTotal {
                path: path.to_owned(),
                bytes: 0,
                words: 0,
                problem: None,
            });
        }
        let file = self.files.last_mut().filter(|file| file.problem.is_none());
        let Some(file) = file else { return };
        file.bytes += counted.bytes;
        file.problem = counted.problem;
        for (word, count) in counted.words {
            file.words += count;
            *self.words.entry(word).or_default() += count;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Words, repetitions included.
    pub(crate) fn all_words(&self) -> u64 {
        self.words.values().sum()
    }

    /// The words that occur most often; those that occur equally often by the alphabet.
    pub(crate) fn most_frequent(&self, most: usize) -> Vec<(&str, u64)> {
        let mut words: Vec<_> = self
            .words
            .iter()
            .map(|(word, n)| (word.as_str(), *n))
            .collect();
        words.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        words.truncate(most);
        words
    }
}

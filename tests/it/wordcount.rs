//! The example `wordcount`: right counts, clear refusals, and no file that stops it.

use crate::examples::program;
use crate::runner::{Case, case, scaled, skip};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    let cases = [
        case("wordcount::smoke", smoke),
        case("wordcount::chosen_files", chosen_files),
        case("wordcount::unicode", unicode),
        case("wordcount::default_folder", default_folder),
        case("wordcount::large_file_in_pieces", large_file),
        case("wordcount::command_lines_it_refuses", refusals),
        case("wordcount::command_lines_it_takes", command_lines),
        case("wordcount::file_that_is_not_utf8", not_utf8),
        case("wordcount::things_that_are_no_files", no_files),
        case("wordcount::file_that_cannot_be_read", unreadable),
        case("wordcount::reader_that_goes_away", reader_gone),
        case("wordcount::chaos", chaos),
    ];
    // The example may have to be built first.
    cases
        .map(|case| case.deadline(Duration::from_secs(300)))
        .into()
}

/// A folder that is removed at the end, in the build's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let own = std::env::current_exe().unwrap();
        let beside = own.parent().unwrap();
        let path = beside.join(format!("wordcount-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program("wordcount"));
    command.args(arguments).arg(folder).output().unwrap()
}

/// What it says of this folder; it must end with code 0 and say nothing on stderr.
#[track_caller]
fn report(arguments: &[&str], folder: &Folder) -> String {
    let output = run(arguments, &folder.0);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has(report: &str, line: &str) {
    assert!(
        report.lines().any(|one| one.trim() == line),
        "no {line:?} in:\n{report}"
    );
}

/// The lines of words with their counts.
fn words(report: &str) -> Vec<&str> {
    let words = report.lines().filter(|line| line.starts_with(' '));
    words.map(str::trim).collect()
}

fn smoke() {
    let folder = Folder::new("smoke");
    folder.write("a.txt", "One two, TWO three; three-Three!\n");
    folder.write("b/c.md", "one_two\n");
    let report = report(&["--workers", "2"], &folder);
    let begin = ["files 2", "bytes 41", "words 8"];
    assert_eq!(report.lines().take(3).collect::<Vec<_>>(), begin);
    assert_eq!(words(&report), ["3  three", "3  two", "2  one"]);
    assert!(report.contains("with 2 workers"), "{report}");
}

/// By ending; neither hidden folders nor build results, and not the twenty-first word.
fn chosen_files() {
    let folder = Folder::new("chosen");
    let many: String = (10..35).map(|number| format!("w{number} ")).collect();
    folder.write("deep/er/x.RS", many);
    for left_out in [".git/a.txt", "deep/target/a.txt", "a.bin", "txt", "b.o"] {
        folder.write(left_out, "never");
    }
    let report = report(&[], &folder);
    has(&report, "files 1");
    has(&report, "words 25");
    let expected: Vec<String> = (10..30).map(|number| format!("1  w{number}")).collect();
    assert_eq!(words(&report), expected);
}

fn unicode() {
    let folder = Folder::new("unicode");
    folder.write("a.txt", "Straße STRASSE straße、进程 线程—进程 ÀÉ àé x²");
    let report = report(&[], &folder);
    assert_eq!(
        words(&report),
        [
            "2  straße",
            "2  àé",
            "2  进程",
            "1  strasse",
            "1  x²",
            "1  线程"
        ]
    );
}

/// The package around the current folder.
fn default_folder() {
    let folder = Folder::new("default");
    folder.write("Cargo.toml", "one");
    folder.write("src/a.rs", "two");
    let mut command = Command::new(program("wordcount"));
    let output = command.current_dir(folder.0.join("src")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    has(&String::from_utf8(output.stdout).unwrap(), "files 2");
}

/// No word is cut, whatever stands where the pieces meet; an error ends the count at the same place as serially.
fn large_file() {
    let folder = Folder::new("large");
    let line = "wörter über 进程进程进程 plain words; ";
    let mut content = line.repeat(20_000);
    content.push_str(&"ü".repeat(200_000));
    folder.write("a.txt", &content);
    let bad = [
        line.repeat(20_000).as_bytes(),
        b"\xff\xfe",
        line.repeat(20_000).as_bytes(),
    ]
    .concat();
    let bad = folder.write("b.txt", bad);
    let report = report(&[], &folder);
    has(&report, &format!("words {}", 2 * 20_000 * 5 + 1));
    has(
        &report,
        &format!("bytes {}", content.len() + line.len() * 20_000),
    );
    let problem = format!(
        "not all of {}: not UTF-8 after {} bytes",
        bad.display(),
        line.len() * 20_000
    );
    has(&report, &problem);
}

/// One line on stderr that names the cause, nothing on stdout, exit code 2.
fn refusals() {
    let folder = Folder::new("refusals");
    let file = folder.write("a.txt", "a");
    let (here, file) = (folder.0.to_str().unwrap(), file.to_str().unwrap());
    let missing = format!("{here}/missing");
    let refused: [(&[&str], &str); 10] = [
        (&[&missing], "missing"),
        (&[file], "not a folder"),
        (&["--workers", "0", here], "--workers 0"),
        (&["--workers", "many", here], "many"),
        (&["--workers", "-1", here], "-1"),
        (&["--workers=", here], "--workers"),
        (&["--workers"], "--workers"),
        (&["--frobnicate", here], "--frobnicate"),
        (&["-x"], "-x"),
        (&[here, here], "two folders"),
    ];
    for (arguments, cause) in refused {
        let mut command = Command::new(program("wordcount"));
        let output = command.args(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(cause), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

fn command_lines() {
    let folder = Folder::new("-taken");
    folder.write("a.txt", "a");
    for arguments in [&["--workers=3", "--"][..], &["--chaos", "--workers", "1"]] {
        has(&report(arguments, &folder), "files 1");
    }
    let mut command = Command::new(program("wordcount"));
    let output = command.arg("--help").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"usage: wordcount"));
}

/// What stands before the first byte that is no text is counted.
fn not_utf8() {
    let folder = Folder::new("not-utf8");
    let bad = folder.write("a.txt", b"good good \xc3\x28 never");
    let cut = folder.write("b.txt", b"fine \xe8\xbf");
    let report = report(&[], &folder);
    has(&report, "files 2");
    has(&report, "bytes 15");
    assert_eq!(words(&report), ["2  good", "1  fine"]);
    has(
        &report,
        &format!("not all of {}: not UTF-8 after 10 bytes", bad.display()),
    );
    has(
        &report,
        &format!("not all of {}: not UTF-8 after 5 bytes", cut.display()),
    );
}

/// A FIFO would be waited for, a link could lead anywhere.
fn no_files() {
    let folder = Folder::new("no-files");
    folder.write("folder.txt/inner.txt", "inner");
    mkfifo(&folder.0.join("fifo.txt"), Mode::S_IRWXU).unwrap();
    symlink("nowhere", folder.0.join("dangling.txt")).unwrap();
    symlink("folder.txt/inner.txt", folder.0.join("link.txt")).unwrap();
    symlink("..", folder.0.join("folder.txt/loop")).unwrap();
    let report = report(&[], &folder);
    has(&report, "files 1");
    assert_eq!(words(&report), ["1  inner"]);
    assert!(!report.contains("not all of"), "{report}");
}

/// Root reads every file, unless it gives that right away first.
fn unreadable() {
    let folder = Folder::new("unreadable");
    let closed = folder.write("a.txt", "never");
    folder.write("b.txt", "good");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(program("wordcount"));
    if fs::read(&closed).is_ok() {
        let works = without_rights("true").output();
        if !works.is_ok_and(|output| output.status.success()) {
            drop(folder);
            skip("this user can read every file, and there is no setpriv to change that");
        }
        command = without_rights(program("wordcount"));
    }
    let output = command.arg(&folder.0).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    has(&report, "files 2");
    assert_eq!(words(&report), ["1  good"]);
    let named = format!("not all of {}: ", closed.display());
    assert!(report.contains(&named), "{report}");
}

/// The program without root's right to read everything.
fn without_rights(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-dac_override,-dac_read_search");
    command.arg(program);
    command
}

/// As `wordcount | true`: it ends, and does not panic.
fn reader_gone() {
    let folder = Folder::new("reader");
    folder.write("a.txt", "a");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(program("wordcount"));
    let output = command.arg(&folder.0).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Some megabytes in small files and a large one, while a worker is killed every 10 ms.
#[expect(clippy::print_stdout, reason = "measured times and kills are printed")]
fn chaos() {
    let folder = Folder::new("chaos");
    let line = "The quick brown fox jumps over the lazy dog, 12 times; ";
    let files = scaled(40);
    for number in 0..files {
        folder.write(&format!("{number}.txt"), line.repeat(1000));
    }
    folder.write("large.md", line.repeat(40_000));
    let report = report(&["--chaos", "--workers", "2"], &folder);
    let lines = u64::from(files) * 1000 + 40_000;
    has(&report, &format!("files {}", files + 1));
    has(&report, &format!("words {}", lines * 11));
    has(&report, &format!("{}  the", lines * 2));
    let kills = report.lines().last().unwrap();
    println!("{kills}");
    let landed = kills
        .strip_prefix("kills landed ")
        .and_then(|rest| rest.split(',').next());
    let landed: u32 = landed.and_then(|number| number.parse().ok()).expect(kills);
    assert!(landed > 0, "nothing was killed");
}

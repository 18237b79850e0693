//! Named pipes: opening with and without somebody at the other end, lines, messages, bytes, bad input.

use crate::kit::{kind, pid_of, start};
use crate::runner::{Case, case};
use crate::shared_memory::labels_of;
use multiproc::{ErrorKind, NamedPipe, NamedPipeReader, NamedPipeWriter, Process};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("named_pipe::lines", lines),
        case("named_pipe::messages", messages),
        case("named_pipe::bytes", bytes),
        case("named_pipe::large_messages", large),
        case("named_pipe::both_ends_wait", both_wait),
        case("named_pipe::nobody_comes", nobody_comes),
        case("named_pipe::a_writer_that_came_and_went", came_and_went),
        case("named_pipe::blocking_reader", blocking_reader),
        case("named_pipe::blocking_writer", blocking_writer),
        case("named_pipe::many_wait", many_wait),
        case("named_pipe::deadlines", deadlines),
        case("named_pipe::next_writer", next_writer),
        case("named_pipe::many_writers", many_writers),
        case("named_pipe::owner_and_others", owners),
        case("named_pipe::persists", persists),
        case("named_pipe::relative_path", relative),
        case("named_pipe::in_a_process", in_a_process),
    ]
}

/// A folder of this test's own, removed when dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("pipes-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            fs::remove_dir_all(&self.0).ok();
        } else {
            // Empty, or a test has left something.
            fs::remove_dir(&self.0).unwrap();
        }
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// Both ends, in one process: whoever opens first must not wait.
pub(crate) fn ends(pipe: &NamedPipe) -> (NamedPipeReader, NamedPipeWriter) {
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| pipe.open_writer().unwrap());
        let reader = pipe.open_reader_timeout(LONG).unwrap();
        (reader, writer.join().unwrap())
    })
}

fn lines() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("lines")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    for line in ["hello", "", "größer", &"x".repeat(10_000)] {
        writer.write_line(line).unwrap();
        assert_eq!(reader.read_line().unwrap().unwrap(), line);
    }
    writer.write_line_timeout("last but one\r", LONG).unwrap();
    writer.write_all(b"two\nlast").unwrap();
    drop(writer);
    let rest: Vec<String> = reader.lines().map(Result::unwrap).collect();
    assert_eq!(rest, ["last but one\r", "two", "last"]);
    assert_eq!(reader.read_line_timeout(LONG).unwrap(), None);
    assert!(format!("{reader:?} {pipe:?}").contains("is_owner: true"));
    drop(pipe);
    assert_eq!(folder.files(), [""; 0]);
}

fn messages() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("messages")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    for length in [0, 1, 3, 4, 4091, 4092, 4093, 10_000] {
        let message = vec![7; length];
        writer.send_bytes(&message).unwrap();
        writer.send_bytes(b"between").unwrap();
        assert_eq!(reader.recv_bytes().unwrap(), message);
        assert_eq!(reader.recv_bytes_timeout(LONG).unwrap(), b"between");
    }
    // Lines and messages take turns, if both sides know.
    writer.write_line("a message follows").unwrap();
    writer.send_bytes(b"\n\n").unwrap();
    assert_eq!(reader.read_line().unwrap().unwrap(), "a message follows");
    assert_eq!(reader.recv_bytes().unwrap(), b"\n\n");
    drop(writer);
    assert_eq!(kind(reader.recv_bytes()), ErrorKind::Disconnected);
}

fn bytes() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("bytes")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    writer.write_all(&[1, 2, 3, b'\n', 4]).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.write(&[]).unwrap(), 0);
    let mut two = [0; 2];
    reader.read_exact(&mut two).unwrap();
    assert_eq!(two, [1, 2]);
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    assert_eq!(reader.read_line().unwrap().unwrap(), "\u{3}");
    drop(writer);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [4]);
}

/// Longer than what a pipe holds, so that both ends must wait for each other.
fn large() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("large")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    let message: Vec<u8> = (0..5_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.send_bytes(&message).unwrap());
        assert!(reader.recv_bytes().unwrap() == message);
    });
}

/// A process sleeps in `poll`.
pub(crate) fn polls(pid: nix::unistd::Pid) {
    let call = format!("/proc/{pid}/syscall");
    let numbers = [
        nix::libc::SYS_poll.to_string(),
        nix::libc::SYS_ppoll.to_string(),
    ];
    loop {
        let text = fs::read_to_string(&call).unwrap();
        if numbers
            .iter()
            .any(|number| text.split(' ').next() == Some(number))
        {
            return;
        }
        std::thread::yield_now();
    }
}

fn write_hello(path: PathBuf) {
    let mut writer = NamedPipe::open(path).unwrap().open_writer().unwrap();
    writer.write_line("hello").unwrap();
}

fn read_hello(path: PathBuf) {
    let mut reader = NamedPipe::open(path).unwrap().open_reader().unwrap();
    assert_eq!(reader.read_line().unwrap().unwrap(), "hello");
}

/// Whoever comes first sleeps until the other one is there.
fn both_wait() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("wait")).unwrap();
    let writer = start(write_hello, (pipe.path().to_owned(),));
    polls(pid_of(&writer));
    read_hello(pipe.path().to_owned());
    assert_eq!(writer.join().unwrap(), 0);
    let reader = start(read_hello, (pipe.path().to_owned(),));
    polls(pid_of(&reader));
    write_hello(pipe.path().to_owned());
    assert_eq!(reader.join().unwrap(), 0);
}

fn nobody_comes() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("nobody")).unwrap();
    for time in [0, 1, 30, 120].map(Duration::from_millis) {
        let before = Instant::now();
        assert_eq!(kind(pipe.open_reader_timeout(time)), ErrorKind::TimedOut);
        assert!(before.elapsed() >= time, "too early");
        let before = Instant::now();
        assert_eq!(kind(pipe.open_writer_timeout(time)), ErrorKind::TimedOut);
        assert!(before.elapsed() >= time, "too early");
    }
}

/// It is over before the reader has looked: the reader is told of the end.
fn came_and_went() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("went")).unwrap();
    let reader = start(
        |path: PathBuf| {
            let mut reader = NamedPipe::open(path).unwrap().open_reader().unwrap();
            assert_eq!(reader.read_line().unwrap(), None);
        },
        (pipe.path().to_owned(),),
    );
    polls(pid_of(&reader));
    drop(pipe.open_writer().unwrap());
    assert_eq!(reader.join().unwrap(), 0);
}

/// A shell's reader waits in its own `open`, where nobody can see it.
fn blocking_reader() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("shell")).unwrap();
    let cat = Command::new("cat")
        .arg(pipe.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    pipe.open_writer()
        .unwrap()
        .write_line("to the cat")
        .unwrap();
    assert_eq!(cat.wait_with_output().unwrap().stdout, b"to the cat\n");
    // The writer waits already.
    let writer = start(write_hello, (pipe.path().to_owned(),));
    polls(pid_of(&writer));
    let cat = Command::new("cat")
        .arg(pipe.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(cat.wait_with_output().unwrap().stdout, b"hello\n");
    assert_eq!(writer.join().unwrap(), 0);
}

fn blocking_writer() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("shell")).unwrap();
    let script = format!("echo hello > '{}'", pipe.path().display());
    let mut shell = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    read_hello(pipe.path().to_owned());
    assert!(shell.wait().unwrap().success());
    let reader = start(read_hello, (pipe.path().to_owned(),));
    polls(pid_of(&reader));
    let mut shell = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    assert_eq!(reader.join().unwrap(), 0);
    assert!(shell.wait().unwrap().success());
}

fn many_wait() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("many")).unwrap();
    let writers: Vec<Process> = (0..5)
        .map(|_| start(write_hello, (pipe.path().to_owned(),)))
        .collect();
    for writer in &writers {
        polls(pid_of(writer));
    }
    let mut reader = pipe.open_reader().unwrap();
    let mut lines = 0;
    while lines < 5 {
        // All have gone for a moment, perhaps, and others not come yet.
        if let Some(line) = reader.read_line().unwrap() {
            assert_eq!(line, "hello");
            lines += 1;
        }
    }
    for writer in writers {
        assert_eq!(writer.join().unwrap(), 0);
    }
}

/// What has come of a message or a line is kept.
fn deadlines() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("late")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    let short = Duration::from_millis(20);
    writer.write_all(&[0, 0, 0]).unwrap();
    let before = Instant::now();
    assert_eq!(kind(reader.recv_bytes_timeout(short)), ErrorKind::TimedOut);
    assert!(before.elapsed() >= short, "too early");
    writer.write_all(&[3, 1]).unwrap();
    assert_eq!(
        kind(reader.recv_bytes_timeout(Duration::ZERO)),
        ErrorKind::TimedOut
    );
    writer.write_all(&[2, 3, b'h', b'a']).unwrap();
    assert_eq!(reader.recv_bytes().unwrap(), [1, 2, 3]);
    let before = Instant::now();
    assert_eq!(kind(reader.read_line_timeout(short)), ErrorKind::TimedOut);
    assert!(before.elapsed() >= short, "too early");
    writer.write_all(b"lf\n").unwrap();
    assert_eq!(reader.read_line().unwrap().unwrap(), "half");
}

fn next_writer() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("next")).unwrap();
    let (mut reader, writer) = ends(&pipe);
    drop(writer);
    for number in 0..3 {
        assert_eq!(reader.read_line().unwrap(), None);
        let mut writer = pipe.open_writer().unwrap();
        writer.write_line(&number.to_string()).unwrap();
        drop(writer);
        assert_eq!(reader.read_line().unwrap(), Some(number.to_string()));
    }
}

/// Messages of up to 4,096 bytes are written in one piece.
fn many_writers() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("writers")).unwrap();
    let (mut reader, writer) = ends(&pipe);
    let child = |path: PathBuf, number: u8| {
        let mut writer = NamedPipe::open(path).unwrap().open_writer().unwrap();
        for length in 0..300 {
            writer.send_bytes(&vec![number; 1 + length * 13]).unwrap();
        }
    };
    let children: Vec<Process> = (1..=4)
        .map(|number| start(child, (pipe.path().to_owned(), number)))
        .collect();
    let mut next = [0; 5];
    for _ in 0..1200 {
        let message = reader.recv_bytes().unwrap();
        let number = message[0];
        assert!(message.iter().all(|&byte| byte == number));
        let next = &mut next[usize::from(number)];
        assert_eq!(message.len(), 1 + *next * 13);
        *next += 1;
    }
    drop(writer);
    assert_eq!(kind(reader.recv_bytes()), ErrorKind::Disconnected);
    for child in children {
        assert_eq!(child.join().unwrap(), 0);
    }
}

fn owners() {
    let folder = Folder::new();
    let path = folder.path("owned");
    let pipe = NamedPipe::create(&path).unwrap();
    assert!(pipe.is_owner() && pipe.path() == path);
    assert_eq!(kind(NamedPipe::create(&path)), ErrorKind::AlreadyExists);
    let other = NamedPipe::open(&path).unwrap();
    assert!(!other.is_owner());
    drop(other);
    assert!(path.exists(), "who opens does not own");
    NamedPipe::open(&path).unwrap().unlink().unwrap();
    assert_eq!(kind(pipe.unlink()), ErrorKind::NotFound);
    // Somebody else takes the path: his stays.
    fs::write(&path, b"mine").unwrap();
    drop(pipe);
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    fs::remove_file(&path).unwrap();
    assert_eq!(labels_of(std::process::id()), [""; 0]);
}

fn persists() {
    let folder = Folder::new();
    let path = folder.path("stays");
    let pipe = NamedPipe::create(&path).unwrap();
    pipe.persist().unwrap();
    assert_eq!(kind(pipe.persist()), ErrorKind::Misuse);
    drop(pipe);
    let pipe = NamedPipe::open(&path).unwrap();
    assert_eq!(kind(pipe.persist()), ErrorKind::Misuse);
    pipe.unlink().unwrap();
}

/// The path is what it was when the pipe was made, wherever the process goes.
fn relative() {
    let folder = Folder::new();
    let child = |folder: PathBuf| {
        std::env::set_current_dir(&folder).unwrap();
        let pipe = NamedPipe::create("here").unwrap();
        assert_eq!(pipe.path(), folder.join("here"));
        std::env::set_current_dir("/").unwrap();
        drop(pipe);
        assert!(!folder.join("here").exists());
    };
    assert_eq!(start(child, (folder.0.clone(),)).join().unwrap(), 0);
}

fn in_a_process() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("travels")).unwrap();
    let child = |pipe: NamedPipe| {
        assert!(!pipe.is_owner());
        pipe.open_writer().unwrap().write_line("here").unwrap();
    };
    let child = start(child, (NamedPipe::open(pipe.path()).unwrap(),));
    let mut reader = pipe.open_reader().unwrap();
    assert_eq!(reader.read_line().unwrap().unwrap(), "here");
    assert_eq!(child.join().unwrap(), 0);
    assert!(pipe.path().exists());
}

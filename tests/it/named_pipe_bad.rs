//! Named pipes that end in the middle, that are full, and that are none.

use crate::kit::{kill_and_join, kind, pid_of, start};
use crate::named_pipe::{Folder, ends, polls};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::shared_memory::labels_of;
use multiproc::{ErrorKind, NamedPipe, NamedPipeWriter};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use std::fs;
use std::io::{ErrorKind as Io, Write as _};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("named_pipe_bad::full", full),
        case("named_pipe_bad::reader_is_gone", reader_gone),
        case("named_pipe_bad::reader_is_gone_and_sigpipe_kills", sigpipe),
        case(
            "named_pipe_bad::writer_is_killed_in_a_message",
            killed_in_a_message,
        ),
        case("named_pipe_bad::bad_messages", bad_messages),
        case("named_pipe_bad::bad_lines", bad_lines),
        case("named_pipe_bad::paths_that_none_can_have", bad_paths),
        case("named_pipe_bad::no_pipes", no_pipes),
    ]
}

#[track_caller]
fn nobody_reads(writer: &mut NamedPipeWriter) {
    assert_eq!(kind(writer.send_bytes(b"?")), ErrorKind::Disconnected);
    assert_eq!(kind(writer.write_line("?")), ErrorKind::Disconnected);
    assert_eq!(
        kind(writer.send_bytes(&[0; 100_000])),
        ErrorKind::Disconnected
    );
    assert_eq!(writer.write(b"?").unwrap_err().kind(), Io::BrokenPipe);
}

fn full() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("full")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    let short = Duration::from_millis(10);
    let mut sent = 0;
    let late = loop {
        match writer.send_bytes_timeout(&[1; 1000], short) {
            Ok(()) => sent += 1,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!((late, sent > 10), (ErrorKind::TimedOut, true));
    // A short message comes whole or not at all, so this end still makes sense.
    for _ in 0..sent {
        assert_eq!(reader.recv_bytes().unwrap(), [1; 1000]);
    }
    writer.send_bytes(b"again").unwrap();
    assert_eq!(reader.recv_bytes().unwrap(), b"again");
    // Of a long one a part is out.
    assert_eq!(
        kind(writer.send_bytes_timeout(&[1; 1 << 20], short)),
        ErrorKind::TimedOut
    );
    assert_eq!(kind(writer.send_bytes(b"more")), ErrorKind::Closed);
    assert_eq!(kind(writer.write_line("more")), ErrorKind::Closed);
    drop(writer);
    let error = reader.recv_bytes().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.to_string().contains("middle"), "{error}");
}

fn reader_gone() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("gone")).unwrap();
    let (reader, mut writer) = ends(&pipe);
    drop(reader);
    nobody_reads(&mut writer);
    // Killed while the writer waits for room.
    let child = |path: PathBuf, here: RemoteGate| {
        let _reader = NamedPipe::open(path).unwrap().open_reader().unwrap();
        here.open(1);
        Gate::new().wait();
    };
    let here = Gate::new();
    let child = start(child, (pipe.path().to_owned(), here.remote()));
    let mut writer = pipe.open_writer().unwrap();
    here.wait();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| kind(writer.send_bytes(&[0; 1 << 20])));
        kill_and_join(&child);
        assert_eq!(sent.join().unwrap(), ErrorKind::Disconnected);
    });
}

/// The default of C programs: the signal would kill this one.
fn sigpipe() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("signal")).unwrap();
    let (reader, mut writer) = ends(&pipe);
    drop(reader);
    let child = |path: PathBuf| {
        #[expect(unsafe_code, reason = "the default action runs no handler")]
        // SAFETY: it runs no handler.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        let pipe = NamedPipe::open(path).unwrap();
        let (reader, mut writer) = ends(&pipe);
        writer.write_line("fine").unwrap();
        drop(reader);
        nobody_reads(&mut writer);
        // What was not ours stays: the signal is still deadly.
        nix::sys::signal::raise(Signal::SIGPIPE).unwrap();
    };
    let child = start(child, (pipe.path().to_owned(),));
    assert_eq!(child.join().unwrap(), -nix::libc::SIGPIPE);
    nobody_reads(&mut writer);
}

fn killed_in_a_message() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("killed")).unwrap();
    let child = |path: PathBuf, here: RemoteGate| {
        let mut writer = NamedPipe::open(path).unwrap().open_writer().unwrap();
        writer.send_bytes(b"whole").unwrap();
        // More than the pipe holds: it sleeps in the middle.
        here.open(1);
        writer.send_bytes(&[5; 1 << 20]).unwrap();
    };
    let here = Gate::new();
    let child = start(child, (pipe.path().to_owned(), here.remote()));
    let mut reader = pipe.open_reader().unwrap();
    here.wait();
    polls(pid_of(&child));
    kill_and_join(&child);
    assert_eq!(reader.recv_bytes().unwrap(), b"whole");
    let error = reader.recv_bytes().unwrap_err();
    assert!(
        error.kind() == ErrorKind::Disconnected && error.to_string().contains("middle"),
        "{error}"
    );
    // The next one begins anew.
    let mut writer = pipe.open_writer().unwrap();
    writer.send_bytes(b"next").unwrap();
    assert_eq!(reader.recv_bytes().unwrap(), b"next");
}

fn bad_messages() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("bad")).unwrap();
    for (head, expected) in [
        (vec![0xff, 0xff, 0xff, 0xfe], ErrorKind::Decode),
        (vec![0x80, 0, 0, 0], ErrorKind::Decode),
        (vec![0x7f, 0xff, 0xff, 0xff], ErrorKind::TooLong),
        (vec![0xff; 12], ErrorKind::TooLong),
        (vec![0, 0, 0, 101], ErrorKind::TooLong),
    ] {
        let (mut reader, mut writer) = ends(&pipe);
        assert_eq!(reader.max_message(), 1 << 30);
        reader.set_max_message(100);
        writer.send_bytes(&[1; 100]).unwrap();
        writer.write_all(&head).unwrap();
        assert_eq!(reader.recv_bytes().unwrap(), [1; 100]);
        assert_eq!(kind(reader.recv_bytes()), expected);
        assert_eq!(kind(reader.recv_bytes()), expected, "it stays so");
    }
}

fn bad_lines() {
    let folder = Folder::new();
    let pipe = NamedPipe::create(folder.path("bad")).unwrap();
    let (mut reader, mut writer) = ends(&pipe);
    assert_eq!(kind(writer.write_line("a\nb")), ErrorKind::InvalidInput);
    writer.write_all(b"\xff\xfe\nfine\n").unwrap();
    assert_eq!(kind(reader.read_line()), ErrorKind::Decode);
    assert_eq!(reader.read_line().unwrap().unwrap(), "fine");
    reader.set_max_message(10);
    writer.write_all(&[b'x'; 100]).unwrap();
    assert_eq!(kind(reader.read_line()), ErrorKind::TooLong);
    // Also when its end has come.
    writer.write_all(b"\n").unwrap();
    assert_eq!(kind(reader.read_line()), ErrorKind::TooLong);
    reader.set_max_message(100);
    assert_eq!(reader.read_line().unwrap().unwrap(), "x".repeat(100));
}

fn bad_paths() {
    let folder = Folder::new();
    for path in ["", "/", "..", "a\0b", "/tmp/.."] {
        assert_eq!(
            kind(NamedPipe::create(path)),
            ErrorKind::InvalidInput,
            "{path:?}"
        );
        assert_eq!(
            kind(NamedPipe::open(path)),
            ErrorKind::InvalidInput,
            "{path:?}"
        );
    }
    let absent = folder.path("no folder").join("pipe");
    assert_eq!(kind(NamedPipe::create(&absent)), ErrorKind::NotFound);
    assert_eq!(kind(NamedPipe::open(&absent)), ErrorKind::NotFound);
    assert_eq!(
        kind(NamedPipe::create(folder.path(&"x".repeat(256)))),
        ErrorKind::Os
    );
    assert_eq!(labels_of(std::process::id()), [""; 0]);
}

fn no_pipes() {
    let folder = Folder::new();
    let file = folder.path("file");
    fs::write(&file, b"mine").unwrap();
    assert_eq!(kind(NamedPipe::open(&file)), ErrorKind::InvalidInput);
    assert_eq!(kind(NamedPipe::create(&file)), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    // It was a pipe, and is a file by now: nobody writes into it.
    let other = folder.path("other");
    nix::unistd::mkfifo(&other, Mode::S_IRWXU).unwrap();
    let pipe = NamedPipe::open(&other).unwrap();
    fs::rename(&file, &other).unwrap();
    assert_eq!(kind(pipe.open_writer()), ErrorKind::InvalidInput);
    assert_eq!(kind(pipe.open_reader()), ErrorKind::InvalidInput);
    assert_eq!(kind(pipe.unlink()), ErrorKind::NotFound);
    assert_eq!(fs::read(&other).unwrap(), b"mine");
    fs::remove_file(&other).unwrap();
    assert_eq!(kind(pipe.open_reader()), ErrorKind::NotFound);
    assert_eq!(kind(NamedPipe::open(&folder.0)), ErrorKind::InvalidInput);
    assert_eq!(folder.files(), [""; 0]);
}

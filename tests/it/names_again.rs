//! A service that was killed with its whole family and is started again: its names are free at once.

use crate::runner::{Case, case, program, program_command};
use multiproc::shared_memory::SharedMemory;
use multiproc::{Listener, NamedPipe};
use nix::sys::signal::{Signal, raise};
use std::path::{Path, PathBuf};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("names_again::after_a_kill", after_a_kill),
        program("names_again::lives_once", lives_once),
    ]
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

/// The names of a service.
fn take(folder: &Path, segment: &str) -> (Listener, NamedPipe, SharedMemory) {
    let listener = Listener::bind(path(folder, "socket")).unwrap();
    let pipe = NamedPipe::create(path(folder, "pipe")).unwrap();
    let memory = SharedMemory::create_named(segment, 100).unwrap();
    (listener, pipe, memory)
}

fn lives_once() {
    let mut words = std::env::args()
        .skip_while(|word| word != "--names")
        .skip(1);
    let (folder, segment) = (words.next().unwrap(), words.next().unwrap());
    let _all = take(Path::new(&folder), &segment);
    // The keeper too: nobody of the family is left to remove anything.
    for child in crate::kit::children() {
        crate::kit::kill_and_wait(child);
    }
    raise(Signal::SIGKILL).unwrap();
}

fn after_a_kill() {
    let folder = tempfile();
    let segment = format!("again-{}", std::process::id());
    for _life in 0..3 {
        let mut command = program_command("names_again::lives_once");
        command.arg("--names").arg(&folder).arg(&segment);
        let ended = command.status().unwrap();
        assert_eq!(ended.code(), None, "it was killed");
        assert!(path(&folder, "socket").exists());
    }
    let all = take(&folder, &segment);
    drop(all);
    assert!(!path(&folder, "socket").exists());
    std::fs::remove_dir(folder).unwrap();
}

fn tempfile() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("names-again-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

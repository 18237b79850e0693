//! Segments and lists that Python programs share with ours, in both directions, with every Python that is here.

use crate::kit::kind;
use crate::pythons::{Python, pythons};
use crate::runner::{Case, case};
use crate::shared_memory::{byte_at, names, path};
use multiproc::ErrorKind;
use multiproc::shared_memory::{Item, ShareableList, SharedMemory};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering::SeqCst;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("python_shm::python_attaches", python_attaches),
        case("python_shm::rust_attaches", rust_attaches),
        case("python_shm::atomics_and_struct", atomics),
        case(
            "python_shm::tracker_removes_what_it_attached_to",
            tracker_removes,
        ),
        case("python_shm::told_not_to_track", not_tracked),
        case(
            "python_shm::owner_is_killed_while_python_is_there",
            owner_killed,
        ),
        case("python_shm::lists_of_ours", lists_of_ours),
        case("python_shm::lists_of_python", lists_of_python),
        case("python_shm::lists_that_both_change", both_change),
        case("python_shm::text_that_python_cuts", python_cuts),
        case("python_shm::bytes_are_the_same", same_bytes),
        case("python_shm::named_pipes", named_pipes),
    ]
}

/// What every script begins with: `shared` attaches without making Python responsible.
const BEGIN: &str = r#"
import sys, struct
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory, ShareableList

def disown(memory):
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory

def shared(name):
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    return disown(SharedMemory(name))

def shared_list(name):
    found = ShareableList(name=name)
    disown(found.shm)
    return found
"#;

impl Python {
    fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .arg("-c")
            .arg(format!("{BEGIN}\n{script}"))
            .args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a script to its end; the answer is what it has printed.
    #[track_caller]
    fn output_of(&self, script: &str, arguments: &[&str]) -> String {
        let output = self.command(script, arguments).output().unwrap();
        self.checked(&output)
    }

    #[track_caller]
    fn checked(&self, output: &Output) -> String {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "3.{}: {errors}", self.minor);
        assert_eq!(errors, "", "3.{}", self.minor);
        String::from_utf8(output.stdout.clone())
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Runs a script that prints a line, then waits for one, and meanwhile this.
    #[track_caller]
    fn meanwhile(&self, script: &str, arguments: &[&str], body: impl FnOnce(&str)) -> String {
        use std::io::{BufRead as _, BufReader};
        let mut child = self.command(script, arguments).spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        body(line.trim_end());
        // It may have failed already; then its own words say more.
        child.stdin.take().unwrap().write_all(b"go on\n").ok();
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut said, &mut rest).unwrap();
        let mut output = child.wait_with_output().unwrap();
        output.stdout = rest;
        self.checked(&output)
    }
}

fn python_attaches() {
    for python in pythons() {
        let memory = SharedMemory::create(5000).unwrap();
        memory.write(4990, b"from Rust").unwrap();
        let script = r"
memory = shared(sys.argv[1])
assert memory.size == 5000, memory.size
print(bytes(memory.buf[4990:4999]).decode())
memory.buf[:11] = b'from Python'
memory.close()
";
        assert_eq!(python.output_of(script, &[memory.name()]), "from Rust");
        let mut text = [0; 11];
        memory.read(0, &mut text).unwrap();
        assert_eq!(&text, b"from Python");
        assert!(path(memory.name()).exists());
    }
}

fn rust_attaches() {
    for python in pythons() {
        let before = names();
        let script = r"
memory = SharedMemory(create=True, size=5000)
memory.buf[4999] = 77
print(memory.name, flush=True)
sys.stdin.readline()
print(memory.buf[0])
memory.close()
memory.unlink()
";
        let answer = python.meanwhile(script, &[], |name| {
            let memory = SharedMemory::open(name).unwrap();
            assert!(!memory.is_owner());
            assert_eq!((memory.size(), byte_at(&memory, 4999)), (5000, 77));
            memory.write(0, &[78]).unwrap();
            assert_eq!(
                kind(SharedMemory::create_named(name, 8)),
                ErrorKind::AlreadyExists
            );
            drop(memory);
            assert!(path(name).exists(), "who attaches does not own");
        });
        assert_eq!(answer, "78");
        assert_eq!(names(), before);
    }
}

fn atomics() {
    for python in pythons() {
        let memory = SharedMemory::create(32).unwrap();
        memory.atomic_u64(8).unwrap().store(u64::MAX - 1, SeqCst);
        memory.atomic_u16(30).unwrap().store(7, SeqCst);
        let script = r"
memory = shared(sys.argv[1])
print(*struct.unpack_from('=QH', memory.buf, 8)[:1], *struct.unpack_from('=H', memory.buf, 30))
struct.pack_into('=I', memory.buf, 4, 0xdeadbeef)
memory.close()
";
        assert_eq!(
            python.output_of(script, &[memory.name()]),
            "18446744073709551614 7"
        );
        assert_eq!(memory.atomic_u32(4).unwrap().load(SeqCst), 0xdead_beef);
    }
}

/// Python's own rule: who attaches is responsible, and its tracker removes the segment when the program ends. What that does to us: the
/// memory stays, the name goes, and nobody complains.
fn tracker_removes() {
    for python in pythons() {
        let before = names();
        let memory = SharedMemory::create(100).unwrap();
        let script = "memory = SharedMemory(sys.argv[1])\nmemory.buf[0] = 1\nmemory.close()";
        let output = python.command(script, &[memory.name()]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        // The tracker ends after the program.
        while path(memory.name()).exists() {
            std::thread::yield_now();
        }
        assert!(
            errors.contains("leaked shared_memory"),
            "3.{}: {errors}",
            python.minor
        );
        assert_eq!(byte_at(&memory, 0), 1);
        assert_eq!(kind(memory.unlink()), ErrorKind::NotFound);
        drop(memory);
        assert_eq!(names(), before);
    }
}

/// The two ways to prevent that.
fn not_tracked() {
    for python in pythons() {
        let memory = SharedMemory::create(100).unwrap();
        let script = "shared(sys.argv[1]).close()\nprint('done')";
        assert_eq!(python.output_of(script, &[memory.name()]), "done");
        // `wait_with_output` has read to the end of its tracker's stderr too.
        assert!(path(memory.name()).exists(), "3.{}", python.minor);
        memory.unlink().unwrap();
    }
}

fn make_and_wait(said: multiproc::Queue<String>) {
    let memory = SharedMemory::create(100).unwrap();
    memory.write(0, b"orphan").unwrap();
    said.put(memory.name().to_owned()).unwrap();
    crate::runner::Gate::new().wait();
}

fn owner_killed() {
    for python in pythons() {
        let before = names();
        let said = multiproc::Queue::new().unwrap();
        let owner = crate::kit::start(make_and_wait, (said.clone(),));
        let name = said.get().unwrap();
        let script = r"
memory = shared(sys.argv[1])
print('attached', flush=True)
sys.stdin.readline()
print(bytes(memory.buf[:6]).decode())
memory.close()
";
        let answer = python.meanwhile(script, &[&name], |_attached| {
            crate::kit::kill_and_join(&owner);
            while names() != before {
                std::thread::yield_now();
            }
        });
        assert_eq!(answer, "orphan");
    }
}

fn mixed() -> Vec<Item> {
    vec![
        "größer".into(),
        b"by\0tes".into(),
        (-273.154).into(),
        i64::MIN.into(),
        ().into(),
        true.into(),
        false.into(),
        "".into(),
    ]
}

/// The same as Python writes it.
const MIXED: &str = r"['größer', b'by\x00tes', -273.154, -2**63, None, True, False, '']";

fn items(list: &ShareableList) -> Vec<Item> {
    list.iter().map(Result::unwrap).collect()
}

fn lists_of_ours() {
    for python in pythons() {
        let list = ShareableList::create(mixed()).unwrap();
        let script = format!(
            "found = shared_list(sys.argv[1])\nassert list(found) == {MIXED}, list(found)\nprint(found.format, found.count(True), found.index(''))\nfound.shm.close()"
        );
        let answer = python.output_of(&script, &[list.shm().name()]);
        assert_eq!(
            answer, "16s8sdqxxxxxx?xxxxxxxx?xxxxxxx?8s 1 7",
            "3.{}",
            python.minor
        );
    }
}

fn lists_of_python() {
    for python in pythons() {
        let script = format!(
            "made = ShareableList({MIXED})\nprint(made.shm.name, flush=True)\nsys.stdin.readline()\nprint(made[3], made[0])\nmade.shm.close()\nmade.shm.unlink()"
        );
        let answer = python.meanwhile(&script, &[], |name| {
            let list = ShareableList::open(name).unwrap();
            assert_eq!(items(&list), mixed());
            list.set(3, "text").unwrap();
            list.set(0, 5).unwrap();
        });
        assert_eq!(answer, "text 5");
    }
}

/// Every type instead of every other, in turns.
fn both_change() {
    for python in pythons() {
        let list = ShareableList::create(vec!["12345678"; 8]).unwrap();
        for (index, item) in (0..).zip(mixed()) {
            list.set(index, item).unwrap();
        }
        let script = format!(
            "found = shared_list(sys.argv[1])\nassert list(found) == {MIXED}, list(found)\nfor place, item in enumerate(reversed({MIXED})):\n    found[place] = item\nfound.shm.close()"
        );
        assert_eq!(python.output_of(&script, &[list.shm().name()]), "");
        let mut expected = mixed();
        expected.reverse();
        assert_eq!(items(&list), expected);
    }
}

/// NULs at the end come back here; Python sees what it always sees, and what it writes then is whole.
fn python_cuts() {
    for python in pythons() {
        let list = ShareableList::create(["ends\0\0", "1234567\0"]).unwrap();
        let script = r"
found = shared_list(sys.argv[1])
assert list(found) == ['ends', '1234567'], list(found)
found[0] = 'longer'
found[1] = '12345678'
found.shm.close()
";
        assert_eq!(python.output_of(script, &[list.shm().name()]), "");
        assert_eq!(items(&list), ["longer".into(), Item::from("12345678")]);
        // Text of three bytes a character: Python makes room for characters, and leaves a half one.
        let script = "made = ShareableList(['\u{20ac}' * 8, 'next'])\nprint(made.shm.name, flush=True)\nsys.stdin.readline()\nmade.shm.close()\nmade.shm.unlink()";
        python.meanwhile(script, &[], |name| {
            let list = ShareableList::open(name).unwrap();
            match list.get(0) {
                Ok(item) => assert_eq!(item, "€".repeat(8).into()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Decode),
            }
            assert_eq!(list.get(1).unwrap(), "next".into());
        });
    }
}

/// Byte for byte, where Python counts as many characters as there are bytes.
fn same_bytes() {
    for python in pythons() {
        let mut items = mixed();
        items[0] = "greater!".into();
        let ours = ShareableList::create(items).unwrap();
        let script = format!(
            "made = ShareableList(['greater!'] + {MIXED}[1:])\nprint(made.shm.name, flush=True)\nsys.stdin.readline()\nmade.shm.close()\nmade.shm.unlink()"
        );
        python.meanwhile(&script, &[], |name| {
            let (theirs, ours) = (fs::read(path(name)), fs::read(path(ours.shm().name())));
            assert_eq!(theirs.unwrap(), ours.unwrap(), "3.{}", python.minor);
        });
    }
}

fn named_pipes() {
    use multiproc::NamedPipe;
    let folder = crate::named_pipe::Folder::new();
    let pipe = NamedPipe::create(folder.path("pipe")).unwrap();
    let place = pipe.path().to_str().unwrap();
    for python in pythons() {
        let write = "with open(sys.argv[1], 'w') as pipe:\n    print('one', file=pipe)\n    print('two', file=pipe)";
        let child = python.command(write, &[place]).spawn().unwrap();
        let mut reader = pipe.open_reader().unwrap();
        let lines: Vec<String> = reader.lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two"]);
        drop(reader);
        python.checked(&child.wait_with_output().unwrap());

        let read = "with open(sys.argv[1]) as pipe:\n    print(pipe.read().upper(), end='')";
        let child = python.command(read, &[place]).spawn().unwrap();
        pipe.open_writer().unwrap().write_line("three").unwrap();
        assert_eq!(python.checked(&child.wait_with_output().unwrap()), "THREE");

        // A message as `Connection.send_bytes` of the same program would frame it.
        let send = "from multiprocessing.connection import Connection\nimport os\nend = Connection(os.open(sys.argv[1], os.O_WRONLY), readable=False)\nend.send_bytes(b'four' * 5000)\nend.close()";
        let child = python.command(send, &[place]).spawn().unwrap();
        let mut reader = pipe.open_reader().unwrap();
        assert_eq!(reader.recv_bytes().unwrap(), b"four".repeat(5000));
        python.checked(&child.wait_with_output().unwrap());
    }
}

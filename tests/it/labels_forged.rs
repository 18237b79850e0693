//! Labels that nobody of this crate has written, or that more than one sweeper reads: whose are removed, and whose are not.

use crate::named_pipe::Folder;
use crate::runner::{Case, case, skip};
use crate::shared_memory::{alone, names, path};
use multiproc::cleanup;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, geteuid, mkfifo};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("labels_forged::as_the_crate_writes_them", as_written).cold(),
        case("labels_forged::owner_lives", owner_lives).cold(),
        case("labels_forged::another_namespace", another_namespace).cold(),
        case("labels_forged::another_user", another_user).cold(),
        case("labels_forged::no_labels", no_labels).cold(),
        case("labels_forged::another_object", another_object).cold(),
        case("labels_forged::killed_between_two_names", between_two_names).cold(),
        case(
            "labels_forged::pipes_and_sockets_not_known_yet",
            not_known_yet,
        )
        .cold(),
        case("labels_forged::many_sweepers", many_sweepers).cold(),
        case("labels_forged::a_sweeper_that_is_stopped", stopped_sweeper).cold(),
        case("labels_forged::folder_is_gone", folder_gone).cold(),
    ]
}

/// A label, word by word.
struct Forged {
    kind: &'static str,
    pid: u32,
    start_time: u64,
    namespaces: [u64; 3],
    object: String,
    path: PathBuf,
    aside: PathBuf,
}

fn own_start_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    after.split(' ').nth(19).unwrap().parse().unwrap()
}

impl Forged {
    /// Of an owner who has this process's number and began when the machine did: he must be dead.
    fn of(kind: &'static str, path: &Path) -> Self {
        let object = fs::symlink_metadata(path).map_or("-".to_owned(), |there| {
            let birth = there.created().unwrap().duration_since(UNIX_EPOCH).unwrap();
            format!("{} {} {}", there.dev(), there.ino(), birth.as_nanos())
        });
        Self {
            kind,
            pid: std::process::id(),
            start_time: 1,
            namespaces: ["pid", "time", "mnt"].map(|namespace| {
                // Segments lie where their labels do, in whichever mount namespace.
                if (kind, namespace) == ("segment", "mnt") {
                    return 0;
                }
                let path = format!("/proc/self/ns/{namespace}");
                fs::metadata(path).map_or(0, |namespace| namespace.ino())
            }),
            object,
            path: path.to_owned(),
            aside: path.with_file_name(format!(".aside-{}", path.file_name().unwrap().display())),
        }
    }

    fn text(&self) -> String {
        let Self {
            kind,
            pid,
            start_time,
            namespaces: [pids, times, paths],
            object,
            path,
            aside,
        } = self;
        format!(
            "multiproc label 1\n{kind}\nowner {pid} {start_time}\nnamespaces {pids} {times} {paths}\nobject {object}\n{}\0{}\0",
            path.display(),
            aside.display()
        )
    }

    fn name(&self, number: u64) -> PathBuf {
        let user = geteuid();
        path(&format!(
            "multiproc-{user}-{}-{}-{number:016x}",
            self.pid, self.start_time
        ))
    }

    fn write(&self, number: u64) -> PathBuf {
        let name = self.name(number);
        fs::write(&name, self.text()).unwrap();
        name
    }
}

fn file(name: &str) -> PathBuf {
    let file = path(name);
    fs::write(&file, name).unwrap();
    file
}

/// Removes what a test has made, so that it leaves nothing.
fn remove(paths: &[&PathBuf]) {
    for path in paths {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(names().len(), 0, "{:?}", names());
}

fn as_written() {
    alone();
    let memory = multiproc::shared_memory::SharedMemory::create(8).unwrap();
    let labels: Vec<String> = names()
        .into_iter()
        .filter(|name| name.starts_with("multiproc-"))
        .collect();
    let written = fs::read_to_string(path(&labels[0])).unwrap();
    let mut forged = Forged::of("segment", &path(memory.name()));
    forged.start_time = own_start_time();
    let (before, _random) = written.rsplit_once("multiproc-").unwrap();
    assert!(
        forged
            .text()
            .starts_with(before.trim_end_matches('.').trim_end_matches("/dev/shm/"))
    );
    assert!(
        path(&labels[0]).display().to_string().starts_with(
            forged
                .name(0)
                .display()
                .to_string()
                .rsplit_once('-')
                .unwrap()
                .0
        )
    );
    drop(memory);
    // And such a one is believed, if its owner is dead.
    let object = file("object");
    Forged::of("segment", &object).write(1);
    assert_eq!(cleanup().unwrap(), 1);
    assert_eq!(names().len(), 0);
}

fn owner_lives() {
    alone();
    let object = file("object");
    let mut forged = Forged::of("segment", &object);
    forged.start_time = own_start_time();
    let label = forged.write(1);
    assert_eq!(cleanup().unwrap(), 0);
    remove(&[&object, &label]);
}

fn another_namespace() {
    alone();
    let object = file("object");
    let mut forged = Forged::of("segment", &object);
    forged.namespaces[0] += 1;
    let label = forged.write(1);
    assert_eq!(cleanup().unwrap(), 0);
    remove(&[&object, &label]);
}

/// Somebody else has written a label of ours, or has one of his own.
fn another_user() {
    if !geteuid().is_root() {
        skip("only root can give a file away");
    }
    alone();
    let object = file("object");
    let forged = Forged::of("segment", &object);
    let label = forged.write(1);
    chown(&label, Some(Uid::from_raw(4242)), None).unwrap();
    let name = format!("multiproc-4242-{}-1-{:016x}", forged.pid, 2);
    fs::write(path(&name), forged.text()).unwrap();
    assert_eq!(cleanup().unwrap(), 0);
    remove(&[&object, &label, &path(&name)]);
}

fn no_labels() {
    alone();
    let object = file("object");
    let forged = Forged::of("segment", &object);
    let good = forged.text();
    let wrong = [
        String::new(),
        "multiproc label 1".to_owned(),
        good.replace("label 1", "label 2"),
        good.replace("segment", "house"),
        good.replace("owner ", "owner 1"),
        good.replace("namespaces ", "namespaces x"),
        good.replace("object ", "object 1 "),
        good.replace("/dev/shm/object", "object"),
        good.replace("/dev/shm/.aside", "/tmp/.aside"),
        good.clone() + "x",
        good[..good.len() - 1].to_owned(),
        good.clone() + &"x".repeat(1 << 20),
    ];
    let mut labels: Vec<PathBuf> = Vec::new();
    for (number, text) in (0..).zip(wrong) {
        labels.push(forged.name(number));
        fs::write(&labels[labels.len() - 1], text).unwrap();
    }
    write_odd_names(&mut labels, &good);
    let odd = |number| forged.name(number);
    std::os::unix::fs::symlink("object", odd(100)).unwrap();
    mkfifo(&odd(101), Mode::S_IRWXU).unwrap();
    fs::create_dir(odd(102)).unwrap();
    let before = names();
    assert_eq!(cleanup().unwrap(), 0);
    assert_eq!(names(), before);
    fs::remove_dir(odd(102)).unwrap();
    labels.extend([odd(100), odd(101), object]);
    remove(&labels.iter().collect::<Vec<_>>());
}

/// Names that none of ours has.
fn write_odd_names(labels: &mut Vec<PathBuf>, text: &str) {
    for name in [
        "multiproc-",
        "multiproc-0",
        "multiproc-0-1-1-1",
        "multiproc-x-1-1-0000000000000001",
    ] {
        labels.push(path(name));
        fs::write(path(name), text).unwrap();
    }
}

/// The same path, another inode; or the same inode at another time.
fn another_object() {
    alone();
    let object = file("object");
    let mut forged = Forged::of("segment", &object);
    let words: Vec<u64> = forged
        .object
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    for change in 0..3 {
        let mut words = words.clone();
        words[change] += 1;
        forged.object = format!("{} {} {}", words[0], words[1], words[2]);
        let label = forged.write(1);
        assert_eq!(cleanup().unwrap(), 0);
        assert!(object.exists() && !label.exists());
    }
    // Somebody has given it another name.
    let forged = Forged::of("segment", &object);
    fs::rename(&object, path("renamed")).unwrap();
    forged.write(1);
    assert_eq!(cleanup().unwrap(), 0);
    remove(&[&path("renamed")]);
}

/// Whoever removes moves it aside first, and may be killed then.
fn between_two_names() {
    alone();
    let object = file("object");
    let forged = Forged::of("segment", &object);
    forged.write(1);
    fs::rename(&object, &forged.aside).unwrap();
    fs::write(&object, "another's").unwrap();
    assert_eq!(cleanup().unwrap(), 1);
    assert!(!forged.aside.exists());
    assert_eq!(fs::read_to_string(&object).unwrap(), "another's");
    // A link to it under both names, as where a file system cannot rename in one step.
    let both = file("both");
    let forged = Forged::of("segment", &both);
    forged.write(2);
    fs::hard_link(&both, &forged.aside).unwrap();
    assert_eq!(cleanup().unwrap(), 1);
    remove(&[&object]);
}

/// The owner was killed before it had noted what it had made.
fn not_known_yet() {
    alone();
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    let forged = Forged::of("fifo", &pipe);
    mkfifo(&forged.aside, Mode::S_IRWXU).unwrap();
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    forged.write(1);
    assert_eq!(cleanup().unwrap(), 1);
    assert!(
        pipe.exists() && !forged.aside.exists(),
        "the path was never its"
    );
    fs::remove_file(&pipe).unwrap();

    let socket = folder.path("socket");
    let forged = Forged::of("socket", &socket);
    let listener = UnixListener::bind(&socket).unwrap();
    forged.write(2);
    assert_eq!(cleanup().unwrap(), 0);
    assert!(socket.exists(), "somebody listens");
    assert!(
        listener.set_nonblocking(true).is_ok() && listener.accept().is_err(),
        "and was not asked"
    );
    forged.write(2);
    drop(listener);
    assert_eq!(cleanup().unwrap(), 1);
    assert!(!socket.exists());
    fs::write(&socket, "no socket").unwrap();
    forged.write(2);
    assert_eq!(cleanup().unwrap(), 0);
    fs::remove_file(&socket).unwrap();
    Forged::of("socket", &socket).write(2);
    assert_eq!(cleanup().unwrap(), 0);
    assert_eq!((names().len(), folder.files().len()), (0, 0));
}

fn many_sweepers() {
    alone();
    const MANY: u64 = 300;
    for number in 0..MANY {
        let object = file(&format!("object-{number}"));
        Forged::of("segment", &object).write(number);
    }
    let mine = file("mine");
    let removed = std::sync::atomic::AtomicUsize::new(0);
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                let some = cleanup().unwrap();
                removed.fetch_add(some, std::sync::atomic::Ordering::SeqCst);
            });
        }
    });
    // What one left to another who had it in hand is done.
    let removed = removed.into_inner();
    assert_eq!(removed, usize::try_from(MANY).unwrap());
    remove(&[&mine]);
}

/// Others leave him what he has in hand, and do not wait.
fn stopped_sweeper() {
    alone();
    let (one, other) = (file("one"), file("other"));
    let label = Forged::of("segment", &one).write(1);
    Forged::of("segment", &other).write(2);
    let held = Flock::lock(File::open(&label).unwrap(), FlockArg::LockExclusive);
    let held = held.map_err(|(_, errno)| errno).unwrap();
    assert_eq!(cleanup().unwrap(), 1);
    assert!(one.exists() && label.exists() && !other.exists());
    drop(held);
    assert_eq!(cleanup().unwrap(), 1);
    assert_eq!(names().len(), 0);
}

fn folder_gone() {
    alone();
    let folder = Folder::new();
    let inner = folder.path("inner");
    fs::create_dir(&inner).unwrap();
    let object = inner.join("pipe");
    mkfifo(&object, Mode::S_IRWXU).unwrap();
    Forged::of("fifo", &object).write(1);
    fs::remove_file(&object).unwrap();
    fs::remove_dir(&inner).unwrap();
    assert_eq!(cleanup().unwrap(), 0);
    assert_eq!(names().len(), 0);
}

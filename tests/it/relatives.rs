//! Parents, children and what is handed down between them, under each start method.

use crate::kit::{children, pid_of, say_and_wait, state_of};
use crate::life::is_active;
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command};
use crate::ways::{builder, each, ended, fine, named, start_by};
use multiproc::{
    AuthKey, Process, Queue, StartMethod, active_children, current_process, parent_process,
};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("relatives::daemon_matrix", daemon_matrix),
        case("relatives::parents", parents),
        case("relatives::active_children", active),
        case("relatives::active_children_reap", active_reaps),
        case("relatives::active_children_of_a_child", active_in_a_child),
        case("relatives::recursion", recursion),
        case("relatives::authkeys", authkeys),
        case("relatives::authkey_is_copied_when_built", key_is_copied),
        case("relatives::authkeys_of_two_families", two_families),
        case("relatives::nested_queue_and_process", nested_queue),
        case("relatives::nested_pool", nested_pool),
        program("relatives::says_its_authkey", says_its_authkey),
    ]
}

/// What a child is, what its children would be, and what comes of starting one.
type Flags = (bool, bool, bool, bool, Option<String>);

fn tells_flags(told: Queue<Flags>, method: String) {
    let method = named(&method);
    let would_be = |daemon: Option<bool>| {
        let process = builder(method, || (), ());
        let process = daemon.map_or(process, |daemon| Process::builder(|| (), ()).daemon(daemon));
        process.build().daemon()
    };
    let tried = builder(method, || (), ()).daemon(false).start();
    let kind = tried.err().map(|error| format!("{:?}", error.kind()));
    let me = current_process().daemon();
    let flags = (
        me,
        would_be(None),
        would_be(Some(true)),
        would_be(Some(false)),
        kind,
    );
    told.put(flags).unwrap();
}

fn daemon_matrix() {
    each(|method| {
        let told = Queue::new().unwrap();
        let refused = Some("Misuse".to_owned());
        let free = || builder(method, tells_flags, (told.clone(), method.to_string()));
        let run = |mut process: Process, daemon: bool| {
            assert_eq!(process.daemon(), daemon);
            process.start().unwrap();
            assert_eq!(process.daemon(), daemon);
            fine(&process);
            told.get().unwrap()
        };
        assert_eq!(
            run(free().build(), false),
            (false, false, true, false, None)
        );
        assert!(!run(free().daemon(false).build(), false).0);
        let daemon = run(free().daemon(true).build(), true);
        assert_eq!(daemon, (true, true, true, false, refused));
        let mut changed = free().daemon(true).build();
        changed.set_daemon(false).unwrap();
        assert!(!run(changed, false).0);
        let mut changed = free().build();
        changed.set_daemon(true).unwrap();
        assert!(run(changed, true).0);
    });
}

fn tells_its_parent(told: Queue<(String, u32)>, method: String, deeper: bool) {
    let parent = parent_process().unwrap();
    assert!(parent.is_alive());
    assert!(!parent.join_timeout(Duration::ZERO).unwrap());
    told.put((parent.name().to_owned(), parent.pid())).unwrap();
    if deeper {
        let process = start_by(named(&method), tells_its_parent, (told, method, false));
        fine(&process);
    }
}

fn parents() {
    assert!(parent_process().is_none());
    each(|method| {
        let told = Queue::new().unwrap();
        let arguments = (told.clone(), method.to_string(), true);
        let process = builder(method, tells_its_parent, arguments).name("middle");
        let process = process.start().unwrap();
        fine(&process);
        let me = ("MainProcess".to_owned(), std::process::id());
        assert_eq!(told.get().unwrap(), me);
        let middle = ("middle".to_owned(), process.pid().unwrap());
        assert_eq!(told.get().unwrap(), middle);
    });
}

fn active() {
    each(|method| {
        let (here, there) = (Gate::new(), Gate::new());
        let gates = (here.remote(), there.remote());
        let mut process = builder(method, say_and_wait, gates).build();
        assert!(active_children().is_empty());
        process.start().unwrap();
        here.wait();
        assert!(is_active(&process));
        // A handle that somebody dropped is not lost.
        drop(process);
        let found = active_children().pop().unwrap();
        assert!(found.is_alive() && !found.daemon());
        there.open(1);
        fine(&found);
        assert!(active_children().is_empty());
        assert_eq!(found.exitcode().unwrap(), Some(0));
    });
}

/// It reaps by itself: nobody joins here, and no zombie stays.
fn active_reaps() {
    each(|method| {
        let processes = [(); 5].map(|()| start_by(method, || (), ()));
        processes.iter().for_each(ended);
        assert!(active_children().is_empty());
        for process in &processes {
            // A fork server's children are reaped by it, in its own time.
            while method == StartMethod::ForkServer && state_of(pid_of(process)).is_some() {
                std::thread::yield_now();
            }
            assert_eq!(state_of(pid_of(process)), None, "a zombie");
            assert!(!children().contains(&pid_of(process)));
            assert_eq!(process.exitcode().unwrap(), Some(0));
        }
    });
}

/// A child begins with none, also when it is a copy of us.
fn active_in_a_child() {
    each(|method| {
        let gate = Gate::new();
        let sibling = start_by(method, RemoteGate::wait, (gate.remote(),));
        let count = || assert!(active_children().is_empty());
        fine(&start_by(method, count, ()));
        assert!(is_active(&sibling));
        gate.open(1);
        fine(&sibling);
    });
}

fn recurse(path: Vec<u32>, method: String, told: Queue<Vec<u32>>) {
    told.put(path.clone()).unwrap();
    for number in (0..2).filter(|_| path.len() < 2) {
        let mut path = path.clone();
        path.push(number);
        let arguments = (path, method.clone(), told.clone());
        fine(&start_by(named(&method), recurse, arguments));
    }
}

/// Children start children one after another: depth first.
fn recursion() {
    each(|method| {
        let told = Queue::new().unwrap();
        recurse(vec![], method.to_string(), told.clone());
        let expected: [&[u32]; 7] = [&[], &[0], &[0, 0], &[0, 1], &[1], &[1, 0], &[1, 1]];
        for path in expected {
            assert_eq!(told.get().unwrap(), path);
        }
        assert!(told.is_empty());
    });
}

fn tells_its_key(told: Queue<Vec<u8>>, method: String, deeper: bool) {
    told.put(current_process().authkey().as_bytes().to_vec())
        .unwrap();
    if deeper {
        fine(&start_by(
            named(&method),
            tells_its_key,
            (told, method, false),
        ));
    }
}

/// It is handed down, and a process may be given another one, which it hands down in turn.
fn authkeys() {
    let mine = current_process().authkey().as_bytes().to_vec();
    assert!(mine.len() == 32 && mine != [0; 32]);
    assert_eq!(current_process().authkey().as_bytes(), mine);
    let shown = format!("{:?}", AuthKey::from(&b"secret"[..]));
    assert!(
        !shown.contains("secret") && !shown.contains("115"),
        "{shown}"
    );
    each(|method| {
        let told = Queue::new().unwrap();
        let new = || {
            builder(
                method,
                tells_its_key,
                (told.clone(), method.to_string(), true),
            )
        };
        fine(&new().start().unwrap());
        assert_eq!(
            (told.get().unwrap(), told.get().unwrap()),
            (mine.clone(), mine.clone())
        );
        let other = b"another key, of any length \0 and bytes \xff".to_vec();
        let mut process = new().build();
        process.set_authkey(other.clone()).unwrap();
        assert_eq!(process.authkey().as_bytes(), other);
        process.start().unwrap();
        assert_eq!(
            process.set_authkey(mine.clone()).unwrap_err().kind(),
            multiproc::ErrorKind::Misuse
        );
        fine(&process);
        assert_eq!(
            (told.get().unwrap(), told.get().unwrap()),
            (other.clone(), other)
        );
        assert_eq!(current_process().authkey().as_bytes(), mine);
    });
}

/// A process has the key that its creator had when it was made, not when it is started.
fn key_is_copied() {
    each(|method| {
        let told = Queue::new().unwrap();
        let new = || {
            builder(
                method,
                tells_its_key,
                (told.clone(), method.to_string(), false),
            )
        };
        let before = current_process().authkey().as_bytes().to_vec();
        let mut early = new().build();
        let after = method.to_string().into_bytes();
        current_process().set_authkey(after.clone());
        let mut late = new().build();
        for (process, key) in [(&mut early, before), (&mut late, after)] {
            process.start().unwrap();
            fine(process);
            assert_eq!(told.get().unwrap(), key);
        }
    });
}

fn says_its_authkey() {
    println!("{:?}", current_process().authkey().as_bytes());
}

fn two_families() {
    let key = || {
        let output = program_command("relatives::says_its_authkey")
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let (one, other) = (key(), key());
    assert!(one.len() > 32 && one != other, "{one} {other}");
}

/// A child makes a queue and a process of its own.
fn nested_queue() {
    each(|method| {
        let middle = |method: String| {
            let queue = Queue::new().unwrap();
            let put = |queue: Queue<u32>| queue.put(42).unwrap();
            let process = start_by(named(&method), put, (queue.clone(),));
            assert_eq!(queue.get().unwrap(), 42);
            fine(&process);
        };
        fine(&start_by(method, middle, (method.to_string(),)));
    });
}

/// A child that is no daemon has a pool of its own, of workers that come the same way.
fn nested_pool() {
    each(|method| {
        let middle = |method: String| {
            let pool = multiproc::Pool::builder().workers(2);
            let pool = pool.start_method(named(&method)).build().unwrap();
            assert_eq!(pool.map(|n: u64| n * n, 0..5).unwrap(), [0, 1, 4, 9, 16]);
            pool.close();
            pool.join().unwrap();
        };
        fine(&start_by(method, middle, (method.to_string(),)));
    });
}

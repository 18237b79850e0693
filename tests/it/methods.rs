//! Start methods and contexts, as CPython's `TestStartMethod` has them.

use crate::runner::{Case, case};
use crate::ways::{each, fine, named, start_by};
use multiproc::{
    Context, ErrorKind, Lock, Process, Queue, StartMethod, all_start_methods, force_start_method,
    set_start_method, start_method,
};
use std::os::unix::process::parent_id;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("methods::names", names),
        case("methods::set_once", set_once).cold(),
        case("methods::asking_fixes", asking_fixes).cold(),
        case("methods::force", force),
        case("methods::children_see_the_same", children_see_the_same),
        case("methods::how_a_child_came", how_a_child_came),
        case("methods::contexts", contexts),
        case("methods::mixed", mixed),
        case("methods::nested", nested),
        case("methods::statics", statics),
    ]
}

fn names() {
    let words = ["forkserver", "fork", "spawn"];
    let all = [
        StartMethod::ForkServer,
        StartMethod::Fork,
        StartMethod::Spawn,
    ];
    for (method, word) in all.into_iter().zip(words) {
        assert_eq!(method.to_string(), word);
        assert_eq!(word.parse::<StartMethod>().unwrap(), method);
        assert!(all_start_methods().contains(&method));
    }
    for wrong in ["", "Fork", "fork ", "vfork", "fork\0"] {
        assert!(wrong.parse::<StartMethod>().is_err(), "{wrong:?}");
    }
    assert_eq!(all_start_methods()[0], StartMethod::ForkServer);
}

fn refused(result: multiproc::Result<()>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Misuse);
}

fn set_once() {
    set_start_method(StartMethod::Fork).unwrap();
    assert_eq!(start_method(), StartMethod::Fork);
    refused(set_start_method(StartMethod::Spawn));
    refused(set_start_method(StartMethod::Fork));
    assert_eq!(start_method(), StartMethod::Fork);
    assert_eq!(all_start_methods()[0], StartMethod::ForkServer);
    let came = Process::new(|| assert_eq!(parent_id(), multiproc::os::getppid()), ());
    assert_eq!(came.start_method(), StartMethod::Fork);
}

fn asking_fixes() {
    assert_eq!(start_method(), StartMethod::ForkServer);
    refused(set_start_method(StartMethod::Fork));
    force_start_method(None);
    set_start_method(StartMethod::Spawn).unwrap();
    assert_eq!(start_method(), StartMethod::Spawn);
}

fn force() {
    each(|method| {
        force_start_method(Some(method));
        assert_eq!(start_method(), method);
        refused(set_start_method(method));
        assert_eq!(Process::new(|| (), ()).start_method(), method);
        assert_eq!(Context::default().start_method(), method);
        // What was made keeps its method.
        let mut process = Process::new(|| (), ());
        for other in all_start_methods() {
            force_start_method(Some(other));
            assert_eq!(process.start_method(), method);
            let explicit = Process::builder(|| (), ()).start_method(method).build();
            assert_eq!(explicit.start_method(), method);
        }
        process.start().unwrap();
        fine(&process);
    });
    force_start_method(None);
    set_start_method(StartMethod::Fork).unwrap();
}

fn tells_method(told: Queue<String>, deeper: bool) {
    told.put(start_method().to_string()).unwrap();
    if deeper {
        let mut process = Process::new(tells_method, (told, false));
        process.start().unwrap();
        fine(&process);
    }
}

/// The default travels, whichever way the child came.
fn children_see_the_same() {
    each(|default| {
        force_start_method(Some(default));
        for method in all_start_methods() {
            let told = Queue::new().unwrap();
            fine(&start_by(method, tells_method, (told.clone(), true)));
            assert_eq!(told.get().unwrap(), default.to_string());
            assert_eq!(told.get().unwrap(), default.to_string());
        }
    });
}

/// What the program wrote here while it ran: only a copy of it has that.
static CHANGED: AtomicU32 = AtomicU32::new(0);

/// The method is not only a word: whose child it is, and what it has of its parent's memory.
fn how_a_child_came() {
    CHANGED.store(7, SeqCst);
    let told = Queue::new().unwrap();
    let tell = |told: Queue<(u32, u32, u32)>| {
        let parents = (CHANGED.load(SeqCst), parent_id(), multiproc::os::getppid());
        told.put(parents).unwrap();
    };
    let me = std::process::id();
    for (method, copied) in [
        (StartMethod::Fork, 7),
        (StartMethod::Spawn, 0),
        (StartMethod::ForkServer, 0),
    ] {
        fine(&start_by(method, tell, (told.clone(),)));
        let (changed, parent, said) = told.get().unwrap();
        assert_eq!((changed, said), (copied, me), "{method}");
        assert_eq!(parent == me, method != StartMethod::ForkServer, "{method}");
    }
}

fn contexts() {
    let context = |method| match method {
        StartMethod::Fork => Context::fork(),
        StartMethod::Spawn => Context::spawn(),
        StartMethod::ForkServer => Context::forkserver(),
    };
    force_start_method(Some(StartMethod::Spawn));
    each(|method| {
        let (context, told) = (context(method), Queue::new().unwrap());
        assert_eq!(context.start_method(), method);
        let tell = |told: Queue<String>, parent: u32, method: String| {
            // A context is for its own objects: nobody else's default changes.
            assert_eq!(start_method(), StartMethod::Spawn);
            assert_eq!(parent_id() == parent, method != "forkserver");
            told.put(method).unwrap();
        };
        let arguments = || (told.clone(), std::process::id(), method.to_string());
        let mut process = context.process(tell, arguments());
        assert_eq!(process.start_method(), method);
        process.start().unwrap();
        fine(&process);
        let built = context.builder(tell, arguments()).name("built").start();
        let built = built.unwrap();
        assert_eq!((built.name(), built.start_method()), ("built", method));
        fine(&built);
        assert_eq!(
            [told.get().unwrap(), told.get().unwrap()],
            [(); 2].map(|()| method.to_string())
        );
        for pool in [context.pool(2), context.pool_builder().workers(2).build()] {
            let pool = pool.unwrap();
            let parents = pool.map(|_: u8| parent_id(), 0..4).unwrap();
            let ours = parents.iter().all(|parent| *parent == std::process::id());
            assert_eq!(ours, method != StartMethod::ForkServer);
            pool.close();
            pool.join().unwrap();
        }
        assert_eq!(start_method(), StartMethod::Spawn);
    });
}

/// Objects are of no context: one lock and one queue between children that came by all methods.
fn mixed() {
    let (lock, queue) = (Lock::new().unwrap(), Queue::new().unwrap());
    let body = |lock: Lock, queue: Queue<(u32, bool)>| {
        for _ in 0..100 {
            let guard = lock.acquire().unwrap();
            queue.put((std::process::id(), true)).unwrap();
            queue.put((std::process::id(), false)).unwrap();
            drop(guard);
        }
    };
    let arguments = || (lock.clone(), queue.clone());
    let start = |method| [(); 2].map(|()| start_by(method, body, arguments()));
    let processes = all_start_methods().map(start);
    for _ in 0..6 * 100 {
        let (first, second) = (queue.get().unwrap(), queue.get().unwrap());
        assert!(
            first.0 == second.0 && first.1 && !second.1,
            "somebody was between"
        );
    }
    processes.iter().flatten().for_each(fine);
}

/// A child forwards what it received to a child of its own, of the same or another sort.
fn nested() {
    each(|outer| {
        for inner in all_start_methods() {
            let queue = Queue::new().unwrap();
            let forward = |queue: Queue<String>, inner: String| {
                let put = |queue: Queue<String>, inner: String| queue.put(inner).unwrap();
                fine(&start_by(named(&inner), put, (queue, inner)));
            };
            fine(&start_by(
                outer,
                forward,
                (queue.clone(), inner.to_string()),
            ));
            assert_eq!(queue.get().unwrap(), inner.to_string());
        }
    });
}

static OBJECT: LazyLock<Lock> = LazyLock::new(|| Lock::new().unwrap());

/// A shared object in a static: a copy of the process has the same one, others make their own at the first use. That none
/// of them stays is for the runner to see.
fn statics() {
    each(|method| {
        let middle = |method: String| {
            let guard = OBJECT.acquire().unwrap();
            let below = |method: String| {
                let is_the_same = OBJECT.try_acquire().is_err();
                assert_eq!(is_the_same, method == "fork");
            };
            fine(&start_by(named(&method), below, (method,)));
            drop(guard);
        };
        fine(&start_by(method, middle, (method.to_string(),)));
    });
}

//! What a row of the table is.

use crate::drive;
use multiproc::{Lock, Process};

/// What all rows have: made once in a program, before anything is counted.
pub(crate) struct Keep {
    /// A lock that this program owns for good.
    pub(crate) taken: Lock,
}

/// One section and what must hold after a kill in it. A scene is made anew for every kill.
pub(crate) trait Scene: Sized {
    /// Prepares what the section needs.
    fn prepare() -> Self;

    /// Starts the child that will run the section.
    fn start(&self, _keep: &Keep) -> Process {
        unreachable!("a scene has a child of its own, or another victim")
    }

    /// Who runs the section, when it is not a child of the scene's own.
    fn victim(&self, keep: &Keep) -> Victim {
        Victim::Child(self.start(keep))
    }

    /// The child stands before the first instruction of its section.
    fn entered(&mut self) {}

    /// The child sleeps in its section: what is it waiting for? Called again if it sleeps again.
    fn asleep(&mut self) {}

    /// The child is stopped and will be killed: what can be seen of how far it came?
    fn last_look(&mut self) {}

    /// The survivor goes on; panics when a promise was broken. `left` says that the section was complete.
    fn check(self, left: bool);

    /// Does the section sleep? Then it is watched instruction by instruction.
    const SLEEPS: bool = false;

    /// Is what it changes the kernel's, and nothing in the arena? Then its system calls are what is counted.
    const IN_KERNEL: bool = false;

    /// Is the whole heap filled and checked after every kill, not only after the last?
    const FILLS: bool = false;

    /// How many objects a kill may leak until the family ends, and why.
    const MAY_LEAK: Leak = Leak::NOTHING;
}

/// Who runs a section and is killed in it.
pub(crate) enum Victim {
    Child(Process),
    /// Somebody else's child, by its pid.
    Other(u32),
}

impl Victim {
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Child(process) => process.pid().expect("it was started"),
            Self::Other(pid) => *pid,
        }
    }

    /// It was killed: a child of ours says so.
    pub(crate) fn bury(&self) {
        if let Self::Child(process) = self {
            assert_eq!(process.join().unwrap(), -9, "it was killed");
        }
    }
}

/// What may stay in the arena after a kill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leak {
    pub(crate) objects: usize,
    pub(crate) blocks: usize,
}

impl Leak {
    pub(crate) const NOTHING: Self = Self {
        objects: 0,
        blocks: 0,
    };
    /// A lock whose flight was under way in private memory.
    pub(crate) const A_LOCK: Self = Self {
        objects: 1,
        blocks: 0,
    };
    /// A queue with its segment, in the same way.
    pub(crate) const A_QUEUE: Self = Self {
        objects: 1,
        blocks: 1,
    };
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The path that the section takes.
    pub(crate) path: &'static str,
    pub(crate) run: fn(&'static str),
    /// Too long for a plain run of a debug build.
    pub(crate) long: bool,
}

impl Row {
    pub(crate) fn long(self) -> Self {
        Self { long: true, ..self }
    }
}

/// A line with that scene.
pub(crate) fn row<S: Scene>(name: &'static str, path: &'static str) -> Row {
    Row {
        name,
        path,
        run: drive::run::<S>,
        long: false,
    }
}

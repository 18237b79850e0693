//! What a test must leave as it found it: processes, threads, file descriptors, objects in the arena.
//!
//! What the crate keeps for as long as the family lives is not a leak:
//!
//! - the *fork server*: a direct child that was started with `exec` and calls itself `multiproc-fs`. What *it* has forked
//!   counts like our own children, zombies too;
//! - the descriptors that came with the first use (arena, control socket, lifeline). They exist before the body
//!   begins; in a [`cold`](super::Case::cold) test, [`FIRST_USE`] says how many of which kind may appear.
//!
//! The end of a process or thread is seen at different moments by whoever joined it and by `/proc`, so everything
//! found gets a while to go away, slept through on pidfds.

use super::pidfd::{Event, Leftover, settle};
use super::{Case, grace, procfs};
use nix::unistd::getpid;
use std::collections::BTreeMap;
use std::fs;

/// Kinds of descriptors that the first use of the crate opens, and how many of each at most.
const FIRST_USE: [(&str, usize); 4] = [("/memfd:", 1), ("socket", 2), ("pipe", 2), ("pidfd", 1)];

/// The state before the body.
pub(super) struct Baseline {
    threads: usize,
    fds: BTreeMap<String, usize>,
    /// Objects and members; `None` when this case does not care.
    arena: Option<(usize, usize)>,
    cold: bool,
}

impl Baseline {
    pub(super) fn take(case: &Case) -> Baseline {
        let arena = !case.cold && case.keeps_arena.is_none();
        Baseline {
            threads: procfs::tasks(getpid()).len(),
            fds: open_fds(),
            arena: arena.then(arena_usage),
            cold: case.cold,
        }
    }

    /// What there is more of than before, after a while of waiting for it to go.
    pub(super) fn leaks(&self) -> Vec<String> {
        let left = settle(grace(), || {
            let mut left = processes();
            left.extend(self.threads());
            left.extend(self.fds());
            left
        });
        // The arena last: it can only be at rest when nobody works with it any more.
        let left = if left.is_empty() {
            settle(grace(), || self.arena())
        } else {
            left
        };
        left.into_iter().map(|one| one.what).collect()
    }

    /// All threads but the main one, when there are more than before: which of them is too many nobody can say.
    fn threads(&self) -> Vec<Leftover> {
        let me = getpid();
        let tasks = procfs::tasks(me);
        if tasks.len() <= self.threads {
            return Vec::new();
        }
        let others = tasks.into_iter().filter(|task| *task != me);
        let describe = |task| Leftover {
            what: format!("thread: {}", procfs::where_task_sleeps(me, task).trim()),
            gone: Event::ThreadExit(task),
        };
        others.map(describe).collect()
    }

    fn fds(&self) -> Vec<Leftover> {
        let more = |(kind, now): (String, usize)| {
            let before = self.fds.get(&kind).copied().unwrap_or(0) + self.first_use(&kind);
            (now > before).then(|| Leftover {
                what: format!("{} more descriptor(s) of kind {kind}", now - before),
                gone: Event::Untold,
            })
        };
        open_fds().into_iter().filter_map(more).collect()
    }

    fn first_use(&self, kind: &str) -> usize {
        let allowed = FIRST_USE.iter().find(|(name, _)| kind.starts_with(name));
        allowed
            .filter(|_| self.cold)
            .map_or(0, |(_, number)| *number)
    }

    fn arena(&self) -> Vec<Leftover> {
        let Some((objects, members)) = self.arena else {
            return Vec::new();
        };
        let (objects_now, members_now) = arena_usage();
        if objects_now <= objects && members_now <= members {
            return Vec::new();
        }
        let what = format!(
            "arena: {objects_now} objects (before: {objects}), {members_now} members ({members})"
        );
        vec![Leftover {
            what,
            gone: Event::Untold,
        }]
    }
}

fn arena_usage() -> (usize, usize) {
    let usage = multiproc::arena::usage().expect("the arena exists since the first use");
    (usage.objects, usage.members)
}

/// Every descendant but the fork server.
fn processes() -> Vec<Leftover> {
    let me = procfs::process(getpid()).expect("we exist");
    let mine = procfs::descendants(me.pid).into_iter();
    let describe = |process: procfs::Process| Leftover {
        what: process.describe(),
        gone: if process.is_zombie() {
            Event::Reaped(process.pid)
        } else {
            Event::Exit(process.pid)
        },
    };
    mine.filter(|process| !is_fork_server(&me, process))
        .map(describe)
        .collect()
}

/// A direct child that came by `exec` and calls itself a server: it does that before it says hello. A spawned child came the same way
/// and has our name, and what a server has forked has the server's, but is not our child.
fn is_fork_server(me: &procfs::Process, process: &procfs::Process) -> bool {
    let came_by_exec = process.arg_start != me.arg_start;
    let server = process.name == "multiproc-fs";
    process.parent == me.pid && !process.is_zombie() && came_by_exec && server
}

/// How many descriptors of which kind are open.
fn open_fds() -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    let folder = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    for target in folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()) {
        let target = target.display().to_string();
        // The folder that we are reading.
        if target != format!("/proc/{}/fd", getpid()) {
            *kinds.entry(kind(&target)).or_insert(0) += 1;
        }
    }
    kinds
}

/// `socket` for `socket:[1234]`; newer kernels number pidfds too, older ones say `anon_inode:[pidfd]`.
fn kind(target: &str) -> String {
    match target.split_once(":[") {
        _ if target == "anon_inode:[pidfd]" => "pidfd".to_owned(),
        Some((kind, rest)) if rest.starts_with(|c: char| c.is_ascii_digit()) => kind.to_owned(),
        _ => target.to_owned(),
    }
}

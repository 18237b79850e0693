//! Where a process finds itself: directory, variables, mask, niceness, CPUs, limits, process group.
//!
//! A child shall have them as they are at its start. One that is forked from its parent, or is this program started anew, has them
//! by inheritance; a child of the fork server has the server's, and is told what has changed since. Options come on top.

use super::method::StartMethod;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicBool, Relaxed};
use crate::sys::{environment, limits};
use nix::unistd::{Pid, getpgrp, setpgid};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::OnceLock;

/// What a builder asks for; nothing by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) cwd: Option<PathBuf>,
    /// Changes of variables, in order.
    pub(super) env: Vec<Change>,
    pub(super) umask: Option<u32>,
    /// Added to what this process has.
    pub(super) nice: Option<i32>,
    pub(super) cpus: Option<Vec<u32>>,
    pub(super) memory: Option<u64>,
    pub(super) cpu_seconds: Option<u64>,
    /// In the group of its parent, and not in one of its own.
    pub(super) parents_group: bool,
}

/// A change of the environment.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(OsString, OsString),
    Remove(OsString),
    Clear,
}

/// What a child has to change, in its order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Surroundings {
    cwd: Option<Vec<u8>>,
    /// Which directory that is, where the parent is there itself: a child may be there too, and perhaps could not go.
    place: Option<environment::Place>,
    variables: Option<Vec<u8>>,
    umask: Option<u32>,
    nice: Option<i32>,
    cpus: Option<Vec<u32>>,
    /// Those that need not be possible.
    limits: Vec<limits::Limit>,
    /// Those that must be: memory, seconds on CPUs.
    asked: [Option<u64>; 2],
    group: Option<i32>,
    /// What its parent may do: not told, but compared with what its server may.
    #[serde(skip)]
    pub(super) rights: u64,
}

/// What a fork server had when it began: its children have it too, until they are told otherwise.
#[derive(Debug)]
pub(super) struct Baseline {
    umask: Option<u32>,
    nice: i32,
    cpus: Vec<u32>,
    limits: Vec<limits::Limit>,
    pub(super) known: Known,
    pub(super) rights: u64,
}

/// What a fork server tells of its baseline, so that what is long is sent only when it has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) variables: u64,
    pub(super) limits: u64,
}

/// In a fork server and its children.
static BASELINE: OnceLock<Baseline> = OnceLock::new();

/// Notes where this process is, before it serves as a fork server.
pub(super) fn note_baseline() {
    BASELINE.get_or_init(Baseline::now);
}

/// This process was forked from a child of the server, which may have been elsewhere.
static OUTDATED: AtomicBool = AtomicBool::new(false);

/// In a child that was forked from another than the fork server.
pub(super) fn forget_baseline() {
    OUTDATED.store(true, Relaxed);
}

/// What the server of this process had when it began.
pub(super) fn baseline() -> Option<&'static Baseline> {
    BASELINE.get().filter(|_| !OUTDATED.load(Relaxed))
}

impl Baseline {
    fn now() -> Self {
        let (limits, cpus) = limits_now();
        Self {
            umask: limits::umask(),
            nice: limits::niceness(),
            known: Known {
                variables: environment::fingerprint(&environment::variables()),
                limits: fingerprint(&limits, &cpus),
            },
            cpus,
            limits,
            rights: limits::rights(),
        }
    }
}

fn limits_now() -> (Vec<limits::Limit>, Vec<u32>) {
    let unknown = (u64::MAX, u64::MAX);
    let now = (0..limits::KINDS).map(|kind| limits::limit(kind).unwrap_or(unknown));
    (now.collect(), limits::cpus().unwrap_or_default())
}

fn fingerprint(limits: &[limits::Limit], cpus: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (limits, cpus).hash(&mut hasher);
    hasher.finish()
}

impl Options {
    /// What makes no sense is said before anything is started.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |text: &str| Err(Error::new(ErrorKind::InvalidInput, text));
        let names = self.env.iter().filter_map(|change| match change {
            Change::Set(name, _) | Change::Remove(name) => Some(name),
            Change::Clear => None,
        });
        let bad_name = |name: &OsString| name.is_empty() || has(name, b'=') || has(name, 0);
        if names.into_iter().any(bad_name) {
            return wrong("the name of a variable is not empty and has no = and no zero byte");
        }
        let bad_value = |change: &Change| matches!(change, Change::Set(_, value) if has(value, 0));
        if self.env.iter().any(bad_value) {
            return wrong("the value of a variable has no zero byte");
        }
        if self
            .cwd
            .as_ref()
            .is_some_and(|cwd| cwd.as_os_str().is_empty() || has(cwd.as_os_str(), 0))
        {
            return wrong("a directory has a path without zero bytes");
        }
        if self.cpus.as_ref().is_some_and(Vec::is_empty) {
            return wrong("a process runs on one CPU at least");
        }
        Ok(())
    }

    fn variables(&self) -> Vec<u8> {
        let mut all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        for change in &self.env {
            match change {
                Change::Clear => all.clear(),
                Change::Remove(name) => all.retain(|(known, _)| known != name),
                Change::Set(name, value) => {
                    all.retain(|(known, _)| known != name);
                    all.push((name.clone(), value.clone()));
                }
            }
        }
        environment::pack(all.into_iter())
    }
}

fn has(text: &OsStr, byte: u8) -> bool {
    text.as_bytes().contains(&byte)
}

impl Surroundings {
    /// What a child that is started now has to change. What is long is added for a child of the fork server by
    /// [`complete`](Self::complete), when it is known which server that is.
    pub(super) fn now(method: StartMethod, options: &Options) -> Self {
        let mut all = match method {
            StartMethod::ForkServer => Self::inherited(),
            StartMethod::Fork | StartMethod::Spawn => Self::default(),
        };
        if let Some(cwd) = &options.cwd {
            // A child of the server begins elsewhere.
            let here = PathBuf::from(OsString::from_vec(all.cwd.take().unwrap_or_default()));
            all.cwd = Some(here.join(cwd).into_os_string().into_vec());
            all.place = None;
        }
        if !options.env.is_empty() {
            all.variables = Some(options.variables());
        }
        all.umask = options.umask.or(all.umask);
        if let Some(nice) = options.nice {
            all.nice = Some(limits::niceness().saturating_add(nice));
        }
        all.cpus = options.cpus.clone().or(all.cpus);
        all.asked = [options.memory, options.cpu_seconds];
        all.group = options.parents_group.then(|| getpgrp().as_raw());
        all
    }

    fn inherited() -> Self {
        Self {
            rights: limits::rights(),
            cwd: Some(environment::directory()),
            place: environment::place(),
            umask: limits::umask(),
            nice: Some(limits::niceness()),
            ..Self::default()
        }
    }

    /// Adds what is long, unless the server has it.
    pub(super) fn complete(&mut self, known: Known) {
        if self.variables.is_none() {
            let now = environment::variables();
            if environment::fingerprint(&now) != known.variables {
                self.variables = Some(now);
            }
        }
        let (limits, cpus) = limits_now();
        if fingerprint(&limits, &cpus) != known.limits {
            self.limits = limits;
            self.cpus.get_or_insert(cpus);
        }
    }

    /// In the child: goes there. The error says what was not possible.
    pub(super) fn enter(&self) -> Result<(), String> {
        let baseline = baseline();
        let failed = |what: String| move |error: io::Error| format!("{what}: {error}");
        // Not by its name: the directory that the server began in may have another one now.
        let is_there = self.place.is_some() && self.place == environment::place();
        if let Some(cwd) = self.cwd.as_ref().filter(|_| !is_there) {
            let what = format!("go to the directory {}", String::from_utf8_lossy(cwd));
            environment::change_directory(cwd).map_err(failed(what))?;
        }
        if let Some(variables) = &self.variables {
            environment::replace_variables(variables)
                .map_err(failed("set the environment".to_owned()))?;
        }
        if let Some(&umask) = changed(&self.umask, baseline.map(|baseline| &baseline.umask)) {
            environment::set_umask(umask);
        }
        if let Some(nice) = self
            .nice
            .filter(|&nice| baseline.is_none_or(|baseline| baseline.nice != nice))
        {
            limits::set_niceness(nice).map_err(failed(format!("set the niceness to {nice}")))?;
        }
        if let Some(cpus) = self
            .cpus
            .as_ref()
            .filter(|&cpus| baseline.is_none_or(|baseline| baseline.cpus != *cpus))
        {
            limits::set_cpus(cpus).map_err(failed(format!("run on the CPUs {cpus:?}")))?;
        }
        if let Some(group) = self.group {
            let joined = setpgid(Pid::from_raw(0), Pid::from_raw(group));
            joined
                .map_err(|errno| failed(format!("join the process group {group}"))(errno.into()))?;
        }
        self.enter_limits(baseline)
    }

    /// Last, because they may leave room for nothing else.
    fn enter_limits(&self, baseline: Option<&Baseline>) -> Result<(), String> {
        for (kind, &limit) in (0..).zip(&self.limits) {
            let known = baseline.and_then(|baseline| baseline.limits.get(kind as usize));
            if known != Some(&limit)
                && let Err(error) = limits::set_limit(kind, limit)
            {
                log::warn!("a child keeps its own resource limit number {kind}: {error}");
            }
        }
        let [memory, seconds] = self.asked;
        // One second more until the kernel kills without asking: the first signal is SIGXCPU, which tells what happened.
        let pairs = [(limits::CPU, seconds, 1), (limits::DATA, memory, 0)];
        for (kind, asked, grace) in pairs {
            let Some(asked) = asked else { continue };
            let set = limits::limit(kind).and_then(|(_, hard)| {
                let hard = hard.min(asked.saturating_add(grace));
                limits::set_limit(kind, (asked.min(hard), hard))
            });
            set.map_err(|error| {
                format!("set the resource limit number {kind} to {asked}: {error}")
            })?;
        }
        Ok(())
    }
}

/// What is to be, where it is known and is not so already.
fn changed<'a, T: PartialEq>(wanted: &'a Option<T>, known: Option<&Option<T>>) -> Option<&'a T> {
    wanted
        .as_ref()
        .filter(|&wanted| known.is_none_or(|known| known.as_ref() != Some(wanted)))
}

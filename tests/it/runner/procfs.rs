//! What `/proc` knows of processes: who descends from whom, and where each task sleeps.

use nix::unistd::Pid;
use std::fmt::Write as _;
use std::fs;

/// One process, as `/proc/PID/stat` told it.
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    pub(super) name: String,
    pub(super) state: char,
    /// Address of the arguments: equal in a forked child, another one after `exec`.
    pub(super) arg_start: u64,
}

impl Process {
    /// It has ended, and its parent has not asked how.
    pub(super) fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }

    pub(super) fn describe(&self) -> String {
        let Process {
            pid,
            parent,
            name,
            state,
            ..
        } = self;
        let command = command_line(*pid);
        format!("process {pid} ({name}) in state {state}, child of {parent}: {command}")
    }
}

/// The arguments it was started with; empty for a zombie.
pub(super) fn command_line(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}

/// That process, while it exists.
pub(super) fn process(pid: Pid) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name may hold blanks and parentheses, so it ends at the *last* parenthesis. See proc(5) for the numbers.
fn parse(stat: &str) -> Option<Process> {
    let (before, after) = stat.rsplit_once(')')?;
    let (pid, name) = before.split_once(" (")?;
    // The first of these is field 3 of the manual page.
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    Some(Process {
        pid: Pid::from_raw(pid.parse().ok()?),
        parent: Pid::from_raw(fields.get(1)?.parse().ok()?),
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        arg_start: fields.get(45)?.parse().ok()?,
    })
}

/// Children of `ancestor`, their children, and so on.
pub(super) fn descendants(ancestor: Pid) -> Vec<Process> {
    let mut strangers: Vec<Process> = numbers("/proc").into_iter().filter_map(process).collect();
    let mut family: Vec<Process> = Vec::new();
    loop {
        let known = family.len();
        let is_child = |process: &mut Process| {
            process.parent == ancestor || family.iter().any(|member| member.pid == process.parent)
        };
        let children: Vec<Process> = strangers.extract_if(.., is_child).collect();
        family.extend(children);
        if family.len() == known {
            return family;
        }
    }
}

/// Tasks of that process.
pub(super) fn tasks(pid: Pid) -> Vec<Pid> {
    numbers(&format!("/proc/{pid}/task"))
}

/// Every descendant of `ancestor` with, for each of its tasks, the place in the kernel where it sleeps.
pub(super) fn where_tasks_sleep(ancestor: Pid) -> String {
    let mut report = String::new();
    for process in descendants(ancestor) {
        _ = writeln!(report, "  {}", process.describe());
        for task in tasks(process.pid) {
            report += &where_task_sleeps(process.pid, task);
        }
    }
    report
}

pub(super) fn where_task_sleeps(pid: Pid, task: Pid) -> String {
    let read = |file: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/{file}"));
        text.map_or_else(|_| "?".to_owned(), |text| text.trim_end().to_owned())
    };
    let (name, place, call) = (read("comm"), read("wchan"), read("syscall"));
    let mut line = format!("    task {task} ({name}) wchan {place}, syscall {call}\n");
    // Only root may read it.
    for frame in read("stack").lines().filter(|frame| *frame != "?") {
        _ = writeln!(line, "      {frame}");
    }
    line
}

/// Entries of a folder that are numbers.
fn numbers(folder: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

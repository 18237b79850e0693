//! From a start to the first instruction of the function: by a spare child of the fork server, and by a thread.

use super::clock::now;
use multiproc::{set_spare_children, spawn};
use std::fs;
use std::thread;
use std::time::Duration;

/// A fork server that always has one spare child. To make the next one is not in what is measured.
pub(crate) struct Spare {
    server: u32,
}

impl Spare {
    pub(crate) fn new() -> Spare {
        set_spare_children(1).expect("spares can be had");
        spawn(now, ())
            .and_then(|child| child.join())
            .expect("a fork server");
        let is_server = |pid: &u32| read(*pid, "comm").trim() == "multiproc-fs";
        let server = children(std::process::id()).into_iter().find(is_server);
        let server = server.expect("the fork server is a child of this process");
        Spare { server }
    }

    /// So many starts that each find a spare child: how long it took until the function ran, together.
    pub(crate) fn starts(&self, times: u64) -> Duration {
        let start = || spawn(now, ()).expect("a process starts").join();
        self.sum(times, || start().expect("it ends"))
    }

    /// The same for threads.
    pub(crate) fn threads(&self, times: u64) -> Duration {
        self.sum(times, || thread::spawn(now).join().expect("no panic"))
    }

    /// Each start tells when the function ran. Before it everybody has been idle for a while, whatever is started.
    fn sum(&self, times: u64, start: impl Fn() -> u64) -> Duration {
        let mut sum = 0;
        for _ in 0..times {
            self.wait_until_ready();
            let begin = now();
            sum += start() - begin;
        }
        Duration::from_nanos(sum)
    }

    /// Returns when the spare child sleeps, and so it has nothing more to do before its work comes.
    fn wait_until_ready(&self) {
        let sleeps = |pid: &u32| read(*pid, "stat").contains(") S ");
        loop {
            thread::sleep(Duration::from_millis(1));
            if children(self.server)
                .iter()
                .filter(|pid| sleeps(pid))
                .count()
                == 1
            {
                return;
            }
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        set_spare_children(0).expect("spares can be dismissed");
    }
}

fn read(pid: u32, what: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default()
}

/// The children of the first thread of a process.
fn children(pid: u32) -> Vec<u32> {
    let pids = read(pid, &format!("task/{pid}/children"));
    let pids = pids.split_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

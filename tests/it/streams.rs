//! What a child has of its parent's streams and descriptors, under each start method.

use crate::kit::start;
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command};
use crate::ways::{each, fine, open_numbers, start_by};
use multiproc::{Queue, StartMethod};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("streams::output_is_closed_first", closed_first),
        case("streams::output_is_closed_in_between", closed_in_between),
        case("streams::stdin_is_at_its_end", stdin_is_at_its_end),
        case("streams::descriptors_do_not_grow", descriptors_do_not_grow),
        case("streams::unrelated_descriptors", unrelated_descriptors),
        program("streams::closes_first", closes_first),
        program("streams::closes_in_between", closes_in_between),
    ]
}

/// Less than a line stays in the buffer until the end, where nobody can be told that it was not written.
fn part_of_a_line() {
    print!("a part of a line");
}

/// As `each`, but prints nothing itself.
fn each_quietly(body: impl Fn(StartMethod)) {
    multiproc::all_start_methods().into_iter().for_each(body);
}

fn success(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{status}");
}

fn close_output() {
    for fd in [1, 2] {
        nix::unistd::close(fd).unwrap();
    }
}

/// The numbers 1 and 2 are free when the first process is started: nothing of the crate may take them, for whoever prints
/// would write into it.
fn closes_first() {
    close_output();
    each_quietly(|method| {
        for _ in 0..3 {
            fine(&start_by(method, part_of_both, ()));
            part_of_both();
        }
    });
}

#[expect(clippy::print_stderr, reason = "both streams are the subject")]
fn part_of_both() {
    part_of_a_line();
    eprint!("a part of a line");
    std::io::stdout().flush().unwrap();
}

fn closes_in_between() {
    each_quietly(|method| fine(&start_by(method, part_of_a_line, ())));
    closes_first();
}

fn closed_first() {
    success(&mut program_command("streams::closes_first"));
}

fn closed_in_between() {
    let mut command = program_command("streams::closes_in_between");
    success(command.stdout(Stdio::null()).stderr(Stdio::null()));
}

fn stdin_is_at_its_end() {
    each(|method| {
        let read = || {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).unwrap();
            assert!(bytes.is_empty());
        };
        fine(&start_by(method, read, ()));
    });
}

/// However many siblings a child has, it sees no more open descriptors than the first.
fn descriptors_do_not_grow() {
    each(|method| {
        let (counts, gate) = (Queue::new().unwrap(), Gate::new());
        let count = |counts: Queue<Vec<i32>>, gate: RemoteGate| {
            counts.put(open_numbers()).unwrap();
            gate.wait();
        };
        let arguments = || (counts.clone(), gate.remote());
        let processes = [(); 10].map(|()| start_by(method, count, arguments()));
        let seen = [(); 10].map(|()| counts.get().unwrap());
        let fewest = seen.iter().map(Vec::len).min();
        let most = seen.iter().map(Vec::len).max();
        assert_eq!(fewest, most, "{seen:?}");
        gate.open(10);
        processes.iter().for_each(fine);
    });
}

/// A descriptor without close-on-exec is not for a child that came another way than by copying us.
fn unrelated_descriptors() {
    let careless = open("/dev/zero", OFlag::O_RDONLY, Mode::empty()).unwrap();
    let high = fcntl(careless.as_fd(), FcntlArg::F_DUPFD(333)).unwrap();
    assert!(high >= 333);
    each(|method| {
        let told = Queue::new().unwrap();
        let look = |told: Queue<Vec<i32>>| told.put(open_numbers()).unwrap();
        fine(&start_by(method, look, (told.clone(),)));
        let open = told.get().unwrap();
        let inherited = open.contains(&high);
        assert_eq!(inherited, method == StartMethod::Fork, "{open:?}");
    });
    nix::unistd::close(high).unwrap();
    drop(careless);
    fine(&start(|| (), ()));
}

//! A member gone mad writes anything anywhere in the arena. The others get errors: no crash, and nothing goes on for ever.
//!
//! Each seed is a family of its own. Which of them hangs, and in which call, is in the output.

use crate::kit::{leave, start};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::scribbled::All;
use multiproc::arena::{set_size, usage};
use multiproc::{Lock, Process, Queue, TryAcquireError};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("scribble::everything", || seeds(Madness::Everything)),
        case("scribble::bytes_anywhere", || seeds(Madness::Bytes)),
        case("scribble::words_in_the_tables", || seeds(Madness::Words)),
        case("scribble::bits_in_the_tables", || seeds(Madness::Bits)),
        program("scribble::family", family),
    ]
}

/// What the mad one writes.
#[derive(Clone, Copy, Debug)]
enum Madness {
    Everything,
    Bytes,
    Words,
    Bits,
}

const MADNESS: &str = "TEST_MADNESS";
const SEED: &str = "TEST_SEED";

/// Numbers that are the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn seeds(madness: Madness) {
    let first: u64 = std::env::var(SEED).map_or(1, |text| text.parse().unwrap());
    for seed in first..first + u64::from(scaled(12)) {
        println!("{madness:?}, seed {seed}");
        let mut command = program_command("scribble::family");
        let command = command.env(MADNESS, format!("{}", madness as u8));
        let status = command.env(SEED, seed.to_string()).status().unwrap();
        // It leaves by itself, whatever it was told.
        assert_eq!(status.code(), Some(0), "{madness:?}, seed {seed}: {status}");
    }
}

fn say(step: &str) {
    let mut out = std::io::stdout();
    write!(out, " {step}").unwrap();
    out.flush().unwrap();
}

/// Where the arena is mapped here, and how long it is.
fn arena_here() -> (u64, u64) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("memfd:multiproc"));
    let range = line.unwrap().split(' ').next().unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    (number(from), number(to) - number(from))
}

/// By `/proc/self/mem`, so that no reference to the arena is needed.
fn scribbles(madness: u8, seed: u64, here: RemoteGate) {
    let (base, length) = arena_here();
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem");
    let (memory, mut random) = (memory.unwrap(), Random(seed));
    let write = |offset: u64, bytes: &[u8]| memory.write_all_at(bytes, base + offset).unwrap();
    let tables = length / 2;
    match madness {
        0 => (0..length / 8).for_each(|word| write(word * 8, &random.next().to_ne_bytes())),
        1 => (0..length / 64).for_each(|_| {
            let at = random.below(length);
            write(at, &[random.next().to_ne_bytes()[0]]);
        }),
        2 => (0..2000).for_each(|_| {
            let limit = [4096, tables][usize::from(random.below(2) == 0)];
            let at = random.below(limit / 8) * 8;
            let word = [
                random.next(),
                random.below(16),
                u64::MAX,
                0,
                1 << random.below(64),
            ];
            write(
                at,
                &word[usize::try_from(random.below(5)).unwrap()].to_ne_bytes(),
            );
        }),
        _ => (0..3000).for_each(|_| {
            let limit = [4096, tables][usize::from(random.below(8) != 0)];
            let (at, mut byte) = (random.below(limit), [0]);
            memory.read_exact_at(&mut byte, base + at).unwrap();
            write(at, &[byte[0] ^ 1 << random.below(8)]);
        }),
    }
    here.open(1);
    // Not by an end that settles anything.
    leave(0);
}

const SHORT: Duration = Duration::from_millis(2);

fn family() {
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (madness, seed) = (u8::try_from(number(MADNESS)).unwrap(), number(SEED));
    set_size(2 << 20).unwrap();
    let (queue, lock) = (Queue::new().unwrap(), Lock::new().unwrap());
    let nested = Queue::new().unwrap();
    for number in 0..50 {
        queue.put((number, vec![0_u8; 90 * (number % 60)])).unwrap();
    }
    for _ in 0..5 {
        nested
            .put((Queue::<u8>::new().unwrap(), "text".to_owned()))
            .unwrap();
    }
    let all = All::new().unwrap();
    all.used();
    let here = Gate::new();
    let bystander = start(|lock: Lock| use_lock(&lock), (lock.clone(),));
    bystander.join().unwrap();
    let mad = start(scribbles, (madness, seed, here.remote()));
    here.wait();
    uses(&queue, &nested, &lock, &mad);
    say("primitives");
    all.used();
    if let Ok(fresh) = All::new() {
        fresh.used();
    }
    say("drops\n");
    drop((queue, nested, lock, all));
    leave(0);
}

/// Every reader once or more; what they answer does not matter.
fn uses(
    queue: &Queue<(usize, Vec<u8>)>,
    nested: &Queue<(Queue<u8>, String)>,
    lock: &Lock,
    mad: &Process,
) {
    say("join");
    mad.join().ok();
    say("usage");
    usage().ok();
    say("lock");
    use_lock(lock);
    (0..10).for_each(|_| use_queues(queue, nested));
    say("start");
    let started = Process::builder(|_: Lock| (), (lock.clone(),)).start();
    if let Ok(process) = started {
        say("join");
        process.join().ok();
        drop(process.panic());
    }
    say("close");
    queue.close();
    say("len");
    let seen = (
        queue.len(),
        queue.is_full(),
        nested.is_empty(),
        lock.locked(),
    );
    println!(" {seen:?}");
    usage().ok();
}

fn use_queues(queue: &Queue<(usize, Vec<u8>)>, nested: &Queue<(Queue<u8>, String)>) {
    say("get");
    queue.get_timeout(SHORT).ok();
    say("put");
    queue.put_timeout((3, vec![1; 30]), SHORT).ok();
    queue.put_timeout((3, vec![1; 30_000]), SHORT).ok();
    say("nested");
    nested.get_timeout(SHORT).ok();
    say("new");
    let fresh = Queue::<u64>::new();
    if let Ok(fresh) = fresh {
        fresh.put_timeout(1, SHORT).ok();
        fresh.get_timeout(SHORT).ok();
    }
    if let Ok(lock) = Lock::new() {
        use_lock(&lock);
    }
}

fn use_lock(lock: &Lock) {
    drop(lock.try_acquire());
    match lock.acquire_timeout(SHORT) {
        Ok(_) | Err(TryAcquireError::Busy | TryAcquireError::Failed(_)) => {}
        Err(TryAcquireError::OwnerDied(news)) => drop(news.repaired()),
    }
    if !lock.locked() {
        drop(lock.acquire());
    }
}

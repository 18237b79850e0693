//! Numbered messages go through processes that are killed at random: none comes twice, none half, none is lost but what the dead had in
//! their hands, and nobody hangs.
//!
//! `MULTIPROC_SCALE=10` is the full size: 1,000 kills and 1,000,000 messages in each storm.

#![expect(clippy::print_stdout, reason = "how hard a storm was is told")]

use crate::board::{Board, RemoteBoard};
use crate::kit::start;
use crate::queue_storm_ways::{Batches, Bounded, Ends, Leases, Plain, Unbounded, Way};
use crate::runner::{Case, case, scaled};
use crate::sync_storm_verbs::Dice;
use multiproc::{Process, arena};
use std::collections::HashMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let long = Duration::from_secs(600);
    vec![
        case("queue_storm::bounded", storm::<Bounded>).deadline(long),
        case("queue_storm::unbounded", storm::<Unbounded>).deadline(long),
        case("queue_storm::batches", storm::<Batches>).deadline(long),
        case("queue_storm::plain_bytes", storm::<Plain>).deadline(long),
        case("queue_storm::leases", storm::<Leases>).deadline(long),
        case("queue_storm::ends", storm::<Ends>).deadline(long),
    ]
}

/// Producers, and as many consumers.
const SIDE: usize = 4;

/// Numbers that a producer claims at a time. How many of them it has put is noted; the rest dies with it.
const CHUNK: u64 = 256;
/// Words of the book for each.
const CHUNK_WORDS: usize = 32;
/// More chunks than any storm needs. Only what is used takes memory.
const CHUNKS: usize = 1 << 18;

/// 1 when it is time to end.
const OVER: usize = 0;
/// The next chunk that nobody has claimed.
const NEXT: usize = 1;
/// Messages that consumers have had.
const HAD: usize = 2;
/// By place: what a process is doing.
const DOING: usize = 16;
/// By place: the number of the message that a consumer works on.
const WORKS_ON: usize = 32;
/// By chunk: messages whose put has returned.
const PUT: usize = 64;
/// By message, a byte each: how often a consumer had it.
const TIMES: usize = PUT + CHUNKS;
const WORDS: usize = TIMES + CHUNKS * CHUNK_WORDS;

/// Between two verbs.
const OUTSIDE: u64 = 0;
/// In the verb, or with what it gave and not yet noted.
const INSIDE: u64 = 1;
/// Work on a message is noted, and the verb goes on.
const WORKED: u64 = 2;
/// It has not begun.
const COMING: u64 = 3;

/// The book of a storm.
struct Book(Board);

impl Book {
    fn word(&self, index: usize) -> u64 {
        self.0.word(index).load(SeqCst)
    }

    fn set(&self, index: usize, to: u64) {
        self.0.word(index).store(to, SeqCst);
    }

    fn is_over(&self) -> bool {
        self.word(OVER) == 1
    }

    fn put(&self, number: u64) -> usize {
        PUT + usize::try_from(number / CHUNK).unwrap()
    }

    fn note_had(&self, number: u64) {
        let word = TIMES + usize::try_from(number / 8).unwrap();
        self.0.word(word).fetch_add(1 << (number % 8 * 8), SeqCst);
        self.0.word(HAD).fetch_add(1, SeqCst);
    }

    fn times(&self, number: u64) -> u64 {
        let word = TIMES + usize::try_from(number / 8).unwrap();
        self.word(word) >> (number % 8 * 8) & 0xff
    }
}

/// The bytes of a message. Most fit into a record, some are just as long as one may be, or need blocks.
fn message(number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let length = match (mixed % 1024, mixed % 64) {
        (0, _) => 100_000,
        (_, 0) => 10_000,
        (_, 1..5) => 4080 + mixed / 64 % 32,
        _ => 8 + mixed / 64 % 120,
    };
    let mut bytes = vec![fill_of(number); usize::try_from(length).unwrap()];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn fill_of(number: u64) -> u8 {
    u8::try_from(number % 251).unwrap()
}

/// The number of a message, which is whole.
fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == message(number), "half a message {number}");
    number
}

/// In a producer.
fn produces<W: Way>(puts: W::Puts, board: RemoteBoard, place: usize, seed: u64) {
    let (book, mut dice) = (Book(board.open()), Dice::new(seed));
    let doing = DOING + place;
    book.set(doing, OUTSIDE);
    loop {
        let chunk = book.0.word(NEXT).fetch_add(1, SeqCst);
        assert!(
            chunk < CHUNKS as u64,
            "more messages than places in the book"
        );
        let (mut next, end) = (chunk * CHUNK, (chunk + 1) * CHUNK);
        while next < end {
            while W::is_crowded(&puts) && !book.is_over() {
                std::thread::yield_now();
            }
            if book.is_over() {
                return;
            }
            let count = 1 + dice.below(W::BATCH) as u64;
            let batch: Vec<_> = (next..end.min(next + count)).map(message).collect();
            next += batch.len() as u64;
            book.set(doing, INSIDE);
            W::put(&puts, batch);
            book.set(book.put(chunk * CHUNK), next - chunk * CHUNK);
            book.set(doing, OUTSIDE);
        }
    }
}

/// In a consumer.
fn consumes<W: Way>(gets: W::Gets, board: RemoteBoard, place: usize) {
    let (book, mut last) = (Book(board.open()), HashMap::new());
    let doing = DOING + place;
    let mut works = |bytes: &[u8]| {
        let number = number_of(bytes);
        let before = last.insert(number / CHUNK, number);
        let in_order = before.is_none_or(|before| before < number);
        assert!(in_order || !W::ORDERED, "{number} after {before:?}");
        book.set(WORKS_ON + place, number + 1);
        // Said before: whoever is killed between the two has an excuse that nobody needs.
        book.set(doing, WORKED);
        book.note_had(number);
    };
    let mut more = true;
    while more {
        book.set(doing, INSIDE);
        more = W::get(&gets, &mut works);
        book.set(doing, OUTSIDE);
    }
}

/// The processes, and what came of the kills.
struct Crew<W: Way> {
    puts: W::Puts,
    gets: W::Gets,
    book: Book,
    running: Vec<Process>,
    dice: Dice,
    kills: u64,
    /// Producers, and consumers, that were in the verb.
    inside: [u64; 2],
    /// Messages that were done, and not said to be: they may be done once more, so often.
    excused: HashMap<u64, u64>,
}

impl<W: Way> Crew<W> {
    fn new() -> Self {
        let (puts, gets) = W::make();
        let mut crew = Self {
            puts,
            gets,
            book: Book(Board::new(WORDS)),
            running: Vec::new(),
            dice: Dice::new(u64::from(std::process::id())),
            kills: 0,
            inside: [0; 2],
            excused: HashMap::new(),
        };
        for place in 0..2 * SIDE {
            let process = crew.new_one(place);
            crew.running.push(process);
        }
        crew
    }

    fn new_one(&mut self, place: usize) -> Process {
        self.book.set(DOING + place, COMING);
        let (board, seed) = (self.book.0.remote(), self.dice.next());
        if place < SIDE {
            start(produces::<W>, (self.puts.clone(), board, place, seed))
        } else {
            start(consumes::<W>, (self.gets.clone(), board, place))
        }
    }

    /// Kills one who has begun: before, it would be a handle that is under way, and that leaks.
    fn kill(&mut self, place: usize) {
        let doing = DOING + place;
        while self.book.word(doing) == COMING {
            std::thread::yield_now();
        }
        let victim = &self.running[place];
        victim.kill().unwrap();
        assert_eq!(victim.join().unwrap(), -9, "{:?}", victim.panic());
        self.kills += 1;
        let side = place / SIDE;
        match self.book.word(doing) {
            OUTSIDE => {}
            INSIDE => self.inside[side] += 1,
            _ => {
                self.inside[side] += 1;
                let number = self.book.word(WORKS_ON + place) - 1;
                *self.excused.entry(number).or_default() += 1;
            }
        }
    }

    /// Kills and replaces, until there were enough kills and enough messages.
    fn storm(&mut self, kills: u64, messages: u64) {
        let pace = Duration::from_millis(20);
        while self.kills < kills || self.book.word(HAD) < messages {
            let pause = pace.mul_f64(self.dice.below(200) as f64 / 100.0);
            let until = Instant::now() + pause;
            // A quick machine need not wait: the next kill is due when its share of the messages is through.
            let due = (self.kills + 1) * messages / kills;
            while Instant::now() < until && self.book.word(HAD) < due {
                std::thread::park_timeout(Duration::from_micros(200));
            }
            let place = self.dice.below(2 * SIDE);
            self.kill(place);
            self.running[place] = self.new_one(place);
        }
    }

    /// All end: the producers are told to, or killed; the consumers when nothing is left.
    fn ends(mut self) -> (Book, HashMap<u64, u64>, [u64; 2]) {
        if W::KILLED {
            (0..SIDE).for_each(|place| self.kill(place));
        } else {
            self.book.set(OVER, 1);
        }
        let Self { puts, gets, .. } = self;
        let (producers, consumers) = self.running.split_at(SIDE);
        for process in producers {
            let code = if W::KILLED { -9 } else { 0 };
            assert_eq!(process.join().unwrap(), code, "{:?}", process.panic());
        }
        if !W::KILLED {
            W::close(&puts);
        }
        // Where the producers were killed, ours must not count.
        drop(puts);
        for process in consumers {
            assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
        }
        W::check(&gets);
        (self.book, self.excused, self.inside)
    }
}

fn storm<W: Way>() {
    let (before, begin) = (arena::usage().unwrap(), Instant::now());
    let (kills, messages) = (scaled(100).into(), scaled(100_000).into());
    let mut crew = Crew::<W>::new();
    crew.storm(kills, messages);
    let (kills, had) = (crew.kills, crew.book.word(HAD));
    let (book, excused, inside) = crew.ends();
    let [producing, consuming] = inside;
    println!(
        "{kills} kills in {:.1?}, {producing} inside put, {consuming} inside get; {had} messages",
        begin.elapsed()
    );
    assert!((producing + consuming) * 10 >= kills, "too few were inside");
    audit::<W>(&book, &excused, inside);
    drop(book);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Every message is accounted for.
fn audit<W: Way>(book: &Book, excused: &HashMap<u64, u64>, inside: [u64; 2]) {
    let (mut missing, mut again, mut unsaid) = (0, 0, 0);
    for chunk in 0..book.word(NEXT) {
        let first = chunk * CHUNK;
        let put = book.word(book.put(first));
        let mut beyond = 0;
        for index in 0..CHUNK {
            let times = book.times(first + index);
            missing += u64::from(index < put && times == 0);
            if times > 1 {
                again += times - 1;
                let excuses = excused.get(&(first + index)).copied().unwrap_or_default();
                let few = W::AGAIN && times - 1 <= excuses;
                assert!(few, "{} came {times} times", first + index);
            }
            if index >= put && times > 0 {
                beyond += 1;
                assert!(index < put + W::BATCH as u64, "it was never put");
            }
        }
        unsaid += u64::from(beyond > 0);
    }
    println!("{missing} missing, {again} done again, {unsaid} times more put than said");
    let [producing, consuming] = inside;
    let in_hands = if W::AGAIN {
        0
    } else {
        consuming * W::BATCH as u64
    };
    assert!(missing <= in_hands, "{missing} lost by {consuming} kills");
    assert!(unsaid <= producing, "{unsaid} times, by {producing} kills");
}

//! Processes that hold, wait for and notify everything at random are killed at random: who survives goes on and ends.
//!
//! `MULTIPROC_SCALE=50` makes it 10,000 kills.

#![expect(clippy::print_stdout, reason = "how hard a storm was is told")]

use crate::board::{Board, RemoteBoard};
use crate::kit::start;
use crate::runner::{Case, case, scaled};
use crate::sync_storm_verbs::{Dice, VERBS, World, some_verb};
use multiproc::{Process, arena};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let long = Duration::from_secs(600);
    vec![case("sync_storm::kills", kills).deadline(long)]
}

/// 1 when it is time to end.
const OVER: usize = 0;
/// Numbers that the world's locks protect.
pub(crate) const PROTECTED: usize = 16;
/// What each process is doing: the number of a verb, from 1 on; 0 between two.
const DOING: usize = 256;
/// What a process does that has not begun.
const COMING: u64 = u64::MAX;

const WORDS: usize = 512;

/// How many work at a time.
const CREW: usize = 6;

/// In a process: one verb after the other, each marked while it is in it.
fn works(world: World, board: RemoteBoard, place: usize, seed: u64) {
    let board = board.open();
    let (doing, mut dice) = (board.word(DOING + place), Dice::new(seed));
    while board.word(OVER).load(SeqCst) == 0 {
        let verb = some_verb(&mut dice);
        doing.store(verb as u64 + 1, SeqCst);
        (VERBS[verb].1)(&world, &board, &mut dice);
        doing.store(0, SeqCst);
    }
}

/// The processes, and what came of the kills.
struct Crew<'a> {
    world: &'a World,
    board: &'a Board,
    running: Vec<Process>,
    dice: Dice,
    /// By verb; the first is for none.
    killed_in: [u32; VERBS.len() + 1],
}

impl Crew<'_> {
    fn new_one(&mut self, place: usize) -> Process {
        self.board.word(DOING + place).store(COMING, SeqCst);
        let seed = self.dice.next();
        let arguments = (self.world.clone(), self.board.remote(), place, seed);
        start(works, arguments)
    }

    /// Kills somebody who has begun: before, it would be a handle that is under way, and that leaks.
    fn kill_somebody(&mut self) {
        let place = loop {
            let place = self.dice.below(CREW);
            if self.board.word(DOING + place).load(SeqCst) != COMING {
                break place;
            }
            std::thread::yield_now();
        };
        let victim = &self.running[place];
        victim.kill().unwrap();
        assert_eq!(victim.join().unwrap(), -9, "{:?}", victim.panic());
        let doing = self.board.word(DOING + place).load(SeqCst);
        self.killed_in[usize::try_from(doing).unwrap()] += 1;
        self.running[place] = self.new_one(place);
    }

    /// All end by themselves; those who wait for somebody are given what they wait for.
    fn ends(&self) {
        self.board.word(OVER).store(1, SeqCst);
        for process in &self.running {
            while process
                .join_timeout(Duration::from_millis(1))
                .unwrap()
                .is_none()
            {
                self.world.releases_all();
            }
            assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
        }
    }

    fn tell(&self, took: Duration) {
        let kills: u32 = self.killed_in.iter().sum();
        let inside = kills - self.killed_in[0];
        println!("{kills} kills in {took:.1?}, {inside} inside a verb:");
        for ((name, _), count) in VERBS.iter().zip(&self.killed_in[1..]) {
            println!("  {count:5} {name}");
        }
        assert!(inside * 5 >= kills, "too few landed inside");
    }
}

fn kills() {
    let before = arena::usage().unwrap();
    let (world, board, begin) = (World::new(), Board::new(WORDS), Instant::now());
    let mut crew = Crew {
        world: &world,
        board: &board,
        running: Vec::new(),
        dice: Dice::new(u64::from(std::process::id())),
        killed_in: [0; VERBS.len() + 1],
    };
    for place in 0..CREW {
        let process = crew.new_one(place);
        crew.running.push(process);
    }
    for _ in 0..scaled(200) {
        let pause = crew.dice.below(300) as u64;
        std::thread::park_timeout(Duration::from_micros(pause));
        // Or all would soon be waiting for each other, and nobody would be killed anywhere else.
        world.releases_all();
        crew.kill_somebody();
    }
    crew.ends();
    crew.tell(begin.elapsed());
    drop(crew);
    world.is_whole(&board);
    drop(world);
    assert_eq!(arena::usage().unwrap(), before);
}

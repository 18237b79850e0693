//! `Queue`, several messages in a verb, and the ways from one segment to another: a prefix of what was put is there, in order; what was
//! got is gone from the front; no segment stays behind.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{Blob, PATIENCE, Waiter, drained, started, still_works, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Queue, arena};
use std::marker::PhantomData;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Stream<PutMany>>("queue::put_many", "room for all"),
        row::<Stream<PutManyWraps>>("queue::put_many_wraps", "pads between two of them"),
        row::<Stream<PutManyChains>>("queue::put_many_chains", "one fits, then a new segment"),
        row::<Stream<PutManyBlocks>>("queue::put_many_blocks", "one of them in a block"),
        row::<PutManyWakes>("queue::put_many_wakes", "somebody sleeps in get"),
        row::<Stream<PutChains>>("queue::put_chains", "a new segment"),
        row::<Stream<PutChainsBlock>>(
            "queue::put_chains_block",
            "a new segment, by the last word; for a message in a block",
        ),
        row::<Stream<PutShrinks>>("queue::put_shrinks", "a smaller segment"),
        row::<Stream<GetFollows>>("queue::get_follows", "goes over a link"),
        row::<Stream<GetFollowsBlock>>(
            "queue::get_follows_block",
            "goes over a link to a message in a block",
        ),
        row::<Stream<GetMany>>("queue::get_many", "three of four"),
        row::<Stream<GetManyLink>>("queue::get_many_link", "up to a link"),
        row::<Stream<GetManyFollows>>("queue::get_many_follows", "goes over a link"),
        row::<Stream<GetManyBlock>>("queue::get_many_block", "a message in a block comes alone"),
    ]
}

/// Which one it is, and its pattern.
type Item = (u64, Blob);
type Items = Queue<Item>;

/// Two words: with its head a record of three, whatever the number.
fn small(number: u64) -> Item {
    (number | 1 << 55, Blob::of(7))
}

/// Too large for a record: what lies in the ring is one word.
fn large(number: u64) -> Item {
    (number | 1 << 55, Blob::of(4200))
}

/// A record of two words.
fn tiny() -> Item {
    (0, Blob::of(3))
}

/// Records of three words that the first segment of a queue takes: one word is kept for a link.
const FULL: u64 = 682;

fn put(queue: &Items, items: impl IntoIterator<Item = Item>) {
    items.into_iter().for_each(|item| queue.put(item).unwrap());
}

fn get(queue: &Items, count: u64) {
    (0..count).for_each(|_| drop(queue.get().unwrap()));
}

/// What a child does to a stream of items.
trait Verb: 'static {
    /// What it puts; nothing when it gets.
    fn puts() -> Vec<Item> {
        Vec::new()
    }
    /// How many it gets.
    const GETS: usize = 0;

    /// Before the child comes. Answers what is in the queue then.
    fn before(queue: &Items) -> Vec<Item>;

    /// In the child.
    fn acts(queue: &Items);
}

struct PutMany;

impl Verb for PutMany {
    fn puts() -> Vec<Item> {
        (2..5).map(small).collect()
    }

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..2).map(small));
        (0..2).map(small).collect()
    }

    fn acts(queue: &Items) {
        puts_many::<Self>(queue);
    }
}

fn puts_many<V: Verb>(queue: &Items) {
    let items = V::puts();
    section(|| queue.put_many(items)).unwrap();
}

fn puts_one<V: Verb>(queue: &Items) {
    let item = V::puts().remove(0);
    section(|| queue.put(item)).unwrap();
}

struct PutManyWraps;

impl Verb for PutManyWraps {
    fn puts() -> Vec<Item> {
        PutMany::puts()
    }

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..FULL - 1).map(small));
        get(queue, FULL - 2);
        vec![small(FULL - 2)]
    }

    fn acts(queue: &Items) {
        puts_many::<Self>(queue);
    }
}

struct PutManyChains;

impl Verb for PutManyChains {
    fn puts() -> Vec<Item> {
        PutMany::puts()
    }

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..FULL - 1).map(small));
        (0..FULL - 1).map(small).collect()
    }

    fn acts(queue: &Items) {
        puts_many::<Self>(queue);
    }
}

struct PutManyBlocks;

impl Verb for PutManyBlocks {
    fn puts() -> Vec<Item> {
        vec![small(2), large(3), small(4)]
    }

    fn before(queue: &Items) -> Vec<Item> {
        PutMany::before(queue)
    }

    fn acts(queue: &Items) {
        puts_many::<Self>(queue);
    }
}

struct PutChains;

impl Verb for PutChains {
    fn puts() -> Vec<Item> {
        vec![small(9000)]
    }

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..FULL).map(small));
        (0..FULL).map(small).collect()
    }

    fn acts(queue: &Items) {
        puts_one::<Self>(queue);
    }
}

struct PutChainsBlock;

impl Verb for PutChainsBlock {
    fn puts() -> Vec<Item> {
        vec![large(9000)]
    }

    fn before(queue: &Items) -> Vec<Item> {
        // The one in a block takes the last word but one.
        put(queue, [large(0)]);
        put(queue, (1..=FULL).map(small));
        let mut all = vec![large(0)];
        all.extend((1..=FULL).map(small));
        all
    }

    fn acts(queue: &Items) {
        puts_one::<Self>(queue);
    }
}

struct PutShrinks;

impl Verb for PutShrinks {
    fn puts() -> Vec<Item> {
        vec![small(9000)]
    }

    fn before(queue: &Items) -> Vec<Item> {
        // 2 + 681 * 3 words and a link; then two records in a segment of 4096 words, where 681 more come before one that needs a pad.
        put(queue, [tiny()]);
        put(queue, (1..FULL + 2).map(small));
        get(queue, FULL + 2);
        assert_eq!(blocks(), 1, "the first segment is gone");
        let rest = 681;
        put(queue, (0..rest).map(small));
        get(queue, rest - 1);
        vec![small(rest - 1)]
    }

    fn acts(queue: &Items) {
        puts_one::<Self>(queue);
    }
}

struct GetFollows;

impl Verb for GetFollows {
    const GETS: usize = 1;

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..FULL + 2).map(small));
        get(queue, FULL);
        (FULL..FULL + 2).map(small).collect()
    }

    fn acts(queue: &Items) {
        assert_eq!(section(|| queue.get()).unwrap(), small(FULL));
    }
}

struct GetFollowsBlock;

impl Verb for GetFollowsBlock {
    const GETS: usize = 1;

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..FULL).map(small));
        put(queue, [small(FULL), large(0), small(1)]);
        get(queue, FULL + 1);
        vec![large(0), small(1)]
    }

    fn acts(queue: &Items) {
        assert_eq!(section(|| queue.get()).unwrap(), large(0));
    }
}

/// In a child: the items of one `get_many`.
fn gets_many(queue: &Items, most: usize) -> Vec<Item> {
    let batch = section(|| queue.get_many(most)).unwrap();
    batch.map(Result::unwrap).collect()
}

struct GetMany;

impl Verb for GetMany {
    const GETS: usize = 3;

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..4).map(small));
        (0..4).map(small).collect()
    }

    fn acts(queue: &Items) {
        assert_eq!(gets_many(queue, 3), [0, 1, 2].map(small));
    }
}

struct GetManyLink;

impl Verb for GetManyLink {
    const GETS: usize = 2;

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, (0..FULL + 2).map(small));
        get(queue, FULL - 2);
        (FULL - 2..FULL + 2).map(small).collect()
    }

    fn acts(queue: &Items) {
        assert_eq!(gets_many(queue, 9), [FULL - 2, FULL - 1].map(small));
    }
}

struct GetManyFollows;

impl Verb for GetManyFollows {
    const GETS: usize = 1;

    fn before(queue: &Items) -> Vec<Item> {
        GetFollows::before(queue)
    }

    fn acts(queue: &Items) {
        assert_eq!(gets_many(queue, 9), [small(FULL)]);
    }
}

struct GetManyBlock;

impl Verb for GetManyBlock {
    const GETS: usize = 1;

    fn before(queue: &Items) -> Vec<Item> {
        put(queue, [large(0), small(1), small(2)]);
        vec![large(0), small(1), small(2)]
    }

    fn acts(queue: &Items) {
        assert_eq!(gets_many(queue, 9), [large(0)]);
    }
}

/// Blocks in use.
fn blocks() -> usize {
    arena::usage().unwrap().blocks
}

struct Stream<V> {
    queue: Items,
    before: Vec<Item>,
    length: usize,
    verb: PhantomData<V>,
}

fn acts<V: Verb>(queue: Items, taken: Lock) {
    warm(&taken);
    V::acts(&queue);
}

impl<V: Verb> Scene for Stream<V> {
    const FILLS: bool = true;

    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        let before = V::before(&queue);
        let length = before.len();
        assert_eq!(queue.len(), length);
        Self {
            queue,
            before,
            length,
            verb: PhantomData,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acts::<V>, &self.queue, keep)
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        let (mut expected, length) = (self.before, self.length);
        let before = expected.len();
        let puts = V::puts();
        if puts.is_empty() {
            assert!(length == before || length == before - V::GETS);
            assert!(!left || length < before);
            expected.drain(..before - length);
        } else {
            expected.extend(puts);
            assert!(!left || length == expected.len());
            expected.truncate(length);
        }
        self.queue.put_timeout(large(9001), PATIENCE).unwrap();
        expected.push(large(9001));
        assert_eq!(drained(&self.queue), expected);
        still_works(&self.queue, &[small(1), large(2), tiny()]);
        // The segment that is in use, and none that was left or not yet entered.
        assert_eq!(blocks(), 1);
        let many: Vec<_> = (0..FULL + 9).map(small).collect();
        still_works(&self.queue, &many);
        assert_eq!(blocks(), 1);
    }
}

/// One wake-up for three messages: whoever got the first wakes the next.
struct PutManyWakes {
    queue: Items,
    sleepers: Vec<Waiter<Item>>,
}

impl Scene for PutManyWakes {
    fn prepare() -> Self {
        Self {
            queue: Queue::new().unwrap(),
            sleepers: Vec::new(),
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acts::<PutMany>, &self.queue, keep)
    }

    fn entered(&mut self) {
        for _ in 0..3 {
            let queue = self.queue.clone();
            let sleeper = Waiter::asleep_in(move || queue.get().unwrap());
            self.sleepers.push(sleeper);
        }
    }

    fn check(self, left: bool) {
        let sentinels: Vec<_> = (10..13).map(small).collect();
        for sentinel in &sentinels {
            self.queue.put_timeout(sentinel.clone(), PATIENCE).unwrap();
        }
        let mut got: Vec<_> = self.sleepers.into_iter().map(Waiter::result).collect();
        got.extend(drained(&self.queue));
        got.sort_by_key(|item| item.0);
        let whole = [PutMany::puts(), sentinels.clone()].concat();
        assert!(got == whole || got == sentinels && !left, "{got:?}");
    }
}

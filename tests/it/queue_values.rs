//! What travels through a queue, and in which order: any type, from any mix of processes and threads to any other.

use crate::kit::start;
use crate::runner::{Case, case, scaled};
use crate::sleepers::sleeper;
use crate::ways::{each, fine, start_by};
use multiproc::{Event, Lock, Queue, Semaphore, TryGetError, arena};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Debug;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_values::plain_ones", plain_ones),
        case("queue_values::made_of_others", made_of_others),
        case("queue_values::own_types", own_types),
        case("queue_values::large_ones", large_ones),
        case("queue_values::of_changing_size", changing_size),
        case("queue_values::not_of_this_thread_only", not_send),
        case("queue_values::handles_in_collections", in_collections),
        case("queue_values::queues_in_queues", queues_in_queues),
        case("queue_values::there_when_put_returns", there_at_once),
        case("queue_values::counted_everywhere", counted_everywhere),
        case("queue_values::others_wait_meanwhile", others_wait),
        case("queue_values::threads_and_processes", mixed_ends),
        case("queue_values::maxsize_of_mixed_ends", mixed_maxsize),
    ]
}

/// Sends all there and back by another process.
#[track_caller]
fn echoes<T>(values: Vec<T>)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Clone + 'static,
{
    let echo = |there: Queue<T>, back: Queue<T>| {
        while let Ok(value) = there.get() {
            back.put(value).unwrap();
        }
    };
    let (there, back) = (Queue::new().unwrap(), Queue::new().unwrap());
    for value in values.clone() {
        there.put(value).unwrap();
    }
    there.close();
    let process = start(echo, (there, back.clone()));
    for value in values {
        assert_eq!(back.get().unwrap(), value);
    }
    fine(&process);
    assert!(back.is_empty());
}

fn plain_ones() {
    echoes(vec![(), ()]);
    echoes(vec![true, false]);
    echoes(vec![0, 1, u8::MAX]);
    echoes(vec![i8::MIN, 0, i8::MAX]);
    echoes(vec![0, 1, u64::MAX]);
    echoes(vec![i64::MIN, -1, i64::MAX]);
    echoes(vec![0, u128::MAX]);
    echoes(vec![i128::MIN, i128::MAX]);
    echoes(vec![usize::MAX, 0]);
    echoes(vec![0.0, -0.0, f64::MIN_POSITIVE, f64::INFINITY, 1e300]);
    echoes(vec!['\0', 'ß', '\u{10ffff}']);
    let nan = Queue::new().unwrap();
    nan.put(f32::NAN).unwrap();
    assert_eq!(nan.get().unwrap().to_bits(), f32::NAN.to_bits());
}

fn made_of_others() {
    let texts = ["", "a", "äöü 漢字 🎉", "with \0 inside"];
    echoes(texts.map(str::to_owned).to_vec());
    echoes(vec![None, Some(None), Some(Some(7))]);
    echoes(vec![Ok(1), Err("no".to_owned())]);
    echoes(vec![(1_u8, "two".to_owned(), 3.0, ((), [4; 5]))]);
    echoes(vec![vec![vec![]], vec![], vec![vec![1], vec![2, 3]]]);
    echoes(vec![VecDeque::from([1, 2]), VecDeque::new()]);
    echoes(vec![BTreeMap::from([(1, "one".repeat(3))])]);
    echoes(vec![HashMap::from([(
        "key".to_owned(),
        BTreeSet::from([3]),
    )])]);
    echoes(vec![Box::new([9_u64; 32])]);
    echoes(vec![Duration::MAX, Duration::ZERO]);
    echoes(vec![PathBuf::from("/some/where")]);
    echoes(vec![std::net::Ipv4Addr::LOCALHOST]);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle(f64),
    Polygon {
        corners: Vec<(f64, f64)>,
        name: String,
    },
    Group(Vec<Shape>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Generic<T> {
    first: T,
    rest: Vec<T>,
}

fn own_types() {
    let polygon = Shape::Polygon {
        corners: vec![(1.0, 2.0); 3],
        name: "triangle".to_owned(),
    };
    let group = Shape::Group(vec![Shape::Nothing, polygon.clone(), Shape::Group(vec![])]);
    echoes(vec![Shape::Circle(2.5), Shape::Nothing, polygon, group]);
    echoes(vec![Generic {
        first: Some('a'),
        rest: vec![None; 500],
    }]);
}

/// Lengths on both sides of every border: of what lies inline, of what lies in the ring, of a segment.
fn large_ones() {
    let around = |size: usize| [size - 1, size, size + 1];
    let sizes = [120, 4096, 65_536, 1 << 20, 4 << 20].map(around).concat();
    echoes(sizes.iter().map(|size| "x".repeat(*size)).collect());
    echoes(vec![vec![u64::MAX; 1 << 20], vec![], vec![7]]);
}

/// A message that tells its number, and whose size jumps about.
fn jumping(number: u32) -> (u32, Vec<u32>) {
    let length = match number % 10 {
        0 => 0,
        3 => 5_000,
        7 => 20_000,
        other => other as usize * 50,
    };
    (number, vec![number; length])
}

fn changing_size() {
    let queue = Queue::with_maxsize(20).unwrap();
    let count = scaled(2_000);
    let puts = |queue: Queue<(u32, Vec<u32>)>, count: u32| {
        (0..count).for_each(|number| queue.put(jumping(number)).unwrap());
    };
    let producer = start(puts, (queue.clone(), count));
    for number in 0..count {
        assert!(queue.get().unwrap() == jumping(number), "{number}");
    }
    fine(&producer);
}

/// What is put is bytes then: it need not be `Send`, and each who gets has one of his own.
fn not_send() {
    let queue = Queue::new().unwrap();
    let shared = Rc::new(5);
    queue.put(vec![Local(Rc::clone(&shared)); 2]).unwrap();
    assert_eq!(Rc::strong_count(&shared), 1);
    let there = std::thread::scope(|scope| {
        let gets = || queue.get().unwrap().iter().map(|it| *it.0).sum::<i32>();
        scope.spawn(gets).join().unwrap()
    });
    assert_eq!(there, 10);
}

#[derive(Clone, Debug)]
struct Local(Rc<i32>);

impl Serialize for Local {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Local {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i32::deserialize(deserializer).map(|it| Local(Rc::new(it)))
    }
}

// ---- handles

/// Handles at every place where a value can be.
#[derive(Debug, Serialize, Deserialize)]
struct Toolbox {
    locks: Vec<Lock>,
    perhaps: Option<Event>,
    by_name: HashMap<String, Semaphore>,
    either: Result<Box<Queue<String>>, u8>,
    nothing: Option<Queue<u8>>,
    large: Vec<u8>,
}

fn in_collections() {
    let before = arena::usage().unwrap();
    let (boxes, answers) = (Queue::new().unwrap(), Queue::new().unwrap());
    let uses = |boxes: Queue<Toolbox>| {
        let toolbox = boxes.get().unwrap();
        assert!(toolbox.locks.iter().all(|lock| !lock.locked()));
        assert!(toolbox.nothing.is_none() && toolbox.large == [3; 9_000]);
        toolbox.by_name["b"].release().unwrap();
        toolbox.either.unwrap().put("done".to_owned()).unwrap();
        toolbox.perhaps.unwrap().set().unwrap();
    };
    each(|way| {
        let process = start_by(way, uses, (boxes.clone(),));
        let names = ["a", "b"].map(|name| (name.to_owned(), Semaphore::new(0).unwrap()));
        let (by_name, event) = (HashMap::from(names), Event::new().unwrap());
        let toolbox = Toolbox {
            locks: (0..50).map(|_| Lock::new().unwrap()).collect(),
            perhaps: Some(event.clone()),
            by_name: by_name.clone(),
            either: Ok(Box::new(answers.clone())),
            nothing: None,
            large: vec![3; 9_000],
        };
        boxes.put(toolbox).unwrap();
        event.wait().unwrap();
        assert_eq!(answers.get().unwrap(), "done");
        assert_eq!((by_name["a"].value(), by_name["b"].value()), (0, 1));
        fine(&process);
    });
    drop((boxes, answers));
    assert_eq!(arena::usage().unwrap(), before);
}

/// Each in the one before it, with something beside it; the others are reached only through the first.
fn queues_in_queues() {
    type Inner = Queue<(u8, Queue<String>)>;
    let outer = Queue::<(Vec<u8>, Option<Inner>)>::new().unwrap();
    let reads = |outer: Queue<(Vec<u8>, Option<Inner>)>| {
        let (beside, inner) = outer.get().unwrap();
        assert_eq!(beside, [1; 5000]);
        let (number, innermost) = inner.unwrap().get().unwrap();
        assert_eq!((number, innermost.get().unwrap().as_str()), (7, "deep"));
        innermost.put("back".to_owned()).unwrap();
    };
    let (inner, innermost) = (Queue::new().unwrap(), Queue::new().unwrap());
    innermost.put("deep".to_owned()).unwrap();
    inner.put((7, innermost.clone())).unwrap();
    outer.put((vec![1; 5000], Some(inner))).unwrap();
    fine(&start(reads, (outer,)));
    assert_eq!(innermost.get().unwrap(), "back");
}

// ---- who sees what when

/// No process, no thread and no time lies between the end of `put` and a `try_get` that gets it.
fn there_at_once() {
    let queue = Queue::new().unwrap();
    let puts = |queue: Queue<u32>, number: u32| queue.put(number).unwrap();
    for number in 0..scaled(2_000) {
        queue.put(number).unwrap();
        assert!(!queue.is_empty());
        assert_eq!(queue.try_get().unwrap(), number);
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    }
    // Nor when somebody else put it, and is dead.
    for number in 0..20 {
        fine(&start(puts, (queue.clone(), number)));
        assert_eq!(queue.try_get().unwrap(), number);
    }
}

/// Up with each put and down with each get, in whichever process one asks.
fn counted_everywhere() {
    let queue = Queue::with_maxsize(5).unwrap();
    let asks = |queue: Queue<String>, expected: usize| {
        assert_eq!(queue.len(), expected);
        assert_eq!(queue.is_empty(), expected == 0);
        assert_eq!(queue.is_full(), expected == 5);
    };
    for number in 0..=5 {
        fine(&start(asks, (queue.clone(), number)));
        asks(queue.clone(), number);
        queue.try_put("x".repeat(number * 3_000)).ok();
    }
    for number in (0..5).rev() {
        queue.get().unwrap();
        fine(&start(asks, (queue.clone(), number)));
    }
    let takes = |queue: Queue<String>| drop(queue.get().unwrap());
    queue.put("last".to_owned()).unwrap();
    fine(&start(takes, (queue.clone(),)));
    asks(queue, 0);
}

/// A reader that sleeps does not keep what there is from another, and what it gets is not lost for it.
fn others_wait() {
    let queue = Queue::new().unwrap();
    for round in 0..scaled(30) {
        std::thread::scope(|scope| {
            let sleeping = sleeper(scope, || queue.get().unwrap());
            queue.put(2 * round).unwrap();
            queue.put(2 * round + 1).unwrap();
            let own = queue.get_timeout(Duration::MAX).unwrap();
            let other = sleeping.join().unwrap();
            assert_eq!(own + other, 4 * round + 1);
        });
        assert!(queue.is_empty());
    }
}

/// Who put it, and which one of his it is.
type Numbered = (usize, u32);

const PRODUCERS: usize = 4;
const END: Numbered = (usize::MAX, 0);

fn produces(queue: &Queue<Numbered>, who: usize, count: u32) {
    (0..count).for_each(|number| queue.put((who, number)).unwrap());
}

/// Gets until its own end; what each producer put must come in order.
fn consumes(queue: &Queue<Numbered>) -> [u32; PRODUCERS] {
    let (mut next, mut got) = ([0; PRODUCERS], [0; PRODUCERS]);
    loop {
        let (who, number) = match queue.get().unwrap() {
            END => return got,
            numbered => numbered,
        };
        assert!(number >= next[who], "{number} of {who} after {}", next[who]);
        next[who] = number + 1;
        got[who] += 1;
    }
}

/// Two threads and two processes at either end; everything is got once.
fn both_kinds(queue: &Queue<Numbered>) {
    let (count, sums) = (scaled(3_000), Queue::new().unwrap());
    let puts = |queue: Queue<Numbered>, who: usize, count: u32| produces(&queue, who, count);
    let gets = |queue: Queue<Numbered>, sums: Queue<[u32; PRODUCERS]>| {
        sums.put(consumes(&queue)).unwrap();
    };
    let consumers = [(); 2].map(|()| start(gets, (queue.clone(), sums.clone())));
    let producers = [0, 1].map(|who| start(puts, (queue.clone(), who, count)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| gets(queue.clone(), sums.clone()));
        }
        let threads = [2, 3].map(|who| scope.spawn(move || produces(queue, who, count)));
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        producers.iter().for_each(fine);
        (0..4).for_each(|_| queue.put(END).unwrap());
    });
    consumers.iter().for_each(fine);
    let mut all = [0; PRODUCERS];
    for _ in 0..4 {
        let got = sums.get().unwrap();
        (0..PRODUCERS).for_each(|who| all[who] += got[who]);
    }
    assert_eq!(all, [count; PRODUCERS]);
    assert!(queue.is_empty() && sums.is_empty());
}

fn mixed_ends() {
    both_kinds(&Queue::new().unwrap());
}

fn mixed_maxsize() {
    for size in [1, 2, 100] {
        let queue = Queue::with_maxsize(size).unwrap();
        both_kinds(&queue);
        (0..size).for_each(|_| queue.try_put(END).unwrap());
        assert!(queue.is_full() && queue.try_put(END).is_err());
    }
}

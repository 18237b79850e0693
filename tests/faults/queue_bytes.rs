//! `Queue<Vec<u8>>`, plain bytes, copied or lent.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, drained, started, still_works, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Queue, arena};
use std::marker::PhantomData;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Bytes<Put<20>>>("queue::put_bytes", "in a record"),
        row::<Bytes<Put<5000>>>("queue::put_bytes_large", "in a block"),
        row::<Bytes<Get<20>>>("queue::get_into", "from a record"),
        row::<Bytes<Get<5000>>>("queue::get_into_large", "from a block"),
        row::<Bytes<Loan<20>>>("queue::get_loan", "a copy"),
        row::<Bytes<Loan<5000>>>("queue::get_loan_large", "lent, and given back"),
        row::<Bytes<GiveBack>>("queue::drop_loan", "a loan is given back"),
    ]
}

type Queued = Queue<Vec<u8>>;

fn bytes(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// What a child does.
trait Verb: 'static {
    /// What is in the queue before the child comes.
    fn before() -> Vec<Vec<u8>>;
    /// What it puts.
    fn puts() -> Option<Vec<u8>> {
        None
    }
    /// What it has got before its section.
    const HAS: usize = 0;
    fn acts(queue: &Queued);
}

struct Put<const LENGTH: usize>;

impl<const LENGTH: usize> Verb for Put<LENGTH> {
    fn before() -> Vec<Vec<u8>> {
        vec![bytes(1)]
    }

    fn puts() -> Option<Vec<u8>> {
        Some(bytes(LENGTH))
    }

    fn acts(queue: &Queued) {
        let bytes = bytes(LENGTH);
        section(|| queue.put_bytes(&bytes)).unwrap();
    }
}

struct Get<const LENGTH: usize>;

impl<const LENGTH: usize> Verb for Get<LENGTH> {
    fn before() -> Vec<Vec<u8>> {
        vec![bytes(LENGTH), bytes(1)]
    }

    fn acts(queue: &Queued) {
        let mut got = Vec::new();
        section(|| queue.get_into(&mut got)).unwrap();
        assert!(got == bytes(LENGTH));
    }
}

struct Loan<const LENGTH: usize>;

impl<const LENGTH: usize> Verb for Loan<LENGTH> {
    fn before() -> Vec<Vec<u8>> {
        Get::<LENGTH>::before()
    }

    fn acts(queue: &Queued) {
        let expected = bytes(LENGTH);
        let loan = section(|| queue.get_loan()).unwrap();
        assert!(*loan == *expected);
    }
}

struct GiveBack;

impl Verb for GiveBack {
    const HAS: usize = 1;

    fn before() -> Vec<Vec<u8>> {
        Get::<5000>::before()
    }

    fn acts(queue: &Queued) {
        let loan = queue.get_loan().unwrap();
        section(|| drop(loan));
    }
}

struct Bytes<V> {
    queue: Queued,
    length: usize,
    verb: PhantomData<V>,
}

fn acts<V: Verb>(queue: Queued, taken: Lock) {
    warm(&taken);
    V::acts(&queue);
}

impl<V: Verb> Scene for Bytes<V> {
    const FILLS: bool = true;

    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        V::before()
            .iter()
            .for_each(|bytes| queue.put_bytes(bytes).unwrap());
        Self {
            queue,
            length: 0,
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
        let (mut expected, length) = (V::before(), self.length);
        let before = expected.len() - V::HAS;
        if let Some(put) = V::puts() {
            assert!(length == before + 1 || length == before && !left);
            expected.push(put);
            expected.truncate(length);
        } else {
            assert!(length + 1 == before + V::HAS || length == before && !left);
            expected.drain(..expected.len() - length);
        }
        self.queue.put_timeout(bytes(4300), PATIENCE).unwrap();
        expected.push(bytes(4300));
        assert!(drained(&self.queue) == expected);
        still_works(&self.queue, &[bytes(0), bytes(9), bytes(6000)]);
        // What the dead one had in its hands is given back at once.
        assert_eq!(arena::usage().unwrap().blocks, 1);
    }
}

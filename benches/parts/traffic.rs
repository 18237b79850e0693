//! Numbers from one party to another: by this crate's queue, by a channel between threads.
//!
//! The producer is the benchmark's main thread on the first CPU; the consumer is on the second and answers with the sum.

use super::pinned;
use crossbeam::channel;
use multiproc::{Process, Queue};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Places in a bounded channel.
pub(crate) const CAPACITY: usize = 1024;

/// Two parties and the way between them.
pub(crate) trait Traffic {
    /// Sends 0, 1, ... and waits for the sum.
    fn one_way(&mut self, messages: u64) -> u64;
    /// Sends each number when the one before it has come back; answers their sum.
    fn round_trips(&mut self, messages: u64) -> u64;
}

/// How long so many messages take, on the first CPU and with the sum checked.
pub(crate) fn time(messages: u64, carry: impl FnOnce(u64) -> u64) -> Duration {
    pinned::on(0, || {
        let begin = Instant::now();
        let sum = carry(messages);
        let time = begin.elapsed();
        assert_eq!(sum, (0..messages).sum::<u64>(), "something was lost");
        time
    })
}

/// How many messages, and whether each is to be sent back.
type Order = (u64, bool);

/// A child process, and queues.
pub(crate) struct OurQueue {
    numbers: Queue<u64>,
    answers: Queue<u64>,
    orders: Queue<Order>,
    consumer: Process,
}

fn consume(numbers: Queue<u64>, answers: Queue<u64>, orders: Queue<Order>) {
    pinned::on(1, || {
        while let Ok((messages, back)) = orders.get() {
            let mut sum = 0;
            for _ in 0..messages {
                let number = numbers.get().expect("a number is sent");
                sum += number;
                if back {
                    answers.put(number).expect("somebody waits");
                }
            }
            answers.put(sum).expect("somebody waits");
        }
    });
}

impl OurQueue {
    /// `maxsize` as in the queue's constructor: 0 is any number of messages.
    pub(crate) fn new(maxsize: usize) -> OurQueue {
        let numbers = Queue::with_maxsize(maxsize).expect("a queue");
        let answers = Queue::new().expect("a queue");
        let orders = Queue::new().expect("a queue");
        let handles = (numbers.clone(), answers.clone(), orders.clone());
        let mut consumer = Process::new(consume, handles);
        consumer.start().expect("a process starts");
        OurQueue {
            numbers,
            answers,
            orders,
            consumer,
        }
    }
}

impl Traffic for OurQueue {
    fn one_way(&mut self, messages: u64) -> u64 {
        self.orders.put((messages, false)).expect("open");
        for number in 0..messages {
            self.numbers.put(number).expect("open");
        }
        self.answers.get().expect("the sum comes")
    }

    fn round_trips(&mut self, messages: u64) -> u64 {
        self.orders.put((messages, true)).expect("open");
        for number in 0..messages {
            self.numbers.put(number).expect("open");
            assert_eq!(self.answers.get().expect("it comes back"), number);
        }
        self.answers.get().expect("the sum comes")
    }
}

impl Drop for OurQueue {
    fn drop(&mut self) {
        self.orders.close();
        assert_eq!(self.consumer.join().expect("the consumer ends"), 0);
    }
}

/// A thread, and crossbeam's bounded channels.
pub(crate) struct Channels {
    numbers: channel::Sender<u64>,
    answers: channel::Receiver<u64>,
    orders: Option<channel::Sender<Order>>,
    consumer: Option<JoinHandle<()>>,
}

impl Channels {
    pub(crate) fn new() -> Channels {
        let (numbers, coming) = channel::bounded::<u64>(CAPACITY);
        let (back, answers) = channel::bounded(CAPACITY);
        let (orders, ordered) = channel::bounded::<Order>(1);
        let work = move || {
            for (messages, each) in ordered {
                let mut sum = 0;
                for number in coming.iter().take(usize::try_from(messages).expect("few")) {
                    sum += number;
                    if each {
                        back.send(number).expect("somebody waits");
                    }
                }
                back.send(sum).expect("somebody waits");
            }
        };
        let consumer = std::thread::spawn(move || pinned::on(1, work));
        Channels {
            numbers,
            answers,
            orders: Some(orders),
            consumer: Some(consumer),
        }
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("open until it is dropped");
        orders.send(order).expect("open");
    }
}

impl Traffic for Channels {
    fn one_way(&mut self, messages: u64) -> u64 {
        self.order((messages, false));
        for number in 0..messages {
            self.numbers.send(number).expect("open");
        }
        self.answers.recv().expect("the sum comes")
    }

    fn round_trips(&mut self, messages: u64) -> u64 {
        self.order((messages, true));
        for number in 0..messages {
            self.numbers.send(number).expect("open");
            assert_eq!(self.answers.recv().expect("it comes back"), number);
        }
        self.answers.recv().expect("the sum comes")
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        drop(self.orders.take());
        let consumer = self.consumer.take().expect("joined once");
        consumer.join().expect("the consumer ends");
    }
}

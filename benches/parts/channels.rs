//! The ways for numbers between threads that are compared: this crate's queues, std's channels, crossbeam's, flume's.

use super::traffic::Way;
use multiproc::queue::{Order, OrderedQueue, SimpleQueue};
use std::cell::OnceCell;
use std::sync::{Arc, Mutex, mpsc};

impl<O: Order<u64> + 'static> Way for OrderedQueue<u64, O>
where
    OrderedQueue<u64, O>: Send,
{
    fn put(&self, number: u64) {
        OrderedQueue::put(self, number).expect("open");
    }

    fn get(&self) -> u64 {
        OrderedQueue::get(self).expect("open")
    }
}

impl Way for SimpleQueue<u64> {
    fn put(&self, number: u64) {
        SimpleQueue::put(self, number);
    }

    fn get(&self) -> u64 {
        SimpleQueue::get(self)
    }
}

/// The two ends of somebody's channel.
#[derive(Clone)]
pub(crate) struct Channel<S, R>(pub(crate) S, pub(crate) R);

/// Without bounds, or for so many.
pub(crate) fn crossbeam(
    places: Option<usize>,
) -> Channel<crossbeam::channel::Sender<u64>, crossbeam::channel::Receiver<u64>> {
    let made = places.map_or_else(crossbeam::channel::unbounded, crossbeam::channel::bounded);
    Channel(made.0, made.1)
}

impl Way for Channel<crossbeam::channel::Sender<u64>, crossbeam::channel::Receiver<u64>> {
    fn put(&self, number: u64) {
        self.0.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.1.recv().expect("open")
    }
}

/// Without bounds, or for so many.
pub(crate) fn flume(places: Option<usize>) -> Channel<flume::Sender<u64>, flume::Receiver<u64>> {
    let made = places.map_or_else(flume::unbounded, flume::bounded);
    Channel(made.0, made.1)
}

impl Way for Channel<flume::Sender<u64>, flume::Receiver<u64>> {
    fn put(&self, number: u64) {
        self.0.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.1.recv().expect("open")
    }
}

/// The receiver of std's channel: whoever gets first has it from then on.
pub(crate) struct Only {
    free: Arc<Mutex<Option<mpsc::Receiver<u64>>>>,
    mine: OnceCell<mpsc::Receiver<u64>>,
}

impl Only {
    fn new(receiver: mpsc::Receiver<u64>) -> Self {
        let free = Arc::new(Mutex::new(Some(receiver)));
        let mine = OnceCell::new();
        Self { free, mine }
    }

    fn recv(&self) -> u64 {
        let free = || self.free.lock().expect("no panic").take();
        let mine = self.mine.get_or_init(|| free().expect("one gets"));
        mine.recv().expect("open")
    }
}

impl Clone for Only {
    fn clone(&self) -> Self {
        let (free, mine) = (Arc::clone(&self.free), OnceCell::new());
        Self { free, mine }
    }
}

pub(crate) fn std() -> Channel<mpsc::Sender<u64>, Only> {
    let (sender, receiver) = mpsc::channel();
    Channel(sender, Only::new(receiver))
}

pub(crate) fn std_bounded(places: usize) -> Channel<mpsc::SyncSender<u64>, Only> {
    let (sender, receiver) = mpsc::sync_channel(places);
    Channel(sender, Only::new(receiver))
}

impl Way for Channel<mpsc::Sender<u64>, Only> {
    fn put(&self, number: u64) {
        self.0.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.1.recv()
    }
}

impl Way for Channel<mpsc::SyncSender<u64>, Only> {
    fn put(&self, number: u64) {
        self.0.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.1.recv()
    }
}

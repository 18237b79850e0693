//! The ways that are compared: this crate's queue, channels between threads, the kernel's pipe.

use super::traffic::{Batches, Freight, Way};
use multiproc::{JoinableQueue, Queue, Receiver, Sender, SimpleQueue};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::ops::Range;
use std::sync::Arc;

/// Places in a bounded channel for numbers.
pub(crate) const CAPACITY: usize = 1024;

/// A queue for any number of values, or for so many.
pub(crate) fn queue<T>(maxsize: usize) -> Queue<T> {
    Queue::with_maxsize(maxsize).expect("a queue")
}

impl Way for Queue<u64> {
    fn put(&self, number: u64) {
        Queue::put(self, number).expect("open");
    }

    fn get(&self) -> u64 {
        Queue::get(self).expect("open")
    }
}

impl Batches for Queue<u64> {
    fn put_many(&self, numbers: Range<u64>) {
        Queue::put_many(self, numbers).expect("open");
    }

    fn get_many(&self, most: u64) -> (u64, u64) {
        let most = usize::try_from(most).expect("few");
        let batch = Queue::get_many(self, most).expect("open");
        let count = batch.len() as u64;
        (count, batch.map(|number| number.expect("a number")).sum())
    }
}

impl Way for SimpleQueue<u64> {
    fn put(&self, number: u64) {
        SimpleQueue::put(self, number).expect("open");
    }

    fn get(&self) -> u64 {
        SimpleQueue::get(self).expect("open")
    }
}

/// Each number is done as soon as it is there.
impl Way for JoinableQueue<u64> {
    fn put(&self, number: u64) {
        JoinableQueue::put(self, number).expect("open");
    }

    fn get(&self) -> u64 {
        JoinableQueue::get(self).expect("open").task_done()
    }
}

/// The two ends of a queue.
#[derive(Clone)]
pub(crate) struct Split(Sender<u64>, Receiver<u64>);

impl Split {
    pub(crate) fn new() -> Split {
        let (sender, receiver) = queue(0).split().expect("ends");
        Split(sender, receiver)
    }
}

impl Way for Split {
    fn put(&self, number: u64) {
        self.0.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.1.recv().expect("open")
    }
}

/// Bytes as a value like any other.
impl Freight for Queue<Vec<u8>> {
    fn put(&self, bytes: &[u8]) {
        Queue::put(self, bytes.to_vec()).expect("open");
    }

    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        look(&Queue::get(self).expect("open"));
    }
}

/// Bytes as they are, copied into a buffer.
#[derive(Clone)]
pub(crate) struct Bytes(pub(crate) Queue<Vec<u8>>);

impl Freight for Bytes {
    fn put(&self, bytes: &[u8]) {
        self.0.put_bytes(bytes).expect("open");
    }

    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        self.0.get_into(buffer).expect("open");
        look(buffer);
    }
}

/// Bytes as they are, read where they lie.
#[derive(Clone)]
pub(crate) struct Loans(pub(crate) Queue<Vec<u8>>);

impl Freight for Loans {
    fn put(&self, bytes: &[u8]) {
        self.0.put_bytes(bytes).expect("open");
    }

    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        look(&self.0.get_loan().expect("open"));
    }
}

/// Crossbeam's bounded channel.
pub(crate) struct Crossbeam<T> {
    sender: crossbeam::channel::Sender<T>,
    receiver: crossbeam::channel::Receiver<T>,
}

impl<T> Clone for Crossbeam<T> {
    fn clone(&self) -> Self {
        let (sender, receiver) = (self.sender.clone(), self.receiver.clone());
        Self { sender, receiver }
    }
}

impl<T> Crossbeam<T> {
    pub(crate) fn new(places: usize) -> Self {
        let (sender, receiver) = crossbeam::channel::bounded(places);
        Self { sender, receiver }
    }

    pub(crate) fn unbounded() -> Self {
        let (sender, receiver) = crossbeam::channel::unbounded();
        Self { sender, receiver }
    }
}

impl Way for Crossbeam<u64> {
    fn put(&self, number: u64) {
        self.sender.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.receiver.recv().expect("open")
    }
}

/// One by one, for it knows no other way.
impl Batches for Crossbeam<u64> {
    fn put_many(&self, numbers: Range<u64>) {
        numbers.for_each(|number| self.put(number));
    }

    fn get_many(&self, most: u64) -> (u64, u64) {
        (most, (0..most).map(|_| self.get()).sum())
    }
}

impl Freight for Crossbeam<Vec<u8>> {
    fn put(&self, bytes: &[u8]) {
        self.sender.send(bytes.to_vec()).expect("open");
    }

    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        look(&self.receiver.recv().expect("open"));
    }
}

/// Kanal's bounded channel.
pub(crate) struct Kanal<T> {
    sender: kanal::Sender<T>,
    receiver: kanal::Receiver<T>,
}

impl<T> Clone for Kanal<T> {
    fn clone(&self) -> Self {
        let (sender, receiver) = (self.sender.clone(), self.receiver.clone());
        Self { sender, receiver }
    }
}

impl<T> Kanal<T> {
    pub(crate) fn new(places: usize) -> Self {
        let (sender, receiver) = kanal::bounded(places);
        Self { sender, receiver }
    }
}

impl Way for Kanal<u64> {
    fn put(&self, number: u64) {
        self.sender.send(number).expect("open");
    }

    fn get(&self) -> u64 {
        self.receiver.recv().expect("open")
    }
}

impl Freight for Kanal<Vec<u8>> {
    fn put(&self, bytes: &[u8]) {
        self.sender.send(bytes.to_vec()).expect("open");
    }

    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        look(&self.receiver.recv().expect("open"));
    }
}

/// A pipe as it comes; for numbers a write and a read of eight bytes each.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<(PipeReader, PipeWriter)>);

impl Pipe {
    pub(crate) fn new() -> Pipe {
        Pipe(Arc::new(pipe().expect("a pipe")))
    }

    fn write(&self, bytes: &[u8]) {
        (&self.0.1).write_all(bytes).expect("open");
    }

    fn read(&self, bytes: &mut [u8]) {
        (&self.0.0).read_exact(bytes).expect("open");
    }
}

impl Way for Pipe {
    fn put(&self, number: u64) {
        self.write(&number.to_ne_bytes());
    }

    fn get(&self) -> u64 {
        let mut bytes = [0; 8];
        self.read(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}

/// A length, then the bytes.
impl Freight for Pipe {
    fn put(&self, bytes: &[u8]) {
        Way::put(self, bytes.len() as u64);
        self.write(bytes);
    }

    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        let length = usize::try_from(Way::get(self)).expect("a length that fits");
        buffer.resize(length, 0);
        self.read(buffer);
        look(buffer);
    }
}

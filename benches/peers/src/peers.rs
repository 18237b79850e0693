//! The ways of other crates.

use crate::parts::traffic::{Freight, Way};
use crate::parts::wires::Wire;
use iceoryx2::port::backpressure_strategy::BackpressureStrategy;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Stream};
use std::cell::OnceCell;
use std::fmt::Debug;
use std::io::{Read as _, Result, Write as _};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// Both ends. A mutex that nobody else wants, because most ends are not for more than one thread.
type Ends<S, R> = Arc<(Mutex<S>, Mutex<R>)>;

fn ends<S, R>((sender, receiver): (S, R)) -> Ends<S, R> {
    Arc::new((Mutex::new(sender), Mutex::new(receiver)))
}

fn end<E>(end: &Mutex<E>) -> MutexGuard<'_, E> {
    end.lock().expect("nobody panicked with it")
}

/// ipc-channel's typed channel.
#[derive(Clone)]
pub(crate) struct IpcChannel(
    Ends<ipc_channel::ipc::IpcSender<u64>, ipc_channel::ipc::IpcReceiver<u64>>,
);

impl IpcChannel {
    pub(crate) fn new() -> Self {
        Self(ends(ipc_channel::ipc::channel().expect("a channel")))
    }
}

impl Way for IpcChannel {
    fn put(&self, number: u64) {
        end(&self.0.0).send(number).expect("open");
    }

    fn get(&self) -> u64 {
        end(&self.0.1).recv().expect("open")
    }
}

/// ipc-channel's channel for bytes.
#[derive(Clone)]
pub(crate) struct IpcBytes(
    Ends<ipc_channel::ipc::IpcBytesSender, ipc_channel::ipc::IpcBytesReceiver>,
);

impl IpcBytes {
    pub(crate) fn new() -> Self {
        Self(ends(ipc_channel::ipc::bytes_channel().expect("a channel")))
    }
}

impl Freight for IpcBytes {
    fn put(&self, bytes: &[u8]) {
        end(&self.0.0).send(bytes).expect("open");
    }

    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        look(&end(&self.0.1).recv().expect("open"));
    }
}

/// Crossmist's blocking channel. Its own way for plain types (1.1.2) relies on how an array of the standard library is cloned, and
/// panics for each of them since Rust does that otherwise; so these types say themselves what their bytes are.
pub(crate) struct Crossmist<T: crossmist::Object>(
    Ends<crossmist::Sender<T>, crossmist::Receiver<T>>,
);

impl<T: crossmist::Object> Clone for Crossmist<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: crossmist::Object> Crossmist<T> {
    pub(crate) fn new() -> Self {
        Self(ends(crossmist::channel().expect("a channel")))
    }
}

pub(crate) struct Number(u64);

// SAFETY: what is written is what is read.
unsafe impl crossmist::NonTrivialObject for Number {
    fn serialize_self_non_trivial(&self, serializer: &mut crossmist::Serializer) {
        serializer.write(&self.0.to_ne_bytes());
    }

    unsafe fn deserialize_self_non_trivial(from: &mut crossmist::Deserializer) -> Result<Self> {
        let mut bytes = [0; 8];
        from.read(&mut bytes);
        Ok(Self(u64::from_ne_bytes(bytes)))
    }
}

impl Way for Crossmist<Number> {
    fn put(&self, number: u64) {
        end(&self.0.0).send(&Number(number)).expect("open");
    }

    fn get(&self) -> u64 {
        let number = end(&self.0.1).recv().expect("open");
        number.expect("not at its end").0
    }
}

pub(crate) struct Blob(Vec<u8>);

// SAFETY: what is written is what is read: a length, and so many bytes.
unsafe impl crossmist::NonTrivialObject for Blob {
    fn serialize_self_non_trivial(&self, serializer: &mut crossmist::Serializer) {
        serializer.write(&self.0.len().to_ne_bytes());
        serializer.write(&self.0);
    }

    unsafe fn deserialize_self_non_trivial(from: &mut crossmist::Deserializer) -> Result<Self> {
        let mut length = [0; 8];
        from.read(&mut length);
        let mut bytes = vec![0; usize::from_ne_bytes(length)];
        from.read(&mut bytes);
        Ok(Self(bytes))
    }
}

impl Freight for Crossmist<Blob> {
    fn put(&self, bytes: &[u8]) {
        end(&self.0.0).send(&Blob(bytes.to_vec())).expect("open");
    }

    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        let bytes = end(&self.0.1).recv().expect("open");
        look(&bytes.expect("not at its end").0);
    }
}

/// iceoryx2's publish and subscribe with one of each, that loses nothing. There is no wait for a sample: who wants one looks
/// until it is there. Each process makes its ends when it first needs them.
pub(crate) struct Iceoryx<P: ?Sized + Debug + IceoryxSend + 'static> {
    name: String,
    places: usize,
    length: usize,
    node: OnceCell<Node<ipc::Service>>,
    publisher: OnceCell<Publisher<ipc::Service, P, ()>>,
    subscriber: OnceCell<Subscriber<ipc::Service, P, ()>>,
}

// SAFETY: it is given to another thread only right after it was made, when it has no ends yet.
unsafe impl<P: ?Sized + Debug + IceoryxSend> Send for Iceoryx<P> {}

impl<P: ?Sized + Debug + IceoryxSend> Clone for Iceoryx<P> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            places: self.places,
            length: self.length,
            node: OnceCell::new(),
            publisher: OnceCell::new(),
            subscriber: OnceCell::new(),
        }
    }
}

impl<P: ?Sized + Debug + IceoryxSend> Iceoryx<P> {
    /// With so many places, for messages of so many elements.
    pub(crate) fn new(places: usize, length: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        set_log_level(LogLevel::Error);
        let number = NUMBER.fetch_add(1, Relaxed);
        Self {
            name: format!("multiproc-peers/{}/{number}", std::process::id()),
            places,
            length,
            node: OnceCell::new(),
            publisher: OnceCell::new(),
            subscriber: OnceCell::new(),
        }
    }
}

/// The service of an `Iceoryx` for this payload. The builders of values and of slices have no trait in common.
macro_rules! service {
    ($way:expr, $payload:ty) => {{
        let node = || NodeBuilder::new().create::<ipc::Service>().expect("a node");
        let name = $way.name.as_str().try_into().expect("a good name");
        let builder = $way.node.get_or_init(node).service_builder(&name);
        let builder = builder.publish_subscribe::<$payload>().history_size(0);
        let builder = builder.max_publishers(1).max_subscribers(1);
        let builder = builder.subscriber_max_buffer_size($way.places);
        let builder = builder.enable_safe_overflow(false);
        builder.open_or_create().expect("a service")
    }};
}

const BLOCKING: BackpressureStrategy = BackpressureStrategy::RetryUntilDelivered;

impl Way for Iceoryx<u64> {
    fn put(&self, number: u64) {
        let publisher = self.publisher.get_or_init(|| {
            let service = service!(self, u64);
            // What is sent before somebody subscribes is lost.
            while service.dynamic_config().number_of_subscribers() == 0 {
                std::thread::yield_now();
            }
            let builder = service.publisher_builder().backpressure_strategy(BLOCKING);
            builder.create().expect("a publisher")
        });
        let sample = publisher.loan_uninit().expect("a sample");
        sample
            .write_payload(number)
            .send()
            .expect("somebody subscribes");
    }

    fn get(&self) -> u64 {
        let subscriber = self.subscriber.get_or_init(|| {
            let service = service!(self, u64);
            let builder = service.subscriber_builder();
            builder.create().expect("a subscriber")
        });
        loop {
            if let Some(sample) = subscriber.receive().expect("connected") {
                return *sample;
            }
            std::hint::spin_loop();
        }
    }
}

impl Freight for Iceoryx<[u8]> {
    fn put(&self, bytes: &[u8]) {
        let publisher = self.publisher.get_or_init(|| {
            let service = service!(self, [u8]);
            // What is sent before somebody subscribes is lost.
            while service.dynamic_config().number_of_subscribers() == 0 {
                std::thread::yield_now();
            }
            let builder = service.publisher_builder().backpressure_strategy(BLOCKING);
            let builder = builder.initial_max_slice_len(self.length);
            builder.create().expect("a publisher")
        });
        let sample = publisher.loan_slice_uninit(bytes.len()).expect("a sample");
        sample
            .write_from_slice(bytes)
            .send()
            .expect("somebody subscribes");
    }

    /// Where they lie, without a copy.
    fn get(&self, _: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        let subscriber = self.subscriber.get_or_init(|| {
            let service = service!(self, [u8]);
            let builder = service.subscriber_builder();
            builder.create().expect("a subscriber")
        });
        loop {
            if let Some(sample) = subscriber.receive().expect("connected") {
                return look(&sample);
            }
            std::hint::spin_loop();
        }
    }
}

/// Interprocess' local socket: bytes without frames, so that all messages have a length that both know.
pub(crate) fn local_sockets() -> Wire<Stream> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let name = format!("multiproc-peers-{}-{number}", std::process::id());
    let name = || name.as_str().to_ns_name::<GenericNamespaced>();
    let options = ListenerOptions::new().name(name().expect("a good name"));
    let listener = options.create_sync().expect("a listener");
    let client = Stream::connect(name().expect("a good name")).expect("it listens");
    Wire::new((client, listener.accept().expect("a client")))
}

impl Way for Wire<Stream> {
    fn put(&self, number: u64) {
        let sent = self.sender().write_all(&number.to_ne_bytes());
        sent.expect("open");
    }

    fn get(&self) -> u64 {
        let mut bytes = [0; 8];
        self.receiver().read_exact(&mut bytes).expect("open");
        u64::from_ne_bytes(bytes)
    }
}

impl Freight for Wire<Stream> {
    fn put(&self, bytes: &[u8]) {
        self.sender().write_all(bytes).expect("open");
    }

    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        self.receiver().read_exact(buffer).expect("open");
        look(buffer);
    }
}

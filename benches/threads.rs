//! What there is between the threads of one process, beside std's and other crates'.
//!
//! A subject is a file in `parts/` with a function that adds its groups.

use criterion::{criterion_group, criterion_main};

mod parts {
    pub(crate) mod channels;
    pub(crate) mod clock;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod locals;
    pub(crate) mod memory;
    pub(crate) mod mode;
    pub(crate) mod peer_pool;
    pub(crate) mod sem;
    #[expect(dead_code, reason = "processes have no part in this")]
    pub(crate) mod tasks;
    pub(crate) mod thread_pools;
    pub(crate) mod thread_queues;
    #[expect(dead_code, reason = "bytes and processes have no part in this")]
    pub(crate) mod traffic;
}

criterion_group!(queues, parts::thread_queues::groups);
criterion_group!(locals, parts::locals::groups);
criterion_group!(pools, parts::thread_pools::groups);
criterion_main!(queues, locals, pools);

//! Values of threads, and pools of them.

use criterion::{criterion_group, criterion_main};

mod parts {
    pub(crate) mod cpus;
    pub(crate) mod locals;
    pub(crate) mod mode;
    #[expect(dead_code, reason = "processes have no part in this")]
    pub(crate) mod tasks;
    pub(crate) mod thread_pools;
}

criterion_group!(locals, parts::locals::groups);
criterion_group!(pools, parts::thread_pools::groups);
criterion_main!(locals, pools);

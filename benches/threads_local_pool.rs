//! Values of threads, and pools of them.

use criterion::{criterion_group, criterion_main};

mod parts {
    pub(crate) mod locals;
}

criterion_group!(locals, parts::locals::groups);
criterion_main!(locals);

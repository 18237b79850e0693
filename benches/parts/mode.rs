//! Whether this run measures, or only shows that it could.

/// `full` when this run measures, `tiny` when it was called with `--test`.
pub(crate) fn sized<T>(full: T, tiny: T) -> T {
    if std::env::args().any(|word| word == "--test") {
        tiny
    } else {
        full
    }
}

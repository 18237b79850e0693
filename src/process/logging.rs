//! A logger for standard error whose records name the process: Python's `log_to_stderr`.

use super::current;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicBool, SeqCst};
use crate::sys::exit::write_to_stderr;
use log::{LevelFilter, Log, Metadata, Record};

struct ToStderr;

static LOGGER: ToStderr = ToStderr;

/// [`LOGGER`] is the program's.
static OURS: AtomicBool = AtomicBool::new(false);

impl Log for ToStderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    /// One line, in one piece and past the lock of standard error: a child may have inherited that locked.
    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let name = &current::identity().name;
            write_to_stderr(&format!("[{}/{name}] {}\n", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Writes the records of the [`log`] facade, up to `level`, to standard error: `[INFO/Process-1] text`. Children that are started
/// afterwards do the same, under every start method.
///
/// This crate's own records have targets that begin with `multiproc`. Called again, it changes the level.
///
/// # Errors
/// [`ErrorKind::Misuse`] when the program has another logger.
///
/// # Examples
/// ```
/// multiproc::log_to_stderr(log::LevelFilter::Info)?;
/// log::info!("seen"); // [INFO/MainProcess] seen
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn log_to_stderr(level: LevelFilter) -> Result<()> {
    if log::set_logger(&LOGGER).is_ok() {
        OURS.store(true, SeqCst);
    } else if !OURS.load(SeqCst) {
        let text = "the program has another logger";
        return Err(Error::new(ErrorKind::Misuse, text));
    }
    log::set_max_level(level);
    Ok(())
}

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::Off,
    LevelFilter::Error,
    LevelFilter::Warn,
    LevelFilter::Info,
    LevelFilter::Debug,
    LevelFilter::Trace,
];

/// The level that children of this process shall log up to, if it logs by our logger.
pub(super) fn level() -> Option<u8> {
    let level = LEVELS.iter().position(|&level| level == log::max_level());
    let level = level.filter(|_| OURS.load(SeqCst))?;
    u8::try_from(level).ok()
}

/// In a child: logs as its parent did. A preload function may have set another logger, which is kept.
pub(super) fn inherit(level: u8) {
    if let Some(&level) = LEVELS.get(usize::from(level)) {
        let _another = log_to_stderr(level);
    }
}

//! Python's `queue`: queues between the threads of one process.

//! CPython's cases and Python's pains: each is restated by a test that exists, or there is a reason why it is not.
//!
//! `tests/python_cases.tsv` has a line for each, three columns with tabs between: where it stands, what it is called, and
//! either the names of our tests with blanks between, or `-`, a blank and the reason.

use crate::source::{File, cases};
use std::collections::BTreeSet;

/// What must have a line: the section, by CPython's classes or by the kind of pain, and its cases.
pub(crate) const EXPECTED: &[(&str, &[&str])] = &[
    (
        "process",
        &[
            "test_current",
            "test_set_executable",
            "test_args_argument",
            "test_daemon_argument",
            "test_parent_process_attributes",
            "test_process",
            "test_process_mainthread_native_id",
            "test_kill",
            "test_interrupt",
            "test_interrupt_no_handler",
            "test_cpu_count",
            "test_active_children",
            "test_recursion",
            "test_close",
            "test_lose_target_ref",
            "test_wait_for_threads",
            "test_error_on_stdio_flush_1",
            "test_error_on_stdio_flush_2",
            "test_forkserver_sigint",
            "test_subclassing",
            "test_stderr_flush",
            "test_atexit",
            "test_queue_in_process",
            "test_pool_in_process",
            "test_flushing",
            "test_flags",
            "test_closefd",
        ],
    ),
    (
        "start methods",
        &[
            "test_context",
            "test_context_check_module_types",
            "test_set_get",
            "test_get_all",
            "test_preload_resources",
            "test_mixed_startmethod",
            "test_nested_startmethod",
            "TestForkAwareThreadLock.test_lock",
            "test_spawn_sys_executable_none_allows_import",
            "test_global_named_resource_spawn",
        ],
    ),
    (
        "finalisation and logging",
        &[
            "test_thread_safety",
            "test_enable_logging",
            "test_level",
            "test_filename",
            "TestInternalDecorators",
        ],
    ),
    (
        "pains of fork, spawn, forkserver",
        &["F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8"],
    ),
    (
        "pains of the process life cycle",
        &["R1", "R2", "R3", "R4", "R5", "R6", "R7"],
    ),
    ("pains of signals", &["I1", "I2", "I3"]),
    (
        "connections",
        &[
            "test_connection",
            "test_duplex_false",
            "test_spawn_close",
            "test_sendbytes",
            "test_fd_transfer",
            "test_large_fd_transfer",
            "test_missing_fd_transfer",
            "test_context",
            "TestPoll.test_empty_string",
            "TestPoll.test_strings",
            "TestPoll.test_boundaries",
            "TestPoll.test_dont_merge",
            "test_pickling",
            "test_access",
            "test_invalid_handles",
            "TestIgnoreEINTR.test_ignore",
            "TestTimeouts.test_timeout",
        ],
    ),
    (
        "wait",
        &[
            "test_wait",
            "test_wait_socket",
            "test_wait_slow",
            "test_wait_socket_slow",
            "test_wait_timeout",
            "test_wait_integer",
            "test_neg_timeout",
        ],
    ),
    (
        "queues",
        &[
            "test_put",
            "test_get",
            "test_fork",
            "test_qsize",
            "test_task_done",
            "test_no_import_lock_contention",
            "test_timeout",
            "test_queue_feeder_donot_stop_onexc",
            "test_queue_feeder_on_queue_feeder_error",
            "test_closed_queue_empty_exceptions",
            "test_closed_queue_put_get_exceptions",
            "SimpleQueue.test_empty_exceptions",
            "SimpleQueue.test_empty",
            "SimpleQueue.test_close",
            "SimpleQueue.test_closed",
        ],
    ),
    (
        "pains of queues",
        &["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7", "Q8"],
    ),
    (
        "locks and semaphores",
        &[
            "test_lock",
            "test_rlock",
            "test_lock_context",
            "test_semaphore",
            "test_bounded_semaphore",
            "test_timeout",
            "test_semlock_subclass",
            "test_lock_locked",
            "test_semaphore_locked",
            "test_repr",
        ],
    ),
    (
        "conditions and events",
        &[
            "test_notify",
            "test_notify_n",
            "test_notify_all",
            "test_timeout",
            "test_waitfor",
            "test_waitfor_timeout",
            "test_wait_result",
            "test_event",
            "test_repr",
        ],
    ),
    (
        "barriers",
        &[
            "test_constructor",
            "test_barrier",
            "test_barrier_10",
            "test_wait_return",
            "test_action",
            "test_abort",
            "test_reset",
            "test_abort_and_reset",
            "test_timeout",
            "test_default_timeout",
            "test_single_thread",
            "test_thousand",
            "test_repr",
        ],
    ),
    (
        "shared values",
        &[
            "test_value",
            "test_rawvalue",
            "test_getobj_getlock",
            "test_array",
            "test_rawarray",
            "test_array_accepts_long",
            "test_array_from_size",
            "test_getobj_getlock_obj",
            "test_invalid_typecode",
            "test_heap",
            "test_free_from_gc",
            "test_sharedctypes",
            "test_synchronize",
            "test_copy",
        ],
    ),
    (
        "lock_tests",
        &[
            "BaseLock.test_constructor",
            "BaseLock.test_repr",
            "BaseLock.test_locked_repr",
            "BaseLock.test_acquire_destroy",
            "BaseLock.test_acquire_release",
            "BaseLock.test_try_acquire",
            "BaseLock.test_try_acquire_contended",
            "BaseLock.test_acquire_contended",
            "BaseLock.test_with",
            "BaseLock.test_thread_leak",
            "BaseLock.test_timeout",
            "BaseLock.test_weakref_exists",
            "Lock.test_reacquire",
            "Lock.test_different_thread",
            "Lock.test_state_after_timeout",
            "Lock.test_at_fork_reinit",
            "RLock.test_reacquire",
            "RLock.test_release_unacquired",
            "RLock.test_release_save_unacquired",
            "RLock.test_recursion_count",
            "RLock.test_different_thread",
            "RLock.test__is_owned",
            "Event.test_is_set",
            "Event.test_notify",
            "Event.test_timeout",
            "Event.test_set_and_clear",
            "Condition.test_acquire",
            "Condition.test_unacquired_wait",
            "Condition.test_unacquired_notify",
            "Condition.test_notify",
            "Condition.test_timeout",
            "Condition.test_waitfor",
            "Condition.test_waitfor_timeout",
            "Semaphore.test_constructor",
            "Semaphore.test_acquire",
            "Semaphore.test_acquire_destroy",
            "Semaphore.test_acquire_contended",
            "Semaphore.test_multirelease",
            "Semaphore.test_try_acquire",
            "Semaphore.test_try_acquire_contended",
            "Semaphore.test_acquire_timeout",
            "Semaphore.test_default_value",
            "Semaphore.test_with",
            "Semaphore.test_release_unacquired",
            "BoundedSemaphore.test_release_unacquired",
        ],
    ),
    (
        "pains of locks, conditions, events, barriers",
        &["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8"],
    ),
    (
        "shared memory",
        &[
            "test_shared_memory_name_with_embedded_null",
            "test_shared_memory_basics",
            "test_shared_memory_recreate",
            "test_invalid_shared_memory_creation",
            "test_shared_memory_pickle_unpickle",
            "test_shared_memory_pickle_unpickle_dead_object",
            "test_shared_memory_across_processes",
            "test_shared_memory_SharedMemoryServer_ignores_sigint",
            "test_shared_memory_SharedMemoryManager_reuses_resource_tracker",
            "test_shared_memory_SharedMemoryManager_basics",
            "test_shared_memory_ShareableList_basics",
            "test_shared_memory_ShareableList_pickling",
            "test_shared_memory_ShareableList_pickling_dead_object",
            "test_shared_memory_tracking",
        ],
    ),
    (
        "resource tracker",
        &[
            "test_resource_tracker_sigint",
            "test_resource_tracker_sigterm",
            "test_resource_tracker_sigkill",
            "test_resource_tracker_reused",
            "test_too_long_name_resource",
            "test_resource_tracker_exit_code",
        ],
    ),
    ("pains of shared memory", &["S1", "S2", "S3", "S4", "S5"]),
    (
        "listeners",
        &[
            "test_multiple_bind",
            "TestListener.test_context",
            "TestListener.test_abstract_socket",
            "test_listener_client",
            "test_issue14725",
            "test_issue16955",
            "TestIgnoreEINTR.test_ignore_listener",
            "TestInvalidFamily.test_invalid_family",
        ],
    ),
    (
        "authentication",
        &[
            "test_deliver_challenge_auth_failure",
            "test_answer_challenge_auth_failure",
            "ChallengeResponseTest.test_challengeresponse",
        ],
    ),
    (
        "pains of managers and connections",
        &["M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8"],
    ),
    (
        "thread queues",
        &[
            "test_basic",
            "test_queue_task_done",
            "test_queue_join",
            "test_negative_timeout_raises_exception",
            "test_nowait",
            "test_shrinking_queue",
            "test_shutdown_empty",
            "test_shutdown_nonempty",
            "test_shutdown_immediate",
            "test_shutdown_allowed_transitions",
            "test_shutdown_all_methods_in_one_thread",
            "test_shutdown_immediate_all_methods_in_one_thread",
            "test_shutdown_all_methods_in_many_threads",
            "test_shutdown_immediate_all_methods_in_many_threads",
            "test_shutdown_get",
            "test_shutdown_immediate_get",
            "test_shutdown_put",
            "test_shutdown_immediate_put",
            "test_shutdown_join",
            "test_shutdown_immediate_join",
            "test_shutdown_put_join",
            "test_shutdown_immediate_put_join",
            "test_shutdown_get_task_done_join",
            "test_shutdown_pending_get",
            "test_failing_queue",
            "SimpleQueue.test_basic",
            "SimpleQueue.test_negative_timeout_raises_exception",
            "SimpleQueue.test_order",
            "SimpleQueue.test_many_threads",
            "SimpleQueue.test_many_threads_nonblock",
            "SimpleQueue.test_many_threads_timeout",
            "SimpleQueue.test_references",
            "SimpleQueue.test_reentrancy",
            "SimpleQueue.test_is_default",
        ],
    ),
    (
        "thread locals",
        &[
            "test_local_refs",
            "test_derived",
            "test_arguments",
            "test_threading_local",
            "test_threading_local_subclass",
            "test_dict_attribute",
            "test_threading_local_clear_race",
        ],
    ),
    ("threads", &THREADS),
    ("pains of threads beside processes", &["X6"]),
];

/// Threads but their queues and locals.
const THREADS: [&str; 66] = [
    "test_name",
    "test_various_ops",
    "test_various_ops_small_stack",
    "test_various_ops_large_stack",
    "test_ident_of_no_threading_threads",
    "test_foreign_thread",
    "test_limbo_cleanup",
    "test_join_nondaemon_on_shutdown",
    "test_enumerate_after_join",
    "test_join_from_multiple_threads",
    "test_join_with_timeout",
    "test_no_refcycle_through_target",
    "test_repr_daemon",
    "test_daemon_param",
    "test_repr_stopped",
    "test_main_thread",
    "test_main_thread_during_shutdown",
    "test_main_thread_after_fork",
    "test_main_thread_after_fork_from_nonmain_thread",
    "test_main_thread_after_fork_from_foreign_thread",
    "test_BoundedSemaphore_limit",
    "test_boolean_target",
    "test_args_argument",
    "test_leak_without_join",
    "ThreadJoinOnShutdown.test_1_join_on_shutdown",
    "ThreadJoinOnShutdown.test_2_join_in_forked_process",
    "ThreadJoinOnShutdown.test_3_join_in_forked_from_thread",
    "ThreadJoinOnShutdown.test_4_daemon_threads",
    "ThreadJoinOnShutdown.test_thread_from_thread",
    "test_reinit_tls_after_fork",
    "test_clear_threads_states_after_fork",
    "ThreadingExceptionTests.test_start_thread_again",
    "ThreadingExceptionTests.test_joining_current_thread",
    "ThreadingExceptionTests.test_joining_inactive_thread",
    "ThreadingExceptionTests.test_daemonize_active_thread",
    "ThreadingExceptionTests.test_releasing_unacquired_lock",
    "test_print_exception",
    "test_print_exception_stderr_is_none",
    "test_bare_raise_in_brand_new_thread",
    "test_multithread_modify_file_noerror",
    "ExceptHookTests.test_excepthook",
    "ExceptHookTests.test_excepthook_thread_None",
    "ExceptHookTests.test_system_exit",
    "ExceptHookTests.test_custom_excepthook",
    "ExceptHookTests.test_custom_excepthook_fail",
    "ExceptHookTests.test_original_excepthook",
    "TimerTests.test_init_immutable_default_args",
    "AtexitTests.test_atexit_output",
    "AtexitTests.test_atexit_called_once",
    "AtexitTests.test_atexit_after_shutdown",
    "InterruptMainTests",
    "test_thread.test_join_thread",
    "test_thread.test_join_thread_already_exited",
    "test_thread.test_join_several_times",
    "test_thread.test_join_from_self",
    "test_thread.test_join_then_self_join",
    "test_thread.test_join_with_timeout",
    "test_thread.test_join_unstarted",
    "test_thread.test_stack_size",
    "TestForkInThread.test_forkinthread",
    "test_lock_acquire_interruption",
    "test_rlock_acquire_interruption",
    "test_lock_acquire_retries_on_intr",
    "test_rlock_acquire_retries_on_intr",
    "test_interrupted_timed_acquire",
    "test_signals",
];

/// The shortest text that can be a reason.
const REASON: usize = 20;

/// Every expected case has one line, every line is expected, every test exists.
pub(crate) fn python_cases(
    expected: &[(&str, &[&str])],
    table: &File,
    tests: &[File],
) -> Vec<String> {
    let known: BTreeSet<String> = tests.iter().flat_map(real_tests).collect();
    let cases = |(section, cases): &(&str, &[&str])| -> Vec<(String, String)> {
        let section = section.to_string();
        let pair = |case: &&str| (section.clone(), case.to_string());
        cases.iter().map(pair).collect()
    };
    let mut missing: BTreeSet<(String, String)> = expected.iter().flat_map(cases).collect();
    let mut complaints = Vec::new();
    for (number, line) in table.text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut complain = |what: &str| {
            complaints.push(format!("{}:{}: {what}", table.path, number + 1));
        };
        let columns: Vec<&str> = line.split('\t').collect();
        let [section, case, answer] = columns[..] else {
            complain("not three columns");
            continue;
        };
        if !missing.remove(&(section.to_owned(), case.to_owned())) {
            complain(&format!("{section}: {case} is unknown, or there twice"));
        }
        match answer.strip_prefix("- ") {
            Some(reason) if reason.len() < REASON => complain("that is no reason"),
            Some(_) => {}
            None if answer.trim().is_empty() => complain("neither a test nor a reason"),
            None => answer
                .split_whitespace()
                .filter(|name| !known.contains(*name))
                .for_each(|name| complain(&format!("there is no test {name}"))),
        }
    }
    let path = &table.path;
    let missing = missing.iter();
    complaints
        .extend(missing.map(|(section, case)| format!("{path}: no line for {section}: {case}")));
    complaints
}

/// The tests of a file, not its other functions: what stands in a table of cases, and what is marked as a test.
fn real_tests(file: &File) -> Vec<String> {
    let module = file.path.rsplit('/').next().unwrap_or_default();
    let module = module.strip_suffix(".rs").unwrap_or(module);
    let cases = cases(&file.text).into_iter();
    let marked = file.text.split("#[test]").skip(1);
    let marked = marked.filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next());
    let marked = marked.map(|name| format!("{module}::{name}"));
    cases.chain(marked).collect()
}

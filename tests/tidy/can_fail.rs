//! Each checker complains when it should, and not when it should not.

use crate::python::python_cases;
use crate::source::File;
use crate::{
    LONGEST, atomics, forbidden_words, layers, lengths, machine_paths, named_tests, unsafe_files,
};

fn count(checker: impl Fn(&[File]) -> Vec<String>, path: &str, text: &str) -> usize {
    checker(&[File::new(path, text)]).len()
}

#[test]
fn layers_that_point_up() {
    let check = |path, text| count(|files| layers(files, &[]), path, text);
    assert_eq!(check("src/sys/futex.rs", "use crate::shm::Arena;"), 1);
    assert_eq!(
        check(
            "src/sync/lock.rs",
            "use crate::{sys, shm::{a, b}, pool::Pool};"
        ),
        1
    );
    assert_eq!(
        check("src/ipc/queue.rs", "fn f() { crate::process::start() }"),
        1
    );
    assert_eq!(
        check("src/thread/mod.rs", "use crate::process::Process;"),
        1,
        "sideways"
    );
    assert_eq!(check("src/shm/mod.rs", "use crate::wire::encode;"), 1);
}

#[test]
fn layers_with_names_that_are_not_in_the_plan() {
    let check = |path, text| count(|files| layers(files, &[]), path, text);
    assert_eq!(check("src/error.rs", "use crate::sys::Errno;"), 1);
    assert_eq!(
        check("src/attic/mod.rs", "use crate::sys::Errno;"),
        1,
        "not in the plan"
    );
    assert_eq!(
        check("src/ipc/queue.rs", "use crate::Pool;"),
        1,
        "a root re-export"
    );
    assert_eq!(
        check(
            "src/pool/mod.rs",
            "use crate::{sys, wire, error, Error, pool::x};"
        ),
        0
    );
    assert_eq!(
        check("src/wire.rs", "// crate::pool\nuse crate::shm::Handle;"),
        0
    );
    assert_eq!(check("src/lib.rs", "pub use crate::pool::Pool;"), 0);
}

#[test]
fn layers_with_exceptions() {
    let file = File::new("src/sys/a.rs", "use crate::shm::b;");
    assert!(layers(&[file], &[("src/sys/a.rs", "shm", "because")]).is_empty());
    assert_eq!(
        layers(&[], &[("src/sys/a.rs", "shm", "because")]).len(),
        1,
        "stale"
    );
}

#[test]
fn atomics_from_elsewhere() {
    let check = |path, text| count(atomics, path, text);
    assert_eq!(
        check("src/sync/a.rs", "use std::sync::atomic::AtomicU32;"),
        1
    );
    assert_eq!(
        check("src/sync/a.rs", "use std::{io, sync::{Arc, atomic}};"),
        1
    );
    assert_eq!(
        check(
            "src/sync/a.rs",
            "static A: core::sync::atomic::AtomicBool = X;"
        ),
        1
    );
    assert_eq!(
        check("src/sync/a.rs", "use crate::sys::atomic::AtomicU32;"),
        0
    );
    assert_eq!(
        check("src/sync/a.rs", "/// use std::sync::atomic::AtomicU32;"),
        0
    );
    assert_eq!(
        check("src/sys/atomic.rs", "pub(crate) use std::sync::atomic::*;"),
        0
    );
}

#[test]
fn unsafe_code_elsewhere() {
    let check = |path| {
        count(
            unsafe_files,
            path,
            "#![expect(unsafe_code, reason = \"x\")]",
        )
    };
    assert_eq!(
        (check("src/pool/mod.rs"), check("src/sys/futex.rs")),
        (1, 0)
    );
}

#[test]
fn long_files() {
    let check = |lines| count(lengths, "src/a.rs", &"x\n".repeat(lines));
    assert_eq!((check(LONGEST + 1), check(LONGEST)), (1, 0));
}

#[test]
fn words_that_are_forbidden() {
    let check = |text| count(forbidden_words, "src/a.rs", text);
    assert_eq!(check("fn f() {\n a.unwrap();\n todo!() }"), 2);
    assert_eq!(
        check("/* todo!() */ let s = \"a\\\".unwrap()\"; let c = '\"';"),
        0
    );
    assert_eq!(
        check("let s = r#\"x\" .unwrap() \"#; fn f<'a>(x: &'a u8) {}"),
        0
    );
    assert_eq!(
        check("#[cfg(test)]\nmod tests { fn f() { a.unwrap(); } }\nb.unwrap();"),
        1
    );
    assert_eq!(count(forbidden_words, "src/sync/tests.rs", "a.unwrap()"), 0);
}

#[test]
fn paths_of_one_machine() {
    let check = |text, checkout| count(|files| machine_paths(files, checkout), "a.md", text);
    assert_eq!(
        check("see /opt/someone/multiproc/src", "/opt/someone/multiproc"),
        1
    );
    assert_eq!(check(concat!("in /ho", "me/someone"), "/src"), 1);
    assert_eq!(check("see /src/lib.rs", "/src"), 0);
}

#[test]
fn tests_that_do_not_exist() {
    let tests = [File::new(
        "tests/it/lock.rs",
        "case(\"lock::table\", f) fn smoke() {}",
    )];
    let check = |text: &str| named_tests(&File::new("docs/a.md", text), &tests).len();
    assert_eq!(check("`lock::smoke` `it::lock::smoke` `lock::table`"), 0);
    assert_eq!(check("`lock::gone` and `queue::smoke`"), 2);
    assert_eq!(check("`Lock::new`, `arena::usage()`, `a b`"), 0);
}

#[test]
fn cases_of_python_without_a_test() {
    let tests = [
        File::new(
            "tests/it/life.rs",
            "case(\"life::close\", close), fn helps() {}",
        ),
        File::new(
            "tests/it/rlock.rs",
            "both_homes! { \"rlock::verbs\" => verbs, }",
        ),
        File::new("tests/harness.rs", "#[test]\nfn starts() {}\nfn helps() {}"),
    ];
    let expected: [(&str, &[&str]); 2] = [("a", &["one", "two"]), ("b", &["one"])];
    let check = |text: &str| {
        let table = File::new("tests/python_cases.tsv", text);
        python_cases(&expected, &table, &tests)
    };
    let good = "# comment\n\na\tone\tlife::close harness::starts rlock::verbs_within\nb\tone\tlife::close\n\
        a\ttwo\t- a reason that is long enough\n";
    assert_eq!(check(good), [""; 0]);
    let bad = |from: &str, to: &str| check(&good.replace(from, to)).len();
    assert_eq!(bad("b\tone\tlife::close\n", ""), 1, "no line");
    assert_eq!(bad("b\tone", "a\tone"), 2, "twice, and no line");
    assert_eq!(bad("b\tone", "b\tthree"), 2, "unknown, and no line");
    assert_eq!(
        bad("b\tone\tlife::close", "b\tone\tlife::gone"),
        1,
        "no such test"
    );
    assert_eq!(bad("harness::starts", "harness::helps"), 1, "not a test");
    assert_eq!(bad("harness::starts", "life::helps"), 1, "not a case");
    assert_eq!(bad("- a reason that is long enough", "- no"), 1);
    assert_eq!(bad("- a reason that is long enough", ""), 1);
    assert_eq!(bad("a\ttwo\t", "a\ttwo "), 2, "two columns, and no line");
}

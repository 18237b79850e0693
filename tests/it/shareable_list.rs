//! Lists in a segment of memory: every verb, every kind of item, NULs and long text, bytes that are no list.

use crate::kit::{kind, start};
use crate::runner::{Case, case};
use crate::shared_memory::{names, own_name, path};
use multiproc::shared_memory::{Item, ShareableList, SharedMemory};
use multiproc::{ErrorKind, Queue};
use std::fs;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("shareable_list::every_verb", every_verb),
        case("shareable_list::by_name", by_name),
        case("shareable_list::every_kind_of_item", kinds_of_items),
        case("shareable_list::types_change", types_change),
        case("shareable_list::exact_fit", exact_fit),
        case("shareable_list::text_of_many_bytes", many_bytes),
        case("shareable_list::nuls_at_the_end", nuls),
        case("shareable_list::very_long_items", very_long),
        case("shareable_list::empty", empty),
        case("shareable_list::copies", copies),
        case("shareable_list::bytes_are_pythons", bytes_are_pythons),
        case("shareable_list::across_processes", across_processes),
        case("shareable_list::numbers_are_one_step", one_step),
        case("shareable_list::in_a_message", in_a_message),
        case("shareable_list::in_a_message_and_gone", gone),
        case("shareable_list::no_lists", no_lists),
        case("shareable_list::every_byte_spoilt", spoilt),
        case("shareable_list::room", room),
    ]
}

fn mixed() -> [Item; 8] {
    [
        "howdy".into(),
        Item::Bytes(b"HoWdY".to_vec()),
        (-273.154).into(),
        100.into(),
        Item::None,
        true.into(),
        42.into(),
        "".into(),
    ]
}

#[track_caller]
fn items(list: &ShareableList) -> Vec<Item> {
    list.iter().map(Result::unwrap).collect()
}

fn every_verb() {
    let before = names();
    let list = ShareableList::create(mixed()).unwrap();
    assert_eq!((list.len(), list.is_empty()), (8, false));
    assert_eq!(items(&list), mixed());
    assert_eq!(list.get(3).unwrap(), Item::Int(100));
    assert_eq!(list.count(42).unwrap(), 1);
    assert_eq!(list.count("nothing").unwrap(), 0);
    assert_eq!(list.count(1).unwrap(), 0, "a bool is no integer");
    assert_eq!(list.index_of("howdy").unwrap(), Some(0));
    assert_eq!(list.index_of(0.5).unwrap(), None);
    let formats: Vec<String> = (0..8).map(|index| list.format(index).unwrap()).collect();
    assert_eq!(
        formats,
        ["8s", "8s", "d", "q", "xxxxxx?x", "xxxxxxx?", "q", "8s"]
    );
    list.set(3, 101).unwrap();
    list.set(0, "bye").unwrap();
    let other = ShareableList::open(list.shm().name()).unwrap();
    assert_eq!(
        (other.get(3).unwrap(), other.get(0).unwrap()),
        (Item::Int(101), "bye".into())
    );
    assert!(list.shm().is_owner() && !other.shm().is_owner());
    for index in [8, 9, usize::MAX] {
        assert_eq!(kind(list.get(index)), ErrorKind::InvalidInput);
        assert_eq!(kind(list.set(index, 1)), ErrorKind::InvalidInput);
        assert_eq!(kind(list.format(index)), ErrorKind::InvalidInput);
        assert_eq!(kind(list.room(index)), ErrorKind::InvalidInput);
    }
    assert_eq!((&list).into_iter().count(), 8);
    assert!(format!("{list:?}").contains("len: 8"));
    drop((list, other));
    assert_eq!(names(), before);
}

fn by_name() {
    let before = names();
    let name = own_name("list");
    let named = ShareableList::create_named(&name, [1, 2]).unwrap();
    assert_eq!(
        kind(ShareableList::create_named(&name, [1])),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind(ShareableList::open("no such list")),
        ErrorKind::NotFound
    );
    assert_eq!(
        items(&ShareableList::open(&name).unwrap()),
        [Item::Int(1), Item::Int(2)]
    );
    drop(named);
    assert_eq!(names(), before);
}

fn kinds_of_items() {
    let all: Vec<Item> = vec![
        i64::MAX.into(),
        i64::MIN.into(),
        u32::MAX.into(),
        f64::INFINITY.into(),
        f64::MIN_POSITIVE.into(),
        (-0.0).into(),
        true.into(),
        false.into(),
        ().into(),
        None::<i64>.into(),
        Some("some").into(),
        String::from("owned").into(),
        b"array".into(),
        b"slice".as_slice().into(),
        vec![0xff, 0, 0xfe].into(),
    ];
    let list = ShareableList::create(all.clone()).unwrap();
    assert_eq!(items(&list), all);
    let list = ShareableList::create([f64::NAN]).unwrap();
    assert!(matches!(list.get(0).unwrap(), Item::Float(number) if number.is_nan()));
    assert_eq!(list.count(f64::NAN).unwrap(), 0);
}

/// Each kind instead of each.
fn types_change() {
    let list = ShareableList::create(mixed()).unwrap();
    for index in 0..8 {
        for item in mixed() {
            list.set(index, item.clone()).unwrap();
            assert_eq!(list.get(index).unwrap(), item);
            for (other, same) in mixed()
                .into_iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
            {
                assert_eq!(list.get(other).unwrap(), same, "{other} beside {index}");
            }
        }
        list.set(index, mixed()[index].clone()).unwrap();
    }
}

fn exact_fit() {
    for length in 0..40 {
        let text = "x".repeat(length);
        let list = ShareableList::create([text.as_str(), "neighbour"]).unwrap();
        let room = list.room(0).unwrap();
        assert_eq!(room, (length / 8 + 1) * 8);
        list.set(0, "y".repeat(room)).unwrap();
        assert_eq!(list.get(0).unwrap(), "y".repeat(room).into());
        let error = list.set(0, "z".repeat(room + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLong, "{error}");
        assert_eq!(list.get(0).unwrap(), "y".repeat(room).into(), "it stays");
        assert_eq!(list.get(1).unwrap(), "neighbour".into());
        assert_eq!(kind(list.set(0, vec![1; room + 1])), ErrorKind::TooLong);
    }
}

/// Python counts characters, and cuts these.
fn many_bytes() {
    let texts = [
        "größer",
        "日本語日本語日本語",
        "🦀🦀🦀🦀🦀🦀🦀🦀",
        "aé€🦀",
        "\u{0}middle\u{0}and",
    ];
    let list = ShareableList::create(texts).unwrap();
    assert_eq!(items(&list), texts.map(Item::from));
    let other = ShareableList::open(list.shm().name()).unwrap();
    assert_eq!(items(&other), texts.map(Item::from));
    assert_eq!(list.room(0).unwrap(), 16);
    other.set(0, "ÄÄÄÄÄÄÄÄ").unwrap();
    assert_eq!(list.get(0).unwrap(), "ÄÄÄÄÄÄÄÄ".into());
    assert_eq!(kind(other.set(0, "ÄÄÄÄÄÄÄÄ€")), ErrorKind::TooLong);
}

/// Python cuts these too.
fn nuls() {
    let ends: [Item; 6] = [
        "\0".into(),
        "seven..\0".into(),
        "text\0\0\0".into(),
        b"\0\0\0\0\0\0\0\0\0".into(),
        b"?\0".into(),
        "".into(),
    ];
    let list = ShareableList::create(ends.clone()).unwrap();
    assert_eq!(items(&list), ends);
    assert_eq!(list.format(2).unwrap(), "7sx");
    list.set(2, "no more").unwrap();
    assert_eq!(list.get(2).unwrap(), "no more".into());
    assert_eq!(list.format(2).unwrap(), "8s");
    // A slot that is full to its last NUL.
    list.set(2, "1234567\0").unwrap();
    assert_eq!(list.get(2).unwrap(), "1234567\0".into());
    list.set(2, ()).unwrap();
    list.set(2, b"\0").unwrap();
    assert_eq!(list.get(2).unwrap(), b"\0".into());
    assert_eq!(items(&list.copy().unwrap())[3], ends[3]);
}

fn very_long() {
    let million = "x".repeat(1_000_000);
    let with_nul = format!("{}\0", "x".repeat(999_998));
    let list = ShareableList::create([million.as_str(), &with_nul]).unwrap();
    assert_eq!(items(&list), [Item::from(million.clone()), with_nul.into()]);
    assert_eq!(list.format(1).unwrap(), "999999sx");
    let late = format!("{}\0", &million[1..]);
    assert_eq!(kind(list.set(0, late.clone())), ErrorKind::InvalidInput);
    assert_eq!(kind(ShareableList::create([late])), ErrorKind::InvalidInput);
    assert_eq!(list.get(0).unwrap(), million.into(), "it stays");
    let most = "y".repeat(9_999_991);
    let list = ShareableList::create([most.as_str()]).unwrap();
    assert_eq!(list.format(0).unwrap(), "9999992s");
    assert_eq!(list.get(0).unwrap(), most.clone().into());
    assert_eq!(
        kind(ShareableList::create([most + "y"])),
        ErrorKind::TooLong
    );
}

fn empty() {
    let list = ShareableList::create([0_i64; 0]).unwrap();
    assert!(list.is_empty() && list.iter().next().is_none());
    assert_eq!(list.shm().size(), 16);
    let other = ShareableList::open(list.shm().name()).unwrap();
    assert_eq!(other.len(), 0);
    assert_eq!(kind(other.get(0)), ErrorKind::InvalidInput);
    assert!(other.copy().unwrap().is_empty());
}

fn copies() {
    let list = ShareableList::create(mixed()).unwrap();
    let copy = list.copy().unwrap();
    assert_ne!(list.shm().name(), copy.shm().name());
    copy.set(0, "other").unwrap();
    assert_eq!(items(&list), mixed());
    assert_eq!(items(&copy)[1..], mixed()[1..]);
}

/// The very bytes that CPython 3.13 writes for `[7, "ab", None, True, 1.5, b"8 bytes!"]`.
fn bytes_are_pythons() {
    let list = [
        7.into(),
        "ab".into(),
        Item::None,
        true.into(),
        1.5.into(),
        b"8 bytes!".into(),
    ];
    let list = ShareableList::create(list).unwrap();
    let mut expected = Vec::new();
    for number in [6_u64, 0, 8, 16, 24, 32, 40, 56] {
        expected.extend(number.to_ne_bytes());
    }
    expected.extend(7_u64.to_ne_bytes());
    expected.extend(b"ab\0\0\0\0\0\0");
    expected.extend([0; 8]);
    expected.extend(b"\0\0\0\0\0\0\0\x01");
    expected.extend(1.5_f64.to_ne_bytes());
    expected.extend(b"8 bytes!\0\0\0\0\0\0\0\0");
    expected
        .extend(b"q\0\0\0\0\0\0\x008s\0\0\0\0\0\0xxxxxx?xxxxxxxx?d\0\0\0\0\0\0\x0016s\0\0\0\0\0");
    expected.extend([0, 1, 3, 0, 0, 2]);
    assert_eq!(fs::read(path(list.shm().name())).unwrap(), expected);
}

fn across_processes() {
    let list = ShareableList::create([Item::Int(1), "one".into()]).unwrap();
    let child = |list: ShareableList| {
        assert_eq!(list.get(1).unwrap(), "one".into());
        list.set(0, "two").unwrap();
        list.set(1, 2.5).unwrap();
    };
    let child = start(child, (ShareableList::open(list.shm().name()).unwrap(),));
    assert_eq!(child.join().unwrap(), 0);
    assert_eq!(items(&list), ["two".into(), Item::Float(2.5)]);
}

/// Who reads while another one writes sees the one or the other.
fn one_step() {
    const ONE: i64 = 0x0101_0101_0101_0101;
    let list = ShareableList::create([Item::Int(ONE), Item::Int(0)]).unwrap();
    let child = |list: ShareableList| {
        let mut number = 1_i64;
        while list.get(1).unwrap() == Item::Int(0) {
            number = number % 100 + 1;
            list.set(0, number * ONE).unwrap();
        }
    };
    let child = start(child, (ShareableList::open(list.shm().name()).unwrap(),));
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 50 {
        let Item::Int(number) = list.get(0).unwrap() else {
            panic!("another type");
        };
        assert_eq!(
            number % ONE,
            0,
            "{number:x}: half of one and half of the other"
        );
        seen.insert(number);
    }
    list.set(1, 1).unwrap();
    assert_eq!(child.join().unwrap(), 0);
}

fn in_a_message() {
    let queue = Queue::<ShareableList>::new().unwrap();
    let list = ShareableList::create(0..1000).unwrap();
    queue
        .put(ShareableList::open(list.shm().name()).unwrap())
        .unwrap();
    assert_eq!(queue.get().unwrap().get(999).unwrap(), Item::Int(999));
}

fn gone() {
    let queue = Queue::<ShareableList>::new().unwrap();
    queue.put(ShareableList::create([1]).unwrap()).unwrap();
    assert!(queue.get().is_err(), "what was put was its owner");
}

/// A segment that holds these bytes, read as a list.
fn read(bytes: &[u8]) -> multiproc::Result<ShareableList> {
    let memory = SharedMemory::create(bytes.len()).unwrap();
    memory.write(0, bytes).unwrap();
    ShareableList::open(memory.name())
}

fn no_lists() {
    let words = |words: &[i64]| {
        words
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect::<Vec<u8>>()
    };
    assert_eq!(
        read(&[0; 16]).unwrap().len(),
        0,
        "sixteen zeros are an empty list"
    );
    for wrong in [
        vec![0],
        vec![0; 8],
        vec![0; 15],
        words(&[-1, 0, 0, 0]),
        words(&[i64::MAX, 0, 0, 0]),
        words(&[i64::MAX / 8, 0, 0, 0]),
        words(&[i64::MIN, 0, 0, 0]),
        words(&[1, 0]),
        words(&[1, 0, 8, 0, 0]),
        words(&[1, 0, 0, 0, 0, 0]),
        words(&[1, 0, -8, 0, 0, 0]),
        words(&[1, 0, 12, 0, 0, 0, 0]),
        words(&[1, 8, 16, 0, 0, 0, 0]),
        words(&[1, 0, i64::MAX, 0, 0, 0, 0]),
        words(&[1, 0, i64::MAX - 7, 0, 0, 0, 0]),
        words(&[2, 0, 16, 8, 0, 0, 0, 0, 0, 0]),
        words(&[0, 8]),
    ] {
        assert_eq!(kind(read(&wrong)), ErrorKind::Corrupt, "{wrong:?}");
    }
    // The shortest that has an item, of no type.
    let mut one = words(&[1, 0, 8, 0, 0]);
    one.push(0);
    let list = read(&one).unwrap();
    assert_eq!(kind(list.get(0)), ErrorKind::Corrupt);
    list.set(0, 5).unwrap();
    assert_eq!(list.get(0).unwrap(), Item::Int(5));
}

/// Any byte may be anything: an error, or some item, and nothing else.
fn spoilt() {
    let list = ShareableList::create(mixed()).unwrap();
    let good = fs::read(path(list.shm().name())).unwrap();
    let memory = SharedMemory::create(good.len()).unwrap();
    let (mut refused, mut wrong) = (0, 0);
    for at in 0..good.len() {
        for byte in [0, 1, 7, 8, 0x7f, 0x80, 0xff, b's', b'9'] {
            memory.write(0, &good).unwrap();
            memory.write(at, &[byte]).unwrap();
            let Ok(list) = ShareableList::open(memory.name()) else {
                refused += 1;
                continue;
            };
            for index in 0..list.len() {
                match list.get(index) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Corrupt => wrong += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Decode, "{error}"),
                }
                list.set(index, 1).unwrap();
                assert_eq!(list.get(index).unwrap(), Item::Int(1));
            }
        }
    }
    assert!(refused > 100 && wrong > 100, "{refused} {wrong}");
}

fn room() {
    let list = ShareableList::create(["1234567", "12345678", ""]).unwrap();
    let rooms: Vec<usize> = (0..3).map(|index| list.room(index).unwrap()).collect();
    assert_eq!(rooms, [8, 16, 8]);
}

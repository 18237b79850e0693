//! What is in a value or an array after somebody died with it.

use crate::kit::{kill_and_join, start};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use multiproc::{AcquireError, Array, ErrorKind, Value};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("value_death::value_is_old_or_new", value_is_old_or_new),
        case("value_death::array_is_in_place", array_is_in_place),
    ]
}

type Large = [u64; 512];

/// Writers are killed anywhere: a value that is had without the news is whole.
fn value_is_old_or_new() {
    let value = Value::<Large>::new([0; 512]).unwrap();
    let writes = |value: Value<Large>| {
        for number in 1.. {
            match value.lock() {
                Ok(mut guard) => *guard = [number; 512],
                Err(AcquireError::OwnerDied(news)) => *news.repaired() = [number; 512],
                Err(AcquireError::Failed(error)) => panic!("{error}"),
            }
        }
    };
    let mut told = 0;
    for round in 0..scaled(60) {
        let writer = start(writes, (value.clone(),));
        // From the first write on.
        let before = value.get().map_or(0, |numbers| numbers[0]);
        let mut looks = 0;
        while looks < round % 7 || value.get().is_ok_and(|numbers| numbers[0] == before) {
            looks += 1;
        }
        kill_and_join(&writer);
        match value.lock() {
            Ok(guard) => assert_eq!(*guard, [guard[0]; 512], "half a value, and no news"),
            Err(AcquireError::OwnerDied(news)) => {
                told += 1;
                *news.repaired() = [0; 512];
            }
            Err(AcquireError::Failed(error)) => panic!("{error}"),
        }
    }
    println!("{told} of {} died with the value", scaled(60));
}

/// A guard of an array is the memory itself: what the dead one wrote is there.
fn array_is_in_place() {
    let (array, here) = (Array::from_slice(&[1_u64, 2, 3]).unwrap(), Gate::new());
    let writes = |array: Array<u64>, here: RemoteGate| {
        let mut guard = array.lock().unwrap();
        guard[1] = 20;
        here.open(1);
        Gate::new().wait();
        guard[2] = 30;
    };
    let writer = start(writes, (array.clone(), here.remote()));
    here.wait();
    kill_and_join(&writer);
    assert_eq!(array.to_vec().unwrap_err().kind(), ErrorKind::OwnerDied);
    let Err(AcquireError::OwnerDied(news)) = array.lock() else {
        panic!("the owner died");
    };
    assert_eq!(*news.repaired(), [1, 20, 3]);
    assert_eq!(array.to_vec().unwrap(), [1, 20, 3]);
}

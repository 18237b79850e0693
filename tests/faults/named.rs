//! Things with a name: their owner dies while it makes or removes them, and nothing is left.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::warm;
use crate::tracee::section;
use multiproc::shared_memory::SharedMemory;
use multiproc::{Lock, NamedPipe, Process};
use std::fs;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<MakesSegment>("named::makes_segment", "no name, a label, its name").long(),
        row::<DropsSegment>("named::drops_segment", "aside, gone, its label gone").long(),
        row::<MakesPipe>(
            "named::makes_pipe",
            "a label, a pipe aside, a label, its path",
        )
        .long(),
        row::<DropsPipe>("named::drops_pipe", "aside, gone, its label gone").long(),
    ]
}

/// Where the things of this row are, and nothing else.
struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    fn new() -> Self {
        let name = format!("named-{}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        // The last row's may be there.
        fs::create_dir_all(&folder).unwrap();
        Self { folder, name }
    }

    fn pipe(&self) -> PathBuf {
        self.folder.join("pipe")
    }

    /// Whoever sweeps may be at it in this moment, and takes the label last.
    fn assert_clean(self) {
        while !own_labels().is_empty() {
            std::thread::yield_now();
        }
        assert!(!Path::new("/dev/shm").join(&self.name).exists());
        let left: Vec<_> = fs::read_dir(&self.folder).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        fs::remove_dir(&self.folder).unwrap();
        // What was killed aside is found by its label only.
        let segment = SharedMemory::create_named(&self.name, 1).unwrap();
        drop(segment);
    }
}

/// Labels that name this row's things.
fn own_labels() -> Vec<PathBuf> {
    let mark = format!("named-{}", std::process::id());
    let names = fs::read_dir("/dev/shm").unwrap();
    let paths = names.filter_map(|entry| Some(entry.ok()?.path()));
    let is_label = |path: &PathBuf| path.to_string_lossy().contains("/multiproc-");
    let ours = |path: &PathBuf| {
        fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&mark))
    };
    paths.filter(is_label).filter(ours).collect()
}

/// The first thing with a name that a process makes has more to do than the next.
fn warm_names(taken: &Lock) {
    warm(taken);
    drop(SharedMemory::create(1).unwrap());
}

macro_rules! scenes {
    ($($scene:ident: $child:expr;)*) => {
        $(
            struct $scene(Place);

            impl Scene for $scene {
                // Files are made; the arena has no part in it.
                const IN_KERNEL: bool = true;

                fn prepare() -> Self {
                    Self(Place::new())
                }

                fn start(&self, keep: &Keep) -> Process {
                    let child = $child;
                    let arguments = (keep.taken.clone(), self.0.name.clone(), self.0.pipe());
                    Process::builder(child, arguments).start().unwrap()
                }

                fn check(self, _left: bool) {
                    self.0.assert_clean();
                }
            }
        )*
    };
}

scenes! {
    MakesSegment: |taken: Lock, name: String, _pipe: PathBuf| {
        warm_names(&taken);
        let _made = ManuallyDrop::new(section(|| SharedMemory::create_named(&name, 100)));
    };
    DropsSegment: |taken: Lock, name: String, _pipe: PathBuf| {
        warm_names(&taken);
        let made = SharedMemory::create_named(&name, 100).unwrap();
        section(|| drop(made));
    };
    MakesPipe: |taken: Lock, _name: String, pipe: PathBuf| {
        warm_names(&taken);
        let _made = ManuallyDrop::new(section(|| NamedPipe::create(&pipe)));
    };
    DropsPipe: |taken: Lock, _name: String, pipe: PathBuf| {
        warm_names(&taken);
        let made = NamedPipe::create(&pipe).unwrap();
        section(|| drop(made));
    };
}

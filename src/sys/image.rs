//! This program's image in memory: where its read-only data lies, and which constructors it has.
#![expect(unsafe_code, reason = "program headers are read through raw pointers")]
//!
//! # Safety
//! Headers and sections of the main executable are mapped for the life of the process by the loader; ranges read here
//! are used only to *check* an address, or name constructors that the loader itself would call.

use nix::libc;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::OnceLock;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PF_W: u32 = 2;
const DT_NULL: i64 = 0;
const DT_INIT_ARRAY: i64 = 25;
const DT_INIT_ARRAYSZ: i64 = 27;

/// What the program headers of the main executable say, as addresses.
#[derive(Debug, Default)]
struct Image {
    /// Never written after the loader is done: segments that are not writable, and RELRO.
    constant: Vec<Range<usize>>,
    dynamic: Option<Range<usize>>,
    base: usize,
    fingerprint: u64,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image::default();
        // SAFETY: the callback gets the pointer given here and is done with it when the call returns.
        unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
        image
    })
}

/// The loader lists the main executable first; the answer 1 ends the walk.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: `image` passed a pointer to its own local variable and waits for this call.
    let image = unsafe { &mut *data.cast::<Image>() };
    // SAFETY: the loader passes a valid description for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: the loader says that so many headers lie there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    image.base = to_usize(info.dlpi_addr);
    let mut hasher = DefaultHasher::new();
    for header in headers {
        let start = image.base.wrapping_add(to_usize(header.p_vaddr));
        let range = start..start.wrapping_add(to_usize(header.p_memsz));
        let shape = (
            header.p_type,
            header.p_flags,
            header.p_vaddr,
            header.p_memsz,
        );
        (shape, header.p_filesz).hash(&mut hasher);
        match header.p_type {
            PT_NOTE if header.p_flags & PF_W == 0 => {
                let first = std::ptr::with_exposed_provenance::<u8>(range.start);
                // SAFETY: the loader mapped the notes there, so many bytes of them, and nobody writes to them.
                unsafe { std::slice::from_raw_parts(first, range.len()) }.hash(&mut hasher);
            }
            PT_LOAD if header.p_flags & PF_W == 0 => image.constant.push(range),
            PT_GNU_RELRO => image.constant.push(range),
            PT_DYNAMIC => image.dynamic = Some(range),
            _ => {}
        }
    }
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    image.fingerprint = hasher.finish();
    1
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A number that two programs hardly share: from the shape of the executable and its notes, the linker's build id among them.
pub(crate) fn fingerprint() -> u64 {
    image().fingerprint
}

/// Do `length` bytes from `address` lie in constant data of the main executable?
pub(crate) fn is_constant(address: usize, length: usize) -> bool {
    let Some(end) = address.checked_add(length) else {
        return false;
    };
    image()
        .constant
        .iter()
        .any(|range| range.start <= address && end <= range.end)
}

/// A constructor as the loader calls it.
pub(crate) type Constructor =
    extern "C" fn(libc::c_int, *const *const libc::c_char, *const *const libc::c_char);

/// The constructors of the main executable (`.init_array`), in the order in which the loader calls them.
pub(crate) fn constructors() -> &'static [Option<Constructor>] {
    let image = image();
    let Some(dynamic) = &image.dynamic else {
        return &[];
    };
    let entries = (dynamic.end - dynamic.start) / size_of::<[i64; 2]>();
    let first = std::ptr::with_exposed_provenance::<[i64; 2]>(dynamic.start);
    // SAFETY: the loader mapped the dynamic section there, so many bytes long and aligned for its words.
    let entries = unsafe { std::slice::from_raw_parts(first, entries) };
    let find = |tag| {
        let live = entries.iter().take_while(|entry| entry[0] != DT_NULL);
        live.copied()
            .find(|entry| entry[0] == tag)
            .map(|entry| to_usize(entry[1].cast_unsigned()))
    };
    let (Some(start), Some(bytes)) = (find(DT_INIT_ARRAY), find(DT_INIT_ARRAYSZ)) else {
        return &[];
    };
    let address = image.base.wrapping_add(start);
    let first = std::ptr::with_exposed_provenance::<Option<Constructor>>(address);
    // SAFETY: the dynamic section names the array that the loader walks: so many function pointers, null allowed.
    unsafe { std::slice::from_raw_parts(first, bytes / size_of::<usize>()) }
}

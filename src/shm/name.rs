//! The names of the members, for those who ask who holds a lock. What does not fit into a slot is cut off.

use super::arena::Arena;
use super::layout::Slot;
use super::member::{self, Member};
use crate::sys::atomic::Relaxed;

/// Bytes of a name in a slot.
const ROOM: usize = 64;

/// Notes the name of this process, if it is a member.
pub(crate) fn note(name: &str) {
    let slot = Arena::existing().and_then(|arena| member::known()?.slot(arena));
    if let Some(slot) = slot {
        write(slot, name);
    }
}

pub(super) fn write(slot: &Slot, name: &str) {
    let end = (0..=name.len().min(ROOM)).rev();
    let end = end
        .into_iter()
        .find(|&end| name.is_char_boundary(end))
        .unwrap_or(0);
    let mut bytes = [0; ROOM];
    bytes[..end].copy_from_slice(&name.as_bytes()[..end]);
    for (word, bytes) in slot.name.iter().zip(bytes.chunks_exact(8)) {
        let bytes = bytes.try_into().unwrap_or([0; 8]);
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
}

/// The name of a member, and its process id; `None` when it is not in its place any more.
pub(crate) fn look_up(member: Member) -> Option<(String, u32)> {
    let slot = member.slot(Arena::existing()?)?;
    let words = slot.name.iter().map(|word| word.load(Relaxed));
    let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    let end = bytes.iter().position(|&byte| byte == 0);
    let name = String::from_utf8_lossy(&bytes[..end.unwrap_or(ROOM)]).into_owned();
    let pid = member.pid(slot);
    // Its slot may have got another member meanwhile.
    member.slot(Arena::existing()?)?;
    Some((name, pid))
}

//! Where a panic happened: only a hook is told that, so there is one. It notes the place for the thread that panics and
//! then does what the hook before it did.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

/// Puts the hook in front of the one that is there, once per process. A program that replaces it later loses the places,
/// nothing else.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info.location().map(ToString::to_string));
            before(info);
        }));
    });
}

/// Forgets what panicked on this thread before.
pub(crate) fn clear() {
    note(None);
}

/// Where this thread panicked since it was [cleared](clear), as `file:line:column`.
pub(crate) fn take() -> Option<String> {
    PLACE.try_with(|place| place.try_borrow_mut().ok()?.take()).ok().flatten()
}

fn note(found: Option<String>) {
    // A thread that is about to end has nothing left to note it in, and needs nothing noted.
    let _ = PLACE.try_with(|place| {
        if let Ok(mut place) = place.try_borrow_mut() {
            *place = found;
        }
    });
}

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_the_last_panic_of_the_thread_is_kept_until_it_is_taken() {
        watch();
        clear();
        let line = line!() + 1;
        panic::catch_unwind(|| panic!("boom")).unwrap_err();
        let place = take().unwrap();
        assert!(place.starts_with(&format!("{}:{line}:", file!())), "{place}");
        assert_eq!(take(), None);
        std::thread::spawn(|| panic!("elsewhere")).join().unwrap_err();
        assert_eq!(take(), None, "another thread's panic is not this one's");
    }
}

//! A file system for SQLite around the default one.
//!
//! Each call is counted, may go wrong as a [`Fault`] says, and is handed on to the default file system otherwise; so the
//! files are real ones, locks and shared memory included. What changes files can be recorded.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use crate::fault::{Call, Effect, Fault, Part};
use crate::recording::{Recording, What};

/// A file system that was registered under a name of its own. It stays registered until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct FaultyVfs {
    shared: &'static Shared,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// The file system underneath.
    real: RealVfs,
    faults: Mutex<Vec<Fault>>,
    recording: Mutex<Option<Recording>>,
    calls: [[AtomicU64; PARTS]; CALLS],
    without_shared_memory: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct RealVfs(*mut ffi::sqlite3_vfs);

// SAFETY: the engine itself calls a file system from any thread, and it is never changed.
unsafe impl Send for RealVfs {}
// SAFETY: as above.
unsafe impl Sync for RealVfs {}

/// What the engine gets as an open file; that of the file system underneath stands right behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    shared: &'static Shared,
    part: Part,
    /// Owned; made by `CString::into_raw`.
    name: *mut c_char,
}

impl FaultyVfs {
    /// Registers a new one.
    ///
    /// # Panics
    /// Where the engine has no file system of its own.
    pub fn register() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("faulty-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        // SAFETY: no name asks for the default one.
        let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!real.is_null(), "the engine has a default file system");
        let c_name = CString::new(name.clone()).expect("the name has no zero byte");
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            name,
            real: RealVfs(real),
            faults: Mutex::new(Vec::new()),
            recording: Mutex::new(None),
            calls: Default::default(),
            without_shared_memory: AtomicBool::new(false),
        }));
        // SAFETY: it was given by the engine and is never changed.
        let (path_bytes, file_bytes) = unsafe { ((*real).mxPathname, (*real).szOsFile) };
        let own_bytes = c_int::try_from(mem::size_of::<File>()).expect("it is small");
        // SAFETY: a structure of numbers, pointers and optional functions may be all zero.
        let mut vfs: ffi::sqlite3_vfs = unsafe { mem::zeroed() };
        vfs.iVersion = 2;
        vfs.szOsFile = own_bytes + file_bytes;
        vfs.mxPathname = path_bytes;
        vfs.zName = c_name.into_raw();
        vfs.pAppData = ptr::from_ref(shared).cast_mut().cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        vfs.xAccess = Some(access);
        vfs.xFullPathname = Some(full_pathname);
        vfs.xRandomness = Some(randomness);
        vfs.xSleep = Some(sleep);
        vfs.xCurrentTime = Some(current_time);
        vfs.xGetLastError = Some(last_error);
        vfs.xCurrentTimeInt64 = Some(current_time_ms);
        // SAFETY: it lives until the process ends.
        let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
        assert_eq!(registered, ffi::SQLITE_OK, "a new name can be registered");
        Self { shared }
    }

    /// The name to open connections with.
    pub fn name(self) -> &'static str {
        &self.shared.name
    }

    /// From now on this goes wrong, beside what was injected before.
    pub fn inject(self, fault: Fault) {
        lock(&self.shared.faults).push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(self) {
        lock(&self.shared.faults).clear();
    }

    /// Files have no shared memory any more, as on a network file system.
    pub fn take_shared_memory(self) {
        self.shared.without_shared_memory.store(true, Ordering::Relaxed);
    }

    /// How many calls of this kind there were, those that went wrong included.
    pub fn calls(self, call: Call, part: Part) -> u64 {
        self.shared.calls[call as usize][part as usize].load(Ordering::Relaxed)
    }

    /// Records from now on.
    pub fn record(self) {
        *lock(&self.shared.recording) = Some(Recording::default());
    }

    /// How many changes were recorded so far.
    pub fn moment(self) -> usize {
        lock(&self.shared.recording).as_ref().map_or(0, Recording::moment)
    }

    /// What was recorded so far.
    pub fn recording(self) -> Recording {
        lock(&self.shared.recording).clone().unwrap_or_default()
    }
}

impl Shared {
    /// Counts a call and says what becomes of it: `None` for what it should.
    fn meet(&self, call: Call, part: Part) -> Option<Effect> {
        self.calls[call as usize][part as usize].fetch_add(1, Ordering::Relaxed);
        let effect = lock(&self.faults).iter_mut().filter_map(|fault| fault.meet(call, part)).last();
        if effect == Some(Effect::AbortBefore) {
            std::process::abort();
        }
        effect
    }

    /// Does a call unless it goes wrong, and notes what it changed.
    fn does(
        &self,
        call: Call,
        file: (&str, Part),
        does: impl FnOnce() -> c_int,
        what: Option<What>,
    ) -> c_int {
        let (name, part) = file;
        let effect = self.meet(call, part);
        if let Some(code) = effect.and_then(|effect| code_of(call, effect)) {
            return code;
        }
        // Under the lock, so that the order of the recording is that of the changes.
        let mut recording = lock(&self.recording);
        let code = does();
        if let (Some(recording), Some(what), ffi::SQLITE_OK) = (recording.as_mut(), what, code) {
            recording.push(name, what);
        }
        drop(recording);
        if effect == Some(Effect::AbortAfter) {
            std::process::abort();
        }
        code
    }
}

/// The engine's code for a call that fails.
fn code_of(call: Call, effect: Effect) -> Option<c_int> {
    match (effect, call) {
        (Effect::AbortBefore | Effect::AbortAfter, _) => None,
        (Effect::Full, _) => Some(ffi::SQLITE_FULL),
        (Effect::IoError, Call::Open) => Some(ffi::SQLITE_CANTOPEN),
        (Effect::IoError, Call::Read) => Some(ffi::SQLITE_IOERR_READ),
        (Effect::IoError, Call::Write) => Some(ffi::SQLITE_IOERR_WRITE),
        (Effect::IoError, Call::Sync) => Some(ffi::SQLITE_IOERR_FSYNC),
        (Effect::IoError, Call::Truncate) => Some(ffi::SQLITE_IOERR_TRUNCATE),
        (Effect::IoError, Call::MapShared) => Some(ffi::SQLITE_IOERR_SHMMAP),
        (Effect::IoError, Call::LockWrite | Call::UnlockWrite) => Some(ffi::SQLITE_IOERR_SHMLOCK),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last part of a path, as far as it is text.
fn name_of(path: &CStr) -> String {
    let text = path.to_string_lossy();
    text.rsplit('/').next().unwrap_or_default().to_owned()
}

const CALLS: usize = 8;
const PARTS: usize = 3;
/// Where the write lock stands among the locks of the shared memory.
const WRITE_LOCK: c_int = 0;

/// The shared part of a file system that the engine hands in.
///
/// # Safety
/// `vfs` is one that was made by [`FaultyVfs::register`].
unsafe fn shared_of(vfs: *mut ffi::sqlite3_vfs) -> &'static Shared {
    // SAFETY: it points to what was leaked there.
    unsafe { &*(*vfs).pAppData.cast::<Shared>() }
}

/// Our part of an open file, and the file underneath.
///
/// # Safety
/// `file` is one that [`open`] has filled.
unsafe fn parts_of<'a>(file: *mut ffi::sqlite3_file) -> (&'a File, *mut ffi::sqlite3_file) {
    // SAFETY: the engine gave room for both, and `open` has written ours.
    unsafe { (&*file.cast::<File>(), file.cast::<File>().add(1).cast()) }
}

/// Calls a function of the file or file system underneath.
macro_rules! real {
    ($real:expr, vfs $name:ident ($($argument:expr),*)) => {
        // SAFETY: the arguments are those of the engine, for the file system that it would have called itself.
        unsafe { (*$real).$name.map_or(ffi::SQLITE_ERROR, |call| call($real, $($argument),*)) }
    };
    ($real:expr, file $name:ident ($($argument:expr),*)) => {
        // SAFETY: the file is open, and the arguments are those of the engine.
        unsafe { (*(*$real).pMethods).$name.map_or(ffi::SQLITE_ERROR, |call| call($real, $($argument),*)) }
    };
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: the engine hands in what was registered, and room for a file.
    let shared = unsafe {
        (*file).pMethods = ptr::null();
        shared_of(vfs)
    };
    let part = match flags {
        flags if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => Part::Database,
        flags if flags & ffi::SQLITE_OPEN_WAL != 0 => Part::Wal,
        _ => Part::Other,
    };
    // SAFETY: a name that is given is text that ends in a zero.
    let known = if name.is_null() { String::new() } else { name_of(unsafe { CStr::from_ptr(name) }) };
    // SAFETY: there is room for ours and the one underneath.
    let real = unsafe { file.cast::<File>().add(1).cast::<ffi::sqlite3_file>() };
    let does = || real!(shared.real.0, vfs xOpen(name, real, flags, out_flags));
    let code = shared.does(Call::Open, (&known, part), does, None);
    if code != ffi::SQLITE_OK {
        // One that is not open is not closed by the engine.
        return code;
    }
    let methods = if shared.without_shared_memory.load(Ordering::Relaxed) { &BARE } else { &METHODS };
    let ours = File {
        base: ffi::sqlite3_file { pMethods: methods },
        shared,
        part,
        name: CString::new(known).unwrap_or_default().into_raw(),
    };
    // SAFETY: there is room for ours.
    unsafe { ptr::write(file.cast::<File>(), ours) };
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` has filled it, and its name is dropped once.
    let real = unsafe {
        let (ours, real) = parts_of(file);
        drop(CString::from_raw(ours.name));
        real
    };
    real!(real, file xClose())
}

/// Our part of a file with its name, and the file underneath.
macro_rules! known {
    ($file:expr) => {{
        // SAFETY: `open` has filled it, and its name lives as long as it is open.
        let (ours, real) = unsafe { parts_of($file) };
        // SAFETY: as above.
        let name = unsafe { CStr::from_ptr(ours.name) }.to_str().unwrap_or_default();
        (ours.shared, (name, ours.part), real)
    }};
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (shared, known, real) = known!(file);
    shared.does(Call::Read, known, || real!(real, file xRead(into, amount, offset)), None)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (shared, known, real) = known!(file);
    // SAFETY: the engine lends so many bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(amount).unwrap_or(0)) };
    let what = lock(&shared.recording)
        .is_some()
        .then(|| What::Write { offset: usize::try_from(offset).unwrap_or(0), bytes: bytes.to_vec() });
    let code = shared.does(Call::Write, known, || real!(real, file xWrite(from, amount, offset)), what);
    if code == ffi::SQLITE_FULL {
        // A disk that becomes full takes what fits.
        let _ = real!(real, file xWrite(from, amount / 2, offset));
    }
    code
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    let (shared, known, real) = known!(file);
    let what = What::Truncate { bytes: usize::try_from(size).unwrap_or(0) };
    shared.does(Call::Truncate, known, || real!(real, file xTruncate(size)), Some(what))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let (shared, known, real) = known!(file);
    shared.does(Call::Sync, known, || real!(real, file xSync(flags)), Some(What::Sync))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xFileSize(size))
}

unsafe extern "C" fn lock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xLock(level))
}

unsafe extern "C" fn unlock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xCheckReservedLock(out))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, of: *mut c_void) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xFileControl(what, of))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let (shared, known, real) = known!(file);
    let does = || real!(real, file xShmMap(page, bytes, extend, out));
    shared.does(Call::MapShared, known, does, None)
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let (shared, known, real) = known!(file);
    let does = || real!(real, file xShmLock(offset, count, flags));
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    if offset != WRITE_LOCK || count != 1 || !exclusive {
        return does();
    }
    let call = if flags & ffi::SQLITE_SHM_UNLOCK != 0 { Call::UnlockWrite } else { Call::LockWrite };
    shared.does(call, known, does, None)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    let (_, _, real) = known!(file);
    // SAFETY: the file is open.
    unsafe {
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    let (_, _, real) = known!(file);
    real!(real, file xShmUnmap(delete))
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: the engine hands in what was registered, and a name.
    let (shared, known) = unsafe { (shared_of(vfs), name_of(CStr::from_ptr(name))) };
    let mut recording = lock(&shared.recording);
    let code = real!(shared.real.0, vfs xDelete(name, sync));
    if let (Some(recording), ffi::SQLITE_OK) = (recording.as_mut(), code) {
        recording.push(&known, What::Delete);
        if sync != 0 {
            recording.push(&known, What::Sync);
        }
    }
    code
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xAccess(name, flags, out))
}

unsafe extern "C" fn full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    bytes: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xFullPathname(name, bytes, out))
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xRandomness(bytes, out))
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xSleep(microseconds))
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xCurrentTime(out))
}

unsafe extern "C" fn current_time_ms(vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xCurrentTimeInt64(out))
}

unsafe extern "C" fn last_error(vfs: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the engine hands in what was registered.
    let shared = unsafe { shared_of(vfs) };
    real!(shared.real.0, vfs xGetLastError(bytes, out))
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Those of a file system without shared memory.
static BARE: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    ..METHODS
};

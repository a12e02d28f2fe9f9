//! What is allowed: the layers, the names that have a place, and where SQL may stand.

/// One package of the workspace, and what it may know.
pub(super) struct Layer {
    pub(super) package: &'static str,
    /// Packages of the workspace that it, and its tests, may use.
    pub(super) uses: &'static [&'static str],
    /// What must come without its default features.
    pub(super) bare: &'static [&'static str],
    /// What it must never build on; its tests may.
    pub(super) never: &'static [&'static str],
    /// Dependencies of which it may ask only for these features.
    pub(super) only: &'static [(&'static str, &'static [&'static str])],
}

const CORE: &str = "azoth-scheduler-core";
const STORE: &str = "azoth-scheduler-store";
const RUNTIME: &str = "azoth-scheduler-runtime";
const MACROS: &str = "azoth-scheduler-macros";
const FACADE: &str = "azoth-scheduler";

/// Every package, from left to right. A package that is not here and is never published is test support.
pub(super) const LAYERS: &[Layer] = &[
    Layer {
        package: CORE,
        uses: &[],
        // Its types stand in the signatures of the cron engine; its clock stays off.
        bare: &["chrono"],
        never: &[
            "anyhow",
            "async-trait",
            "bincode",
            "getrandom",
            "r2d2",
            "r2d2_sqlite",
            "rand",
            "rusqlite",
            "serde_json",
            "tokio",
            "tracing",
        ],
        only: &[("chrono", &[])],
    },
    Layer {
        package: STORE,
        uses: &[CORE],
        bare: &[CORE],
        never: &["anyhow", "saffron"],
        only: &[("tokio", &["sync"])],
    },
    Layer {
        package: RUNTIME,
        uses: &[CORE, STORE],
        bare: &[CORE, STORE],
        never: &["anyhow", "bincode", "r2d2", "r2d2_sqlite", "rusqlite", "saffron"],
        only: &[],
    },
    Layer {
        package: MACROS,
        uses: &[CORE],
        bare: &[CORE],
        never: &["anyhow", "bincode", "r2d2", "r2d2_sqlite", "rusqlite", "saffron", "tokio"],
        only: &[(CORE, &["parse"])],
    },
    Layer {
        package: FACADE,
        uses: &[CORE, STORE, RUNTIME, MACROS],
        bare: &[CORE, STORE, RUNTIME],
        never: &["anyhow", "bincode", "r2d2", "r2d2_sqlite", "rusqlite", "saffron"],
        only: &[],
    },
    Layer { package: "xtask", uses: &[], bare: &[], never: &[], only: &[] },
];

/// The packages whose tests may use test support: the store, and the whole above it.
pub(super) const USERS_OF_TEST_SUPPORT: &[&str] = &[STORE, FACADE];

/// Tests that look to the right: the examples in the macro's docs show what its users write.
pub(super) const TESTS_LOOK_RIGHT: &[(&str, &str)] = &[(MACROS, FACADE)];

/// A crate whose name may stand only in these places, each a file or, with a `/` at the end, a folder.
pub(super) struct Name {
    pub(super) name: &'static str,
    pub(super) places: &'static [&'static str],
}

/// The module around the cron engine.
const CRON_ENGINE: &[&str] =
    &["azoth-scheduler-core/src/schedule/engine.rs", "azoth-scheduler-core/src/schedule/engine/"];

/// Where a crate may stand whose types other cron crates have in their signatures: the engine's module, and the
/// benchmarks that compare.
const TYPES_OF_CRON_CRATES: &[&str] = &[CRON_ENGINE[0], CRON_ENGINE[1], "azoth-scheduler-core/benches/"];

pub(super) const NAMES: &[Name] = &[
    Name {
        name: "bincode",
        places: &["azoth-scheduler-store/src/codec.rs", "azoth-scheduler-store/src/codec/"],
    },
    Name { name: "saffron", places: CRON_ENGINE },
    Name { name: "chrono", places: TYPES_OF_CRON_CRATES },
    Name {
        name: "rusqlite",
        places: &[
            "azoth-scheduler-store/",
            "azoth-scheduler-faults/",
            "src/",
            "tests/",
            "examples/",
            "benches/",
        ],
    },
];

/// Where no SQL may stand, tests beside the code included.
pub(super) const WITHOUT_SQL: &[&str] = &[
    "azoth-scheduler-core/src/",
    "azoth-scheduler-macros/src/",
    "azoth-scheduler-runtime/src/",
    "azoth-scheduler-store/src/",
    "src/",
];

/// The part of those that is there for SQL.
pub(super) const SQL_ROOMS: &[&str] =
    &["azoth-scheduler-store/src/sqlite.rs", "azoth-scheduler-store/src/sqlite/"];

/// Where SQL may name only the user's own tables.
pub(super) const USERS_SQL: &[&str] = &["examples/"];

/// Sources that must do without the standard library.
pub(super) const NO_STD: &str = "azoth-scheduler-core/src/";

//! Stores side by side under the same random commands.

use azoth_scheduler_store::conformance::random_walk;
use azoth_scheduler_store::{MemoryStore, Store};
use proptest::prelude::*;
use proptest::test_runner::Config;

proptest! {
    #![proptest_config(cases(40))]

    /// I5, I6: one store is rebuilt where the other is not, and still they answer the same.
    #[test]
    fn a_rebuilt_store_answers_like_one_that_was_not(seed in any::<u64>(), steps in 1..300usize) {
        let walk = async { random_walk(&MemoryStore::new(), &MemoryStore::new(), seed, steps).await };
        wait_for(walk);
    }
}

#[test]
fn the_same_seed_is_the_same_walk() {
    let stores = [MemoryStore::new(), MemoryStore::new(), MemoryStore::new(), MemoryStore::new()];
    let [a, b, c, d] = &stores;
    wait_for(async {
        random_walk(a, b, 7, 500).await;
        random_walk(c, d, 7, 500).await;
        assert_eq!(a.head().await, c.head().await);
        let events = a.head().await.unwrap().number();
        assert!(events > 500, "a walk gets somewhere: {events} events");
    });
}

/// So many cases, unless `PROPTEST_CASES` asks for another number.
pub(crate) fn cases(usual: u32) -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    if asked { Config::default() } else { Config::with_cases(usual) }
}

pub(crate) fn wait_for(walk: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without a driver can be made").block_on(walk);
}

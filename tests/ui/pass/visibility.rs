mod outer {
    pub mod inner {
        use azoth_scheduler::task_handler;

        #[task_handler]
        pub fn public() {}

        #[task_handler]
        pub(crate) async fn of_the_crate() {}

        #[task_handler]
        pub(super) fn of_the_parent() {}

        #[task_handler]
        pub(in crate::outer) fn of_a_path() {}

        #[task_handler]
        fn private() {}

        // What only this module knows may be its payload.
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Secret;

        #[task_handler]
        fn keep(_: Secret) {}

        pub fn here() -> Vec<&'static str> {
            let _ = Keep::request("id", &Secret);
            vec![Private::TASK_TYPE]
        }
    }

    pub fn here() -> Vec<&'static str> {
        vec![inner::OfTheParent::TASK_TYPE, inner::OfAPath::TASK_TYPE]
    }
}

fn main() {
    outer::inner::here();
    outer::here();
    let _ = outer::inner::Public::request("id");
    let _ = outer::inner::OfTheCrate::request("id");
}

use azoth_scheduler::{TaskHandler, task_handler};

fn task_type() -> String {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Local {
        n: u8,
    }

    #[task_handler]
    async fn count(local: Local) -> u8 {
        local.n
    }

    let _ = Count::request("id", &Local { n: 1 });
    Count.task_type().to_owned()
}

fn main() {
    assert_eq!(task_type(), "count");
    {
        #[azoth_scheduler::task_handler(task_type = "other")]
        fn count() {}
        assert_eq!(Count::TASK_TYPE, "other");
    }
}

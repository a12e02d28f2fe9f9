use azoth_scheduler::{State, TaskContext, task_handler};

macro_rules! handler {
    ($vis:vis $function:ident, $name:ident, $type:literal, $payload:ty, $state:ty, $cron:literal) => {
        #[task_handler(task_type = $type, name = $name, timeout = "5s")]
        $vis async fn $function(payload: $payload, ctx: &TaskContext, state: State<$state>) -> $payload {
            let _ = (ctx, state);
            payload
        }

        mod $function {
            #[azoth_scheduler::task_handler(cron = $cron)]
            pub fn repeated() {}
        }
    };
}

handler!(pub count, Counter, "count", u64, Vec<u8>, "0 0 9 * * 1-5");
handler!(join, Joiner, "join", Vec<String>, (u8, u8), "@daily");

macro_rules! raw {
    ($payload:ty) => {
        #[task_handler]
        fn raw(bytes: $payload) {
            let _: Vec<u8> = bytes;
        }
    };
}

raw!(Vec<u8>);

fn main() {
    let _ = Counter::request("id", &7);
    let _ = Joiner::request("id", &Vec::new());
    let _ = Raw::request("id", [7]);
    assert_eq!(azoth_scheduler::task_handlers![Counter, Joiner, count::Repeated, join::Repeated].len(), 4);
}

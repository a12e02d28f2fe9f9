// Whatever a module calls these things, the handler means the real ones.
#![allow(dead_code, non_camel_case_types, unused_macros)]

mod hostile {
    pub struct Result;
    pub struct Option;
    pub struct Vec;
    pub struct String;
    pub struct Box;
    pub struct Ok;
    pub struct Err;
    pub struct Some;
    pub struct Clone;
    pub struct Send;
    pub struct Into;
    pub struct From;
    pub struct TaskHandler;
    pub struct TaskResult;
    pub struct TaskEvent;
    pub struct TaskOptions;
    pub struct async_trait;
    pub struct str;
    pub struct u8;

    pub mod core {}
    pub mod std {}
    pub mod azoth_scheduler {}

    macro_rules! vec {
        () => {
            compile_error!("not this one")
        };
    }

    macro_rules! panic {
        () => {
            compile_error!("not this one")
        };
    }

    #[::azoth_scheduler::task_handler(
        aliases = ["b"],
        timeout = "1s",
        max_retries = 1,
        backoff = "1s..2s",
        priority = "low",
        version = 2,
        upgrade = length
    )]
    pub async fn everything(
        payload: ::std::string::String,
        state: ::azoth_scheduler::State<u16>,
        context: &::azoth_scheduler::TaskContext,
    ) -> ::std::result::Result<u32, ::std::io::Error> {
        let _ = (payload, state, context);
        ::std::result::Result::Ok(1)
    }

    fn length(before: u64) -> ::std::string::String {
        before.to_string()
    }

    #[::azoth_scheduler::task_handler(cron = "@daily")]
    pub fn nightly(bytes: ::std::vec::Vec<::core::primitive::u8>) {
        drop(bytes)
    }
}

fn main() {
    let _ = hostile::Everything::request("id", &"a".to_string());
    let _ = hostile::Nightly::request("id", []);
}

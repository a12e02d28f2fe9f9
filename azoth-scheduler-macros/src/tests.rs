//! What is emitted, as tokens. Whether it compiles and does what it should is tested in the root package.

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::upper_camel_case;
use crate::handler;

fn emitted(args: TokenStream, item: TokenStream) -> String {
    handler(args, item).to_string()
}

#[test]
fn function_is_handed_on_token_by_token() {
    let item = quote! {
        /// Sends.
        #[inline]
        pub(crate) async fn send(to: String) { this is not = even Rust }
    };
    let text = emitted(quote!(), item.clone());
    assert!(text.starts_with(&item.to_string()), "{text}");
    assert!(text.contains("pub (crate) struct Send ;"), "{text}");
    let faulty = emitted(quote!(timeout = 7), item.clone());
    assert!(faulty.starts_with(&item.to_string()) && faulty.contains("compile_error"), "{faulty}");
}

#[test]
fn every_path_into_the_library_starts_where_the_argument_says() {
    let item = || {
        quote!(
            fn send(to: String, state: State<u8>) -> u8 {
                7
            }
        )
    };
    let default = emitted(quote!(cron = "@daily"), item());
    assert!(default.contains(":: azoth_scheduler :: __private"));
    let renamed = emitted(quote!(aliases = ["a"], timeout = "1s", crate = "my::clockwork"), item());
    assert!(renamed.contains("my :: clockwork :: __private :: BlockingTaskHandler"), "{renamed}");
    assert!(!renamed.contains("azoth_scheduler"), "{renamed}");
}

#[test]
fn faults_are_counted_one_by_one_and_nothing_runs() {
    let args = quote!(timeout = "x", timeout = "1s", priority = "x", cron = "x", nonsense, backoff = "1s");
    let text = emitted(
        args,
        quote!(
            fn send(a: u8, b: u8) {}
        ),
    );
    assert_eq!(text.matches("compile_error").count(), 8, "{text}");
    assert!(text.contains("TASK_TYPE") && !text.contains("__run"), "{text}");
}

#[test]
fn only_what_a_handler_needs_is_written() {
    let text = emitted(
        quote!(),
        quote!(
            async fn tidy() {}
        ),
    );
    for method in ["fn aliases", "fn schedules", "fn check_state", "fn __decode"] {
        assert!(!text.contains(method), "{method}: {text}");
    }
    assert!(text.contains("TaskHandler for Tidy") && text.contains(". await"), "{text}");
}

#[test]
fn handler_is_there_only_where_the_function_is() {
    let text = emitted(
        quote!(),
        quote!(
            #[cfg(unix)]
            #[must_use]
            fn tidy() {}
        ),
    );
    assert_eq!(text.matches("cfg (unix)").count(), 4, "{text}");
    assert_eq!(text.matches("must_use").count(), 1, "{text}");
}

#[test]
fn method_and_nameless_handler_get_no_type() {
    let method = emitted(
        quote!(),
        quote!(
            fn send(&self) {}
        ),
    );
    assert!(method.contains("compile_error") && !method.contains("struct"), "{method}");
    let nameless = emitted(
        quote!(),
        quote!(
            fn _2() {}
        ),
    );
    assert!(nameless.contains("compile_error") && !nameless.contains("struct"), "{nameless}");
}

#[test]
fn name_of_the_type_follows_that_of_the_function() {
    for (function, name) in [
        ("send_email", "SendEmail"),
        ("_a__b_", "AB"),
        ("sendEmail", "SendEmail"),
        ("größe_ßa", "GrößeSSa"),
        ("__", ""),
    ] {
        assert_eq!(upper_camel_case(function), name);
    }
}

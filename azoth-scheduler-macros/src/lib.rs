//! The `#[task_handler]` attribute.

mod args;
mod check;
mod errors;
mod expand;
mod fallback;
mod model;
mod parameters;
mod values;

use proc_macro::TokenStream;

/// Placeholder.
#[proc_macro_attribute]
pub fn task_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    handler(args.into(), item.into()).into()
}

/// The function as it was, and its handler or its faults.
fn handler(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut errors = errors::Errors::default();
    let args = args::Args::parse(args, &mut errors);
    let function = match syn::parse2::<model::Function>(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let message = "#[task_handler] belongs on a function: put it above `async fn` or `fn`";
            errors.push(proc_macro2::Span::call_site(), message);
            let faults = errors.to_tokens();
            return quote::quote!(#item #faults);
        }
    };
    let handler = check::check(args, function, &mut errors);
    let write = if errors.is_empty() { expand::expand } else { fallback::expand };
    let rest = handler.as_ref().map(write);
    let faults = errors.to_tokens();
    quote::quote!(#item #faults #rest)
}

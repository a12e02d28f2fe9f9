//! What stands in the place of a handler whose attribute has faults, so that they are all that is reported: code that
//! uses the handler still compiles.

use proc_macro2::TokenStream;
use quote::quote;
use syn::FnArg;

use crate::expand::execute_async;
use crate::model::{Handler, Kind};

/// The handler's type with the least that others may ask of it. It never runs, since the faults end the build.
pub(crate) fn expand(handler: &Handler) -> TokenStream {
    let is_method = handler.function.sig.inputs.iter().any(|input| matches!(input, FnArg::Receiver(_)));
    // Where a method stands, a type cannot.
    if is_method {
        return TokenStream::new();
    }
    let Handler { name, krate, function, .. } = handler;
    let private = quote!(#krate::__private);
    let execute = execute_async(&private, &quote!(::core::panic!("its attribute has faults")));
    let vis = &function.vis;
    let task_type = &handler.task_type;
    let payload = takes_payload(handler).then(|| quote!(, _payload: &(impl ?::core::marker::Sized)));
    quote! {
        #[allow(missing_docs, dead_code, reason = "its attribute has faults")]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::default::Default)]
        #vis struct #name;

        #[allow(missing_docs, dead_code, reason = "its attribute has faults")]
        impl #name {
            #vis const TASK_TYPE: &'static ::core::primitive::str = #task_type;

            #vis fn request(
                _id: impl ::core::convert::Into<::std::string::String> #payload
            ) -> #private::Result<#private::ScheduleTaskRequestBuilder> {
                ::core::panic!("its attribute has faults")
            }
        }

        impl #private::TaskHandler for #name {
            fn task_type(&self) -> &::core::primitive::str {
                Self::TASK_TYPE
            }

            #execute
        }
    }
}

/// Whether `request` would take a payload. A parameter that could not be read counts as one.
fn takes_payload(handler: &Handler) -> bool {
    let others = handler
        .parameters
        .iter()
        .filter(|parameter| matches!(parameter.kind, Kind::Context | Kind::State(_)));
    handler.function.sig.inputs.len() > others.count()
}

//! The code of a checked handler. Every path in it is absolute, so nothing that its user has named or shadowed can
//! change what it means.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Attribute, Ident, ReturnType};

use crate::model::{Cron, Handler, Kind, Options, Parameter};

/// The handler's type, its typed entry points, and its implementation of the handler's trait.
pub(crate) fn expand(handler: &Handler) -> TokenStream {
    let (structure, entry_points) = (structure(handler), entry_points(handler));
    let implementation = implementation(handler);
    quote! {
        #structure
        #entry_points
        #implementation
    }
}

fn structure(handler: &Handler) -> TokenStream {
    let Handler { name, function, .. } = handler;
    let (vis, cfgs) = (&function.vis, cfgs(handler));
    let doc = format!(
        "The handler of task type `{}`: runs [`{}()`]({}()).",
        handler.task_type.value(),
        function.sig.ident,
        function.sig.ident
    );
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::default::Default)]
        #vis struct #name;
    }
}

fn entry_points(handler: &Handler) -> TokenStream {
    let Handler { name, task_type, function, .. } = handler;
    let (vis, cfgs) = (&function.vis, cfgs(handler));
    let (request, decode, run) = (request(handler), decode(handler), run(handler));
    quote! {
        #(#cfgs)*
        #[allow(dead_code, reason = "a handler may run tasks that others schedule")]
        impl #name {
            /// The type of the tasks that it runs.
            #vis const TASK_TYPE: &'static ::core::primitive::str = #task_type;

            #request
            #decode
            #run
        }
    }
}

/// `SendEmail::request(id, &payload)`.
fn request(handler: &Handler) -> TokenStream {
    let (private, vis, options) = (private(handler), &handler.function.vis, options(handler));
    let version = handler.evolution.version;
    let (parameter, bound, bytes) = match handler.payload() {
        None => (quote!(), quote!(), quote!(::std::vec::Vec::new())),
        Some(Parameter { kind: Kind::Json, ty }) => (
            quote!(, payload: &#ty),
            // For any lifetime, that is for none: so the bound is asked for by who calls this, and a payload that only
            // others schedule need not be written as JSON here.
            quote!(where for<'any> #ty: #private::Serialize),
            quote!(#private::encode(payload, #version)?),
        ),
        Some(_) => (
            quote!(, payload: impl ::core::convert::Into<::std::vec::Vec<::core::primitive::u8>>),
            quote!(),
            quote!(::core::convert::Into::into(payload)),
        ),
    };
    quote! {
        /// A task of this type, with the handler's options: say when it is to run, then `build()`.
        ///
        /// # Errors
        /// A payload that cannot be written as JSON.
        #vis fn request(
            id: impl ::core::convert::Into<::std::string::String> #parameter
        ) -> #private::Result<#private::ScheduleTaskRequestBuilder>
        #bound
        {
            let payload: ::std::vec::Vec<::core::primitive::u8> = #bytes;
            ::core::result::Result::Ok(#private::request(id, Self::TASK_TYPE, &#options, payload))
        }
    }
}

/// Reads the payload, for `validate` and for `execute`.
fn decode(handler: &Handler) -> TokenStream {
    let Some(Parameter { kind: Kind::Json, ty }) = handler.payload() else {
        return TokenStream::new();
    };
    let (private, evolution) = (private(handler), &handler.evolution);
    let (oldest, newest) = (evolution.oldest(), evolution.version);
    let arms = (oldest..newest).enumerate().map(|(i, version)| {
        let upgraded = (version..newest).zip(evolution.steps.iter().skip(i)).fold(
            quote!(stored.json()?),
            |earlier, (from, step)| {
                let span = step.span().resolved_at(Span::call_site());
                let private = at(span, &private);
                quote_spanned!(span=> #private::upgraded(#from, #private::Returned((#step)(#earlier)).split())?)
            },
        );
        quote!(#version => ::core::result::Result::Ok(#upgraded),)
    });
    quote! {
        fn __decode(
            payload: &[::core::primitive::u8],
        ) -> ::core::result::Result<#ty, #private::PayloadError> {
            #[allow(unused_imports, reason = "only an upgrade returns something")]
            use #private::PlainReturn as _;
            let stored = #private::Stored::read(payload, #oldest, #newest)?;
            match stored.version() {
                #(#arms)*
                _ => stored.json::<#ty>(),
            }
        }
    }
}

/// Both kinds of handler have the same methods, but for `execute`.
fn implementation(handler: &Handler) -> TokenStream {
    let (private, name, cfgs) = (private(handler), &handler.name, cfgs(handler));
    let (interface, execute) = if handler.is_async() {
        (
            quote!(TaskHandler),
            execute_async(&private, &quote!(::std::boxed::Box::pin(Self::__run(context, payload)))),
        )
    } else {
        (quote!(BlockingTaskHandler<#private::TaskError>), execute_blocking(&private))
    };
    let others = other_methods(handler);
    quote! {
        #(#cfgs)*
        impl #private::#interface for #name {
            fn task_type(&self) -> &::core::primitive::str {
                Self::TASK_TYPE
            }

            #execute
            #others
        }
    }
}

/// What `#[async_trait]` makes of `async fn execute`. It would do so itself, but it means whatever `Box` stands for in
/// the user's module.
pub(crate) fn execute_async(private: &TokenStream, body: &TokenStream) -> TokenStream {
    quote! {
        fn execute<'this, 'context, 'payload, 'run>(
            &'this self,
            context: &'context #private::TaskContext,
            payload: &'payload [::core::primitive::u8],
        ) -> #private::BoxFuture<'run, #private::TaskResult>
        where
            'this: 'run,
            'context: 'run,
            'payload: 'run,
            Self: 'run,
        {
            #body
        }
    }
}

fn execute_blocking(private: &TokenStream) -> TokenStream {
    quote! {
        fn execute(
            &self,
            context: &#private::TaskContext,
            payload: &[::core::primitive::u8],
        ) -> #private::TaskResult {
            Self::__run(context, payload)
        }
    }
}

/// Gathers what the function wants, calls it, and makes an event of what it returns.
fn run(handler: &Handler) -> TokenStream {
    let (private, function) = (private(handler), &handler.function.sig.ident);

    let arguments: Vec<Ident> = (0..handler.parameters.len()).map(|i| format_ident!("__azoth_{i}")).collect();
    let gathered = handler
        .parameters
        .iter()
        .zip(&arguments)
        .map(|(parameter, argument)| gather(parameter, argument, &private));
    let passed = handler.parameters.iter().zip(&arguments).map(|(parameter, argument)| {
        let mut argument = argument.clone();
        argument.set_span(parameter.ty.span().resolved_at(Span::call_site()));
        argument
    });
    let awaited = handler.is_async().then(|| quote!(.await));
    let asyncness = handler.is_async().then(|| quote!(async));
    let (succeeded, failed) = returned(handler);
    quote! {
        #[allow(unused_variables, reason = "not every function takes both")]
        #[allow(deprecated, reason = "whether the function should be used is for those who register its handler")]
        #asyncness fn __run(
            __azoth_context: &#private::TaskContext,
            __azoth_payload: &[::core::primitive::u8],
        ) -> #private::TaskResult {
            #[allow(unused_imports, reason = "which of them is needed depends on the type that is returned")]
            use #private::{JsonReturn as _, PlainReturn as _};
            #(#gathered)*
            let __azoth_returned = #private::Returned(#function(#(#passed),*) #awaited);
            match __azoth_returned.split() {
                ::core::result::Result::Ok(__azoth_value) => {
                    let __azoth_kind = #private::ReturnedValue::of(&__azoth_value).kind();
                    #succeeded
                }
                ::core::result::Result::Err(__azoth_error) => #failed,
            }
        }
    }
}

/// What becomes of a value and of an error, at the place of the return type: there a type that does not fit is reported.
fn returned(handler: &Handler) -> (TokenStream, TokenStream) {
    let span = match &handler.function.sig.output {
        ReturnType::Default => handler.function.sig.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let span = span.resolved_at(Span::call_site());
    let (private, event) = (at(span, &private(handler)), &handler.event);
    let succeeded = quote_spanned!(span=> #private::succeeded(__azoth_kind, __azoth_value, #event));
    let failed = quote_spanned!(span=> #private::failed(__azoth_error));
    (succeeded, failed)
}

/// The same tokens at another place.
fn at(span: Span, tokens: &TokenStream) -> TokenStream {
    let tokens = tokens.clone().into_iter();
    tokens
        .map(|mut token| {
            token.set_span(span.resolved_at(token.span()));
            token
        })
        .collect()
}

fn gather(parameter: &Parameter, argument: &Ident, private: &TokenStream) -> TokenStream {
    let value = match &parameter.kind {
        Kind::Context => quote!(__azoth_context),
        Kind::State(ty) => quote!(#private::TaskContext::state::<#ty>(__azoth_context)?),
        Kind::Json => quote!(Self::__decode(__azoth_payload)?),
        Kind::Slice => quote!(__azoth_payload),
        Kind::Bytes => quote!(<[::core::primitive::u8]>::to_vec(__azoth_payload)),
    };
    quote!(let #argument = #value;)
}

fn other_methods(handler: &Handler) -> TokenStream {
    let (private, options) = (private(handler), options(handler));
    let validate = validate(handler);
    let aliases = aliases(handler);
    let schedules = handler.cron.as_ref().map(|cron| schedules(cron, &private));
    let check_state = check_state(handler);
    quote! {
        #validate
        #aliases

        fn options(&self) -> #private::TaskOptions {
            #options
        }

        #schedules
        #check_state
    }
}

fn validate(handler: &Handler) -> TokenStream {
    let private = private(handler);
    let body = match handler.payload() {
        None => quote!(#private::expect_no_payload(payload)),
        Some(Parameter { kind: Kind::Json, .. }) => quote! {
            Self::__decode(payload)?;
            ::core::result::Result::Ok(())
        },
        Some(_) => return TokenStream::new(),
    };
    quote! {
        fn validate(&self, payload: &[::core::primitive::u8]) -> #private::Result<()> {
            #body
        }
    }
}

fn aliases(handler: &Handler) -> TokenStream {
    let aliases = &handler.aliases;
    if aliases.is_empty() {
        return TokenStream::new();
    }
    quote! {
        fn aliases(&self) -> &[&::core::primitive::str] {
            &[#(#aliases),*]
        }
    }
}

fn options(handler: &Handler) -> TokenStream {
    let private = private(handler);
    let Options { timeout_ms, max_retries, backoff_ms, priority, concurrency } = &handler.options;
    let timeout = timeout_ms.map(|ms| quote!(.timeout(::core::time::Duration::from_millis(#ms))));
    let retries = max_retries.map(|retries| quote!(.max_retries(#retries)));
    let backoff = backoff_ms.map(|(base_ms, cap_ms)| {
        quote!(.backoff(::core::time::Duration::from_millis(#base_ms), ::core::time::Duration::from_millis(#cap_ms)))
    });
    let priority = priority.as_ref().map(|level| quote!(.priority(#private::Priority::#level)));
    let concurrency = concurrency.map(|at_most| quote!(.concurrency(#at_most)));
    quote!(#private::TaskOptions::new() #timeout #retries #backoff #priority #concurrency)
}

fn schedules(cron: &Cron, private: &TokenStream) -> TokenStream {
    let Cron { expression, time_zone } = cron;
    let time_zone = time_zone.as_ref().map(|zone| quote!(.time_zone(#zone)));
    quote! {
        fn schedules(&self) -> #private::Result<::std::vec::Vec<#private::ScheduleTaskRequest>> {
            let request = #private::ScheduleTaskRequest::builder(Self::TASK_TYPE)
                .task_type(Self::TASK_TYPE)
                .cron(#expression)
                #time_zone
                .build()?;
            ::core::result::Result::Ok(::std::vec::Vec::from([request]))
        }
    }
}

fn check_state(handler: &Handler) -> TokenStream {
    let private = private(handler);
    let types: Vec<_> = handler
        .parameters
        .iter()
        .filter_map(|parameter| if let Kind::State(ty) = &parameter.kind { Some(ty) } else { None })
        .collect();
    if types.is_empty() {
        return TokenStream::new();
    }
    quote! {
        fn check_state(
            &self,
            states: &#private::StateMap,
        ) -> ::core::result::Result<(), #private::MissingState> {
            #(states.require::<#types>()?;)*
            ::core::result::Result::Ok(())
        }
    }
}

/// The one place from which the emitted code takes everything.
fn private(handler: &Handler) -> TokenStream {
    let krate = &handler.krate;
    quote!(#krate::__private)
}

/// What is there only sometimes has a handler only then.
fn cfgs(handler: &Handler) -> Vec<&Attribute> {
    handler.function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

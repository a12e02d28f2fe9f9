//! What the macro knows about a function before it writes anything.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, Ident, LitStr, Path, Signature, Type, Visibility};

/// The annotated function, all but its body: that is nobody's business here.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
}

/// A handler whose every part was checked.
pub(crate) struct Handler {
    pub(crate) function: Function,
    pub(crate) name: Ident,
    pub(crate) krate: Path,
    pub(crate) task_type: LitStr,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) event: LitStr,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) options: Options,
    pub(crate) cron: Option<Cron>,
    pub(crate) evolution: Evolution,
}

/// What the function is given at one place of its parameters.
#[derive(Clone)]
pub(crate) struct Parameter {
    pub(crate) kind: Kind,
    pub(crate) ty: Type,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// `&TaskContext`.
    Context,
    /// `State<T>`, and the `T`.
    State(Box<Type>),
    /// A payload that is read from JSON.
    Json,
    /// `&[u8]`: the payload as it is.
    Slice,
    /// `Vec<u8>`: a copy of the payload as it is.
    Bytes,
}

/// What its tasks do unless their request says otherwise.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) max_retries: Option<u32>,
    /// The first wait and the longest one, in milliseconds.
    pub(crate) backoff_ms: Option<(u64, u64)>,
    /// A variant of core's `Priority`.
    pub(crate) priority: Option<Ident>,
    /// At most so many run at once, at least 1.
    pub(crate) concurrency: Option<u32>,
}

/// The task that the handler declares.
pub(crate) struct Cron {
    pub(crate) expression: LitStr,
    pub(crate) time_zone: Option<LitStr>,
}

/// Which versions of its payload the handler reads.
pub(crate) struct Evolution {
    /// The version that it writes, from 1.
    pub(crate) version: u32,
    /// One step for each earlier version, the last of them leads to `version`.
    pub(crate) steps: Vec<Expr>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let function = Self { attrs, vis: input.parse()?, sig: input.parse()? };
        input.parse::<TokenStream>()?;
        Ok(function)
    }
}

impl Handler {
    /// The parameter that takes the payload, if one does.
    pub(crate) fn payload(&self) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.is_payload())
    }

    pub(crate) fn is_async(&self) -> bool {
        self.function.sig.asyncness.is_some()
    }
}

impl Parameter {
    pub(crate) fn is_payload(&self) -> bool {
        matches!(self.kind, Kind::Json | Kind::Slice | Kind::Bytes)
    }
}

impl Evolution {
    /// The earliest version that can still be read.
    pub(crate) fn oldest(&self) -> u32 {
        let steps = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.version.saturating_sub(steps)
    }
}

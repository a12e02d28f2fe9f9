//! All faults of one attribute, gathered so that its user sees them at once.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::LitStr;

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    pub(crate) fn push(&mut self, span: Span, message: impl Display) {
        self.add(syn::Error::new(span, message));
    }

    /// Points at all of it; a plain span is that of its first token, unless the compiler is a nightly one.
    pub(crate) fn push_at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Keeps the value, or the fault in its place.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One `compile_error!` for each fault.
    pub(crate) fn to_tokens(&self) -> TokenStream {
        self.0.iter().map(syn::Error::to_compile_error).collect()
    }
}

/// A fault within a string, as near to the byte as the compiler allows: only a nightly one lets a macro point inside a
/// literal, so the message names the byte too.
pub(crate) fn at_byte(text: &LitStr, offset: usize, message: impl Display) -> syn::Error {
    let literal = text.token();
    let is_verbatim = literal.to_string().len() == text.value().len() + 2;
    let inside = is_verbatim.then(|| literal.subspan(offset + 1..offset + 2)).flatten();
    syn::Error::new(inside.unwrap_or_else(|| text.span()), message)
}

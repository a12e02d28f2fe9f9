//! What each parameter of the function stands for, told by how its type is written: a macro sees no more.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{FnArg, GenericArgument, PathArguments, PathSegment, Signature, Type, TypeReference};

use crate::errors::Errors;
use crate::model::{Kind, Parameter};

/// Reads all parameters of a function.
pub(crate) fn read(sig: &Signature, errors: &mut Errors) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for input in &sig.inputs {
        let FnArg::Typed(input) = input else {
            errors.push_at(
                input,
                "a task handler is a plain function: move it out of the `impl` and take what `self` holds as `State<T>`",
            );
            continue;
        };
        if let Some(attr) = input.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
            errors.push_at(attr, "a parameter of a task handler is always there: put `cfg` on the function");
        }
        if let Some(parameter) = errors.keep(read_type(&input.ty)) {
            errors.keep(check_second(&parameters, &parameter));
            parameters.push(parameter);
        }
    }
    parameters
}

fn read_type(ty: &Type) -> syn::Result<Parameter> {
    let kind = match plain(ty) {
        Type::Reference(reference) => read_reference(reference)?,
        Type::ImplTrait(_) => {
            return Err(syn::Error::new_spanned(
                ty,
                format!("a task handler has no generics: {NAME_THE_TYPE}"),
            ));
        }
        other => read_owned(other)?,
    };
    Ok(Parameter { kind, ty: ty.clone() })
}

fn read_reference(reference: &TypeReference) -> syn::Result<Kind> {
    let target = plain(&reference.elem);
    let refused = |message: String| Err(syn::Error::new_spanned(reference, message));
    let is_shared = reference.mutability.is_none();
    match last_segment(target).map(|segment| segment.ident.to_string()).as_deref() {
        Some("TaskContext") if is_shared => return Ok(Kind::Context),
        Some("TaskContext") => return refused("the context is shared: write `&TaskContext`".into()),
        Some("State") => {
            return refused(format!(
                "state is taken by value, it is cheap to clone: write `{}`",
                show(target)
            ));
        }
        Some("str") => return refused("a payload is taken by value: write `String`".into()),
        _ => {}
    }
    match target {
        Type::Slice(slice) if is_byte(&slice.elem) && is_shared => Ok(Kind::Slice),
        Type::Slice(slice) => {
            refused(format!("a payload is taken by value: write `Vec<{}>`", show(&slice.elem)))
        }
        other => refused(format!("a payload is taken by value: write `{}`", show(other))),
    }
}

fn read_owned(ty: &Type) -> syn::Result<Kind> {
    let Some(segment) = last_segment(ty) else {
        return json(ty);
    };
    match (segment.ident.to_string().as_str(), only_argument(segment)) {
        ("TaskContext", _) => {
            Err(syn::Error::new_spanned(ty, "the context is lent to a handler: write `&TaskContext`"))
        }
        ("State", Some(inner)) => Ok(Kind::State(Box::new(inner.clone()))),
        ("Vec", Some(inner)) if is_byte(inner) => Ok(Kind::Bytes),
        _ => json(ty),
    }
}

/// A payload outlives the bytes that it was read from.
fn json(ty: &Type) -> syn::Result<Kind> {
    if borrows(ty.to_token_stream()) {
        let message = "a payload owns its data: use a type without lifetimes and references, such as `String` for `&str`";
        return Err(syn::Error::new_spanned(ty, message));
    }
    Ok(Kind::Json)
}

fn check_second(earlier: &[Parameter], parameter: &Parameter) -> syn::Result<()> {
    let is_context = |parameter: &Parameter| matches!(parameter.kind, Kind::Context);
    if is_context(parameter) && earlier.iter().any(is_context) {
        return Err(syn::Error::new_spanned(&parameter.ty, "the context is taken twice: drop one of them"));
    }
    match earlier.iter().find(|earlier| earlier.is_payload()) {
        Some(first) if parameter.is_payload() => {
            let message = format!(
                "a task has one payload, and `{}` is it: put both into one struct, or take a value shared by all tasks as `State<{}>`",
                show(&first.ty),
                show(&parameter.ty)
            );
            Err(syn::Error::new_spanned(&parameter.ty, message))
        }
        _ => Ok(()),
    }
}

/// Whether lifetimes other than `'static`, or references, are part of a type.
fn borrows(tokens: TokenStream) -> bool {
    let mut after_tick = false;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '\'' => after_tick = true,
            TokenTree::Punct(punct) if punct.as_char() == '&' => return true,
            TokenTree::Ident(ident) if after_tick => {
                if ident != "static" {
                    return true;
                }
                after_tick = false;
            }
            TokenTree::Group(group) if borrows(group.stream()) => return true,
            _ => {}
        }
    }
    false
}

/// The type without the invisible group that a `macro_rules!` puts around it, and without parentheses.
fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        other => other,
    }
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

/// The `T` of `Name<T>`.
fn only_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

fn is_byte(ty: &Type) -> bool {
    last_segment(plain(ty)).is_some_and(|segment| segment.ident == "u8" && segment.arguments.is_empty())
}

/// A type as its user would write it.
pub(crate) fn show(ty: &Type) -> String {
    let text = ty.to_token_stream().to_string();
    [(" :: ", "::"), (" < ", "<"), (" >", ">"), (" ,", ","), ("& ", "&"), ("' ", "'")]
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}

const NAME_THE_TYPE: &str = "name the type that it is used with";

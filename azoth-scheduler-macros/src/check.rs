//! Judging what was written: only a function and arguments that pass here become a handler.

use azoth_scheduler_core::id::{EventType, NameError, TaskType};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::{Ident, LitStr, Path, Signature, parse_quote};

use crate::args::Args;
use crate::errors::Errors;
use crate::model::{Evolution, Function, Handler, Kind, Parameter};
use crate::{parameters, values};

/// Makes a handler of a function and its arguments. It is of use only if no errors were added; there is none if not
/// even its name is of use.
pub(crate) fn check(args: Args, function: Function, errors: &mut Errors) -> Option<Handler> {
    check_signature(&function.sig, errors);
    let parameters = parameters::read(&function.sig, errors);
    let name = errors.keep(handler_name(&args, &function.sig));
    check_evolution_parts(&args, &parameters, errors);
    let task_type = task_type(&args, &function.sig, errors);
    let event = event(&args, &task_type, errors);
    let aliases = aliases(&args, &task_type, errors);
    let options = values::options(&args, errors);
    let cron = values::cron(&args, errors);
    let evolution = evolution(&args, errors);
    check_no_payload(args.cron.as_ref(), &parameters, errors);
    let (name, krate) = (name?, args.krate.unwrap_or_else(default_crate));
    Some(Handler { function, name, krate, task_type, aliases, event, parameters, options, cron, evolution })
}

/// Where the emitted code finds the library, unless `crate` says otherwise.
fn default_crate() -> Path {
    parse_quote!(::azoth_scheduler)
}

fn check_signature(sig: &Signature, errors: &mut Errors) {
    if !sig.generics.params.is_empty() {
        let message = "a task handler has no generics, since tasks name it by one task type: name the types, leave lifetimes out, or write one handler for each type";
        errors.push_at(&sig.generics, message);
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.push_at(clause, "a task handler has no generics: drop the `where` clause");
    }
    if !matches!(sig.safety, syn::Safety::Default) {
        let message = "a task handler is safe to call, since the scheduler calls it: put the unsafe part into a block of its body";
        errors.push_at(&sig.safety, message);
    }
}

/// The name of the type: that of the function in `UpperCamelCase`, unless it was given.
fn handler_name(args: &Args, sig: &Signature) -> syn::Result<Ident> {
    let own = &sig.ident;
    if let Some(name) = &args.name {
        if name == own {
            let message = format!("the function is called `{own}` already: give its handler another name");
            return Err(syn::Error::new(name.span(), message));
        }
        return Ok(name.clone());
    }
    let camel = upper_camel_case(&own.unraw().to_string());
    if *own == camel || syn::parse_str::<Ident>(&camel).is_err() {
        let message = format!("no name for the handler's type can be made of `{own}`: add `name = SomeName`");
        return Err(syn::Error::new(own.span(), message));
    }
    let name = Ident::new(&camel, own.span());
    check_hidden_name(&name, sig)?;
    Ok(name)
}

pub(crate) fn upper_camel_case(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.fold(String::new(), |mut camel, word| {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
        camel
    })
}

/// The type stands beside the function, so its name hides what the function means by the same name.
fn check_hidden_name(name: &Ident, sig: &Signature) -> syn::Result<()> {
    let mut tokens = sig.inputs.to_token_stream();
    sig.output.to_tokens(&mut tokens);
    if let Some(used) = find_ident(tokens, name) {
        let message = format!(
            "the handler's type would be called `{name}` too, and hide this one: add `name = {name}Handler`, or rename one of them"
        );
        return Err(syn::Error::new(used.span(), message));
    }
    if PRELUDE.contains(&name.to_string().as_str()) {
        let message = format!(
            "the handler's type would be called `{name}`, and hide the one that every module knows: add `name = {name}Handler`"
        );
        return Err(syn::Error::new(name.span(), message));
    }
    Ok(())
}

/// Where a name stands by itself or at the start of a path.
fn find_ident(tokens: TokenStream, name: &Ident) -> Option<Ident> {
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == *name && colons < 2 => return Some(ident),
            TokenTree::Group(group) => {
                let found = find_ident(group.stream(), name);
                if found.is_some() {
                    return found;
                }
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
        }
    }
    None
}

fn task_type(args: &Args, sig: &Signature, errors: &mut Errors) -> LitStr {
    let given = args.task_type.clone();
    let text = given.unwrap_or_else(|| LitStr::new(&sig.ident.unraw().to_string(), sig.ident.span()));
    errors.keep(check_name(&text, TaskType::new(text.value())));
    text
}

fn event(args: &Args, task_type: &LitStr, errors: &mut Errors) -> LitStr {
    let given = args.event.clone();
    let is_given = given.is_some();
    let default = || LitStr::new(&format!("{}.succeeded", task_type.value()), task_type.span());
    let text = given.unwrap_or_else(default);
    // A faulty task type was reported as such, and its event says no more.
    if is_given || TaskType::new(task_type.value()).is_ok() {
        errors.keep(check_name(&text, EventType::new(text.value())));
    }
    text
}

fn aliases(args: &Args, task_type: &LitStr, errors: &mut Errors) -> Vec<LitStr> {
    let aliases = args.aliases.clone().unwrap_or_default();
    let mut taken = vec![task_type.value()];
    for alias in &aliases {
        errors.keep(check_name(alias, TaskType::new(alias.value())));
        if taken.contains(&alias.value()) {
            let message = format!("the handler answers to {:?} already: drop this alias", alias.value());
            errors.push(alias.span(), message);
        }
        taken.push(alias.value());
    }
    aliases
}

fn check_name<T>(text: &LitStr, checked: Result<T, NameError>) -> syn::Result<()> {
    checked.map(drop).map_err(|error| syn::Error::new(text.span(), error))
}

fn evolution(args: &Args, errors: &mut Errors) -> Evolution {
    let steps = args.upgrade.clone().unwrap_or_default();
    let Some(written) = &args.version else {
        return Evolution { version: 1, steps };
    };
    let version = match written.base10_parse::<u32>() {
        Ok(version) if version >= 1 => version,
        _ => {
            errors.push(
                written.span(),
                "`version` is a whole number from 1 to 4294967295: write `version = 2`",
            );
            return Evolution { version: 1, steps };
        }
    };
    let evolution = Evolution { version, steps };
    if version > 1 && args.upgrade.is_none() {
        let message = format!(
            "`version = {version}` needs to know what becomes of earlier payloads: write `upgrade = from_version_{}` with a function from that payload to this one, or `upgrade = []` to refuse them",
            version - 1
        );
        errors.push(written.span(), message);
    }
    if evolution.oldest() == 0
        && let Some(step) = evolution.steps.first()
    {
        let message = format!(
            "`version = {version}` has {} version(s) before it, so there are at most as many steps: drop this one, or raise `version`",
            version - 1
        );
        errors.push_at(step, message);
    }
    evolution
}

/// Versions belong to a payload that has a type.
fn check_evolution_parts(args: &Args, parameters: &[Parameter], errors: &mut Errors) {
    let upgrade = args.upgrade.as_ref().and_then(|steps| steps.first());
    if let (Some(step), None) = (upgrade, &args.version) {
        let message = "`upgrade` leads to a version: write `version = 2` for the payload's second form";
        errors.push_at(step, message);
    }
    let Some(version) = &args.version else { return };
    // A parameter that could not be read may have been the payload.
    if errors.is_empty() && !parameters.iter().any(|parameter| matches!(parameter.kind, Kind::Json)) {
        let message = "`version` belongs to a payload that is read from JSON, and this function takes none: drop it, or add such a parameter";
        errors.push(version.span(), message);
    }
}

/// Nobody gives a payload to a task that its handler declares.
fn check_no_payload(cron: Option<&LitStr>, parameters: &[Parameter], errors: &mut Errors) {
    let payload = parameters.iter().find(|parameter| matches!(parameter.kind, Kind::Json));
    if let (Some(cron), Some(payload)) = (cron, payload) {
        let message = format!(
            "a task declared by `cron` has no payload, but this function wants `{}`: drop that parameter, or drop `cron` and schedule each task by `request(id, &payload)`",
            parameters::show(&payload.ty)
        );
        errors.push(cron.span(), message);
    }
}

/// Names that every module knows without importing them, as far as a function's name leads to one.
const PRELUDE: &[&str] = &["Box", "Err", "None", "Ok", "Option", "Result", "Some", "String", "Vec"];

//! Reading the arguments of the attribute: `name = value`, separated by commas, nothing yet judged but the shape.
//!
//! A faulty argument is reported and skipped, so that all of them are reported at once.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, ExprLit, Ident, Lit, LitInt, LitStr, Path, Token};

use crate::errors::Errors;

/// The arguments as they were written.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) task_type: Option<LitStr>,
    pub(crate) aliases: Option<Vec<LitStr>>,
    pub(crate) event: Option<LitStr>,
    pub(crate) timeout: Option<LitStr>,
    pub(crate) max_retries: Option<LitInt>,
    pub(crate) backoff: Option<LitStr>,
    pub(crate) priority: Option<LitStr>,
    pub(crate) concurrency: Option<LitInt>,
    pub(crate) cron: Option<LitStr>,
    pub(crate) time_zone: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) upgrade: Option<Vec<Expr>>,
    pub(crate) name: Option<Ident>,
    pub(crate) krate: Option<Path>,
}

impl Args {
    /// Reads what stands in the parentheses of the attribute.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let mut seen = Vec::new();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                let read = errors.keep(args.parse_one(input, &mut seen));
                skip_past_comma(input, read.is_none(), errors)?;
            }
            Ok(())
        };
        let read = parser.parse2(tokens);
        errors.keep(read);
        args
    }

    fn parse_one(&mut self, input: ParseStream<'_>, seen: &mut Vec<Ident>) -> syn::Result<()> {
        let ident = argument_name(input)?;
        let text = ident.unraw().to_string();
        let Some(&(name, example)) = KNOWN.iter().find(|(name, _)| *name == text) else {
            return Err(unknown(&ident, &text));
        };
        if seen.contains(&ident) {
            return Err(syn::Error::new(ident.span(), format!("`{name}` is given twice: drop one of them")));
        }
        seen.push(ident.clone());
        if !input.peek(Token![=]) || input.peek(Token![==]) {
            let message = format!("`{name}` needs a value: write `{name} = {example}`");
            return Err(syn::Error::new(ident.span(), message));
        }
        input.parse::<Token![=]>()?;
        self.put(Value::new(name, example, argument_value(input, &ident, name, example)?))
    }

    fn put(&mut self, value: Value) -> syn::Result<()> {
        match value.name {
            "task_type" => self.task_type = Some(value.string()?),
            "aliases" => self.aliases = Some(value.strings()?),
            "event" => self.event = Some(value.string()?),
            "timeout" => self.timeout = Some(value.string()?),
            "max_retries" => self.max_retries = Some(value.number()?),
            "backoff" => self.backoff = Some(value.string()?),
            "priority" => self.priority = Some(value.string()?),
            "concurrency" => self.concurrency = Some(value.number()?),
            "cron" => self.cron = Some(value.string()?),
            "time_zone" => self.time_zone = Some(value.string()?),
            "version" => self.version = Some(value.number()?),
            "upgrade" => self.upgrade = Some(value.list()),
            "name" => self.name = Some(value.ident()?),
            _ => self.krate = Some(value.path()?),
        }
        Ok(())
    }
}

/// An argument's value, with what a message about it says.
struct Value {
    name: &'static str,
    example: &'static str,
    expr: Expr,
}

impl Value {
    fn new(name: &'static str, example: &'static str, expr: Expr) -> Self {
        Self { name, example, expr: ungrouped(expr) }
    }

    fn string(self) -> syn::Result<LitStr> {
        match self.expr {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
            _ => Err(self.wanted("a string")),
        }
    }

    fn number(self) -> syn::Result<LitInt> {
        match self.expr {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(number),
            _ => Err(self.wanted("a whole number")),
        }
    }

    fn strings(self) -> syn::Result<Vec<LitStr>> {
        let Expr::Array(array) = self.expr else {
            return Err(self.wanted("a list of strings"));
        };
        let (name, example) = (self.name, self.example);
        let texts = array.elems.into_iter().map(|expr| match ungrouped(expr) {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
            expr => Err(Value { name, example, expr }.wanted("a list of strings")),
        });
        texts.collect()
    }

    fn list(self) -> Vec<Expr> {
        match self.expr {
            Expr::Array(array) => array.elems.into_iter().collect(),
            one => vec![one],
        }
    }

    fn ident(self) -> syn::Result<Ident> {
        let ident = match &self.expr {
            Expr::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
            _ => None,
        };
        ident.ok_or_else(|| self.wanted("a name without quotes"))
    }

    /// A path, with or without quotes around it.
    fn path(self) -> syn::Result<Path> {
        match &self.expr {
            Expr::Path(path) if path.qself.is_none() => Ok(path.path.clone()),
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                text.parse_with(Path::parse_mod_style).map_err(|_| self.wanted("a path"))
            }
            _ => Err(self.wanted("a path")),
        }
    }

    fn wanted(&self, what: &str) -> syn::Error {
        let Value { name, example, expr } = self;
        syn::Error::new_spanned(expr, format!("`{name}` is {what}: write `{name} = {example}`"))
    }
}

/// The name of the next argument; keywords are allowed, `crate` is one.
fn argument_name(input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        let message = format!("an argument has a name: write `task_type = {:?}`", text.value());
        return Err(syn::Error::new(text.span(), message));
    }
    let span = input.span();
    Ident::parse_any(input)
        .map_err(|_| syn::Error::new(span, format!("expected an argument; known are {}", known())))
}

fn argument_value(input: ParseStream<'_>, ident: &Ident, name: &str, example: &str) -> syn::Result<Expr> {
    let nothing = input.is_empty() || input.peek(Token![,]);
    let span = if nothing { ident.span() } else { input.span() };
    let result = if input.peek(Token![crate]) { input.parse().map(path_expr) } else { input.parse() };
    result.map_err(|_| syn::Error::new(span, format!("`{name}` has no value: write `{name} = {example}`")))
}

/// Behind an argument stands a comma or the end. What stands there instead is reported once and skipped.
fn skip_past_comma(input: ParseStream<'_>, is_faulty: bool, errors: &mut Errors) -> syn::Result<()> {
    let mut is_reported = is_faulty;
    while !input.is_empty() && !input.peek(Token![,]) {
        let token: TokenTree = input.parse()?;
        if !is_reported {
            errors.push(token.span(), "expected a comma between two arguments");
        }
        is_reported = true;
    }
    input.parse::<Option<Token![,]>>().map(drop)
}

/// The value without the invisible group that a `macro_rules!` puts around it.
fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

fn path_expr(path: Path) -> Expr {
    Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path })
}

fn unknown(ident: &Ident, text: &str) -> syn::Error {
    let nearest = KNOWN.iter().map(|(name, _)| (distance(text, name), *name)).min();
    let hint = match nearest {
        Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`? "),
        _ => String::new(),
    };
    let message = format!("unknown argument `{text}`: {hint}known are {}", known());
    syn::Error::new(ident.span(), message)
}

fn known() -> String {
    let names: Vec<String> = KNOWN.iter().map(|(name, _)| format!("`{name}`")).collect();
    names.join(", ")
}

/// How many letters must be put in, taken out or changed to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        row[0] = left;
        for (b, cell) in to.chars().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Every argument, and a value to show.
const KNOWN: &[(&str, &str)] = &[
    ("task_type", "\"send_email\""),
    ("aliases", "[\"mail\"]"),
    ("event", "\"email_sent\""),
    ("timeout", "\"30s\""),
    ("max_retries", "5"),
    ("backoff", "\"10s..1h\""),
    ("priority", "\"high\""),
    ("concurrency", "4"),
    ("cron", "\"0 0 9 * * 1-5\""),
    ("time_zone", "\"Europe/Berlin\""),
    ("version", "2"),
    ("upgrade", "from_version_1"),
    ("name", "SendEmailHandler"),
    ("crate", "\"azoth_scheduler\""),
];

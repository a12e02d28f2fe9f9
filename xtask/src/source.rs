//! A Rust file as tokens with their lines: comments and documentation are gone, strings are whole, test code is known.
//!
//! The lexer is that of `proc-macro2`, so a quote in a comment or a `//` in a string cannot fool a check.

use std::fmt;
use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The tokens of one file.
#[derive(Debug, Default)]
pub(crate) struct RustFile {
    tokens: Vec<Token>,
    test_lines: Vec<RangeInclusive<usize>>,
    test_modules: Vec<String>,
}

/// One token as written; a group is its opening, its contents and its closing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    kind: TokenKind,
    /// As written.
    text: String,
    /// Where it starts, from 1.
    pub(crate) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    Identifier,
    Mark,
    Literal,
}

/// A text that is no Rust.
#[derive(Debug)]
pub(crate) struct NotRust {
    /// Where, from 1.
    pub(crate) line: usize,
    why: String,
}

impl fmt::Display for NotRust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot be read as Rust: {}", self.why)
    }
}

impl RustFile {
    /// Reads the tokens of `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, NotRust> {
        let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| NotRust {
            line: error.span().start().line.max(1),
            why: error.to_string(),
        })?;
        let mut file = Self::default();
        file.read(stream);
        Ok(file)
    }

    /// The lines at which these identifiers and marks stand one behind the other.
    pub(crate) fn lines_of<'a>(&'a self, sequence: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
        let found = self.tokens.windows(sequence.len()).filter(move |window| {
            window.iter().zip(sequence).all(|(token, text)| {
                token.kind != TokenKind::Literal && token.text.trim_start_matches("r#") == *text
            })
        });
        found.map(|window| window[0].line)
    }

    /// The contents of the string literals, byte strings among them, as written between the quotes.
    pub(crate) fn strings(&self) -> impl Iterator<Item = (usize, &str)> {
        let literals = self.tokens.iter().filter(|token| token.kind == TokenKind::Literal);
        literals.filter_map(|token| Some((token.line, string_contents(&token.text)?)))
    }

    /// Whether the identifier stands in this line.
    pub(crate) fn has_identifier(&self, line: usize, name: &str) -> bool {
        let mut here = self.tokens.iter().filter(|token| token.line == line);
        here.any(|token| token.kind == TokenKind::Identifier && token.text == name)
    }

    /// The lines that each call of an `assert!` of any kind takes.
    pub(crate) fn assertions(&self) -> Vec<RangeInclusive<usize>> {
        let mut calls = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let is_call = self.tokens.get(at + 1).is_some_and(|next| next.text == "!");
            let name = token.text.trim_start_matches("debug_").trim_start_matches("prop_");
            if is_call && token.kind == TokenKind::Identifier && name.starts_with("assert") {
                calls.push(token.line..=self.closing_line(at + 2));
            }
        }
        calls
    }

    /// Whether the line belongs to what is compiled only for tests.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// The modules that the file declares for tests and that stand in files of their own.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = &str> {
        self.test_modules.iter().map(String::as_str)
    }

    /// Says that all of the file is test code.
    pub(crate) fn mark_as_test(&mut self) {
        self.test_lines.push(1..=usize::MAX);
    }

    fn read(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            if let Some(attribute) = Attribute::at(&trees[at..]) {
                if attribute.is_documentation() {
                    at += attribute.tokens;
                    continue;
                }
                if attribute.is_for_tests() {
                    self.note_test_item(&trees[at..], &attribute);
                }
            }
            self.push(&trees[at]);
            at += 1;
        }
    }

    fn push(&mut self, tree: &TokenTree) {
        match tree {
            TokenTree::Group(group) => self.push_group(group),
            TokenTree::Ident(name) => self.token(TokenKind::Identifier, name.to_string(), tree),
            TokenTree::Punct(mark) => self.token(TokenKind::Mark, mark.to_string(), tree),
            TokenTree::Literal(literal) => self.token(TokenKind::Literal, literal.to_string(), tree),
        }
    }

    fn push_group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        let line = group.span_open().start().line;
        self.tokens.push(Token { kind: TokenKind::Mark, text: open.to_owned(), line });
        self.read(group.stream());
        let line = group.span_close().start().line;
        self.tokens.push(Token { kind: TokenKind::Mark, text: close.to_owned(), line });
    }

    fn token(&mut self, kind: TokenKind, text: String, tree: &TokenTree) {
        self.tokens.push(Token { kind, text, line: tree.span().start().line });
    }

    /// The line of the mark that closes the group opened at token `open`.
    fn closing_line(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for token in self.tokens.iter().skip(open).filter(|token| token.kind == TokenKind::Mark) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return token.line;
            }
        }
        self.tokens.last().map_or(0, |token| token.line)
    }

    /// Notes the lines of the item behind an attribute that keeps it for tests.
    fn note_test_item(&mut self, trees: &[TokenTree], attribute: &Attribute<'_>) {
        if attribute.is_inner {
            self.mark_as_test();
            return;
        }
        let item = &trees[..attribute.tokens + item_length(&trees[attribute.tokens..])];
        let first = trees[0].span().start().line;
        let last = item[item.len() - 1].span().end().line;
        self.test_lines.push(first..=last);
        if let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(_)] = item
            && keyword == "mod"
        {
            self.test_modules.push(name.to_string());
        }
    }
}

/// How many trees an item takes: up to its braces, or its semicolon.
fn item_length(trees: &[TokenTree]) -> usize {
    let end = trees.iter().position(|tree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    });
    end.map_or(trees.len(), |end| end + 1)
}

/// `#[...]` or `#![...]`.
struct Attribute<'t> {
    is_inner: bool,
    body: &'t Group,
    tokens: usize,
}

impl<'t> Attribute<'t> {
    /// The attribute that starts here, if one does.
    fn at(trees: &'t [TokenTree]) -> Option<Self> {
        match trees {
            [TokenTree::Punct(hash), TokenTree::Group(body), ..] if hash.as_char() == '#' => {
                Some(Self { is_inner: false, body, tokens: 2 })
            }
            [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(body), ..]
                if hash.as_char() == '#' && bang.as_char() == '!' =>
            {
                Some(Self { is_inner: true, body, tokens: 3 })
            }
            _ => None,
        }
    }

    /// Whether it is a `///` or `//!` comment, or the same by hand.
    fn is_documentation(&self) -> bool {
        let trees: Vec<TokenTree> = self.body.stream().into_iter().collect();
        matches!(trees.as_slice(), [TokenTree::Ident(name), _, TokenTree::Literal(_)] if name == "doc")
    }

    /// Whether it is `cfg(test)`, or `cfg(all(test, ...))`.
    fn is_for_tests(&self) -> bool {
        let trees: Vec<TokenTree> = self.body.stream().into_iter().collect();
        let [TokenTree::Ident(name), TokenTree::Group(condition)] = trees.as_slice() else {
            return false;
        };
        name == "cfg" && needs_test(condition)
    }
}

fn needs_test(condition: &Group) -> bool {
    let trees: Vec<TokenTree> = condition.stream().into_iter().collect();
    match trees.as_slice() {
        [TokenTree::Ident(name)] => name == "test",
        [TokenTree::Ident(name), TokenTree::Group(all)] if name == "all" => {
            let mut parts = all.stream().into_iter();
            parts.any(|part| matches!(part, TokenTree::Ident(name) if name == "test"))
        }
        _ => false,
    }
}

/// What stands between the quotes of a string literal of any kind.
fn string_contents(literal: &str) -> Option<&str> {
    let open = literal.trim_start_matches(['b', 'c', 'r']).trim_start_matches('#');
    let contents = open.strip_prefix('"')?;
    Some(contents.trim_end_matches('#').strip_suffix('"').unwrap_or(contents))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RustFile {
        RustFile::parse(text).unwrap()
    }

    #[test]
    fn comments_and_documentation_hold_no_code() {
        let file =
            parse("//! about std\n/// std::fs\n/* std /* std */ */\n#[doc = \"std\"]\nfn f() {} // std\n");

        assert_eq!(file.lines_of(&["std"]).count(), 0);
        assert_eq!(file.strings().count(), 0);
    }

    #[test]
    fn a_string_is_one_token_whatever_it_holds() {
        let file = parse("let a = \"// std \\\" x\";\nlet b = r##\"a \"# std\"##;\nlet c = b\"SELECT\";\n");

        let strings: Vec<_> = file.strings().collect();
        assert_eq!(strings, [(1, "// std \\\" x"), (2, "a \"# std"), (3, "SELECT")]);
        assert_eq!(file.lines_of(&["std"]).count(), 0);
    }

    #[test]
    fn a_quote_that_is_a_character_or_a_lifetime_opens_no_string() {
        let file = parse("fn f<'a>(x: &'a str) { let q = '\"'; }\nuse std::fs;\n");

        assert_eq!(file.lines_of(&["std", ":", ":"]).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_sequence_is_found_across_lines_and_inside_groups() {
        let file = parse("fn f() {\n    g(todo\n        !());\n}\n");

        assert_eq!(file.lines_of(&["todo", "!"]).collect::<Vec<_>>(), [2]);
        assert_eq!(file.lines_of(&["todo", "?"]).count(), 0);
    }

    #[test]
    fn lines_behind_cfg_test_are_test_code_and_the_next_item_is_not() {
        let file = parse(concat!(
            "#[cfg(test)]\nextern crate std;\nfn a() {}\n#[cfg(all(test, unix))]\n#[allow(x)]\nmod tests {\n",
            "    fn b() {}\n}\nfn c() {}\n#[cfg(not(test))]\nfn d() {}\n",
        ));

        let test_lines: Vec<usize> = (1..=11).filter(|line| file.is_test_line(*line)).collect();
        assert_eq!(test_lines, [1, 2, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_named() {
        let file = parse("#[cfg(test)]\npub(crate) mod support;\n#[cfg(test)]\nmod tests {}\nmod other;\n");

        assert_eq!(file.test_modules().collect::<Vec<_>>(), ["support"]);
    }

    #[test]
    fn a_file_kept_for_tests_as_a_whole_is_test_code() {
        assert!(parse("#![cfg(test)]\nfn f() {}\n").is_test_line(2));
        assert!(!parse("#![cfg_attr(test, allow(x))]\nfn f() {}\n").is_test_line(2));
    }

    #[test]
    fn an_assertion_takes_all_lines_of_its_call() {
        let file = parse(
            "fn f() {\n    assert!(\n        a,\n        \"b\"\n    );\n    debug_assert_eq!(1, 1);\n}\n",
        );

        assert_eq!(file.assertions(), [2..=5, 6..=6]);
    }

    #[test]
    fn what_is_no_rust_is_refused_with_its_line() {
        let refusal = RustFile::parse("fn a() {}\nfn b() {\n").unwrap_err();

        assert!(refusal.to_string().starts_with("cannot be read as Rust: "), "{refusal}");
        assert!(refusal.line >= 1);
    }
}

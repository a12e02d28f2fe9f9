//! What a text must not show that is kept or logged.

/// Takes the value out of a message of `serde`'s shape (``invalid type: string "..", expected u32``): payloads may hold
/// secrets, and errors are kept for ever.
pub(crate) fn without_json_values(text: String) -> String {
    let hidden = ["invalid type: ", "invalid value: ", "unknown variant ", "unknown field "]
        .iter()
        .find_map(|start| Some((start, text.strip_prefix(start)?.rfind(", expected ")? + start.len())));
    match hidden {
        Some((start, rest)) => format!("{start}(not shown){}", &text[rest..]),
        None => text,
    }
}

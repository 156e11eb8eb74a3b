//! The `; name=value` list of a header, character by character.

/// What stands before the first semicolon, and the parameters after it; `None` if they are no such
/// list.
pub(super) fn read(header: &str) -> (String, Option<Vec<(String, String)>>) {
    let (kind, list) = header.split_once(';').unwrap_or((header, ""));
    let kind = kind.trim_matches([' ', '\t']).to_owned();
    (kind, parameters(&list.chars().collect::<Vec<_>>()))
}

fn parameters(list: &[char]) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        while matches!(list.get(at), Some(' ' | '\t' | ';')) {
            at += 1;
        }
        if at == list.len() {
            return Some(found);
        }
        let start = at;
        while list.get(at).is_some_and(|c| is_token(*c)) {
            at += 1;
        }
        if at == start || list.get(at) != Some(&'=') {
            return None;
        }
        let name: String = list[start..at].iter().collect();
        let (value, after) = match list.get(at + 1) {
            Some('"') => quoted(list, at + 2)?,
            _ => bare(list, at + 1)?,
        };
        at = after;
        while matches!(list.get(at), Some(' ' | '\t')) {
            at += 1;
        }
        if !matches!(list.get(at), None | Some(';')) {
            return None;
        }
        found.push((name, value));
    }
}

fn quoted(list: &[char], mut at: usize) -> Option<(String, usize)> {
    let mut value = String::new();
    loop {
        match (list.get(at)?, list.get(at + 1)) {
            ('"', _) => return Some((value, at + 1)),
            ('\\', Some(escaped @ ('"' | '\\'))) => {
                value.push(*escaped);
                at += 2;
            }
            (plain, _) => {
                value.push(*plain);
                at += 1;
            }
        }
    }
}

fn bare(list: &[char], start: usize) -> Option<(String, usize)> {
    let length = list[start..].iter().take_while(|c| !matches!(c, ' ' | '\t' | ';')).count();
    let value: String = list[start..start + length].iter().collect();
    (length > 0 && !value.contains('"')).then_some((value, start + length))
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

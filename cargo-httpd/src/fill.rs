//! Templates: texts with `@NAME@` where a value belongs.
//!
//! httpd.conf, new projects, installed files and Debian packages are made of them.

/// Puts each value in the place of its `@NAME@`.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        text += before;
        let value = after.split_once('@').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, after))
        });
        match value {
            Some((value, after)) => {
                text += value;
                rest = after;
            }
            None => {
                text.push('@');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_leaves_what_it_does_not_know() {
        assert_eq!(fill("a@B@c@D@e@", &[("B", "1"), ("E", "2")]), "a1c@D@e@");
        assert_eq!(fill("@A@@A@ x@y @A", &[("A", "@A@")]), "@A@@A@ x@y @A");
    }
}

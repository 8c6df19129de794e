//! The outline of an application's configuration: its first mount and its process group, for
//! messages and for `--daemon`. httpd alone reads the configuration as a whole.

use std::collections::BTreeSet;

/// The parts of a configuration file that the tool speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// The URL path of a mount: `/` if it is one of them, else the first.
    mount: Option<String>,
    /// The first process group that is named.
    group: Option<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    is_in_force: bool,
}

impl Outline {
    /// Reads the text of a configuration file. `Define`, `<IfDefine>` and `<VirtualHost>` count;
    /// other files that it includes do not.
    pub(crate) fn read(text: &str) -> Self {
        let mut outline = Self::default();
        let mut defined = BTreeSet::new();
        // For each section around the line, whether it is in force.
        let mut sections: Vec<bool> = Vec::new();
        for line in text.lines().map(str::trim) {
            let words = shlex::split(line).unwrap_or_default();
            let Some((directive, args)) = words.split_first() else { continue };
            let is_in_force = sections.iter().all(|is_in_force| *is_in_force);
            let first = args.first().map_or("", |arg| arg.trim_end_matches('>'));
            match directive.to_ascii_lowercase().as_str() {
                section if section.starts_with("</") => {
                    sections.pop();
                }
                "<ifdefine" => sections.push(match first.strip_prefix('!') {
                    Some(name) => !defined.contains(name),
                    None => defined.contains(first),
                }),
                // Its applications are at another address.
                "<virtualhost" => sections.push(false),
                section if section.starts_with('<') => sections.push(true),
                "define" if is_in_force => {
                    defined.insert(first.to_owned());
                }
                "undefine" if is_in_force => {
                    defined.remove(first);
                }
                "rustdaemonprocess" => outline.add_group(first, is_in_force),
                "rustappalias" if is_in_force => outline.add_mount(first),
                "rustappaliasmatch" if is_in_force => {
                    let literal = first.strip_prefix('^').and_then(|regex| regex.strip_suffix('$'));
                    if let Some(path) = literal.filter(|path| *path == "/") {
                        outline.add_mount(path);
                    }
                }
                _ => {}
            }
        }
        outline
    }

    /// Returns the URL path to look at.
    pub(crate) fn path(&self) -> &str {
        self.mount.as_deref().unwrap_or("/")
    }

    /// Returns the name of its process group, if it names one.
    pub(crate) fn group(&self) -> Option<&str> {
        self.group.as_ref().map(|group| group.name.as_str())
    }

    /// Tells whether it makes that process group itself.
    pub(crate) fn makes_its_group(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.is_in_force)
    }

    fn add_mount(&mut self, path: &str) {
        if self.mount.is_none() || path == "/" {
            self.mount = Some(path.to_owned());
        }
    }

    fn add_group(&mut self, name: &str, is_in_force: bool) {
        match &mut self.group {
            None => self.group = Some(Group { name: name.to_owned(), is_in_force }),
            Some(group) if group.name == name => group.is_in_force |= is_in_force,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_a_new_project() {
        let text = include_str!("../../templates/new/hello/module/httpd.conf")
            .replace("@NAME@", "my-shop")
            .replace("@DEFINE@", "SHOP_DAEMON");
        let plain = Outline::read(&text);
        assert_eq!((plain.path(), plain.group()), ("/my-shop", Some("my-shop")));
        assert!(!plain.makes_its_group());
        let daemon = Outline::read(&text.replace("#Define", "Define"));
        assert_eq!((daemon.path(), daemon.group()), ("/my-shop", Some("my-shop")));
        assert!(daemon.makes_its_group());
    }

    #[test]
    fn the_front_page_of_the_stock_module() {
        let stock = Outline::read(include_str!("../../../apache/httpd.conf"));
        assert_eq!((stock.path(), stock.group()), ("/", None));
    }

    #[test]
    fn mounts_elsewhere_do_not_count() {
        let path = |text: &str| Outline::read(text).path().to_owned();
        assert_eq!(path(""), "/");
        assert_eq!(path("# RustAppAlias /a a\nRustAppAliasMatch \"^/x/(.*)$\" x\n"), "/");
        let host = "<VirtualHost *:80>\nRustAppAlias /a a\n</VirtualHost>\nrustappalias \"/b c\" b";
        assert_eq!(path(host), "/b c");
        assert_eq!(path("RustAppAlias /a a\nRustAppAlias / b"), "/");
        let defined = "Define A\n<IfDefine !A>\nRustAppAlias /a a\n</IfDefine>\n<IfDefine A>\n\
                       RustAppAlias /b b\n</IfDefine>\n";
        assert_eq!(path(defined), "/b");
        assert_eq!(path(&format!("{defined}UnDefine A\n{defined}")), "/b");
    }
}

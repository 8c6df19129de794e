//! The functions of a crate that return a router, found in its sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::spanned::Spanned as _;
use syn::{Attribute, GenericArgument, Item, ItemFn, PathArguments, ReturnType, Type, Visibility};

/// A function that returns a `Router`, or a `Result` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouterFn {
    /// Its path in the crate: `routes::app`.
    pub(crate) path: String,
    pub(crate) is_async: bool,
    pub(crate) is_fallible: bool,
    pub(crate) takes_arguments: bool,
    pub(crate) file: PathBuf,
    /// Everything private on its path: the file of a module or function, and its name there.
    pub(crate) private: Vec<(PathBuf, String)>,
}

impl RouterFn {
    /// Returns an expression that makes a factory of it. `krate` is the crate's name in Rust.
    pub(crate) fn factory(&self, krate: &str) -> String {
        let call = format!("{krate}::{}()", self.path);
        match (self.is_async, self.is_fallible) {
            (false, false) => format!("Factory::service_with_options(|()| Ok({call}))"),
            (false, true) => format!(
                "Factory::service_with_options(|()| {call}.map_err(mod_rust::Error::from_source))"
            ),
            (true, false) => {
                format!(
                    "Factory::service_async(|()| async {{ mod_rust::Result::Ok({call}.await) }})"
                )
            }
            (true, true) => format!("Factory::service_async(|()| {call})"),
        }
    }
}

/// Finds them in the crate whose root is the file `root`, in its modules too.
///
/// # Errors
/// Fails when the root cannot be read. A module whose file is elsewhere is left out.
pub(crate) fn find(root: &Path) -> Result<Vec<RouterFn>> {
    let items = parse(root)?;
    let mut found = Vec::new();
    let folder = root.parent().unwrap_or(Path::new("."));
    visit(&items, &Place { file: root, folder, prefix: "", private: &[] }, &mut found);
    Ok(found)
}

/// Returns the text of a file with its function or module `name` made public. `None` if it is not
/// there, or within an inline module.
pub(crate) fn publish(text: &str, name: &str) -> Option<String> {
    let items = syn::parse_file(text).ok()?.items;
    let (visibility, span) = items.iter().find_map(|item| match item {
        Item::Fn(function) if function.sig.ident == name => {
            Some((&function.vis, function.sig.span()))
        }
        Item::Mod(module) if module.ident == name => Some((&module.vis, module.mod_token.span())),
        _ => None,
    })?;
    let start = match visibility {
        Visibility::Public(_) => return Some(text.to_owned()),
        Visibility::Restricted(restricted) => {
            let closed = restricted.paren_token.span.close().byte_range();
            restricted.pub_token.span.byte_range().start..closed.end
        }
        Visibility::Inherited => {
            let start = span.byte_range().start;
            start..start
        }
    };
    let space = if start.is_empty() { " " } else { "" };
    Some(format!("{}pub{space}{}", &text[..start.start], &text[start.end..]))
}

struct Place<'a> {
    file: &'a Path,
    /// The folder of its modules' files.
    folder: &'a Path,
    prefix: &'a str,
    private: &'a [(PathBuf, String)],
}

impl Place<'_> {
    /// Returns what is private here, with the item `name` if it is, too.
    fn and(&self, visibility: &Visibility, name: String) -> Vec<(PathBuf, String)> {
        let mut private = self.private.to_vec();
        if !matches!(visibility, Visibility::Public(_)) {
            private.push((self.file.to_owned(), name));
        }
        private
    }
}

fn parse(file: &Path) -> Result<Vec<Item>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let parsed = syn::parse_file(&text);
    Ok(parsed.with_context(|| format!("{} is not valid Rust", file.display()))?.items)
}

fn functions(items: &[Item]) -> impl Iterator<Item = &ItemFn> {
    items.iter().filter_map(|item| match item {
        Item::Fn(function) if !is_of_tests(&function.attrs) => Some(function),
        _ => None,
    })
}

/// Tells whether an item is there in tests only.
fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn visit(items: &[Item], place: &Place<'_>, found: &mut Vec<RouterFn>) {
    for function in functions(items) {
        let ReturnType::Type(_, returned) = &function.sig.output else { continue };
        let Some(is_fallible) = is_router(returned) else { continue };
        found.push(RouterFn {
            path: format!("{}{}", place.prefix, function.sig.ident),
            is_async: function.sig.asyncness.is_some(),
            is_fallible,
            takes_arguments: !function.sig.inputs.is_empty(),
            file: place.file.to_owned(),
            private: place.and(&function.vis, function.sig.ident.to_string()),
        });
    }
    for item in items {
        let Item::Mod(module) = item else { continue };
        if is_of_tests(&module.attrs) {
            continue;
        }
        let name = module.ident.to_string();
        let prefix = format!("{}{name}::", place.prefix);
        let private = place.and(&module.vis, name.clone());
        let folder = place.folder.join(&name);
        match &module.content {
            Some((_, items)) => {
                let inner =
                    Place { file: place.file, folder: &folder, prefix: &prefix, private: &private };
                visit(items, &inner, found);
            }
            None => {
                let files = [place.folder.join(format!("{name}.rs")), folder.join("mod.rs")];
                for file in files {
                    if let Ok(items) = parse(&file) {
                        let inner = Place {
                            file: &file,
                            folder: &folder,
                            prefix: &prefix,
                            private: &private,
                        };
                        visit(&items, &inner, found);
                    }
                }
            }
        }
    }
}

/// Tells whether a type is a router that lacks no state, and whether in a `Result`. `None` for any
/// other type.
fn is_router(returned: &Type) -> Option<bool> {
    let Type::Path(path) = returned else { return None };
    let last = path.path.segments.last()?;
    let first = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.first(),
        _ => None,
    };
    match (last.ident.to_string().as_str(), first) {
        ("Router", None) => Some(false),
        ("Router", Some(GenericArgument::Type(Type::Tuple(unit)))) if unit.elems.is_empty() => {
            Some(false)
        }
        // A crate may name its own: `WebResult<Router>`.
        (name, Some(GenericArgument::Type(inner))) if name.ends_with("Result") => {
            (is_router(inner) == Some(false)).then_some(true)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_where_they_are() {
        let folder = std::env::temp_dir().join(format!("cargo-httpd-find-{}", std::process::id()));
        fs::create_dir_all(folder.join("web")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write(
            "lib.rs",
            "pub mod web;\nmod gone;\nmod inner { pub fn app() -> axum::Router { todo!() } }\n\
             async fn connected() -> anyhow::Result<Router<()>> { todo!() }\n\
             fn stated(s: State) -> Router { todo!() }\n\
             fn part() -> Router<State> { todo!() }\nfn other() -> u8 { 0 }\n\
             #[cfg(test)] mod tests { fn app() -> Router { todo!() } }\n\
             #[cfg(test)] fn tested() -> Router { todo!() }\n",
        );
        write("web/mod.rs", "mod routes;\npub fn app() -> Router { todo!() }\n");
        write("web/routes.rs", "pub async fn all() -> WebResult<Router> { todo!() }\n");
        let found = find(&folder.join("lib.rs")).unwrap();
        let all: Vec<_> = found
            .iter()
            .map(|found| (found.path.as_str(), found.private.is_empty(), found.takes_arguments))
            .collect();
        assert_eq!(
            all,
            [
                ("connected", false, false),
                ("stated", false, true),
                ("web::app", true, false),
                ("web::routes::all", false, false),
                ("inner::app", false, false),
            ]
        );
        let private: Vec<_> = found[3].private.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(private, ["routes"]);
        assert!(found[3].is_fallible, "a Result by another name");
        assert_eq!(found[0].factory("shop"), "Factory::service_async(|()| shop::connected())");
        assert_eq!(
            found[2].factory("shop"),
            "Factory::service_with_options(|()| Ok(shop::web::app()))"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_function_is_made_public() {
        let text =
            "//! Ä\n#[tokio::main]\nasync fn main() {}\n\npub(crate) fn app() {}\npub fn x() {}\n";
        assert!(publish(text, "main").unwrap().contains("]\npub async fn main() {}"));
        assert!(publish(text, "app").unwrap().contains("\npub fn app() {}"));
        assert!(publish("#[x]\nmod web;\n", "web").unwrap().ends_with("]\npub mod web;\n"));
        assert_eq!(publish(text, "x").unwrap(), text);
        assert_eq!(publish(text, "none"), None);
    }
}

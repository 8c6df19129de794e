//! Typed application options: the configuration, deserialized into the application's own struct.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::error::{Error, ErrorKind, Result};

/// The options of an application in the configuration: names and values, each name once.
///
/// ```
/// use mod_rust::gateway::Options;
///
/// let options: Options = [("greeting", "Hi"), ("shelves", "3")].into_iter().collect();
/// assert_eq!(options.get("shelves"), Some("3"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Options {
    pairs: Vec<(String, String)>,
}

impl Options {
    /// Returns an empty set of options.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// Sets the value of `name`, in place of an earlier one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        match self.pairs.binary_search_by(|(set, _)| set.cmp(&name)) {
            Ok(at) => self.pairs[at].1 = value.into(),
            Err(at) => self.pairs.insert(at, (name, value.into())),
        }
    }

    /// Returns the value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.pairs.binary_search_by(|(set, _)| set.as_str().cmp(name)).ok()?;
        Some(&self.pairs[at].1)
    }

    /// Returns all options, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Deserializes the options into `T`.
    ///
    /// Numbers, strings, characters, unit enums and `Option`s have their usual form. Flags are
    /// On/Off, yes/no, true/false or 1/0. Lists are words.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] with the option's name, its value and the allowed values.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(Map { pairs: &self.pairs, next: 0 })
            .map_err(|error| Error::of(ErrorKind::Options, error.0))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut options = Self::new();
        for (name, value) in pairs {
            options.set(name, value);
        }
        options
    }
}

/// Returns the options that `T` declares, or `None` if it takes any (a map or a flattened struct).
#[must_use]
pub(super) fn declared<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

/// The reason why options could not be read.
#[derive(Debug)]
struct OptionReadError(String);

impl std::fmt::Display for OptionReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionReadError {}

impl de::Error for OptionReadError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("option \"{name}\" is missing"))
    }

    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Self {
        if expected.is_empty() {
            return Self(format!("option \"{name}\" is unknown: the application takes no options"));
        }
        Self(format!("option \"{name}\" is unknown; allowed are {}", expected.join(", ")))
    }
}

struct Map<'a> {
    pairs: &'a [(String, String)],
    next: usize,
}

impl<'de> de::Deserializer<'de> for Map<'_> {
    type Error = OptionReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        visitor.visit_map(self)
    }

    // `()` is the options type of an application without options.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        match self.pairs.first() {
            None => visitor.visit_unit(),
            Some((name, _)) => Err(de::Error::unknown_field(name, &[])),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OptionReadError> {
        if let Some((name, _)) = self.pairs.iter().find(|(name, _)| !fields.contains(&&**name)) {
            return Err(de::Error::unknown_field(name, fields));
        }
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Map<'_> {
    type Error = OptionReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, OptionReadError> {
        let Some((name, _)) = self.pairs.get(self.next) else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, OptionReadError> {
        let (name, value) = &self.pairs[self.next];
        self.next += 1;
        seed.deserialize(Value(value)).map_err(|OptionReadError(reason)| {
            OptionReadError(format!(
                "option \"{name}\": value \"{}\": {reason}",
                value.escape_debug()
            ))
        })
    }
}

/// The text of one value, parsed as the type that the application asks for.
struct Value<'a>(&'a str);

macro_rules! parse {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(OptionReadError(format!($what, min = <$type>::MIN, max = <$type>::MAX))),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Value<'_> {
    type Error = OptionReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        visitor.visit_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(self.0));
        if is(["on", "yes", "true", "1"]) {
            visitor.visit_bool(true)
        } else if is(["off", "no", "false", "0"]) {
            visitor.visit_bool(false)
        } else {
            Err(OptionReadError("expected On or Off".into()))
        }
    }

    parse! {
        deserialize_i8 visit_i8 i8, "expected a whole number from {min} to {max}";
        deserialize_i16 visit_i16 i16, "expected a whole number from {min} to {max}";
        deserialize_i32 visit_i32 i32, "expected a whole number from {min} to {max}";
        deserialize_i64 visit_i64 i64, "expected a whole number from {min} to {max}";
        deserialize_u8 visit_u8 u8, "expected a whole number from {min} to {max}";
        deserialize_u16 visit_u16 u16, "expected a whole number from {min} to {max}";
        deserialize_u32 visit_u32 u32, "expected a whole number from {min} to {max}";
        deserialize_u64 visit_u64 u64, "expected a whole number from {min} to {max}";
        deserialize_f32 visit_f32 f32, "expected a number from {min} to {max}";
        deserialize_f64 visit_f64 f64, "expected a number from {min} to {max}";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, OptionReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        visitor.visit_seq(Words(self.0.split_ascii_whitespace()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OptionReadError> {
        visitor.visit_enum(StrDeserializer::new(self.0)).map_err(|_: OptionReadError| {
            OptionReadError(format!("expected one of {}", variants.join(", ")))
        })
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct
        identifier ignored_any
    }
}

struct Words<'a>(std::str::SplitAsciiWhitespace<'a>);

impl<'de> SeqAccess<'de> for Words<'_> {
    type Error = OptionReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, OptionReadError> {
        self.0.next().map(|word| seed.deserialize(Value(word))).transpose()
    }
}

/// Learns the names of a struct's fields, and deserializes nothing.
struct Fields<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> de::Deserializer<'de> for Fields<'_> {
    type Error = OptionReadError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, OptionReadError> {
        Err(OptionReadError(String::new()))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OptionReadError> {
        *self.0 = Some(&[]);
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OptionReadError> {
        *self.0 = Some(fields);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    struct Shop {
        root: String,
        #[serde(default)]
        allow_crash: bool,
        #[serde(default)]
        limit: Option<u16>,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Fast,
        Safe,
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Shop, String> {
        pairs.iter().copied().collect::<Options>().read().map_err(|error| error.to_string())
    }

    #[test]
    fn reads_typed_values() {
        let shop = read(&[
            ("root", "/srv"),
            ("allow-crash", "On"),
            ("limit", "9"),
            ("tags", "a b"),
            ("mode", "safe"),
        ]);
        let expected = Shop {
            root: "/srv".into(),
            allow_crash: true,
            limit: Some(9),
            tags: vec!["a".into(), "b".into()],
            mode: Mode::Safe,
        };
        assert_eq!(shop.unwrap(), expected);
    }

    #[test]
    fn says_what_is_wrong_and_allowed() {
        for (pairs, expected) in [
            (&[][..], "option \"root\" is missing"),
            (
                &[("root", "/"), ("rot", "/")],
                "option \"rot\" is unknown; allowed are root, allow-crash, limit, tags, mode",
            ),
            (
                &[("root", "/"), ("limit", "-1")],
                "option \"limit\": value \"-1\": expected a whole number from 0 to 65535",
            ),
            (
                &[("root", "/"), ("allow-crash", "maybe")],
                "option \"allow-crash\": value \"maybe\": expected On or Off",
            ),
            (
                &[("root", "/"), ("mode", "x")],
                "option \"mode\": value \"x\": expected one of fast, safe",
            ),
        ] {
            assert_eq!(read(pairs).unwrap_err(), expected);
        }
    }

    #[test]
    fn nothing_declared_nothing_taken() {
        let options = Options::from_iter([("a", "b")]);
        assert_eq!(
            options.read::<()>().unwrap_err().to_string(),
            "option \"a\" is unknown: the application takes no options"
        );
        assert!(Options::new().read::<()>().is_ok());
    }

    #[test]
    fn knows_what_is_declared() {
        assert_eq!(declared::<Shop>(), Some(&["root", "allow-crash", "limit", "tags", "mode"][..]));
        assert_eq!(declared::<()>(), Some(&[][..]));
        assert_eq!(declared::<std::collections::BTreeMap<String, String>>(), None);
    }
}

//! The value of a directive that is On, Off, or chosen by mod_rust.

use std::str::FromStr;

/// `On`, `Off` or `Auto`: the value of RustAsync and of RustMapHeadToGet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnOffAuto {
    Off,
    On,
    #[default]
    Auto,
}

impl FromStr for OnOffAuto {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "auto" => Ok(Self::Auto),
            _ => Err("expected On, Off or Auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OnOffAuto;

    #[test]
    fn values() {
        assert_eq!("auto".parse(), Ok(OnOffAuto::Auto));
        assert_eq!("OFF".parse(), Ok(OnOffAuto::Off));
        assert_eq!("never".parse::<OnOffAuto>(), Err("expected On, Off or Auto"));
    }
}

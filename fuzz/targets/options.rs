//! Option values of every type: read, or refused with a reason that names the option.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_rust::gateway::Options;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code)]
struct All {
    flag: Option<bool>,
    small: Option<u8>,
    large: Option<i64>,
    ratio: Option<f64>,
    letter: Option<char>,
    words: Option<Vec<String>>,
    numbers: Option<Vec<u32>>,
    mode: Option<Mode>,
    nested: Option<Vec<Mode>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Safe,
}

const NAMES: [&str; 10] =
    ["flag", "small", "large", "ratio", "letter", "words", "numbers", "mode", "nested", "other"];

fuzz_target!(|pairs: Vec<(u8, String)>| {
    let mut options = Options::new();
    for (name, value) in &pairs {
        options.set(NAMES[usize::from(*name) % NAMES.len()], value.as_str());
    }
    match options.read::<All>() {
        Ok(all) => {
            assert!(options.get("other").is_none());
            if let Some(small) = all.small {
                let text = options.get("small").expect("it was read");
                assert_eq!(
                    text.trim_start_matches('+').trim_start_matches('0').len(),
                    match small {
                        0 => 0,
                        _ => small.to_string().len(),
                    }
                );
            }
        }
        Err(error) => {
            let reason = error.to_string();
            assert!(NAMES.iter().any(|name| reason.contains(&format!("\"{name}\""))), "{reason}");
        }
    }
});

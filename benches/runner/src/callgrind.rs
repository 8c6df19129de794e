//! Reads callgrind's files: how many instructions each function took by itself.
//!
//! Format: valgrind's manual, "Callgrind Format Specification". Names are compressed, `(1) name` at
//! first and `(1)` afterwards; the line after `calls=` is the callee's cost and no cost of the
//! caller.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Instructions by shared object and function.
pub(crate) type Costs = BTreeMap<(String, String), f64>;

/// Sums up the files of a folder, one a process, and returns the costs and how many files there
/// were.
///
/// # Errors
/// Fails when there is none, or one is cut short.
pub(crate) fn read_folder(folder: &Path) -> Result<(Costs, usize)> {
    let mut costs = Costs::new();
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("callgrind.") {
            continue;
        }
        let text = std::fs::read(&path)?;
        read(&String::from_utf8_lossy(&text), &mut costs)
            .with_context(|| format!("`{}`", path.display()))?;
        files += 1;
    }
    if files == 0 {
        bail!("callgrind left no file in `{}`", folder.display());
    }
    Ok((costs, files))
}

/// Costs of the long run less those of the short one, for one of the requests that differ.
pub(crate) fn difference(long: &Costs, short: &Costs, requests: f64) -> Costs {
    let keys = long.keys().chain(short.keys());
    keys.map(|key| {
        let of = |costs: &Costs| costs.get(key).copied().unwrap_or(0.0);
        (key.clone(), (of(long) - of(short)) / requests)
    })
    .collect()
}

/// Returns the sum of all.
pub(crate) fn total(costs: &Costs) -> f64 {
    costs.values().sum()
}

/// Sums by object, or by `function (object)`; the largest first, without what is less than `least`.
pub(crate) fn ranking(costs: &Costs, functions: bool, least: f64) -> Vec<(String, f64)> {
    let mut sums: HashMap<String, f64> = HashMap::new();
    for ((object, function), cost) in costs {
        let object = object.rsplit('/').next().unwrap_or(object);
        let name = match functions {
            // A stripped object has addresses for names.
            true if function.starts_with("0x") => format!("without a name ({object})"),
            true => format!("{function} ({object})"),
            false => object.to_owned(),
        };
        *sums.entry(name).or_default() += cost;
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, cost)| cost.abs() >= least).collect();
    sums.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()).then(one.0.cmp(&other.0)));
    sums
}

fn read(text: &str, costs: &mut Costs) -> Result<()> {
    let (mut objects, mut functions) = (HashMap::new(), HashMap::new());
    let (mut object, mut function) = (String::new(), String::new());
    let (mut sum, mut expected, mut callee) = (0_u64, None::<u64>, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            object = expand(name, &mut objects);
        } else if let Some(name) = line.strip_prefix("fn=") {
            function = expand(name, &mut functions);
        } else if let Some(name) = line.strip_prefix("cob=") {
            expand(name, &mut objects);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            expand(name, &mut functions);
        } else if line.starts_with("calls=") {
            callee = true;
        } else if let Some(rest) = line.strip_prefix("totals:") {
            expected = rest.split_whitespace().next().and_then(|total| total.parse().ok());
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            // The position, then the cost.
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
            let cost = cost.with_context(|| format!("the line `{line}`"))?;
            if !std::mem::take(&mut callee) {
                sum += cost;
                *costs.entry((object.clone(), function.clone())).or_default() += cost as f64;
            }
        }
    }
    match expected {
        Some(total) if total == sum => Ok(()),
        Some(total) => bail!("the costs add up to {sum}, not to {total}"),
        None => bail!("the file ends before its total"),
    }
}

fn expand(name: &str, names: &mut HashMap<String, String>) -> String {
    let Some((id, rest)) = name.strip_prefix('(').and_then(|name| name.split_once(')')) else {
        return name.to_owned();
    };
    let rest = rest.trim();
    if rest.is_empty() {
        return names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    }
    names.insert(id.to_owned(), rest.to_owned());
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# callgrind format\nversion: 1\npid: 7\ncmd: httpd\npart: 1\n\n\
        positions: line\nevents: Ir\nsummary: 111\n\n\
        ob=(1) /usr/lib/libc.so.6\nfl=(1) ???\nfn=(1) strlen\n0 10\n\n\
        ob=(2) /t/mod_a.so\nfn=(2) <a::b>::c\n5 1\n+3 100\ncob=(1)\ncfn=(1)\ncalls=4 0\n* 40\n\
        fn=(3) 0x0000000000001234\n0 7\nfn=(1)\nob=(1)\n0 3\ntotals: 121\n";

    #[test]
    fn own_costs_without_those_of_callees() {
        let mut costs = Costs::new();
        read(FILE, &mut costs).unwrap();
        let key = |object: &str, function: &str| (object.to_owned(), function.to_owned());
        assert_eq!(costs[&key("/t/mod_a.so", "<a::b>::c")], 101.0);
        assert_eq!(costs[&key("/usr/lib/libc.so.6", "strlen")], 13.0);
        assert_eq!(total(&costs), 121.0);
        assert_eq!(
            ranking(&costs, true, 8.0),
            [("<a::b>::c (mod_a.so)".into(), 101.0), ("strlen (libc.so.6)".into(), 13.0)]
        );
        assert_eq!(
            ranking(&costs, false, 0.0),
            [("mod_a.so".into(), 108.0), ("libc.so.6".into(), 13.0)]
        );
        assert!(ranking(&costs, true, 0.0).contains(&("without a name (mod_a.so)".into(), 7.0)));
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        for end in [FILE.len() - 20, FILE.len() / 2] {
            assert!(read(&FILE[..end], &mut Costs::new()).is_err());
        }
    }

    #[test]
    fn differences_are_for_one_request() {
        let costs = |cost| Costs::from([(("o".to_owned(), "f".to_owned()), cost)]);
        assert_eq!(total(&difference(&costs(300.0), &costs(100.0), 100.0)), 2.0);
        assert_eq!(total(&difference(&Costs::new(), &costs(100.0), 100.0)), -1.0);
    }
}

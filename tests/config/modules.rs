//! Tests several modules of the kit in one httpd. Each answers for its own applications in any
//! order of loading, and none sees the others' symbols.

use std::process::Command;

use httpd_testkit::{Builder, Server, find_module};

use crate::support::{configtest, refused, taken};

const MODULES: [&str; 3] = ["mod_rust.so", "mod_shop.so", "mod_greeter.so"];

/// Returns every order of the three.
fn orders() -> impl Iterator<Item = Builder> {
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        .into_iter()
        .map(|order| order.into_iter().fold(Server::builder(), |b, at| b.module(MODULES[at])))
}

#[test]
fn each_answers_for_its_own() {
    for builder in orders() {
        let server = builder
            .file("htdocs/x.txt", "a file")
            .conf("RustAppAlias /probe probe")
            .conf("RustAppAlias /hello mod_rust:hello")
            .conf("RustAppAlias /hi mod_greeter:hello")
            .conf("RustAppAlias /greeter greeter")
            .conf("RustAppAlias /shop shop\nRustAppOption greeting Welcome")
            .conf("ShopCurrency EUR\n<Location /shop>\nShopDiscount 5\n</Location>")
            .conf("RustAppAlias /closed mod_shop:closed")
            .conf("<Files x.txt>\nRustApp greeter\n</Files>")
            // One module's application replaces another's mount.
            .conf("<Location /probe/greeter>\nRustApp greeter\n</Location>")
            .conf("<Location /greeter/probe>\nRustApp mod_rust:probe\n</Location>")
            .conf("<Location /shop/off>\nRustApp Off\n</Location>")
            .start();
        for (target, status, text) in [
            ("/probe/config", 200, "\"allow-crash\": false"),
            // The directives of one module reach what another one answers.
            ("/probe/environ", 200, "\"SHOP_CURRENCY\": \"EUR\""),
            ("/hello", 200, "Hello, world\n"),
            ("/hi", 200, "Hello, stranger\n"),
            ("/greeter", 200, "Hello, stranger\n"),
            ("/shop", 200, "Welcome! 1 shelves, 5 percent off, prices in EUR.\n"),
            ("/closed", 503, "Closed.\n"),
            ("/x.txt", 200, "Hello, stranger\n"),
            ("/probe/greeter", 200, "Hello, stranger\n"),
            ("/greeter/probe", 404, "below the mount point"),
            ("/shop/off", 404, "Not Found"),
            ("/nothing", 404, "Not Found"),
        ] {
            let response = server.get(target);
            assert_eq!(response.status, status, "{target}: {response:?}\n{}", server.config());
            assert!(response.text().contains(text), "{target}: {response:?}\n{}", server.config());
        }
        // The reason phrase is the application's own.
        assert_eq!(server.get("/closed").reason, "Closed");
    }
}

/// The order of mounts holds across modules.
#[test]
fn the_first_mount_that_fits_answers_whosever_it_is() {
    for builder in orders() {
        let server = builder
            .conf("RustAppAlias /a/b greeter\nRustAppAlias /a probe\nRustAppAlias /a/c greeter")
            .conf("RustAppAlias /d greeter\nRustAppAlias /d/e probe")
            .start();
        for (target, text) in [
            ("/a/b/environ", "Hello, stranger"),
            ("/a/environ", "REQUEST_METHOD"),
            ("/a/c/environ", "below the mount point"),
            ("/d/e/environ", "Hello, stranger"),
        ] {
            let response = server.get(target);
            assert!(response.text().contains(text), "{target}: {response:?}\n{}", server.config());
        }
    }
}

#[test]
fn names_that_several_modules_have() {
    for builder in orders() {
        for (lines, expected) in [
            ("RustAppAlias /x hello", "RUST0101: RustAppAlias /x hello at "),
            ("RustAppAliasMatch ^/x hello", "RUST0101: RustAppAliasMatch ^/x hello at "),
            ("<Location /x>\nRustApp hello\n</Location>", "RUST0101: RustApp at "),
        ] {
            let test = configtest(builder.clone(), lines);
            let found = refused(lines, &test, expected);
            assert!(
                found.contains("several modules have an application \"hello\": write "),
                "{found}"
            );
            for name in ["mod_rust:hello", "mod_greeter:hello"] {
                assert!(found.contains(name), "{found}");
            }
            // Said once, not by each module.
            assert_eq!(test.output.matches("RUST0101").count(), 1, "{}", test.output);
        }
        let lines = "RustAppAlias /x mod_shop:hello";
        let test = configtest(builder.clone(), lines);
        let found = refused(lines, &test, "no loaded module has an application \"mod_shop:hello\"");
        for name in ["closed", "front", "greeter", "hello", "probe", "shop"] {
            assert!(found.contains(name), "{found}");
        }
        assert_eq!(found.matches(" hello").count(), 1, "{found}");
        taken(builder, "RustAppAlias /x mod_rust:hello\nRustAppAlias /y mod_greeter:hello");
    }
}

/// An option has to be known to an application somewhere, of any module.
#[test]
fn options_across_modules() {
    for builder in orders() {
        let mounts =
            "RustAppAlias /probe probe\nRustAppAlias /shop shop\nRustAppAlias /hi greeter\n";
        taken(builder.clone(), &format!("{mounts}RustAppOption greeting Hi\nRustAppOption note x"));
        for (lines, expected) in [
            ("RustAppOption note x", "option \"greeting\" is missing"),
            ("RustAppOption greeting Hi\nRustAppOption nota x", "RUST0103: "),
            (
                "RustAppOption greeting Hi\n<Location /hi>\nRustAppOption note x\n</Location>",
                "RUST0103: ",
            ),
            (
                "RustAppOption greeting Hi\n<Location /shop>\nRustAppOption shelves x\n</Location>",
                "RUST0102: ",
            ),
        ] {
            let lines = format!("{mounts}{lines}");
            let test = configtest(builder.clone(), &lines);
            refused(&lines, &test, expected);
            assert_eq!(test.output.matches("RUST01").count(), 1, "{}", test.output);
        }
    }
}

/// A module's own directives say what is wrong as the stock ones do.
#[test]
fn own_directives() {
    let builder = || Server::builder().module("mod_shop.so");
    for (lines, expected) in [
        ("ShopDiscount", "ShopDiscount takes one argument"),
        ("ShopDiscount 256", "ShopDiscount value \"256\": "),
        ("ShopDiscount -1", "ShopDiscount value \"-1\": "),
        ("ShopCurrency DM", "ShopCurrency value \"DM\": expected EUR or USD"),
        ("ShopSecret perhaps", "ShopSecret value \"perhaps\": expected On or Off"),
    ] {
        let test = configtest(builder(), lines);
        refused(lines, &test, expected);
        refused(lines, &test, "on line 1 of ");
    }
    taken(builder(), "ShopDiscount 255\nShopCurrency USD\nShopSecret on");
    let server = builder()
        .conf("ShopCurrency EUR\nRustAppAlias /shop shop\nRustAppOption greeting Hi")
        .conf("<Location /shop/usd>\nShopCurrency USD\n</Location>")
        .conf("<Location /shop/secret>\nShopSecret On\n</Location>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName first.test\nShopDiscount 1\n</VirtualHost>",
        )
        .start();
    for (target, status, text) in [
        ("/shop", 200, "Hi! 1 shelves, 1 percent off, prices in EUR.\n"),
        ("/shop/usd", 200, "Hi! 1 shelves, 1 percent off, prices in USD.\n"),
        ("/shop/secret", 403, "Forbidden"),
    ] {
        let response = server.get(target);
        assert_eq!(response.status, status, "{target}: {response:?}");
        assert!(response.text().contains(text), "{target}: {response:?}");
    }
}

/// httpd loads modules into one symbol space: what one exports, another would call.
#[test]
fn one_symbol_is_exported() {
    for file in ["mod_rust.so", "mod_shop.so", "mod_greeter.so", "mod_axum.so", "mod_quirks.so"] {
        let path = find_module(file).expect("it was built");
        let output = Command::new("nm").args(["-D", "--defined-only"]).arg(&path).output();
        let output = output.expect("nm is installed with the compiler");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let symbols: Vec<_> =
            text.lines().filter_map(|line| line.split_whitespace().next_back()).collect();
        let stem = file.trim_start_matches("mod_").trim_end_matches(".so");
        assert_eq!(symbols, [format!("{stem}_module")], "{}", path.display());
    }
}

//! The application alone, under the rules that every gateway keeps: no server is needed.

use @CRATE@::hello;
use mod_rust::gateway::memory::TestRequest;

#[test]
fn greets() {
    let greeting = |path: &str| {
        let answer = TestRequest::get(path).mount("/@NAME@").call(&hello);
        assert!(answer.is_complete());
        answer.text().into_owned()
    };
    assert_eq!(greeting("/@NAME@"), "Hello, world\n");
    assert_eq!(greeting("/@NAME@/Jo"), "Hello, Jo\n");
}

#[test]
fn characters_outside_ascii_are_escaped() {
    let answer = TestRequest::get("/@NAME@/%ff").mount("/@NAME@").call(&hello);
    assert_eq!(answer.text(), "Hello, \\xff\n");
}

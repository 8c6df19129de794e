//! The applications alone, under the rules that every gateway keeps: no server is needed.

use @CRATE@::{Options, applications, closed, open};
use mod_rust::gateway::memory::TestRequest;

#[test]
fn greets() {
    let options = Options { greeting: "Good day".to_owned(), shelves: Some(3) };
    let application = open(options).unwrap();
    let answer = TestRequest::get("/").variable("@UPPER@_CURRENCY", "USD").call(&application);
    assert_eq!(answer.text(), "Good day! 3 shelves, prices in USD.\n");
    assert_eq!(
        TestRequest::get("/").call(&application).text(),
        "Good day! 3 shelves, prices in EUR.\n"
    );
}

#[test]
fn is_closed() {
    let answer = TestRequest::get("/").call(&closed);
    assert_eq!((answer.status().as_u16(), &*answer.text()), (503, "Closed.\n"));
}

#[test]
fn the_options_are_typed() {
    let (_, factory) = &applications()[0];
    let said = |options: &[(&str, &str)]| {
        factory.check(&options.iter().copied().collect()).map_err(|error| error.to_string())
    };
    assert_eq!(said(&[("greeting", "Hello"), ("shelves", "7")]), Ok(()));
    assert_eq!(said(&[]).unwrap_err(), "option \"greeting\" is missing");
    assert!(said(&[("greeting", "Hello"), ("shelves", "some")]).is_err());
}

use super::*;
use crate::gateway::{Body, Factory, app_fn};
use crate::server::serve::command;
use crate::server::serve::gateway::Gateway;

fn decide(surroundings: &Inherited, arguments: &[&str]) -> Result<Task, String> {
    let gateway = Gateway::new("shop", "1")
        .application("shop", Factory::of(app_fn(|_, _| Ok(Body::empty()))));
    let arguments = ["shop"].iter().chain(arguments).map(Into::into).collect();
    surroundings.decide(&command::parse(&gateway, arguments, None).unwrap())
}

#[test]
fn nothing_is_an_error() {
    let error = decide(&Inherited::default(), &[]).unwrap_err();
    assert!(error.starts_with("there is nothing to serve: name a listener ("), "{error}");
    assert!(is_cgi_interface(OsStr::new("CGI/1.1")));
    assert!(!is_cgi_interface(OsStr::new("FCGI")));
}

#[test]
#[cfg(feature = "cgi")]
fn cgi() {
    let surroundings = Inherited { is_cgi: true, ..Inherited::default() };
    assert_eq!(decide(&surroundings, &[]), Ok(Task::Cgi));
    assert_eq!(decide(&surroundings, &["--cgi"]), Ok(Task::Cgi));
    let error = decide(&Inherited::default(), &["--cgi"]).unwrap_err();
    assert!(error.contains("GATEWAY_INTERFACE"), "{error}");
}

#[test]
#[cfg(feature = "fastcgi")]
fn sockets_of_others() {
    let surroundings = Inherited { is_fastcgi: true, ..Inherited::default() };
    assert_eq!(decide(&surroundings, &[]), Ok(Task::Inherited));
    let of = |name: &str| Inherited { sockets: vec![(3, name.into())], ..Inherited::default() };
    let wanted = Wanted { protocol: Mode::FastCgi, address: Address::Descriptor(3) };
    for name in ["fastcgi", "fastcgi-admin"] {
        assert_eq!(decide(&of(name), &[]), Ok(Task::Listen(vec![wanted.clone()])), "{name}");
    }
    assert_eq!(decide(&of("unknown"), &["--fastcgi", "fd:3"]), Ok(Task::Listen(vec![wanted])));
    let error = decide(&of("shop.socket"), &[]).unwrap_err();
    assert!(error.contains("descriptor 3 is named \"shop.socket\""), "{error}");
}

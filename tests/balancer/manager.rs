//! httpd's balancer-manager: what it says of the members.

use httpd_testkit::{Response, Server};

/// A member of a balancer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The address of the member's page: the balancer, the member, and a nonce.
    page: String,
    /// `a`, `b`.
    pub(crate) route: String,
    /// The status, such as `Init Ok`, `Init Err`, `Init HcFl`.
    pub(crate) status: String,
}

impl State {
    pub(crate) fn is_ok(&self) -> bool {
        self.status.split(' ').any(|word| word == "Ok")
    }

    fn drains(&self) -> bool {
        self.status.split(' ').any(|word| word == "Drn")
    }
}

/// Returns all members of all balancers.
pub(crate) fn members(server: &Server) -> Vec<State> {
    parse(ask(server, "GET", "").text())
}

/// Takes no new visitors to the members with this route, of any balancer, or takes them again.
pub(crate) fn drain(server: &Server, route: &str, on: bool) {
    for member in members(server).iter().filter(|member| member.route == route) {
        ask(server, "POST", &format!("{}&w_status_N={}", member.page, u8::from(on)));
    }
    let all = members(server);
    assert!(all.iter().all(|member| member.route != route || member.drains() == on), "{all:?}");
}

fn ask(server: &Server, method: &str, form: &str) -> Response {
    // It takes parameters from its own pages only, and complains of each request without this header.
    let request = server.request(method, PAGE).header("Referer", server.url(PAGE));
    let request = match form {
        "" => request,
        form => request.header("Content-Type", "application/x-www-form-urlencoded").body(form),
    };
    let page = request.send();
    assert_eq!(page.status, 200, "{page:?}");
    page
}

const PAGE: &str = "/balancer-manager";

/// Parses the rows of the table: a cell with a link whose text is the address, then route,
/// redirection, factor, set, status.
fn parse(page: &str) -> Vec<State> {
    let rows = page.split("<tr>\n<td><a href=\"/balancer-manager?").skip(1);
    let state = |row: &str| {
        let cells: Vec<_> = row.split("</td><td>").collect();
        let page = row.split('"').next()?.replace("&amp;", "&");
        let (route, status) = (cells.get(1)?.to_string(), cells.get(5)?.trim().to_owned());
        Some(State { page, route, status })
    };
    rows.filter_map(state).collect()
}

#[test]
fn reads_the_table() {
    let row = "<tr>\n<td><a href=\"/balancer-manager?b=shop&amp;w=x\">http://h:80</a></td><td>a</td><td></td>\
               <td>1.00</td><td>0</td><td>Init Err </td><td>1</td><td>0</td>\n</tr>";
    let members = parse(&format!("<table>{row}{}</table>", row.replace("Err", "Ok")));
    let shown: Vec<_> = members.iter().map(|m| (m.route.as_str(), m.is_ok())).collect();
    assert_eq!(shown, [("a", false), ("a", true)]);
    assert_eq!(members[0].page, "b=shop&w=x");
}

use super::*;

fn header(kind: RecordKind, content_length: u16) -> RecordHeader {
    RecordHeader::new(kind, 1, content_length)
}

fn pass(role: Role, records: &[(RecordKind, u16)]) -> (Vec<Step>, RequestFlow) {
    let mut flow = RequestFlow::begin(role);
    let pass = |&(kind, length): &(RecordKind, u16)| flow.pass(&header(kind, length)).unwrap();
    let steps = records.iter().map(pass).collect();
    (steps, flow)
}

#[test]
fn each_role_in_its_order() {
    let params = [(RecordKind::PARAMS, 9), (RecordKind::PARAMS, 0)];
    let (steps, flow) = pass(Role::RESPONDER, &params);
    assert_eq!(steps, [Step::Params, Step::ParamsEnd]);
    assert!(flow.is_ready() && !flow.is_whole());
    let (_, flow) = pass(Role::AUTHORIZER, &params);
    assert!(flow.is_ready() && flow.is_whole() && flow.role() == Role::AUTHORIZER);
    let (_, flow) = pass(Role::FILTER, &params);
    assert!(!flow.is_ready() && !flow.is_whole());

    let stdin = [params[0], params[1], (RecordKind::STDIN, 1), (RecordKind::STDIN, 0)];
    for role in [Role::RESPONDER, Role::AUTHORIZER] {
        let (steps, flow) = pass(role, &stdin);
        assert_eq!(steps[2..], [Step::Stdin, Step::StdinEnd]);
        assert!(flow.is_ready() && flow.is_whole());
    }
    let (_, flow) = pass(Role::FILTER, &stdin);
    assert!(flow.is_ready() && !flow.is_whole());
    let data = [&stdin[..], &[(RecordKind::DATA, 5), (RecordKind::DATA, 0)]].concat();
    let (steps, flow) = pass(Role::FILTER, &data);
    assert_eq!(steps[4..], [Step::Data, Step::DataEnd]);
    assert!(flow.is_ready() && flow.is_whole());
}

#[test]
fn an_abort_can_come_at_any_time() {
    let records = [(RecordKind::PARAMS, 0), (RecordKind::STDIN, 0), (RecordKind::DATA, 0)];
    for end in 0..=records.len() {
        let (_, mut flow) = pass(Role::FILTER, &records[..end]);
        let before = flow;
        assert_eq!(flow.pass(&header(RecordKind::ABORT_REQUEST, 0)), Ok(Step::Abort));
        assert_eq!(flow, before);
    }
}

#[test]
fn records_out_of_order() {
    let records = [(RecordKind::PARAMS, 0), (RecordKind::STDIN, 0), (RecordKind::DATA, 0)];
    let allowed = ["PARAMS and ABORT_REQUEST", "STDIN and ABORT_REQUEST", "DATA and ABORT_REQUEST"];
    for (at, now) in allowed.into_iter().chain(["ABORT_REQUEST"]).enumerate() {
        let (_, mut flow) = pass(Role::FILTER, &records[..at]);
        for kind in RecordKind::ALL {
            let turn = records.get(at).is_some_and(|(turn, _)| *turn == kind);
            if turn || kind == RecordKind::ABORT_REQUEST {
                continue;
            }
            let before = flow;
            let error = flow.pass(&header(kind, 0)).unwrap_err();
            assert_eq!((flow, error.record()), (before, Some(kind)));
            assert_eq!(error.kind(), RecordErrorKind::Unexpected { allowed: now });
            let text = format!("FastCGI {kind}, byte 1: it cannot come now; {now} can");
            assert_eq!(error.to_string(), text);
        }
    }
    let (_, mut flow) = pass(Role::RESPONDER, &records[..2]);
    assert!(flow.pass(&header(RecordKind::DATA, 1)).is_err(), "only a filter has DATA");
}

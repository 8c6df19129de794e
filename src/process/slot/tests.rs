use super::*;

#[test]
fn a_life() {
    let slot = Slot::default();
    assert_eq!((slot.state(), slot.pid(), slot.incarnation()), (State::Empty, 0, 0));
    assert_eq!(slot.acquire(), None);
    slot.enter(42, 15, 100);
    assert_eq!((slot.state(), slot.pid(), slot.threads()), (State::Dormant, 42, 15));
    assert!(!slot.become_ready(1), "not before it starts");
    assert!(slot.advance(State::Dormant, State::Starting, 110));
    assert!(!slot.advance(State::Dormant, State::Starting, 111));
    assert_eq!(slot.acquire(), None);
    assert!(slot.become_ready(120));
    assert_eq!((slot.ready_us(), slot.since_us()), (120, 120));
    let held = slot.acquire().unwrap();
    assert_eq!((held, slot.running()), (0, 1));
    assert!(slot.drain(Reason::GracefulSignal, 130) && !slot.drain(Reason::ScaleDown, 131));
    assert_eq!(slot.reason(), Some(Reason::GracefulSignal));
    assert_eq!((slot.acquire(), slot.running()), (None, 1));
    assert!(!slot.is_idle());
    assert_eq!(slot.release(held), Some(0));
    assert!(slot.is_idle());
    slot.vacate(140);
    assert_eq!((slot.state(), slot.incarnation(), slot.reason()), (State::Empty, 1, None));
    assert_eq!(slot.release(held), None, "of the process before");
}

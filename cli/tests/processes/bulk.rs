//! A file of many addresses, sent by several workers.

use crate::installation::Installation;

/// More addresses than Redis may hold tasks at a time.
const PEOPLE: usize = 2_500;

/// The most tasks that Redis may hold.
const WINDOW: usize = 2_000;

#[test]
fn workers_started_last_mail_everyone_once() {
    let installation = Installation::new();
    installation.invite(PEOPLE);
    let mut workers = [installation.worker("one"), installation.worker("two")];
    let peak = installation.until_done();
    installation.assert_delivered(PEOPLE);
    assert_eq!(installation.received_letters().repeated(), 0);
    assert!((1..=WINDOW).contains(&peak), "{peak} tasks in Redis");
    for worker in &mut workers {
        worker.stop();
        assert_eq!(worker.warnings(), [""; 0]);
    }
    installation.assert_redis_is_empty();
}

#[test]
fn workers_started_first_mail_everyone_once() {
    const PEOPLE: usize = 1_000;
    let installation = Installation::new();
    let mut workers = [installation.worker("one"), installation.worker("two")];
    let invited = installation.host(&installation.people(PEOPLE)).ran().done();
    assert_eq!(invited.stdout.lines().count(), PEOPLE);
    installation.until_done();
    installation.assert_delivered(PEOPLE);
    assert_eq!(installation.received_letters().repeated(), 0);
    for worker in &mut workers {
        worker.stop();
    }
    installation.assert_redis_is_empty();
}

#[test]
fn until_idle_sends_due_letters_and_ends() {
    let installation = Installation::new();
    installation.command_line.run("work --until-idle").done();
    installation.invite(300);
    installation.command_line.run("work --until-idle").done();
    installation.assert_delivered(300);
    installation.assert_redis_is_empty();
}

//! A file full of people, mailed by several workers.

use crate::installation::Site;

/// More than Redis may hold at a time.
const PEOPLE: usize = 2_500;

/// The most tasks that Redis may hold.
const WINDOW: usize = 2_000;

#[test]
fn two_workers_that_start_last_mail_everyone_once_and_leave_redis_empty() {
    let site = Site::new();
    site.invite(PEOPLE);
    let mut workers = [site.worker("one"), site.worker("two")];
    let peak = site.until_done();
    site.assert_delivered(PEOPLE);
    assert_eq!(site.post().repeated(), 0);
    assert!((1..=WINDOW).contains(&peak), "{peak} tasks in Redis");
    for worker in &mut workers {
        worker.stop();
        assert_eq!(worker.complaints(), [""; 0]);
    }
    site.assert_redis_is_empty();
}

#[test]
fn workers_that_were_there_first_mail_what_comes() {
    const PEOPLE: usize = 1_000;
    let site = Site::new();
    let mut workers = [site.worker("one"), site.worker("two")];
    let invited = site.host(&site.people(PEOPLE)).ran().done();
    assert_eq!(invited.stdout.lines().count(), PEOPLE);
    site.until_done();
    site.assert_delivered(PEOPLE);
    assert_eq!(site.post().repeated(), 0);
    for worker in &mut workers {
        worker.stop();
    }
    site.assert_redis_is_empty();
}

#[test]
fn until_idle_mails_what_is_due_and_ends() {
    let site = Site::new();
    site.command_line.run("work --until-idle").done();
    site.invite(300);
    site.command_line.run("work --until-idle").done();
    site.assert_delivered(300);
    site.assert_redis_is_empty();
}

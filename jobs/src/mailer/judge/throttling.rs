//! Tests of the judgement and the pace together: letters of an hour, some of which always meet a rate limit.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::super::memory::{LetterKey, Memory, UNCERTAIN};
use super::super::reply_class::{classify, documented, fingerprint};
use super::super::throttle::Throttle;
use super::super::throttle_queue::YIELDS;
use super::tests::request_at;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The time of one letter on the connections together.
const REPLY: Duration = Duration::from_millis(2);

/// A mail server and the letters for it.
#[derive(Debug, Clone, Copy)]
struct Hour {
    stage: Stage,
    /// Letters a second that the server accepts, and in one burst.
    rate: f64,
    burst: f64,
    /// The time after which the burst is filled at once; zero to fill it by the rate.
    window: Duration,
    /// Letters a second that are promised.
    promised: f64,
    /// The number of recipients whose letters always meet the limit.
    limited: usize,
}

#[derive(Debug, Default)]
struct Seen {
    accepted: usize,
    refused: usize,
    /// The number of letters to others that were shown as deferred.
    others_deferred: usize,
    /// The numbers of times the letters to limited recipients were shown as deferred.
    limited_deferred: Vec<usize>,
    /// The longest that a letter to another waited.
    longest: Duration,
}

impl Hour {
    fn gained(self, before: Duration, now: Duration) -> f64 {
        if self.window.is_zero() {
            return (now - before).as_secs_f64() * self.rate;
        }
        let window = |at: Duration| at.as_nanos() / self.window.as_nanos();
        match window(now) > window(before) {
            true => self.burst,
            false => 0.0,
        }
    }

    fn play(self) -> Seen {
        let reply = documented::reply(request_at(self.stage).text);
        let prior = classify(self.stage, &reply).expect("a negative reply");
        let refusal = fingerprint(&reply, "user");
        let (memory, throttle, start) = (Memory::default(), Throttle::default(), Instant::now());
        let mut seen = Seen {
            limited_deferred: vec![0; self.limited],
            ..Seen::default()
        };
        let limited = (0..self.limited).map(|number| (start + HOUR / 60, number));
        let others = (0..(self.promised * HOUR.as_secs_f64()) as usize).map(|number| {
            let promised = Duration::from_secs_f64(number as f64 / self.promised);
            (start + promised, self.limited + number)
        });
        let mut due = Due::new(limited.chain(others));
        let (mut now, mut tokens) = (start, self.burst);
        while let Some(earliest) = due.earliest() {
            let before = now;
            now = now.max(earliest);
            now += throttle.until_slot(now).max(REPLY);
            throttle.take_slot(now);
            let number = due.take(now);
            if now > start + HOUR {
                break;
            }
            tokens = (tokens + self.gained(before - start, now - start)).min(self.burst);
            let recipient = format!("user{number}@domain{}.example", number % 5);
            let letter = LetterKey::new(&recipient, None);
            if number >= self.limited && tokens >= 1.0 {
                tokens -= 1.0;
                memory.accepted(now, letter);
                throttle.accepted(now);
                seen.accepted += 1;
                let promised = (number - self.limited) as f64 / self.promised;
                let waited = now - start - Duration::from_secs_f64(promised);
                seen.longest = seen.longest.max(waited);
                continue;
            }
            seen.refused += usize::from(number >= self.limited);
            let evidence = memory.refused(now, letter, &refusal);
            let is_news = memory.throttled(now, letter);
            let delay = match judge_reply(self.stage, reply.code, &prior, &evidence) {
                VerdictClass::Throttled => throttle.refused(now, is_news),
                VerdictClass::ServerFault => UNCERTAIN,
                VerdictClass::Deferred => {
                    match seen.limited_deferred.get_mut(number) {
                        Some(times) => *times += 1,
                        None => seen.others_deferred += 1,
                    }
                    HOUR / 12
                }
                other => panic!("{other:?}"),
            };
            due.repeats.push(Reverse((now + delay, number)));
        }
        seen
    }
}

/// The letters that are due, in the order of the throttle's queue.
struct Due {
    /// Those that met no request yet.
    new: VecDeque<(Instant, usize)>,
    repeats: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The number of new letters that a repeated one let go first.
    yielded: usize,
}

impl Due {
    fn new(letters: impl Iterator<Item = (Instant, usize)>) -> Self {
        let mut new: Vec<_> = letters.collect();
        new.sort_unstable();
        Self {
            new: new.into(),
            repeats: BinaryHeap::new(),
            yielded: 0,
        }
    }

    fn earliest(&self) -> Option<Instant> {
        let new = self.new.front().map(|(at, _)| *at);
        let repeat = self.repeats.peek().map(|Reverse((at, _))| *at);
        new.into_iter().chain(repeat).min()
    }

    /// Takes the letter whose turn is now.
    fn take(&mut self, now: Instant) -> usize {
        let is_repeat_due = self.repeats.peek().is_some_and(|it| it.0.0 <= now);
        let is_new_due = self.new.front().is_some_and(|(at, _)| *at <= now);
        if is_new_due && !(is_repeat_due && self.yielded >= YIELDS) {
            self.yielded += usize::from(is_repeat_due);
            return self.new.pop_front().expect("one is due").1;
        }
        self.yielded = 0;
        self.repeats.pop().expect("one is due").0.1
    }
}

impl Seen {
    fn refused_part(&self) -> f64 {
        self.refused as f64 / (self.accepted + self.refused) as f64
    }
}

#[test]
fn recipients_that_are_limited_slow_down_no_other() {
    for stage in [Stage::End, Stage::Rcpt] {
        for (limited, promised) in [
            (10, 0.02),
            (10, 0.2),
            (2, 0.2),
            (2, 1.0),
            (2, 10.0),
            (3, 10.0),
            (5, 50.0),
            (10, 50.0),
        ] {
            let hour = Hour {
                stage,
                rate: 1_000.0,
                burst: 1_000.0,
                window: Duration::ZERO,
                promised,
                limited,
            };
            let seen = hour.play();
            assert!(seen.longest < 10 * SECOND, "{hour:?}: {seen:?}");
            let are_shown = seen.limited_deferred.iter().all(|times| *times > 0);
            assert!(are_shown && seen.others_deferred == 0, "{hour:?}: {seen:?}");
        }
    }
}

#[test]
fn a_server_that_throttles_everybody_defers_no_letter() {
    let none = Duration::ZERO;
    for stage in [Stage::End, Stage::Rcpt] {
        for (rate, burst, window, promised) in [
            (14.0, 14.0, none, 100.0),
            (14.0, 1.0, none, 100.0),
            (14.0, 14.0, none, 14.5),
            (1.0, 1.0, none, 10.0),
            (5.0, 50.0, 10 * SECOND, 5.1),
            (1.0, 60.0, 60 * SECOND, 1.05),
        ] {
            for limited in [0, 3] {
                let hour = Hour {
                    stage,
                    rate,
                    burst,
                    window,
                    promised,
                    limited,
                };
                let seen = hour.play();
                assert_eq!(seen.others_deferred, 0, "{hour:?}: {seen:?}");
                let used = seen.accepted as f64 / (rate * HOUR.as_secs_f64());
                let most_refused = if window.is_zero() { 0.05 } else { 0.2 };
                assert!(
                    used >= 0.9 && seen.refused_part() <= most_refused,
                    "{hour:?}: {used:.3} used, {seen:?}"
                );
            }
        }
    }
}

//! Begins and ends faults.

use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use guestlist_testkit::process::Signal;

use super::{Environment, Host, smtp_faults};
use crate::chaos::schedule::{Schedule, Step};
use crate::fault::{Fault, Incident};

impl Environment {
    /// Performs a step. Returns the step that follows it and the delay before that.
    pub(crate) async fn perform(
        &mut self,
        step: Step,
        schedule: &mut Schedule,
    ) -> anyhow::Result<Option<(Duration, Step)>> {
        match step {
            Step::Begin(fault) => self.begin(fault, schedule).await,
            Step::StartWorker(index) => self.start_worker(index).map(|()| None),
            Step::ContinueWorker { index, incarnation } => {
                let worker = &mut self.workers[index];
                if worker.incarnation == incarnation && worker.stopped {
                    worker.stopped = false;
                    if let Some(process) = &worker.process {
                        process.signal(Signal::Continue)?;
                        close(&mut self.incidents, Fault::WorkerStop, Some(process.name()));
                    }
                }
                Ok(None)
            }
            Step::ContinueHost { index, incarnation } => {
                let host = &mut self.hosts[index];
                if host.incarnation == incarnation && host.stopped {
                    host.stopped = false;
                    if let Some(process) = &host.process {
                        process.signal(Signal::Continue)?;
                        close(&mut self.incidents, Fault::HostStop, Some(process.name()));
                    }
                }
                Ok(None)
            }
            Step::End(fault) => self.end(fault).await.map(|()| None),
        }
    }

    async fn begin(
        &mut self,
        fault: Fault,
        schedule: &mut Schedule,
    ) -> anyhow::Result<Option<(Duration, Step)>> {
        if self.is_redis_unreachable_for(fault) {
            return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
        }
        let (mut next, mut target) = (None, None);
        // Taken before the fault: a letter that it explains may be sent before it has returned.
        let from = Utc::now();
        match fault {
            Fault::WorkerKill => {
                let Some(index) = self.some_worker(schedule) else {
                    return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let worker = &mut self.workers[index];
                if let Some(mut process) = worker.process.take() {
                    process.kill();
                    target = Some(process.name().to_owned());
                }
                next = Some((schedule.draw_duration(0.0..1.0), Step::StartWorker(index)));
            }
            Fault::WorkerStop => {
                let Some(index) = self.some_worker(schedule) else {
                    return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let worker = &mut self.workers[index];
                if let Some(process) = &worker.process {
                    process.signal(Signal::Stop)?;
                    target = Some(process.name().to_owned());
                }
                worker.stopped = true;
                let incarnation = worker.incarnation;
                next = Some((
                    schedule.draw_duration(22.0..28.0),
                    Step::ContinueWorker { index, incarnation },
                ));
            }
            Fault::HostKill | Fault::HostStop => {
                let Some(index) = self.some_host(schedule) else {
                    // Gives up once everyone is invited: the hosts have ended.
                    return Ok((!self.hosts_are_done())
                        .then_some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let host = &mut self.hosts[index];
                if fault == Fault::HostKill {
                    if let Some(mut process) = host.process.take() {
                        process.kill();
                        target = Some(process.name().to_owned());
                    }
                } else if let Some(process) = &host.process {
                    process.signal(Signal::Stop)?;
                    target = Some(process.name().to_owned());
                    host.stopped = true;
                    let incarnation = host.incarnation;
                    next = Some((
                        schedule.draw_duration(2.0..8.0),
                        Step::ContinueHost { index, incarnation },
                    ));
                }
            }
            Fault::PostgresStop => {
                self.postgres.crash();
                self.postgres_is_up = false;
                next = Some((schedule.draw_duration(0.0..2.0), Step::End(fault)));
            }
            Fault::RedisRestart => {
                self.redis.kill();
                next = Some((schedule.draw_duration(0.0..3.0), Step::End(fault)));
            }
            Fault::RedisFlush => self.run_on_redis("FLUSHALL").await?,
            Fault::RedisClientKill => self.run_on_redis("CLIENT KILL TYPE normal").await?,
            Fault::RedisFull => {
                self.run_on_redis("CONFIG SET maxmemory 1").await?;
                next = Some((schedule.draw_duration(1.0..3.0), Step::End(fault)));
            }
            Fault::RedisReadOnly => {
                self.run_on_redis("REPLICAOF 127.0.0.1 1").await?;
                next = Some((schedule.draw_duration(1.0..3.0), Step::End(fault)));
            }
            Fault::SmtpOutage => {
                self.sink.server().close().await;
                next = Some((schedule.draw_duration(1.0..4.0), Step::End(fault)));
            }
            Fault::Misbehaviour => {
                let duration = schedule.draw_duration(0.5..2.0);
                smtp_faults::add_random_rule(self.sink.server(), duration, schedule);
                next = Some((duration, Step::End(fault)));
            }
            Fault::PolicyRefusal => {
                let duration = schedule.draw_duration(3.0..6.0);
                smtp_faults::add_policy_rule(self.sink.server(), duration, schedule);
                next = Some((duration, Step::End(fault)));
            }
            Fault::Throttling => {
                let duration = schedule.draw_duration(3.0..8.0);
                smtp_faults::add_throttle_rule(self.sink.server(), duration, schedule);
                next = Some((duration, Step::End(fault)));
            }
            Fault::WorkerExit => {}
        }
        self.incidents.push(Incident {
            fault,
            process: target,
            from,
            until: next.is_none().then(Utc::now),
        });
        Ok(next)
    }

    async fn end(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::PostgresStop => {
                self.postgres.restart().await?;
                self.postgres_is_up = true;
            }
            Fault::RedisRestart => self.redis.restart().await?,
            Fault::RedisFull => self.run_on_redis("CONFIG SET maxmemory 0").await?,
            Fault::RedisReadOnly => self.run_on_redis("REPLICAOF NO ONE").await?,
            Fault::SmtpOutage => self.sink.server().open().await?,
            _ => {}
        }
        close(&mut self.incidents, fault, None);
        Ok(())
    }

    /// Ends the lasting faults of Redis and the hosts, so that only the workers delay the drain.
    pub(crate) async fn end_faults(&mut self) -> anyhow::Result<()> {
        self.run_on_redis("CONFIG SET maxmemory 0").await?;
        self.run_on_redis("REPLICAOF NO ONE").await?;
        self.hosts.clear();
        Ok(())
    }

    /// Runs a command on Redis. Does nothing while Redis is down.
    async fn run_on_redis(&mut self, line: &str) -> anyhow::Result<()> {
        if self.redis.is_running() {
            let reply = self.redis.command::<()>(line).await;
            reply.with_context(|| format!("Redis refuses {line}"))?;
        }
        Ok(())
    }

    /// Returns true for a fault of Redis that would have no effect during another that still lasts.
    fn is_redis_unreachable_for(&self, fault: Fault) -> bool {
        let is_on = |other| {
            let mut same = self.incidents.iter().rev();
            same.any(|one| one.fault == other && one.until.is_none())
        };
        let is_of_redis = matches!(
            fault,
            Fault::RedisRestart
                | Fault::RedisFlush
                | Fault::RedisClientKill
                | Fault::RedisFull
                | Fault::RedisReadOnly
        );
        is_of_redis && (is_on(Fault::RedisRestart) || is_on(Fault::RedisReadOnly))
    }

    /// Draws a worker that runs and is not stopped.
    fn some_worker(&self, schedule: &mut Schedule) -> Option<usize> {
        let awake: Vec<_> = (0..self.workers.len())
            .filter(|&index| self.workers[index].process.is_some() && !self.workers[index].stopped)
            .collect();
        (!awake.is_empty()).then(|| awake[schedule.draw_index(awake.len())])
    }

    /// Draws a host that runs and is not stopped.
    fn some_host(&mut self, schedule: &mut Schedule) -> Option<usize> {
        let is_awake = |host: &mut Host| {
            let runs = host.process.as_mut().is_some_and(|one| !one.has_ended());
            runs && !host.stopped
        };
        let awake: Vec<_> = (0..self.hosts.len())
            .filter(|&index| is_awake(&mut self.hosts[index]))
            .collect();
        (!awake.is_empty()).then(|| awake[schedule.draw_index(awake.len())])
    }
}

/// Sets the end of the oldest incident of this kind that still lasts.
fn close(incidents: &mut [Incident], fault: Fault, process: Option<&str>) {
    let open = incidents.iter_mut().find(|incident| {
        incident.fault == fault
            && incident.until.is_none()
            && incident.process.as_deref() == process
    });
    if let Some(incident) = open {
        incident.until = Some(Utc::now());
    }
}

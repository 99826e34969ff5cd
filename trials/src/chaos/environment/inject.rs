//! What is done to what runs: faults begin, and end.

use std::time::Duration;

use chrono::Utc;
use rustix::process::Signal;

use super::{Host, Stage, smtp_faults};
use crate::chaos::fault::{Fault, Incident};
use crate::chaos::schedule::{Schedule, Step};

impl Stage {
    /// Does a step, and says what follows and after how long.
    pub(crate) async fn take(
        &mut self,
        step: Step,
        schedule: &mut Schedule,
    ) -> anyhow::Result<Option<(Duration, Step)>> {
        match step {
            Step::Begin(fault) => self.begin(fault, schedule).await,
            Step::StartWorker(place) => self.start_worker(place).map(|()| None),
            Step::Continue { place, incarnation } => {
                let worker = &mut self.workers[place];
                if worker.incarnation == incarnation && worker.stopped {
                    worker.stopped = false;
                    if let Some(process) = &worker.process {
                        process.signal(Signal::CONT)?;
                        close(&mut self.incidents, Fault::WorkerStop, Some(process.name()));
                    }
                }
                Ok(None)
            }
            Step::ContinueHost { place, incarnation } => {
                let host = &mut self.hosts[place];
                if host.incarnation == incarnation && host.stopped {
                    host.stopped = false;
                    if let Some(process) = &host.process {
                        process.signal(Signal::CONT)?;
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
        if self.redis_is_out_of_reach(fault) {
            return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
        }
        let (mut lasts, mut target) = (None, None);
        // Noted when it begins, since what it explains may happen before it is over.
        let from = Utc::now();
        match fault {
            Fault::WorkerKill => {
                let Some(place) = self.some_worker(schedule) else {
                    return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let worker = &mut self.workers[place];
                if let Some(mut process) = worker.process.take() {
                    process.kill()?;
                    target = Some(process.name().to_owned());
                }
                lasts = Some((schedule.time(0.0..1.0), Step::StartWorker(place)));
            }
            Fault::WorkerStop => {
                let Some(place) = self.some_worker(schedule) else {
                    return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let worker = &mut self.workers[place];
                if let Some(process) = &worker.process {
                    process.signal(Signal::STOP)?;
                    target = Some(process.name().to_owned());
                }
                worker.stopped = true;
                let incarnation = worker.incarnation;
                lasts = Some((
                    schedule.time(22.0..28.0),
                    Step::Continue { place, incarnation },
                ));
            }
            Fault::HostKill | Fault::HostStop => {
                let Some(place) = self.some_host(schedule) else {
                    // Once everybody is invited there is nobody left to disturb.
                    return Ok((!self.hosts_are_done())
                        .then_some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let host = &mut self.hosts[place];
                if fault == Fault::HostKill {
                    if let Some(mut process) = host.process.take() {
                        process.kill()?;
                        target = Some(process.name().to_owned());
                    }
                } else if let Some(process) = &host.process {
                    process.signal(Signal::STOP)?;
                    target = Some(process.name().to_owned());
                    host.stopped = true;
                    let incarnation = host.incarnation;
                    lasts = Some((
                        schedule.time(2.0..8.0),
                        Step::ContinueHost { place, incarnation },
                    ));
                }
            }
            Fault::PostgresStop => {
                self.postgres.stop_immediately()?;
                self.postgres_is_up = false;
                lasts = Some((schedule.time(0.0..2.0), Step::End(fault)));
            }
            Fault::RedisRestart => {
                self.redis.kill()?;
                lasts = Some((schedule.time(0.0..3.0), Step::End(fault)));
            }
            Fault::RedisFlush => self.redis.command("FLUSHALL").await?,
            Fault::RedisClientKill => self.redis.command("CLIENT KILL TYPE normal").await?,
            Fault::RedisFull => {
                self.redis.command("CONFIG SET maxmemory 1").await?;
                lasts = Some((schedule.time(1.0..3.0), Step::End(fault)));
            }
            Fault::RedisReadOnly => {
                self.redis.command("REPLICAOF 127.0.0.1 1").await?;
                lasts = Some((schedule.time(1.0..3.0), Step::End(fault)));
            }
            Fault::SmtpOutage => {
                self.sink.close().await;
                lasts = Some((schedule.time(1.0..4.0), Step::End(fault)));
            }
            Fault::Misbehaviour => {
                let lasting = schedule.time(0.5..2.0);
                smtp_faults::at_once(self.sink.script(), lasting, schedule);
                lasts = Some((lasting, Step::End(fault)));
            }
            Fault::WorkerExit => {}
        }
        self.incidents.push(Incident {
            fault,
            process: target,
            from,
            until: lasts.is_none().then(Utc::now),
        });
        Ok(lasts)
    }

    async fn end(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::PostgresStop => {
                self.postgres.go_on()?;
                self.postgres.until_ready().await?;
                self.postgres_is_up = true;
            }
            Fault::RedisRestart => {
                self.redis.go_on()?;
                self.redis.until_ready().await?;
            }
            Fault::RedisFull => self.redis.command("CONFIG SET maxmemory 0").await?,
            Fault::RedisReadOnly => self.redis.command("REPLICAOF NO ONE").await?,
            Fault::SmtpOutage => self.sink.open()?,
            _ => {}
        }
        close(&mut self.incidents, fault, None);
        Ok(())
    }

    /// Ends what faults left behind, so that nothing but the trial's own time is waited for.
    pub(crate) async fn restore(&mut self) -> anyhow::Result<()> {
        self.redis.command("CONFIG SET maxmemory 0").await?;
        self.redis.command("REPLICAOF NO ONE").await?;
        self.hosts.clear();
        Ok(())
    }

    /// Whether a fault of Redis would have no effect because of another that is still on.
    fn redis_is_out_of_reach(&self, fault: Fault) -> bool {
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

    /// A worker that runs and is not stopped.
    fn some_worker(&self, schedule: &mut Schedule) -> Option<usize> {
        let awake: Vec<_> = (0..self.workers.len())
            .filter(|&place| self.workers[place].process.is_some() && !self.workers[place].stopped)
            .collect();
        (!awake.is_empty()).then(|| awake[schedule.draw(awake.len())])
    }

    /// A host that runs and is not stopped.
    fn some_host(&mut self, schedule: &mut Schedule) -> Option<usize> {
        let is_awake = |host: &mut Host| {
            let runs = host.process.as_mut().is_some_and(|one| !one.has_ended());
            runs && !host.stopped
        };
        let awake: Vec<_> = (0..self.hosts.len())
            .filter(|&place| is_awake(&mut self.hosts[place]))
            .collect();
        (!awake.is_empty()).then(|| awake[schedule.draw(awake.len())])
    }
}

/// Notes that the oldest open incident of this kind is over.
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

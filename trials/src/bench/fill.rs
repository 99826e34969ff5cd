//! Millions of rows, written with SQL in the form in which the library writes them.

use anyhow::Context as _;
use guestlist::{OrganizationId, UserId};
use sqlx::{AssertSqlSafe, PgPool};

use super::environment::{Environment, Progress};
use super::inviting::{Team, teams};
use super::row;
use super::store::Store;

/// Number of rows that one statement writes.
const CHUNK: u64 = 100_000;

/// Creates a table of the organizations, and a function that makes a UUIDv7 of a number.
const PREPARE: &str = "
    CREATE TABLE bench_teams (number bigint PRIMARY KEY, id uuid NOT NULL, owner text NOT NULL);
    CREATE FUNCTION bench_id(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
        $$ SELECT ('0190000000007000b' || lpad(to_hex(n), 15, '0'))::uuid $$";

const TEAM: &str = "INSERT INTO bench_teams VALUES ($1, $2, $3)";

/// Inserts invitations number `$1` to `$2` whose letters wait in the outbox, due in this order.
const BACKLOG: &str = "
    WITH invited AS (
        INSERT INTO guestlist_invitations
            (id, organization_id, email, email_key, role, locale, status, delivery, nonce, granted_by,
             letters, last_letter_at, created_at, expires_at)
        SELECT bench_id(n), team.id, 'person-' || n || '@invitee.example', 'person-' || n || '@invitee.example',
            'agent', 'en', 'pending', 'queued', decode(md5(n::text), 'hex'), team.owner,
            1, now(), now(), now() + interval '7 days'
        FROM generate_series($1::bigint, $2) AS n
        JOIN bench_teams AS team ON team.number = n % (SELECT count(*) FROM bench_teams)
        ORDER BY n
        RETURNING id, organization_id)
    INSERT INTO guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at)
    SELECT id, 'send_invitation', jsonb_build_object('invitation', id, 'letter', 1), organization_id, 1,
        now() - interval '1 hour' + row_number() OVER () * interval '1 microsecond', now()
    FROM invited";

/// Inserts invitations number `$1` to `$2` without outbox messages. Every `$4`th of an organization is open,
/// the others are accepted. The open ones expire in `$3` seconds; negative is in the past.
const STORED: &str = "
    INSERT INTO guestlist_invitations
        (id, organization_id, email, email_key, role, locale, status, delivery, nonce, granted_by,
         accepted_by, letters, last_letter_at, created_at, expires_at, closed_at)
    SELECT bench_id(n), team.id, 'person-' || n || '@invitee.example', 'person-' || n || '@invitee.example',
        'agent', 'en', CASE WHEN is_open THEN 'pending' ELSE 'accepted' END, 'sent',
        decode(md5(n::text), 'hex'), team.owner, CASE WHEN NOT is_open THEN 'member-' || n END,
        1, now() - interval '8 days', now() - interval '8 days', now() + $3::bigint * interval '1 second',
        CASE WHEN NOT is_open THEN now() - interval '1 day' END
    FROM generate_series($1::bigint, $2) AS n
    JOIN (SELECT count(*) AS count FROM bench_teams) AS teams ON true
    JOIN bench_teams AS team ON team.number = n % teams.count
    CROSS JOIN LATERAL (SELECT $4::bigint = 1 OR (n / teams.count) % $4 = 0) AS open (is_open)
    ORDER BY n";

/// Inserts members number `$1` to `$2`.
const MEMBERS: &str = "
    INSERT INTO guestlist_memberships
        (organization_id, user_id, email, email_key, name, locale, role, joined_at)
    SELECT team.id, 'member-' || n, 'member-' || n || '@host.example', 'member-' || n || '@host.example',
        'Member ' || n, 'en', 'agent', now() - interval '1 day'
    FROM generate_series($1::bigint, $2) AS n
    JOIN bench_teams AS team ON team.number = n % (SELECT count(*) FROM bench_teams)
    ORDER BY n";

/// Inserts outbox messages number `$1` to `$2` without invitations, for measurements that only lease.
const MESSAGES: &str = "
    INSERT INTO guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at)
    SELECT bench_id(n), 'send_invitation', jsonb_build_object('invitation', bench_id(n), 'letter', 1),
        team.id, 1, now() - interval '1 day' + n * interval '1 microsecond', now()
    FROM generate_series($1::bigint, $2) AS n
    JOIN bench_teams AS team ON team.number = n % (SELECT count(*) FROM bench_teams)
    ORDER BY n";

/// Fills a database.
pub(crate) struct Filler<'a> {
    pool: &'a PgPool,
    progress: &'a Progress,
    pub(crate) teams: Vec<Team>,
}

impl<'a> Filler<'a> {
    /// Creates the organizations to which the rows will belong.
    pub(crate) async fn new(
        environment: &'a Environment,
        store: &'a Store,
        organizations: u64,
    ) -> anyhow::Result<Self> {
        let pool = store.pool()?;
        let teams = teams(&store.database, &environment.guestlist()?, organizations).await?;
        sqlx::raw_sql(PREPARE).execute(pool).await?;
        let mut transaction = pool.begin().await?;
        for (number, Team { id, owner }) in teams.iter().enumerate() {
            sqlx::query(TEAM)
                .bind(i64::try_from(number)?)
                .bind(id.as_uuid())
                .bind(owner.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Self {
            pool,
            progress: &environment.progress,
            teams,
        })
    }

    /// Returns the organization of row number `n`.
    pub(crate) fn team(&self, n: u64) -> &Team {
        let count = self.teams.len() as u64;
        &self.teams[usize::try_from(n % count).expect("less than the length of a vector")]
    }

    /// Returns the organization and the user id of member number `n`.
    pub(crate) fn member(&self, n: u64) -> (OrganizationId, UserId) {
        let user = format!("member-{n}").parse().expect("letters and digits");
        (self.team(n).id, user)
    }

    /// Inserts invitations whose letters wait in the outbox.
    pub(crate) async fn backlog(&self, from: u64, count: u64) -> anyhow::Result<()> {
        self.fill("letters", BACKLOG, &[], from, count).await
    }

    /// Inserts invitations of which every tenth is open.
    pub(crate) async fn stored(&self, count: u64) -> anyhow::Result<()> {
        let week = 7 * 24 * 60 * 60;
        let indexes = Indexes::drop(self.pool, "guestlist_invitations").await?;
        self.fill("invitations", STORED, &[week, 10], 1, count)
            .await?;
        self.progress.report("building the indexes of invitations");
        indexes.build(self.pool).await
    }

    /// Inserts open invitations that are past their expiry.
    pub(crate) async fn overdue(&self, from: u64, count: u64) -> anyhow::Result<()> {
        self.fill("overdue invitations", STORED, &[-60, 1], from, count)
            .await
    }

    pub(crate) async fn members(&self, count: u64) -> anyhow::Result<()> {
        self.fill("members", MEMBERS, &[], 1, count).await
    }

    pub(crate) async fn messages(&self, from: u64, count: u64) -> anyhow::Result<()> {
        self.fill("messages", MESSAGES, &[], from, count).await
    }

    /// Runs a statement for `count` numbers starting at `from`, in chunks.
    async fn fill(
        &self,
        what: &str,
        statement: &'static str,
        parameters: &[i64],
        from: u64,
        count: u64,
    ) -> anyhow::Result<()> {
        let mut done = 0;
        while done < count {
            let chunk = CHUNK.min(count - done);
            let first = from + done;
            let mut query = sqlx::query(statement)
                .bind(i64::try_from(first)?)
                .bind(i64::try_from(first + chunk - 1)?);
            for parameter in parameters {
                query = query.bind(parameter);
            }
            // Skips foreign key checks and waiting for the disk, to be faster.
            let mut transaction = self.pool.begin().await?;
            sqlx::raw_sql(
                "SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off",
            )
            .execute(&mut *transaction)
            .await?;
            query
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("cannot insert {what}"))?;
            transaction.commit().await?;
            done += chunk;
            if count > CHUNK {
                self.progress.report(format!(
                    "inserted {} of {} {what}",
                    row::count(done),
                    row::count(count)
                ));
            }
        }
        Ok(())
    }
}

/// The dropped indexes of a table. Inserting millions of rows is faster without them.
struct Indexes(Vec<String>);

impl Indexes {
    async fn drop(pool: &PgPool, table: &str) -> anyhow::Result<Self> {
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
             WHERE indrelid = $1::regclass AND NOT indisprimary",
        )
        .bind(table)
        .fetch_all(pool)
        .await?;
        for (name, _) in &found {
            sqlx::query(AssertSqlSafe(format!("DROP INDEX {name}")))
                .execute(pool)
                .await?;
        }
        Ok(Self(
            found
                .into_iter()
                .map(|(_, definition)| definition)
                .collect(),
        ))
    }

    async fn build(self, pool: &PgPool) -> anyhow::Result<()> {
        for definition in self.0 {
            sqlx::query(AssertSqlSafe(definition)).execute(pool).await?;
        }
        Ok(())
    }
}

//! Rows by the million, written by SQL as the library would have written them.

use anyhow::Context as _;
use guestlist::{OrganizationId, UserId};
use sqlx::{AssertSqlSafe, PgPool};

use super::environment::{Progress, Stage};
use super::inviting::{Team, teams};
use super::row;
use super::store::Store;

/// How many rows one statement writes.
const CHUNK: u64 = 100_000;

/// What rows are made from: the organizations, and an id of the form of a UUIDv7 for each number.
const PREPARE: &str = "
    CREATE TABLE bench_teams (place bigint PRIMARY KEY, id uuid NOT NULL, owner text NOT NULL);
    CREATE FUNCTION bench_id(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
        $$ SELECT ('0190000000007000b' || lpad(to_hex(n), 15, '0'))::uuid $$";

const TEAM: &str = "INSERT INTO bench_teams VALUES ($1, $2, $3)";

/// Invitations whose letters wait, from number `$1` to `$2`, due in the order of their numbers.
const BACKLOG: &str = "
    WITH invited AS (
        INSERT INTO guestlist_invitations
            (id, organization_id, email, email_key, role, locale, status, delivery, nonce, granted_by,
             letters, last_letter_at, created_at, expires_at)
        SELECT bench_id(n), team.id, 'person-' || n || '@invitee.example', 'person-' || n || '@invitee.example',
            'agent', 'en', 'pending', 'queued', decode(md5(n::text), 'hex'), team.owner,
            1, now(), now(), now() + interval '7 days'
        FROM generate_series($1::bigint, $2) AS n
        JOIN bench_teams AS team ON team.place = n % (SELECT count(*) FROM bench_teams)
        ORDER BY n
        RETURNING id, organization_id)
    INSERT INTO guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at)
    SELECT id, 'send_invitation', jsonb_build_object('invitation', id, 'letter', 1), organization_id, 1,
        now() - interval '1 hour' + row_number() OVER () * interval '1 microsecond', now()
    FROM invited";

/// The same, but for the outbox: every tenth of an organization's invitations is open, the others
/// were accepted. `$3` is after how many seconds the open ones expire, which may have been long ago.
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
    JOIN bench_teams AS team ON team.place = n % teams.count
    CROSS JOIN LATERAL (SELECT $4::bigint = 1 OR (n / teams.count) % $4 = 0) AS open (is_open)
    ORDER BY n";

/// Members from number `$1` to `$2`.
const MEMBERS: &str = "
    INSERT INTO guestlist_memberships
        (organization_id, user_id, email, email_key, name, locale, role, joined_at)
    SELECT team.id, 'member-' || n, 'member-' || n || '@host.example', 'member-' || n || '@host.example',
        'Member ' || n, 'en', 'agent', now() - interval '1 day'
    FROM generate_series($1::bigint, $2) AS n
    JOIN bench_teams AS team ON team.place = n % (SELECT count(*) FROM bench_teams)
    ORDER BY n";

/// Messages that wait, of invitations that nobody looks at, for what only leases.
const MESSAGES: &str = "
    INSERT INTO guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at)
    SELECT bench_id(n), 'send_invitation', jsonb_build_object('invitation', bench_id(n), 'letter', 1),
        team.id, 1, now() - interval '1 day' + n * interval '1 microsecond', now()
    FROM generate_series($1::bigint, $2) AS n
    JOIN bench_teams AS team ON team.place = n % (SELECT count(*) FROM bench_teams)
    ORDER BY n";

/// What fills a database.
pub(crate) struct Filler<'a> {
    pool: &'a PgPool,
    progress: &'a Progress,
    pub(crate) teams: Vec<Team>,
}

impl<'a> Filler<'a> {
    /// Creates the organizations that rows are spread over.
    pub(crate) async fn new(
        stage: &'a Stage,
        store: &'a Store,
        organizations: u64,
    ) -> anyhow::Result<Self> {
        let pool = store.pool()?;
        let teams = teams(&store.database, &stage.guestlist()?, organizations).await?;
        sqlx::raw_sql(PREPARE).execute(pool).await?;
        let mut transaction = pool.begin().await?;
        for (place, Team { id, owner }) in teams.iter().enumerate() {
            sqlx::query(TEAM)
                .bind(i64::try_from(place)?)
                .bind(id.as_uuid())
                .bind(owner.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Self {
            pool,
            progress: &stage.progress,
            teams,
        })
    }

    /// Whose organization number `n` is.
    pub(crate) fn team(&self, n: u64) -> &Team {
        let count = self.teams.len() as u64;
        &self.teams[usize::try_from(n % count).expect("an index of what is in memory")]
    }

    /// Who member number `n` is.
    pub(crate) fn member(&self, n: u64) -> (OrganizationId, UserId) {
        let user = format!("member-{n}").parse().expect("letters and digits");
        (self.team(n).id, user)
    }

    /// Invitations whose letters wait.
    pub(crate) async fn backlog(&self, from: u64, count: u64) -> anyhow::Result<()> {
        self.fill("letters", BACKLOG, &[], from, count).await
    }

    /// Invitations of which every tenth is open.
    pub(crate) async fn stored(&self, count: u64) -> anyhow::Result<()> {
        let week = 7 * 24 * 60 * 60;
        let rebuilt = Indexes::drop(self.pool, "guestlist_invitations").await?;
        self.fill("invitations", STORED, &[week, 10], 1, count)
            .await?;
        self.progress.say("building the indexes of invitations");
        rebuilt.build(self.pool).await
    }

    /// Open invitations whose time is over.
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

    /// Runs a statement for numbers from `from`, `count` of them, in pieces.
    async fn fill(
        &self,
        what: &str,
        statement: &'static str,
        more: &[i64],
        from: u64,
        count: u64,
    ) -> anyhow::Result<()> {
        let mut done = 0;
        while done < count {
            let piece = CHUNK.min(count - done);
            let first = from + done;
            let mut query = sqlx::query(statement)
                .bind(i64::try_from(first)?)
                .bind(i64::try_from(first + piece - 1)?);
            for number in more {
                query = query.bind(number);
            }
            // Nobody has to look up each organization, nor to wait for the disk.
            let mut transaction = self.pool.begin().await?;
            sqlx::raw_sql(
                "SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off",
            )
            .execute(&mut *transaction)
            .await?;
            query
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("{what} cannot be filled in"))?;
            transaction.commit().await?;
            done += piece;
            if count > CHUNK {
                self.progress.say(format!(
                    "filled in {} of {} {what}",
                    row::count(done),
                    row::count(count)
                ));
            }
        }
        Ok(())
    }
}

/// The indexes of a table, while they are not there: millions of rows are faster without.
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

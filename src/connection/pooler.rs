//! Postgres behind a pooler that hands out its server connections by transaction.
//!
//! sqlx prepares a statement in one round trip and executes it in the next. Outside a transaction the
//! pooler may send them to different servers, where the unnamed statement is missing or, worse,
//! another client's. Inside a transaction both go to the same server, and nobody else's do.

use sqlx::{Connection as _, PgConnection};

/// The parameter of a database URL that tells of such a pooler. Prisma made the name common, and
/// hosting companies print it in the URLs of their poolers.
const PARAMETER: &str = "pgbouncer=";

/// Takes the parameter out of a URL, and returns whether it is `true`.
pub(crate) fn split(url: &str) -> Result<(String, bool), sqlx::Error> {
    let Some((place, parameters)) = url.split_once('?') else {
        return Ok((url.to_owned(), false));
    };
    let (mut others, mut is_pooler) = (Vec::new(), false);
    for parameter in parameters.split('&') {
        match parameter.strip_prefix(PARAMETER) {
            None => others.push(parameter),
            Some("true") => is_pooler = true,
            Some("false") => is_pooler = false,
            Some(_) => {
                let why = "the parameter pgbouncer takes true or false";
                return Err(sqlx::Error::Configuration(why.into()));
            }
        }
    }
    let mark = if others.is_empty() { "" } else { "?" };
    Ok((format!("{place}{mark}{}", others.join("&")), is_pooler))
}

/// Runs a statement inside a transaction: the one that is open, or else one of its own.
pub(super) async fn in_transaction<T>(
    connection: &mut PgConnection,
    run: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    if connection.is_in_transaction() {
        return run(connection).await;
    }
    let mut transaction = connection.begin().await?;
    let done = run(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameter_is_taken_out_of_the_url() {
        for (url, rest, is_pooler) in [
            ("postgres://h/d", "postgres://h/d", false),
            ("postgres://h/d?pgbouncer=true", "postgres://h/d", true),
            ("postgres://h/d?pgbouncer=false", "postgres://h/d", false),
            (
                "postgres://h/d?a=1&pgbouncer=true&b=2",
                "postgres://h/d?a=1&b=2",
                true,
            ),
            (
                "postgres://h/pgbouncer=true?a=1",
                "postgres://h/pgbouncer=true?a=1",
                false,
            ),
        ] {
            assert_eq!(split(url).unwrap(), (rest.to_owned(), is_pooler), "{url}");
        }
        for value in ["", "1", "TRUE", "yes"] {
            assert!(split(&format!("postgres://h/d?pgbouncer={value}")).is_err());
        }
    }
}

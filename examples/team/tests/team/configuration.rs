//! The configuration that this application and a separate worker read from the environment.

use std::ffi::OsString;

use team::Config;

fn read(variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    Config::read(|name| value(variables, name))
}

fn value(variables: &[(&str, &str)], name: &str) -> Option<String> {
    let mut found = variables.iter().filter(|(other, _)| *other == name);
    found.next().map(|(_, value)| (*value).to_owned())
}

#[test]
fn a_separate_worker_reads_the_same_configuration() {
    let redis = ("REDIS_URL", "redis://localhost");
    let link = (
        "GUESTLIST_LINK",
        "https://team.acme.example/invitations/{token}",
    );
    let roles = ("GUESTLIST_ROLES", "two-role");
    for variables in [&[redis][..], &[redis, link, roles]] {
        let lookup = |name: &str| value(variables, name).map(OsString::from);
        let worker = guestlist_jobs::config::Config::read(&lookup).unwrap();
        let web = read(variables).unwrap().worker;
        assert_eq!(format!("{web:?}"), format!("{worker:?}"));
    }
}

#[test]
fn an_invalid_header_name_is_refused() {
    let header = |name| read(&[("TEAM_CLIENT_HEADER", name)]);
    let given = header("X-Forwarded-For").unwrap().client_header;
    assert_eq!(given.unwrap().as_str(), "x-forwarded-for");
    let words = header("client address").unwrap_err().to_string();
    assert!(words.contains("TEAM_CLIENT_HEADER"), "{words}");
}

#[test]
fn team_roles_is_refused_in_favour_of_guestlist_roles() {
    let words = read(&[("TEAM_ROLES", "two-role")]).unwrap_err().to_string();
    assert!(words.contains("GUESTLIST_ROLES"), "{words}");
}

#[test]
fn the_public_url_comes_from_the_link() {
    assert_eq!(read(&[]).unwrap().url, "http://localhost:3000");
    let link = "https://acme.example/invitations/{token}";
    let config = read(&[("GUESTLIST_LINK", link)]).unwrap();
    assert_eq!(config.url, "https://acme.example");
    for elsewhere in [
        "https://acme.example/join/{token}",
        "https://acme.example/invitations?token={token}",
        "acme.example/invitations/{token}",
    ] {
        let refused = read(&[("GUESTLIST_LINK", elsewhere)]);
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("GUESTLIST_LINK"), "{words}");
    }
}

//! Tokens through the public API: every invalid token gets the same answer.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use guestlist::{Error, Guestlist, Invitation, Key, KeyRing};

use crate::dump;
use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member, person};

/// The parts of a token: `version | length of the key's id | key's id | invitation | MAC`.
const INVITATION: usize = 16;
const MAC: usize = 32;

fn decoded(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token).expect("base64url")
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn with_keys(team: &Team, ring: &str) -> Team {
    let keys = ring.parse().expect("a key ring");
    Team {
        keys,
        ..team.clone()
    }
    .configured(|builder| builder)
}

fn secret(key: &Key) -> String {
    key.expose()
        .split_once(':')
        .expect("id:secret")
        .1
        .to_owned()
}

/// The same token as if a key with another id had signed it.
fn renamed(token: &str, id: &str) -> String {
    let bytes = decoded(token);
    let tail = &bytes[bytes.len() - INVITATION - MAC..];
    let mut forged = vec![bytes[0], u8::try_from(id.len()).expect("short")];
    forged.extend(id.as_bytes());
    forged.extend(tail);
    encoded(&forged)
}

/// Passes each text to every operation that takes a token, in a transaction that is committed even
/// after a refusal, and asserts that all answers are equal and nothing was written.
async fn assert_same_answer(team: &Team, texts: &[String]) {
    insist_of(&team.guestlist, team, texts).await;
}

async fn insist_of(guestlist: &Guestlist, team: &Team, texts: &[String]) {
    assert!(!texts.is_empty());
    let before = dump(&team.database).await;
    for text in texts {
        let mut tx = team.begin().await;
        let refused = [
            guestlist.open(&mut tx, text).await.err(),
            guestlist.accept(&mut tx, text, &person("bob")).await.err(),
            guestlist.decline(&mut tx, text).await.err(),
        ];
        tx.commit().await.expect("nothing failed in it");
        for error in refused {
            let told = error.map(|error| (format!("{error:?}"), error.to_string(), error.code()));
            let expected = (
                "InvalidToken".to_owned(),
                "this link is not valid".to_owned(),
                "invalid_token",
            );
            assert_eq!(told, Some(expected), "{:.200}", text.escape_debug());
        }
    }
    assert_eq!(
        dump(&team.database).await,
        before,
        "a refusal wrote something"
    );
}

/// Bob's invitation and its token.
async fn invited(team: &Team) -> (Invitation, String) {
    let invitation = team
        .invite(OLIVIA, "bob@example.com", "agent")
        .await
        .unwrap();
    let token = team.token(&invitation);
    (invitation, token)
}

async fn assert_token_is_valid(team: &Team, token: &str) {
    team.accept(token, &person("bob"))
        .await
        .expect("the unchanged token is still valid");
    assert_eq!(team.role_of("bob").await.as_deref(), Some("agent"));
}

on_both_databases! {
    async fn token_with_a_flipped_bit_is_invalid(team: Team) {
        let (_, token) = invited(&team).await;
        let bytes = decoded(&token);
        let flipped: Vec<String> = (0..bytes.len() * 8).map(|bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            encoded(&flipped)
        }).collect();
        assert!(flipped.len() >= 8 * (2 + 1 + INVITATION + MAC));
        assert_same_answer(&team, &flipped).await;
        assert_token_is_valid(&team, &token).await;
    }

    async fn changed_and_truncated_tokens_are_invalid(team: Team) {
        let (_, token) = invited(&team).await;
        let mut texts: Vec<String> = (0..token.len()).map(|length| token[..length].to_owned()).collect();
        texts.extend((1..token.len()).map(|start| token[start..].to_owned()));
        let bytes = decoded(&token);
        texts.extend((0..bytes.len()).map(|length| encoded(&bytes[..length])));
        for at in 0..token.len() {
            for other in ["A", "_", "=", "+", "\u{0}", "\u{e9}"].into_iter().filter(|other| *other != &token[at..=at]) {
                texts.push(format!("{}{other}{}", &token[..at], &token[at + 1..]));
            }
            texts.push(format!("{}{}", &token[..at], &token[at + 1..]));
        }
        let swapped = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        texts.push(token.chars().map(swapped).collect());
        texts.push(token.chars().rev().collect());
        // The unused bits of the last character: another text for the same bytes.
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (head, last) = token.split_at(token.len() - 1);
        texts.extend(ALPHABET.chars().map(|c| c.to_string()).filter(|c| c != last).map(|c| format!("{head}{c}")));
        assert_same_answer(&team, &texts).await;
        assert_token_is_valid(&team, &token).await;
    }

    async fn longer_padded_and_reencoded_tokens_are_invalid(team: Team) {
        // A token that reads differently in the standard alphabet.
        let (mut invitation, mut token) = invited(&team).await;
        while !token.contains(['-', '_']) {
            team.revoke(OLIVIA, invitation.id).await.unwrap();
            (invitation, token) = invited(&team).await;
        }
        let bytes = decoded(&token);
        let standard = STANDARD_NO_PAD.encode(&bytes);
        assert_ne!(standard, token);
        let mut texts = vec![standard, STANDARD.encode(&bytes)];
        texts.extend((1..5).map(|count| format!("{token}{}", "=".repeat(count))));
        if !bytes.len().is_multiple_of(3) {
            texts.push(URL_SAFE.encode(&bytes));
        }
        for extra in [&[0][..], &[0; 2], &[0; 3], &[255; 32], &bytes] {
            texts.push(encoded(&[&bytes, extra].concat()));
            texts.push(encoded(&[extra, &bytes].concat()));
        }
        for (before, after) in [
            (" ", ""), ("", " "), ("", "\n"), ("\t", ""), ("", "\r\n"), ("", "\0"), ("\u{feff}", ""), ("\"", "\""), ("", "%3D"), ("", "."),
            ("https://app.example.com/join/", ""), ("", "?x=1"), ("", "#"), ("Bearer ", ""), ("AA", ""), ("", "AA"), ("'", "' OR '1'='1"),
        ] {
            texts.push(format!("{before}{token}{after}"));
        }
        texts.push(format!("{token}{token}"));
        texts.push(token.chars().map(|c| format!("{c}\n")).collect());
        texts.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        texts.push("\u{ff21}".repeat(40));
        texts.push("A".repeat(1 << 20));
        texts.push(token.repeat((1 << 20) / token.len()));
        texts.push(format!("{token}{}", " ".repeat(1 << 20)));
        assert_same_answer(&team, &texts).await;
        assert_token_is_valid(&team, &token).await;
    }

    async fn token_with_another_version_or_length_is_invalid(team: Team) {
        let (_, token) = invited(&team).await;
        let bytes = decoded(&token);
        let mut texts = Vec::new();
        for place in 0..2 {
            for value in (0..=u8::MAX).filter(|value| *value != bytes[place]) {
                let mut other = bytes.clone();
                other[place] = value;
                texts.push(encoded(&other));
            }
        }
        assert_same_answer(&team, &texts).await;
        assert_token_is_valid(&team, &token).await;
    }

    async fn token_of_a_similar_key_is_invalid(team: Team) {
        let (one, other) = (Key::generate(), Key::generate());
        let team = with_keys(&team, &format!("one:{}", secret(&one)));
        let (invitation, token) = invited(&team).await;
        let made_with = |ring: &str| with_keys(&team, ring).token(&invitation);
        let unknown = vec![
            renamed(&token, "two"), renamed(&token, ""), renamed(&token, "ONE"), renamed(&token, "one "), renamed(&token, "\u{0}ne"),
            renamed(&token, "on"), renamed(&token, "onee"), renamed(&token, "one-of-16-bytes!"), renamed(&token, "one-of-17-bytes!!"),
            made_with(&format!("one:{}", secret(&other))), made_with(&format!("two:{}", secret(&other))),
            made_with(&format!("two:{}", secret(&one))), renamed(&made_with(&format!("two:{}", secret(&other))), "one"),
            renamed(&made_with(&format!("two:{}", secret(&one))), "one"), made_with(&format!("two:{},{}", secret(&other), one.expose())),
        ];
        assert_same_answer(&team, &unknown).await;
        // Two ids for the same key: a token signed under one is invalid under the other.
        let twins = with_keys(&team, &format!("one:{0},two:{0}", secret(&one)));
        assert_same_answer(&twins, &[renamed(&token, "two"), renamed(&made_with(&format!("two:{}", secret(&one))), "one")]).await;
        // The key was removed, or its id was given to another key.
        for ring in [format!("two:{}", secret(&other)), format!("one:{}", secret(&other)), format!("two:{}", secret(&one))] {
            assert_same_answer(&with_keys(&team, &ring), std::slice::from_ref(&token)).await;
        }
        let retired = with_keys(&team, &format!("two:{},one:{}", secret(&other), secret(&one)));
        assert_token_is_valid(&retired, &token).await;
    }

    async fn token_for_another_audience_is_invalid(team: Team) {
        let (invitation, token) = invited(&team).await;
        let audiences = ["", "other", "Guestlist", "guestlist ", "guestlist\0", "guestlis", "guestlistguestlist"];
        for audience in audiences {
            let other = team.configured(|builder| builder.audience(audience));
            assert_same_answer(&team, &[other.token(&invitation)]).await;
            insist_of(&other.guestlist, &team, std::slice::from_ref(&token)).await;
        }
        assert_token_is_valid(&team, &token).await;
    }

    async fn recombined_parts_of_tokens_are_invalid(team: Team) {
        let other = Team { keys: team.keys.clone(), ..Team::on(team.database.clone()).await };
        let other = other.configured(|builder| builder);
        let (invitation, token) = invited(&team).await;
        let (_, elsewhere) = invited(&other).await;
        let sibling = team.invite(OLIVIA, "carl@example.com", "owner").await.unwrap();
        let gone = team.invite(OLIVIA, "dora@example.com", "agent").await.unwrap();
        let (sibling, gone_token) = (team.token(&sibling), team.token(&gone));
        let parts = [&token, &elsewhere, &sibling, &gone_token].map(|token| {
            let bytes = decoded(token);
            let (head, mac) = bytes.split_at(bytes.len() - MAC);
            (head.to_vec(), mac.to_vec())
        });
        let mut texts = Vec::new();
        for (one, (head, _)) in parts.iter().enumerate() {
            for (two, (_, mac)) in parts.iter().enumerate().filter(|(two, _)| one != *two) {
                texts.push(encoded(&[&head[..], mac].concat()));
                let half = [&parts[one].1[..MAC / 2], &parts[two].1[MAC / 2..]].concat();
                texts.push(encoded(&[&head[..], &half].concat()));
            }
        }
        for mac in [[0; MAC], [255; MAC]] {
            texts.push(encoded(&[&parts[0].0[..], &mac].concat()));
        }
        let nobody = uuid::Uuid::from_u128(7);
        for id in [uuid::Uuid::nil(), uuid::Uuid::max(), nobody, team.organization.id.as_uuid()] {
            let mut bytes = decoded(&token);
            let end = bytes.len() - MAC;
            bytes[end - INVITATION..end].copy_from_slice(id.as_bytes());
            texts.push(encoded(&bytes));
        }
        texts.extend([invitation.id.to_string(), team.organization.id.to_string(), encoded(invitation.id.as_uuid().as_bytes())]);
        assert_same_answer(&team, &texts).await;
        assert_token_is_valid(&team, &token).await;
        other.in_transaction(async |tx| other.guestlist.act(member(OLIVIA)).in_organization(other.organization.id).delete(tx).await).await.unwrap();
        assert_same_answer(&team, &[elsewhere]).await;
    }

    async fn empty_key_ring_is_reported_before_any_check(team: Team) {
        let (_, token) = invited(&team).await;
        let keyless = Team { keys: KeyRing::default(), ..team.clone() }.configured(|builder| builder);
        let mut tx = team.begin().await;
        for text in [token.as_str(), "nonsense"] {
            assert!(matches!(keyless.guestlist.open(&mut tx, text).await, Err(Error::NoKey)));
        }
    }
}

//! Tokens through the public API: whatever is not the one that was made gets one answer.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use guestlist::{Error, Guestlist, Invitation, Key, KeyRing};

use crate::dump;
use crate::on_both_databases;
use crate::support::{OLIVIA, Team, person};

/// Where the parts of a token are: `version | length of the key's id | key's id | invitation | MAC`.
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

/// The same token as if the key of another name had signed it.
fn renamed(token: &str, id: &str) -> String {
    let bytes = decoded(token);
    let tail = &bytes[bytes.len() - INVITATION - MAC..];
    let mut forged = vec![bytes[0], u8::try_from(id.len()).expect("short")];
    forged.extend(id.as_bytes());
    forged.extend(tail);
    encoded(&forged)
}

/// Offers each text to all that take one, in a transaction that is committed whatever the answer
/// is, and insists that every answer is the same and nothing was written.
async fn insist_on_one_answer(team: &Team, texts: &[String]) {
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

/// Bob's invitation, its token, and what shows that the token still works.
async fn invited(team: &Team) -> (Invitation, String) {
    let invitation = team
        .invite(OLIVIA, "bob@example.com", "agent")
        .await
        .unwrap();
    let token = team.token(&invitation);
    (invitation, token)
}

async fn insist_it_works(team: &Team, token: &str) {
    team.accept(token, &person("bob"))
        .await
        .expect("the true token works after all of it");
    assert_eq!(team.role_of("bob").await.as_deref(), Some("agent"));
}

on_both_databases! {
    async fn every_flipped_bit_of_a_token_gets_one_answer(team: Team) {
        let (_, token) = invited(&team).await;
        let bytes = decoded(&token);
        let flipped: Vec<String> = (0..bytes.len() * 8).map(|bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            encoded(&flipped)
        }).collect();
        assert!(flipped.len() >= 8 * (2 + 1 + INVITATION + MAC));
        insist_on_one_answer(&team, &flipped).await;
        insist_it_works(&team, &token).await;
    }

    async fn every_changed_character_and_every_cut_of_a_token_gets_one_answer(team: Team) {
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
        // The spare bits of the last character: other text for the same bytes.
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (head, last) = token.split_at(token.len() - 1);
        texts.extend(ALPHABET.chars().map(|c| c.to_string()).filter(|c| c != last).map(|c| format!("{head}{c}")));
        insist_on_one_answer(&team, &texts).await;
        insist_it_works(&team, &token).await;
    }

    async fn longer_padded_and_otherwise_written_tokens_get_one_answer(team: Team) {
        // One whose text is other text in the standard alphabet.
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
        insist_on_one_answer(&team, &texts).await;
        insist_it_works(&team, &token).await;
    }

    async fn every_other_version_and_length_byte_gets_one_answer(team: Team) {
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
        insist_on_one_answer(&team, &texts).await;
        insist_it_works(&team, &token).await;
    }

    async fn a_token_of_another_key_gets_one_answer_however_alike_the_keys_are(team: Team) {
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
        insist_on_one_answer(&team, &unknown).await;
        // Two names for the same bytes: what one signed is not what the other signed.
        let twins = with_keys(&team, &format!("one:{0},two:{0}", secret(&one)));
        insist_on_one_answer(&twins, &[renamed(&token, "two"), renamed(&made_with(&format!("two:{}", secret(&one))), "one")]).await;
        // Retired and gone, or its name given to another.
        for ring in [format!("two:{}", secret(&other)), format!("one:{}", secret(&other)), format!("two:{}", secret(&one))] {
            insist_on_one_answer(&with_keys(&team, &ring), std::slice::from_ref(&token)).await;
        }
        let retired = with_keys(&team, &format!("two:{},one:{}", secret(&other), secret(&one)));
        insist_it_works(&retired, &token).await;
    }

    async fn a_token_for_another_audience_gets_one_answer(team: Team) {
        let (invitation, token) = invited(&team).await;
        let audiences = ["", "other", "Guestlist", "guestlist ", "guestlist\0", "guestlis", "guestlistguestlist"];
        for audience in audiences {
            let other = team.configured(|builder| builder.audience(audience));
            insist_on_one_answer(&team, &[other.token(&invitation)]).await;
            insist_of(&other.guestlist, &team, std::slice::from_ref(&token)).await;
        }
        insist_it_works(&team, &token).await;
    }

    async fn parts_of_tokens_of_other_invitations_and_organizations_make_none(team: Team) {
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
        insist_on_one_answer(&team, &texts).await;
        insist_it_works(&team, &token).await;
        other.in_transaction(async |tx| other.guestlist.delete(tx, &crate::support::user(OLIVIA), other.organization.id).await).await.unwrap();
        insist_on_one_answer(&team, &[elsewhere]).await;
    }

    async fn a_ring_without_keys_says_so_and_looks_at_nothing(team: Team) {
        let (_, token) = invited(&team).await;
        let keyless = Team { keys: KeyRing::default(), ..team.clone() }.configured(|builder| builder);
        let mut tx = team.begin().await;
        for text in [token.as_str(), "nonsense"] {
            assert!(matches!(keyless.guestlist.open(&mut tx, text).await, Err(Error::NoKey)));
        }
    }
}

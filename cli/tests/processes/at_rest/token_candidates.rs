//! The search for texts that may be a token.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The possible lengths of a token in bytes: version, length, key id, invitation, MAC.
const BYTES: std::ops::RangeInclusive<usize> = 51..=66;

/// The first byte of a token; `tokens.rs` of the library shows that no other is accepted.
const VERSION: u8 = 1;

/// Returns everything in these bytes that may be a token, as stored or behind one layer of encoding.
pub(crate) fn candidates(bytes: &[u8]) -> HashSet<String> {
    let mut found = HashSet::new();
    for layer in [bytes.to_vec(), unfolded(bytes), percent_decoded(bytes)] {
        collect(&layer, &mut found);
        for engine in [&URL_SAFE_NO_PAD, &STANDARD_NO_PAD] {
            for blob in runs(&layer, is_base64).filter_map(|run| decoded(engine, run)) {
                collect(&blob, &mut found);
            }
        }
        for blob in runs(&layer, |byte| byte.is_ascii_hexdigit()).flat_map(unhexed) {
            collect(&blob, &mut found);
        }
    }
    found
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_+/".contains(&byte)
}

fn collect(bytes: &[u8], found: &mut HashSet<String>) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    for run in runs(bytes, is_token) {
        for length in BYTES.map(|bytes| (bytes * 4).div_ceil(3)) {
            let texts = run
                .windows(length)
                .map(|window| String::from_utf8_lossy(window).into_owned());
            found.extend(texts);
        }
    }
    for length in BYTES {
        let blobs = bytes.windows(length).filter(|window| window[0] == VERSION);
        found.extend(blobs.map(|window| URL_SAFE_NO_PAD.encode(window)));
    }
}

fn runs(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(move |byte| !is_part(*byte))
        .filter(|run| run.len() >= *BYTES.start())
}

/// Decodes from each of the four positions at which a group can begin.
fn decoded(engine: &GeneralPurpose, run: &[u8]) -> Option<Vec<u8>> {
    let blobs = (0..4).filter_map(|skipped| {
        let run = &run[skipped..];
        (0..3).find_map(|left| engine.decode(&run[..run.len() - left]).ok())
    });
    blobs.reduce(|mut all, blob| {
        all.extend(blob);
        all
    })
}

fn unhexed(run: &[u8]) -> Vec<Vec<u8>> {
    let from = |skipped: usize| {
        let digits = run[skipped..].chunks_exact(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    vec![from(0), from(1)]
}

/// Removes the soft line breaks and escapes of quoted-printable (RFC 2045 section 6.7).
fn unfolded(bytes: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = String::from_utf8_lossy(bytes)
        .replace("=\r\n", "")
        .replace("=\n", "")
        .into_bytes();
    escapes(&text, b'=')
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    escapes(bytes, b'%')
}

fn escapes(bytes: &[u8], sign: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escaped {
            Some(byte) if first == sign => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

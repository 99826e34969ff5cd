//! Difficult addresses from published lists, by class.

/// Addresses of one class, and the expected result.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) is_accepted: bool,
    pub(super) why: &'static str,
    pub(super) examples: &'static [&'static str],
}

macro_rules! classes {
    ($($verdict:ident $name:literal, $why:literal: $($example:literal),+;)+) => {
        &[$(Class { name: $name, is_accepted: classes!(@$verdict), why: $why, examples: &[$($example),+] }),+]
    };
    (@accepted) => { true };
    (@refused) => { false };
}

/// The categories of the isemail test suite, and the examples of RFC 3696 (with its errata), 5321,
/// 5322 and 6531, each with the result of this parser.
pub(super) const CLASSES: &[Class] = classes! {
    accepted "valid", "a dot-atom and a domain name (RFC 5321 section 4.1.2)":
        "test@iana.org", "test@nominet.org.uk", "test@about.museum", "a@iana.org", "test.test@iana.org",
        "123@iana.org", "test@123.com", "test@mason-dixon.com", "test@c--n.com", "test@iana.co-uk",
        "user+mailbox@example.com", "customer/department=shipping@example.com", "$A12345@example.com",
        "!def!xyz%abc@example.com", "_somename@example.com", "-a@b.co", "!#$%&'*+/?=^_`{|}~@iana.org",
        "a@a.b.c.d.e.f.g.h.i.j.k.l.m.n.example.com",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl@iana.org";

    accepted "a domain that may have no mail server", "only sending tells (DNSWARN)":
        "test@e.com", "test@a.b.example", "a@nonexistent.example", "test@xn--hxajbheg2az3al.xn--jxalpdlp";

    accepted "internationalized", "a local part in UTF-8 (RFC 6531 section 3.3), a domain by IDNA":
        "伊昭傑@郵件.商務", "Δοκιμή@παράδειγμα.δοκιμή", "Dörte@Sörensen.example.com", "коля@пример.рф",
        "राम@मोहन.ईन्फो", "क्षमा@example.in", "юзер@екзампл.ком", "θσερ@εχαμπλε.ψομ", "葉士豪@臺網中心.tw",
        "χρήστης@παράδειγμα.ελ", "☃@example.com";

    accepted "surrounded by spaces", "they come from copying, and are dropped":
        " a@b.co", "a@b.co  ";

    refused "a domain of one label", "no dot: a host of one's own network (RFC5321_TLD)":
        "test@org", "a@localhost", "admin@mailserver1", "test@test";

    refused "a numeric top-level domain", "an IPv4 address, or nothing (RFC5321_TLDNUMERIC)":
        "test@iana.123", "test@255.255.255.255", "a@127.0.0.1", "a@1.2", "a@b.0", "a@0x7f.1";

    refused "an address literal", "a machine, not an organization's mail (RFC5321_ADDRESSLITERAL)":
        "test@[255.255.255.255]", "test@[IPv6:1111:2222:3333:4444:5555:6666:7777:8888]", "test@[IPv6:::]",
        "jsmith@[192.168.2.1]", "a@[IPv6:2001:db8::1]", "test@[RFC-5322-domain-literal]";

    refused "a quoted local part", "valid, and a way to smuggle structure (RFC5321_QUOTEDSTRING)":
        "\"test\"@iana.org", "\"\"@iana.org", "\"\\a\"@iana.org", "\"\\\"\"@iana.org", "\"\\\\\"@iana.org",
        "\"test\\ test\"@iana.org", "\" \"@example.org", "\"john..doe\"@example.org",
        "\"Abc@def\"@example.com", "\"Fred\\ Bloggs\"@example.com", "\"a@b.co>\\r\\nRCPT TO:<c\"@d.co";

    refused "comments", "valid in a header, never in an envelope (CFWS_COMMENT)":
        "(comment)test@iana.org", "test(comment)@iana.org", "test@(comment)iana.org",
        "test@iana.org(comment)", "(a(b(c)d)e)test@iana.org", "((comment)test@iana.org",
        "test@iana.org(comment\\)", "(comment)test@[255.255.255.255]";

    refused "folding white space", "a line end inside an address (CFWS_FWS)":
        "\r\n test@iana.org", "test\r\n @iana.org", "test@\r\n iana.org", "test@iana.org\r\n ",
        "test @iana.org", "test@ iana.org", "test@iana .com", "test . test@iana.org", "a@b.co\t";

    refused "deprecated forms", "obsolete since RFC 5322 section 4 (DEPREC)":
        "\"test\".test@iana.org", "test.\"test\"@iana.org", "\"test\".\"test\"@iana.org",
        "test. test@iana.org", "\"test\\\u{0}\"@iana.org", "\"\u{7}\"@iana.org", "(\u{7})test@iana.org",
        "@a.org,@b.org:joe@c.org", "user%host@a@b.org", "test@iana. org";

    refused "only RFC 5322 would have it", "longer or odder than a letter can go to (RFC5322)":
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm@iana.org", "test@iana!org",
        "test@iana/icann.org", "test@iana#org.com", "test@a_b.com", "test@exa$mple.com",
        "test@abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm.com",
        "test@[IPv6:1111:2222:3333:4444:5555:6666:7777]", "test@[IPv6:1111::3333:4444:5555:6666::8888]",
        "test@[IPv6::2222:3333:4444:5555:6666:7777:8888]", "test@[IPv6:1111:2222:333x::4444:5555]";

    refused "no local part, or no domain", "ERR_NOLOCALPART, ERR_NODOMAIN":
        "", "@", "@iana.org", "test", "test@", "@@";

    refused "dots at the edge or in a row", "ERR_DOT_START, ERR_DOT_END, ERR_CONSECUTIVEDOTS":
        ".test@iana.org", "test.@iana.org", "test..iana.org@iana.org", "test..test@iana.org", ".@iana.org",
        "test@.iana.org", "test@iana.org.", "test@iana..com", "test@.", "test@..";

    refused "hyphens at a label's edge", "ERR_DOMAINHYPHENSTART, ERR_DOMAINHYPHENEND":
        "test@-iana.org", "test@iana-.com", "test@a.-b.com", "test@xn--.com", "test@xn--a-.com";

    refused "text behind what is complete", "ERR_ATEXT_AFTER_CFWS, _QS and _DOMLIT":
        "\"test\"test@iana.org", "test\"text\"@iana.org", "test@[255.255.255.255]extra",
        "test(comment)test@iana.org", "a@b.co c@d.co", "a@b.co,c@d.co", "a@b.co;c@d.co", "a@b@c.co",
        "test@iana@org.com";

    refused "what was never closed", "ERR_UNCLOSEDQUOTEDSTR, _COMMENT and _DOMLIT, ERR_BACKSLASHEND":
        "\"test@iana.org", "test\"@iana.org", "(test@iana.org", "test@(iana.org", "test@[1.2.3.4",
        "\"test\\\"@iana.org", "test@iana.org\\", "test\\@test@iana.org", "test@iana.org[";

    refused "characters that are no atext", "ERR_EXPECTING_ATEXT":
        "te\\st@iana.org", "te,st@iana.org", "te:st@iana.org", "te;st@iana.org", "te<st@iana.org",
        "te>st@iana.org", "te[st@iana.org", "te]st@iana.org", "te(st@iana.org", "te)st@iana.org",
        "te\"st@iana.org", "te\u{a0}st@iana.org";

    refused "line ends and other controls", "ERR_CR_NO_LF, ERR_FWS_CRLF_X2, ERR_FWS_CRLF_END":
        "test\r@iana.org", "test@iana.org\r", "\rtest@iana.org", "test\n@iana.org", "test@iana.org\n",
        "test\r\n\r\n @iana.org", "test@iana.org\r\n", "te\0st@iana.org", "test@ia\0na.org",
        "test\u{7f}@iana.org", "test\u{85}@iana.org", "test@iana.org\0", "a@b.co\r\nBcc: c@d.co";

    refused "display names and angle brackets", "a header's syntax, not an address":
        "Bob <a@b.co>", "<a@b.co>", "a@b.co (Bob)", "mailto:a@b.co", "a@b.co>", "\"Bob\" <a@b.co>";

    refused "encoded words", "decoded by some mail software (RFC 2047); where one could begin is enough":
        "!#$%&`*+/=?^`{|}~@iana.org", "=?utf-8?q?a?=@b.co", "=?utf-7?q?&AGE-?=@b.co", "a=?b@c.co",
        "=?x?q?=41=42=43collab=40psres.net=3e=20?=a@b.co";

    refused "what cannot be seen", "zero width, direction, blank (RFC 6532 leaves them in)":
        "a\u{200b}@b.co", "\u{202e}a@b.co", "a@b\u{200d}.co", "a@\u{202e}b.co", "a\u{3164}@b.co",
        "a\u{ad}b@c.co", "\u{feff}a@b.co", "a\u{fe0f}@b.co", "a\u{2028}@b.co", "a\u{2066}b@c.co",
        "a@b.co\u{200b}", "a\u{e0041}@b.co";

    refused "second encodings of one character", "normalization joins mailboxes that differ (UAX #15)":
        "mi\u{212a}e@b.co", "\u{212b}sa@b.co", "\u{2126}@b.co", "\u{f900}@b.co", "\u{1f71}@b.co",
        "a\u{37e}b@c.co", "\u{1fef}a@b.co";

    refused "labels that are no IDNA labels", "RFC 5891 section 4.2":
        "a@xn--u-ccb.com", "a@\u{301}a.com", "a@a\u{ff0f}b.com", "a@b\u{2048}c.com", "a@xn--a.com",
        "a@\u{2488}com.com", "a@\u{2100}.com";
};

//! Phrases that providers use, in lower case, without punctuation and hyphens; see `Text::has`.

pub(super) const MISSING: &[&str] = &[
    "unknown user", "user unknown", "user not known", "unknown recipient", "recipient unknown",
    "unknown mailbox", "mailbox unknown", "unknown address", "address unknown", "addressee unknown",
    "unknown or illegal alias", "unknown local", "not known here", "no such user",
    "no such recipient", "no such mailbox", "no such address", "no such person", "no such domain",
    "no mailbox", "no one at this address", "user not found", "mailbox not found", "recipient not found",
    "recipientnotfound", "recipnotfound", "address not found", "domain not found", "@ not found",
    "user was not found", "able to find the recipient",
    "invalid mailbox", "mailbox invalid", "invalid user", "invalid recipient",
    "not a valid mailbox", "not a valid recipient", "not a valid user", "not a valid email",
    "no longer on server", "no longer exists",
    "no longer accepts", "not our customer", "not our user", "unrouteable", "unroutable",
    "utilisateur inconnu", "destinataire inconnu", "no existe", "nessun utente", "user @ unknown",
    "user is unknown", "unknown email", "unknown or illegal user", "unknown virtual user",
    "not a known user", "not known to", "not have a * account", "doesn't have a * account",
    "not have an account", "no mail box", "no such email", "no such mail drop", "no such id",
    "no one with that", "bad destination mailbox address", "nie ma takiego", "nie istnieje",
    "sconosciuto", "indirizzo inesistente",
    "not listed in * directory",
];

pub(super) const DISABLED: &[&str] = &[
    "mailbox disabled", "mailbox is disabled", "reach is disabled", "disabled recipient",
    "mailbox is frozen", "unallocated", "archived recipient", "user is terminated",
    "delivery error * disabled",
];

/// Said of somebody or something that the text names. Without that it may be said of a host name, a
/// return path, a service or a contract.
pub(super) const NAMED_MISSING: &[&str] = &[
    "user * not exist", "mailbox * not exist", "recipient * not exist", "address * not exist",
    "account * not exist", "alias * not exist", "@ * not exist", "domain * not exist",
    "user * doesn't exist", "mailbox * doesn't exist", "recipient * doesn't exist",
    "address * doesn't exist", "account * doesn't exist", "@ * doesn't exist",
    "user * could not be found", "mailbox * could not be found", "recipient * could not be found",
    "address * could not be found", "account * could not be found", "@ * could not be found",
    "user * couldn't be found", "recipient * couldn't be found", "address * couldn't be found",
    "user * no longer valid", "mailbox * no longer valid", "recipient * no longer valid",
    "address * no longer valid", "@ * no longer valid", "user * no longer available",
    "mailbox * no longer available", "address * no longer available", "@ * no longer available",
    "nonexistent user", "nonexistent mailbox", "nonexistent recipient", "nonexistent address",
    "non existent user", "non existent mailbox", "non existent recipient", "non existent address",
];

/// Said after the letter, by servers that ask for the mailbox so late. Other words are too doubtful
/// there: such a reply may quote the subject, which has an organization's name.
pub(super) const MISSING_AFTER_LETTER: &[&str] = &[
    "delivery error * not a valid recipient", "delivery error * doesn't have a * account",
    "delivery error * no longer valid", "delivery error * disabled", "unknown user @",
    "mail action aborted mailbox not found", "invalid mailbox * local mailbox",
];

/// Said of an account. After the letter this may be the sender's account at a provider.
pub(super) const ACCOUNT_MISSING: &[&str] = &[
    "no such account", "no account", "account not found", "invalid account", "unknown account",
    "account unknown", "account disabled", "account is disabled", "user disabled",
    "user is disabled", "been disabled", "deactivated", "inactive", "inactivity", "not active",
    "not activated", "expired account", "account expired", "account closed", "account is closed",
    "account has been closed", "account is blocked",
];

/// The recipient's domain takes no mail at all.
pub(super) const NULL_MX: &[&str] = &[
    "null mx", "nullmx", "host does not accept mail", "domain does not accept mail",
];

pub(super) const BAD_ADDRESS: &[&str] = &["not a valid rfc", "address syntax", "invalid address"];

/// A reply with one of these is never about a missing mailbox, whatever else it says.
pub(super) const VETO: &[&str] = &[
    "rate ", "rate limit", "too many", "quota", "full ", "storage", "preference", "blacklist",
    "black list", "blocklist", "block list", "blocked using", "policy", "policies", "ip ", "spf",
    "dkim", "dmarc", "relay", "quarantine", "single label", "sender", "reputation", "spam",
    "temporar", "try again", "try later", "access denied", "greylist", "dns ", "outgoing",
    "outbound", "from address", "helo", "ehlo", "authenticat", "return path", "bounce address",
    "hostname", "host name", "reply to", "message id", "subject", "header", "link ", "gateway",
    "licence", "license", "subscription", "your plan", "renew", "payment", "billing", "upgrade",
    "your domain", "your host", "your account", "virus",
];

pub(super) const FULL: &[&str] = &[
    "quota", "overquota", "mailbox full", "mailbox is full", "full mailbox", "inbox is full",
    "account is full", "user is full", "mailfolder is full", "over storage", "storage allocation",
    "storage space", "out of storage", "storage limit", "mailbox size", "mailbox limit",
    "mailbox has exceeded", "mailbox * maximum * size", "too much mail data", "blocks limit",
    "inode limit", "disk space limit", "boite * pleine", "speichervolumen", "storage full",
    "mailbox * is full", "@ is full",
];

/// A limit of the receiving mailbox, reached by letters of anybody.
pub(super) const MAILBOX_RATE: &[&str] = &[
    "receiving mail at a rate", "receiving mail too quickly", "receiving mail at an",
    "recipient has exceeded", "recipient thread limit", "to this recipient per",
    "messages to @ deferred", "messages to * excessive volume", "too many recent messages",
    "user has too many messages", "temporary locked", "temporarily locked",
];

/// The mailer holds too many connections.
pub(super) const CONNECTIONS: &[&str] = &[
    "too many connections", "too many concurrent", "too many simultaneous", "too many open",
    "too many sessions", "too many smtp sessions", "concurrent connection", "concurrent smtp",
    "concurrent session", "simultaneous connection", "connection limit", "connections limit",
    "thread limit", "maximum number of connections", "maximum * connections", "max * connections",
    "connections per", "too many * connections", "server ports are busy", "trop de connexions",
    "hl icc",
];

/// The connection takes no more letters, and another one does.
pub(super) const USED_UP: &[&str] = &[
    "in this connection", "in this session", "per connection", "per session",
    "too many messages sent", "try reconnecting",
    "mi dmc", "rp drc",
];

pub(super) const THROTTLED: &[&str] = &[
    "throttl", "rate limit", "ratelimit", "rate exceeded", "sending rate", "message rate",
    "connection rate", "unusual rate", "too many messages", "too many emails", "too many mails",
    "too many requests", "too much mail", "too many recipient attempts", "this hour", "hour limit",
    "hourly", "per hour", "per minute", "per second", "slow down", "slower", "server busy",
    "agent busy", "too busy", "frequency limited", "too frequent", "too fast", "too quickly",
    "threshold exceeded", "unexpected volume", "smtp relay limit", "try again in * second",
    "enabled in * second",
    "hl ifc", "mi sfq",
];

/// An amount that the sender's account may send is used up for long.
pub(super) const SENDER_QUOTA: &[&str] = &[
    "daily", "per day", "24 hour", "monthly", "per month", "sending quota", "sending limit",
    "submission quota", "submissionquota", "relay quota", "message quota", "outgoing email quota",
    "outbound quota", "quota exceeded for sender", "credits exceeded",
    "exceeded your * quota",
];

pub(super) const RELAY: &[&str] = &[
    "relay access", "relaying", "relay not permitted", "relay denied", "relay is denied",
    "to relay", "as a relay", "open relay", "not permitted to relay", "no relay", "rcpthosts",
    "non local", "unauthorized relay", "relay not allowed", "relay msg", "not a gateway",
    "local user only", "handle mail for",
];

/// Lists of addresses and domains that send unwanted mail.
pub(super) const BLOCK_LIST: &[&str] = &[
    "spamhaus", "dnsbl", "rbl", "sorbs", "spamcop", "barracuda reputation", "barracudacentral",
    "cloudmark", "ivmsip", "invaluement", "blocked using", "block list", "blocklist", "blacklist",
    "black list", "blocked see", "listed at", "listed in", "listed by", "listed on", "listing in",
    "found on one or more", "reputation", "banned sending", "banned sender", "block for spam",
    "blocked for spam", "sending spam", "address is blocked",
    "hl rep", "hl mep",
];

/// A lookup of the sender's domain failed for now.
pub(super) const DOMAIN_LOOKUP: &[&str] = &[
    "temporar * dns", "temporar * spf", "temporar * dkim", "temporar * dmarc", "dns * temporar",
];

/// Listed for now, says the reply itself.
pub(super) const LISTED_FOR_NOW: &[&str] = &[
    "temporarily blacklisted", "temporarily blocked", "temporarily listed", "temporary blacklisted",
];

pub(super) const REPUTATION: &[&str] = &[
    "reputation", "user complaints", "unusual rate of unsolicited",
];

pub(super) const AUTHENTICITY: &[&str] = &[
    "spf", "sender policy framework", "dkim", "dmarc", "ptr record", "ptr resource",
    "regarding ptr", "no ptr", "reverse dns", "rdns", "fcrdns", "ip name lookup failed",
    "find your reverse", "find your hostname", "unauthenticated", "authentication level",
    "authentication checks", "not authorized to send email directly", "over ipv6", "arc validation",
];

/// The sender's address, domain, host name, login or encryption.
pub(super) const SENDER: &[&str] = &[
    "sender address", "sender @", "sender domain", "sender verif", "sender refused",
    "sender denied", "sender rejected", "@ sender rejected", "invalid sender",
    "suspected spam sender", "outbound sender", "verified sender", "envelope sender", "badmailfrom",
    "emetteur invalide", "verification failed for", "callback setup failed", "client host",
    "send as", "sendas", "domain of sender", "real domain name", "mail from domain",
    "mailfrom domain", "from address does not", "from domain", "sending domain",
    "unregistered domain", "spoof", "address is not verified", "not authorized to",
    "not allowed to send", "not permitted to send", "permissions to send", "permission to send",
    "sandbox", "tenant has exceeded", "traffic not accepted", "not subscribed", "sending denied",
    "sending for this account", "service refuse", "ip source", "sending ip", "source ip", "this ip",
    "your ip", "your account", "your domain", "your server", "your network", "your envelope",
    "dynamic ip", "ip based", "domain based", "invalid dns", "geographic", "geoip", "abuse",
    "too many invalid recipients", "starttls", "tls required", "tls is required", "requires tls",
    "tls connection", "encryption", "must issue", "auth first", "authentication required",
    "authentication is required", "requires authentication", "authentification requise",
    "smtp authentication", "not authenticated", "not logged in", "helo command", "bad helo",
    "helo domain", "ehlo domain", "mismatch", "doesn't match", "does not match", "verify mailfrom",
    "sender name", "sender email", "not allowed from your", "authenticate first",
    "must authenticate", "please authenticate", "outgoing mail", "outgoing message",
    "unusual sending",
    "denies the sender", "fake sender", "sender is rejected", "sender is unvalidated", "remote ip", 
    "invalid ip", "ip is rejected", "originating from your",
];

/// The recipient, or the rule of the recipient's organization, refuses the sender.
pub(super) const OWN_BLOCK: &[&str] = &[
    "rejected by recipient", "by recipients", "by the recipient", "rejected by this user",
    "blacklisted by recipient", "recipient preferences", "user entry", "blocked senders",
    "customer block", "customized block", "customer policy", "block rcpt", "banned recipient",
    "envelope blocked", "host network not allowed", "badrcptto", "badrecipientto", "suppressed",
    "suppression list", "policy that prohibited", "authrequired", "sendernotauthenticated",
    "sender was not authenticated", "allowed senders list", "allowedsenders", "target address",
    "destination domain", "user reject", "user refuses", "refuses to accept",
    "only accepting mail from", "restricted", "members only",
];

/// The recipient's organization takes mail from listed servers only.
pub(super) const NOT_ON_LIST: &[&str] = &[
    "not whitelisted by this recipient", "in whitelist for rcpt",
];

pub(super) const SIZE: &[&str] = &[
    "too large", "too big", "too long", "message size", "message length", "size limit", "sizelimit",
    "databytes", "exceeds size", "maximum size", "taille limite",
];

/// The letter's content or form.
pub(super) const CONTENT: &[&str] = &[
    "content", "spam", "junk", "unsolicited", "ube", "bulk", "virus", "malware", "infected",
    "phish", "banned", "malformed", "rfc", "header", "mime", "line length", "8 bit", "bare lf",
    "bare newline", "attachment", "filtered", "filter", "security polic", "suspicious",
    "message id", "mail rejete", "quarantine", "for one or more recipients", "invalid data",
    "parse",
];

/// Lists of links and domains that occur in letters.
pub(super) const LINK_LIST: &[&str] = &["url * listed", "dbl", "surbl", "uribl", "domain present"];

pub(super) const LOOP: &[&str] = &[
    "too many hops", "hops", "hop count", "mail loop", "loop detected", "routing loop",
    "received headers", "looping", "loops back",
];

pub(super) const GREYLIST: &[&str] = &["greylist", "graylist", "grey list", "gray list"];

pub(super) const OTHER_TRANSACTION: &[&str] = &[
    "separate transaction", "multiple destination domains",
];

pub(super) const TOO_MANY_RECIPIENTS: &[&str] = &["too many recipients", "too many rcpt"];

/// A failure of the server itself.
pub(super) const SERVER_FAULT: &[&str] = &[
    "internal error", "internal server", "server error", "system error", "system problem",
    "system resources", "system storage", "resources temporarily", "lookup failure",
    "local problem", "local error", "requested action aborted", "account service", "system busy",
    "system * busy", "server is busy", "high load", "disk", "write error",
    "database", "out of memory", "queue unavailable",
];

pub(super) const LATER: &[&str] = &[
    "try again", "try later", "please retry", "temporar", "come back later",
];

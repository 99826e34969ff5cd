//! The configuration of a private Postfix.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use guestlist_testkit::process::child_command;

use crate::server::{DOMAINS, MailServer, OWNER, files, installed};

/// Writes the configuration.
pub(crate) fn configure(server: &MailServer) {
    let user = user();
    server.create_folder("config", 0);
    server.create_folder("queue", 0);
    server.create_folder("data", user);
    server.write("config/main.cf", &main(server));
    server.write("config/master.cf", &master(server));
    if server.rules.mechanisms.is_some() {
        configure_sign_in(server);
    }
    let check = Command::new(installed(&["postfix"]))
        .args(["-c", &server.path("config").display().to_string(), "check"])
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}

/// Returns the id of the user that Postfix runs as.
fn user() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("postfix")).then(|| fields.nth(1).unwrap().parse().unwrap())
    });
    user.expect("the user postfix, which the package creates")
}

fn main(server: &MailServer) -> String {
    let rules = server.rules;
    let folder = server.path("");
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    let (host, domains) = (server.host_name(), DOMAINS.join(", "));
    let mut text = format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/server.log
maillog_file_prefixes = {folder}
myhostname = {host}
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions =
smtpd_error_sleep_time = 0
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = regexp:{{ {{!/^unknown/ mail/}} }}
virtual_mailbox_base = {folder}
virtual_uid_maps = static:{OWNER}
virtual_gid_maps = static:{OWNER}
header_checks = regexp:{{ {{/^To: content/ REJECT Content refused}} }}
"
    );
    text += &format!(
        "smtpd_recipient_restrictions = {}{}{}reject_unauth_destination, check_recipient_access regexp:{{
    {{/^full/ 452 4.2.2 Mailbox full}}
    {{/^overquota/ 552 5.2.2 Over quota}}
    {{/^policy/ 550 5.7.1 Refused by policy}} }}
",
        match rules.mechanisms {
            Some(_) => "permit_sasl_authenticated, reject, ",
            None => "",
        },
        match rules.greylists {
            true => "check_policy_service unix:private/greylist, ",
            false => "",
        },
        match rules.connections {
            Some(_) => "sleep 1, ",
            None => "",
        }
    );
    if let Some(connections) = rules.connections {
        text += &format!("smtpd_client_connection_count_limit = {connections}\n");
    }
    if let Some(size) = rules.letter_size {
        text += &format!("message_size_limit = {size}\n");
    }
    if rules.requires_tls {
        text += &format!(
            "smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {}
smtpd_tls_key_file = {}
",
            server.authority.certificate.display(),
            server.authority.key.display()
        );
    }
    if rules.mechanisms.is_some() {
        text += &format!(
            "smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = example.com
cyrus_sasl_config_path = {folder}/config/sasl
"
        );
    }
    text
}

fn master(server: &MailServer) -> String {
    let (port, tls_port) = (server.port, server.tls_port);
    let mut text = format!(
        "127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"
    );
    if server.rules.greylists {
        let script = server.path("greylist.sh");
        server.write("greylist.sh", GREYLIST);
        let seen = server.path("greylist");
        text += &format!(
            "greylist unix - n n - 0 spawn user=nobody argv=/bin/sh {} {}\n",
            script.display(),
            seen.display()
        );
    }
    text
}

/// Answers requests of the protocol in which Postfix asks for a policy, an empty line after each: the
/// first letter to a recipient is deferred, in the words of postgrey.
const GREYLIST: &str = r#"cd "$1" || exit 1
while read -r line; do
    case $line in
    recipient=*) recipient=${line#recipient=} ;;
    '')
        if mkdir "$recipient" 2>/dev/null; then
            printf 'action=DEFER_IF_PERMIT Greylisted, see http://postgrey.schweikert.ch/help/\n\n'
        else
            printf 'action=DUNNO\n\n'
        fi
        ;;
    esac
done
"#;

fn configure_sign_in(server: &MailServer) {
    // Debian's Postfix looks in this folder, whatever the setting says.
    server.create_folder("config/sasl", 0);
    server.create_folder("sasl", user());
    let text = format!(
        "pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: {}
sasldb_path: {}
",
        server.rules.mechanisms.unwrap_or_default(),
        server.path("sasl/accounts").display()
    );
    server.write("config/sasl/smtpd.conf", &text);
}

pub(crate) fn set_password(server: &MailServer, password: &str) {
    let accounts = server.path("sasl/accounts");
    let mut command = Command::new(installed(&["saslpasswd2"]));
    command.args(["-p", "-c", "-u", "example.com", "-f"]);
    let mut child = command
        .arg(&accounts)
        .arg("me")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(password.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    std::os::unix::fs::chown(accounts, Some(user()), None).unwrap();
}

/// Makes the command that runs the server.
pub(crate) fn command(server: &MailServer) -> Command {
    let config = server.path("config").display().to_string();
    let folder = Command::new(installed(&["postconf"]))
        .args(["-c", &config, "-hx", "daemon_directory"])
        .output()
        .unwrap();
    let folder = String::from_utf8(folder.stdout).unwrap();
    let master = std::path::Path::new(folder.trim()).join("master");
    let mut command = child_command(&master, "TERM");
    command.args(["-c", &config, "-d"]);
    command
}

/// Returns the letters in the queue. Postfix makes the file of a letter executable once the letter is
/// complete; others are left behind by a server that ended while it received them.
pub(crate) fn queued(server: &MailServer) -> Vec<PathBuf> {
    let queues = ["incoming", "active", "deferred"];
    let queued = queues.map(|queue| files(&server.path("queue").join(queue)));
    let is_complete = |path: &PathBuf| {
        let metadata = fs::metadata(path);
        metadata.is_ok_and(|metadata| metadata.mode() & 0o100 != 0)
    };
    queued.concat().into_iter().filter(is_complete).collect()
}

/// Returns whether a line of the log belongs to a letter that was accepted, or to a connection that
/// ended with QUIT and on which no command was refused.
pub(crate) fn is_ordinary(line: &str) -> bool {
    let Some((_, line)) = line.split_once(" postfix/") else {
        return false;
    };
    let Some((_, text)) = line.split_once("]: ") else {
        return false;
    };
    if let Some((_, commands)) = text.split_once("disconnect from ") {
        return commands.contains(" quit=1 ") && !commands.contains('/');
    }
    let text = match text.split_once(": ") {
        Some((id, text)) if id.bytes().all(|byte| byte.is_ascii_hexdigit()) => text,
        _ => text,
    };
    let starts = [
        "daemon started",
        "connect from ",
        "client=",
        "message-id=",
        "from=<",
        "removed",
        "statistics: ",
    ];
    starts.iter().any(|start| text.starts_with(start))
        || text.starts_with("to=<") && text.contains("status=sent")
}

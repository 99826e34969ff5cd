//! The configuration of a private Exim.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use guestlist_testkit::process::child_command;

use crate::server::{DOMAINS, MailServer, OWNER, files, installed};

/// Writes the configuration.
pub(crate) fn configure(server: &MailServer) {
    server.create_folder("spool", OWNER);
    server.create_folder("log", OWNER);
    // Its own copy, because the user that it becomes may not enter the folder where it is installed.
    fs::copy(installed(&["exim4", "exim"]), server.path("exim")).unwrap();
    fs::set_permissions(server.path("exim"), Permissions::from_mode(0o755)).unwrap();
    // Debian's Exim becomes the user Debian-exim, which exists only where its package is installed.
    let users = format!("Debian-exim:x:{OWNER}:{OWNER}::/nonexistent:/usr/sbin/nologin\n");
    let groups = format!("Debian-exim:x:{OWNER}:\n");
    server.write("passwd", &(others("/etc/passwd") + &users));
    server.write("group", &(others("/etc/group") + &groups));
    server.write("exim.conf", &configuration(server));
}

/// Returns the lines of a file of users or groups without Exim's own.
fn others(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("Debian-exim:"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn configuration(server: &MailServer) -> String {
    let rules = server.rules;
    let folder = server.path("");
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    let (host, domains, port) = (server.host_name(), DOMAINS.join(" : "), server.port);
    let mut main = format!(
        "exim_path = {folder}/exim
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/exim.pid
primary_hostname = {host}
local_interfaces = 127.0.0.1
host_lookup =
domainlist ours = {domains}
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error -skip_delivery
smtp_accept_max = 100
acl_smtp_mail = sender
acl_smtp_rcpt = recipient
acl_smtp_data = content
"
    );
    if let Some(connections) = rules.connections {
        main += &format!("smtp_accept_max_per_host = {connections}\n");
    }
    if rules.letters_per_connection.is_none() {
        main += "smtp_accept_queue_per_connection = 0\n";
    }
    if let Some(size) = rules.letter_size {
        main += &format!("message_size_limit = {size}\n");
    }
    main += &match rules.requires_tls {
        true => format!(
            "daemon_smtp_ports = {port} : {0}
tls_on_connect_ports = {0}
tls_advertise_hosts = *
tls_certificate = {1}
tls_privatekey = {2}
",
            server.tls_port,
            server.authority.certificate.display(),
            server.authority.key.display()
        ),
        false => format!("daemon_smtp_ports = {port}\ntls_advertise_hosts =\n"),
    };
    let require = |wanted: bool, condition: &str, message: &str| match wanted {
        true => format!("  deny ! {condition}\n       message = {message}\n"),
        false => String::new(),
    };
    let tls = require(rules.requires_tls, "encrypted = *", "550 TLS required");
    let signed_in = require(
        rules.mechanisms.is_some(),
        "authenticated = *",
        "550 authentication required",
    );
    let greylist = match rules.greylists {
        true => format!(
            "  defer condition = ${{run{{/bin/mkdir {folder}/greylist/$local_part@$domain}}{{yes}}{{no}}}}
        message = 451 4.7.1 Greylisted, please try again later\n"
        ),
        false => String::new(),
    };
    let slow = match rules.connections {
        Some(_) => "  warn delay = 1s\n",
        None => "",
    };
    let mechanisms = rules.mechanisms.unwrap_or_default().split_whitespace();
    let authenticators: String = mechanisms
        .map(|mechanism| authenticator(mechanism, folder))
        .collect();
    format!(
        "{main}
begin acl
sender:
{tls}  accept
recipient:
{signed_in}  deny ! domains = +ours
       message = relay not permitted
  defer local_parts = ^full
        message = 452 4.2.2 Mailbox full
  deny local_parts = ^overquota
       message = 552 5.2.2 Over quota
  deny local_parts = ^policy
       message = 550 5.7.1 Refused by policy
  require verify = recipient
{greylist}{slow}  accept
content:
  deny condition = ${{if match{{$h_to:}}{{^content}}}}
       message = 550 5.7.1 Content refused
  accept
begin routers
mailbox:
  driver = accept
  domains = +ours
  local_parts = ! ^unknown
  transport = mailbox
  cannot_route_message = Unknown user
begin transports
mailbox:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  user = nobody
  group = nogroup
  envelope_to_add
  create_file = anywhere
begin retry
* * F,1h,1s
begin authenticators
{authenticators}"
    )
}

fn authenticator(mechanism: &str, folder: &str) -> String {
    let (user, password, more) = match mechanism {
        "PLAIN" => ("$auth2", "$auth3", "server_prompts = :"),
        _ => (
            "$auth1",
            "$auth2",
            "server_prompts = <| Username: | Password:",
        ),
    };
    format!(
        "{mechanism}:
  driver = plaintext
  public_name = {mechanism}
  {more}
  server_condition = ${{if and{{{{eq{{{user}}}{{me@example.com}}}}{{eq{{{password}}}{{${{readfile{{{folder}/password}}{{}}}}}}}}}}}}
  server_set_id = {user}
"
    )
}

pub(crate) fn set_password(server: &MailServer, password: &str) {
    server.write("password", password);
}

/// Makes the command that runs the server. A restarted one runs its queue every two seconds, because a
/// letter whose process was killed stays there. One that was not would log letters which both a run and
/// their own process deliver.
pub(crate) fn command(server: &MailServer) -> Command {
    let interval = if server.is_restarted { "-q2s" } else { "-q1h" };
    let mut command = child_command(&server.path("exim"), "TERM");
    command
        .arg("-C")
        .arg(server.path("exim.conf"))
        .args(["-bdf", interval])
        .env("LD_PRELOAD", "libnss_wrapper.so")
        .env("NSS_WRAPPER_PASSWD", server.path("passwd"))
        .env("NSS_WRAPPER_GROUP", server.path("group"));
    command
}

/// Returns the letters in the queue: their headers, which Exim writes once a letter is complete.
pub(crate) fn queued(server: &MailServer) -> Vec<PathBuf> {
    let queued = files(&server.path("spool/input")).into_iter();
    let is_header = |path: &PathBuf| path.display().to_string().ends_with("-H");
    queued.filter(is_header).collect()
}

/// Returns whether a line of the log belongs to a letter that was accepted, or to a connection that
/// ended with QUIT and on which no command was refused.
pub(crate) fn is_ordinary(line: &str) -> bool {
    let connects = line.contains(" SMTP connection from ")
        && (line.ends_with(" closed by QUIT") || line.contains("TCP/IP connection count"));
    let marks = [
        " daemon started: ",
        " queue run: ",
        " <= ",
        " => ",
        " Completed",
        // Exim becomes an unprivileged user, which is all that the mailboxes need.
        "exim user lost privilege for using -C option",
    ];
    let is_letter = marks.iter().any(|mark| line.contains(mark));
    connects || is_letter && !line.contains("rejected")
}

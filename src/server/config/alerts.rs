//! Who is told when a client falls silent: `reports.on_silent`.
//!
//! Pure, as the whole configuration is.

use crate::config::Section;
use crate::limits::alerts::ARGUMENTS_MAX;
use crate::secret::Secret;
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// Who is told; both ways may be taken at once, and neither waits for the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnSilent {
    /// A command that is run.
    pub command: Option<AlertCommand>,
    /// An address that is posted to.
    pub webhook: Option<AlertWebhook>,
}

impl OnSilent {
    /// Whether nobody is told.
    pub fn is_empty(&self) -> bool {
        self.command.is_none() && self.webhook.is_none()
    }
}

/// A command, as it is run without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertCommand {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments. A token may stand in one.
    pub arguments: Vec<Secret>,
}

/// An address that is posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertWebhook {
    /// The address. Tokens stand in it.
    pub url: Secret,
    /// What may be shown of it: scheme, host and port.
    pub shown: String,
    /// PEM file with the only CAs that may have issued its certificate; `None` leaves it to the system's.
    pub ca_file: Option<PathBuf>,
}

/// Reads `on_silent`.
pub(super) fn read(section: &Section<'_>) -> Option<OnSilent> {
    let command = command(section);
    let webhook = section.optional_secret_or_file("webhook", address);
    let ca_file = section.optional("ca_file", |text| match Path::new(text).is_absolute() {
        true => Ok(PathBuf::from(text)),
        false => Err("is not an absolute path"),
    });
    let (command, webhook, ca_file) = (command?, webhook?, ca_file?);
    let needs_ca = webhook.as_ref().is_some_and(|(url, _)| url.expose().starts_with("https:"));
    if ca_file.is_some() && !needs_ca {
        section.problem("ca_file", "has no use without a webhook that begins with https://");
        return None;
    }
    let webhook = webhook.map(|(url, shown)| AlertWebhook { url, shown, ca_file });
    Some(OnSilent { command, webhook })
}

fn command(section: &Section<'_>) -> Option<Option<AlertCommand>> {
    // Shown by no message: a token may stand in an argument.
    let words = section.secrets("command", |text| match text.contains('\0') {
        true => Err("holds a NUL, which no argument can"),
        false => Ok(Secret::new(text)),
    })?;
    let problem = |message: &str| {
        section.problem("command", message);
        None
    };
    let Some((program, arguments)) = words.split_first() else {
        return match section.has("command") {
            true => problem("is an empty list; the program's path comes first"),
            false => Some(None),
        };
    };
    let program = PathBuf::from(program.expose());
    if !program.is_absolute() {
        return problem(
            "must begin with the absolute path of a program; no shell looks for it or reads it: each \
             argument is an entry of the list",
        );
    }
    if words.len() > ARGUMENTS_MAX {
        return problem(&format!("has more than {ARGUMENTS_MAX} entries"));
    }
    Some(Some(AlertCommand { program, arguments: arguments.to_vec() }))
}

/// An address, and what may be shown of it. No error repeats any of it.
fn address(text: &str) -> Result<(Secret, String), &'static str> {
    const EXPECTED: &str =
        "is not an address; such as https://chat.example.com/hooks/... is expected";
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(EXPECTED),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err("would be sent unencrypted; use https://"),
        _ => return Err(EXPECTED),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name; what it has to know stands in its path");
    }
    if url.fragment().is_some() {
        return Err("must not contain a '#'");
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let shown = format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default());
    Ok((Secret::new(url.as_str()), shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Outside;
    use crate::server::config::{Config, parse};

    const REST: &str = "server: {}\ndirectory: {path: /x}\ndatabase: {path: /d}\n\
                        clients: [{name: a, api_key: 0123456789abcdef}]\n";

    fn read(on_silent: &str) -> Result<Config, String> {
        let text = format!("{REST}reports:\n  on_silent:\n{on_silent}\n");
        let environment = |name: &str| (name == "TOKEN").then(|| "hidden-token".to_owned());
        let file = |path: &Path| match path.to_str() {
            Some("/webhook") => Ok(b"https://a.example.com/hidden\n".to_vec()),
            _ => Ok(b"ftp://a.example.com/hidden".to_vec()),
        };
        let outside = Outside { variable: &environment, file: &file };
        parse("server.yaml", &text, outside).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_and_an_address_may_both_be_given_and_show_nothing_that_is_secret() {
        let config = read(
            "    command: [/usr/local/bin/tell, '-t', '${TOKEN}']\n    \
             webhook: 'https://chat.example.com:8443/hooks/${TOKEN}?x=hidden'\n    \
             ca_file: /etc/ca.pem",
        )
        .unwrap();
        let (command, webhook) = (
            config.on_silent.command.as_ref().unwrap(),
            config.on_silent.webhook.as_ref().unwrap(),
        );
        assert_eq!(command.program, Path::new("/usr/local/bin/tell"));
        let arguments: Vec<_> = command.arguments.iter().map(Secret::expose).collect();
        assert_eq!(arguments, ["-t", "hidden-token"]);
        assert_eq!(
            webhook.url.expose(),
            "https://chat.example.com:8443/hooks/hidden-token?x=hidden"
        );
        assert_eq!(webhook.shown, "https://chat.example.com:8443");
        assert_eq!(webhook.ca_file, Some("/etc/ca.pem".into()));
        assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
        assert!(read("").unwrap().on_silent.is_empty());
        let of_file = read("    webhook_file: /webhook\n    ca_file: /etc/ca.pem").unwrap();
        let webhook = of_file.on_silent.webhook.as_ref().unwrap();
        assert_eq!(webhook.url.expose(), "https://a.example.com/hidden");
        assert!(!format!("{of_file:?}").contains("hidden"), "{of_file:?}");
        let one = read("    command: /bin/true").unwrap().on_silent.command.unwrap();
        assert_eq!((one.program, one.arguments), ("/bin/true".into(), vec![]));
    }

    #[track_caller]
    fn check(on_silent: &str, problems: &[&str]) {
        let error = read(on_silent).map(drop).unwrap_err();
        for problem in problems {
            let problem = format!("reports.on_silent.{problem}");
            assert!(error.contains(&problem), "{problem} in:\n{error}");
        }
        assert_eq!(error.lines().count(), problems.len(), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn every_mistake_is_named_at_once_and_no_address_is_shown() {
        check(
            "    command: mail -s hidden\n    webhook: hidden.example.com\n    ca_file: ca.pem\n    x: 1",
            &[
                "command: must begin with the absolute path",
                "webhook: is not an address",
                "ca_file: \"ca.pem\": is not an absolute path",
                "x: unknown key",
            ],
        );
        check("    command: []", &["command: is an empty list"]);
        check(
            "    webhook_file: /ftp",
            &["webhook_file: \"/ftp\": what stands in it is not an address"],
        );
        check("    command: [/a, \"hidden\\0\"]", &["command[1]: holds a NUL"]);
        for (address, problem) in [
            ("http://hidden.example.com/", "would be sent unencrypted"),
            ("ftp://localhost/hidden", "is not an address"),
            ("data:hidden", "is not an address"),
            ("https://u:hidden@a.example.com/", "must not contain a user name"),
            ("https://a.example.com/#hidden", "must not contain a '#'"),
        ] {
            check(&format!("    webhook: '{address}'"), &[&format!("webhook: {problem}")]);
        }
        for address in ["http://127.0.0.1:9/x", "http://[::1]/x", "http://localhost/x"] {
            read(&format!("    webhook: '{address}'")).unwrap();
        }
        check(
            "    webhook: 'http://localhost/x'\n    ca_file: /ca.pem",
            &["ca_file: has no use without a webhook that begins with https://"],
        );
        check("    ca_file: /ca.pem", &["ca_file: has no use"]);
        check(
            "    webhook: ['http://localhost/a', 'http://localhost/b']",
            &["webhook: must be one"],
        );
    }

    #[test]
    fn what_was_told_has_to_be_remembered() {
        let text = format!(
            "{}reports: {{on_silent: {{command: /bin/true}}}}\n",
            REST.replace("database: {path: /d}\n", "")
        );
        let error =
            parse("server.yaml", &text, Outside::NOTHING).map(drop).unwrap_err().to_string();
        let expected = "server.yaml:4: reports.on_silent: needs database.path, where it is remembered \
                        what was told";
        assert_eq!(error, expected);
    }
}

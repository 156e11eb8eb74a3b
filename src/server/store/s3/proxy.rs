//! Whether requests to S3 go by a proxy, and by which: `HTTPS_PROXY`, `NO_PROXY` and their kin.
//!
//! Pure. The library's own reading of these variables takes any of them for any address, and knows
//! neither ports nor blocks of addresses in `NO_PROXY`; here they mean what they mean to `curl`. One
//! agent speaks to one host, so the question is asked once.

use super::environment::Environment;
use crate::secret::Secret;
use ipnet::IpNet;
use std::net::IpAddr;
use url::{Host, Url};

/// A proxy, as a variable names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Proxy {
    /// Its URL, which may hold a password.
    pub(in crate::server) url: Secret,
    /// The same without user and password.
    pub(in crate::server) shown: String,
    /// The variable it stands in.
    pub(in crate::server) variable: &'static str,
}

/// A variable that names no proxy. Its value may hold a password and is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it names no HTTP proxy")]
pub(in crate::server) struct ProxyError {
    pub(in crate::server) variable: &'static str,
}

/// The proxy on the way to `endpoint`; `None` if the way is direct. This machine and its links
/// (where clouds have their metadata services) are always reached directly.
pub(in crate::server) fn choose(
    environment: &Environment,
    endpoint: &Url,
) -> Result<Option<Proxy>, ProxyError> {
    let variables: [&'static str; 4] = if endpoint.scheme() == "https" {
        ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
    };
    let set = variables.into_iter().find_map(|name| Some((name, environment.get(name)?)));
    let (Some((variable, text)), Some(host)) = (set, endpoint.host()) else { return Ok(None) };
    let port = endpoint.port_or_known_default().unwrap_or_default();
    let exceptions = environment.get("no_proxy").or_else(|| environment.get("NO_PROXY"));
    if is_near(&host) || exceptions.is_some_and(|list| names(&list, &host, port)) {
        return Ok(None);
    }
    let (url, shown) = parse(&text).ok_or(ProxyError { variable })?;
    Ok(Some(Proxy { url, shown, variable }))
}

/// The URL of a proxy, and what may be shown of it.
fn parse(text: &str) -> Option<(Secret, String)> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let port = url.port_or_known_default()?;
    let shown = format!("{}://{}:{port}", url.scheme(), url.host_str()?);
    // Again from its parts: `Url` leaves out a scheme's own port, which for proxies is another one
    // in some programs.
    let user = match (url.username(), url.password()) {
        ("", None) => String::new(),
        (user, None) => format!("{user}@"),
        (user, Some(password)) => format!("{user}:{password}@"),
    };
    let url = format!("{}://{user}{}:{port}", url.scheme(), url.host_str()?);
    Some((Secret::new(url), shown))
}

/// Whether no proxy can know the way there better.
fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Host::Ipv6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_near(&Host::Ipv4(ip)),
            None => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
        },
    }
}

/// Whether `NO_PROXY`, a list of names, addresses and blocks of them, names this host.
fn names(list: &str, host: &Host<&str>, port: u16) -> bool {
    let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    let address = match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip)),
    };
    entries.into_iter().any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Ok(block), Some(address)) = (entry.parse::<IpNet>(), address) {
            return block.contains(&address);
        }
        let (name, of_port) = split_port(entry);
        if of_port.is_some_and(|of_port| of_port != port) {
            return false;
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        match (host, address) {
            (Host::Domain(host), _) => is_within(host, name),
            (_, Some(address)) => bare.parse() == Ok(address),
            (_, None) => false,
        }
    })
}

/// Name and port of `name:port`. An IPv6 address has its port behind brackets only.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) => (name, Some(port)),
        _ => (entry, None),
    }
}

/// Whether a host is `name` or lies below it; `name` may begin with `.` or `*.`.
fn is_within(host: &str, name: &str) -> bool {
    let tidy = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let (host, name) = (tidy(host), tidy(name.trim_start_matches('*').trim_start_matches('.')));
    !name.is_empty()
        && host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen for `endpoint` with these variables, each `NAME=value`.
    fn chosen(variables: &str, endpoint: &str) -> Result<Option<Proxy>, ProxyError> {
        let variables: Vec<(String, String)> = variables
            .split(';')
            .filter_map(|one| one.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let environment = Environment::new(move |name| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        });
        choose(&environment, &Url::parse(endpoint).unwrap())
    }

    #[track_caller]
    fn check(variables: &str, endpoint: &str, expected: &str) {
        let shown = chosen(variables, endpoint).unwrap().map_or("".into(), |proxy| proxy.shown);
        assert_eq!(shown, expected, "{variables} {endpoint}");
    }

    #[test]
    fn the_endpoints_scheme_says_which_variable_counts() {
        let all = "HTTPS_PROXY=http://s:1;HTTP_PROXY=http://p:2;ALL_PROXY=http://a:3";
        check(all, "https://s3.example.com", "http://s:1");
        check(all, "http://s3.example.com", "http://p:2");
        check("ALL_PROXY=a:3;HTTP_PROXY=p:2", "https://s3.example.com", "http://a:3");
        check("HTTP_PROXY=p:2", "https://s3.example.com", "");
        check("https_proxy=l:1;HTTPS_PROXY=u:1", "https://s3.example.com", "http://l:1");
        check("https_proxy=;HTTPS_PROXY=u:1", "https://s3.example.com", "http://u:1");
        check("", "https://s3.example.com", "");
    }

    #[test]
    fn a_proxy_may_be_written_short_and_its_password_is_sent_and_not_shown() {
        for (text, url, shown) in [
            ("proxy", "http://proxy:80", "http://proxy:80"),
            ("proxy:3128", "http://proxy:3128", "http://proxy:3128"),
            ("http://proxy:3128/", "http://proxy:3128", "http://proxy:3128"),
            ("https://proxy", "https://proxy:443", "https://proxy:443"),
            ("http://u:p%40w@proxy:80", "http://u:p%40w@proxy:80", "http://proxy:80"),
            ("u@[::1]:3128", "http://u@[::1]:3128", "http://[::1]:3128"),
        ] {
            let proxy = chosen(&format!("HTTPS_PROXY={text}"), "https://h").unwrap().unwrap();
            assert_eq!((proxy.url.expose(), proxy.shown.as_str()), (url, shown), "{text}");
            assert!(!format!("{proxy:?}").contains("p%40w"), "{proxy:?}");
        }
        for text in ["socks5://proxy:1080", "http://", "http://u:secret@", "://x", "a b"] {
            let error = chosen(&format!("HTTPS_PROXY={text}"), "https://h").unwrap_err();
            assert_eq!(error.variable, "HTTPS_PROXY", "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        // Nobody asks for it, so it need not be right.
        check("HTTPS_PROXY=socks5://proxy:1080;NO_PROXY=*", "https://h", "");
    }

    #[test]
    fn this_machine_and_its_links_are_reached_directly_whatever_is_set() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LOCALHOST.",
            "s3.localhost",
            "169.254.169.254",
            "169.254.170.2",
            "[fe80::1]",
            "0.0.0.0",
        ] {
            for scheme in ["http", "https"] {
                check("ALL_PROXY=http://p:1", &format!("{scheme}://{host}:9000"), "");
            }
        }
        for host in ["128.0.0.1", "notlocalhost", "10.0.0.1", "[fd00::1]"] {
            check("ALL_PROXY=http://p:1", &format!("https://{host}:9000"), "http://p:1");
        }
    }

    #[test]
    fn exceptions_are_names_with_all_below_them_addresses_and_blocks() {
        let aws = "https://bucket.s3.eu-central-1.amazonaws.com";
        for (list, endpoint) in [
            ("*", aws),
            ("amazonaws.com", aws),
            (".amazonaws.com", aws),
            ("*.amazonaws.com", aws),
            ("AmazonAWS.com.", aws),
            ("example.com, amazonaws.com", aws),
            ("example.com amazonaws.com", aws),
            ("amazonaws.com:443", aws),
            ("minio", "http://minio:9000"),
            ("minio:9000", "http://minio:9000"),
            ("10.1.2.3", "https://10.1.2.3"),
            ("10.1.2.3:443", "https://10.1.2.3"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("fd00::/8", "https://[fd00::1]"),
            ("fd00::1", "https://[fd00::1]"),
            ("[fd00::1]:443", "https://[fd00::1]"),
        ] {
            check(&format!("ALL_PROXY=p:1;NO_PROXY={list}"), endpoint, "");
            check(&format!("ALL_PROXY=p:1;no_proxy={list}"), endpoint, "");
        }
        for (list, endpoint) in [
            ("zonaws.com", aws),
            ("amazonaws.com.evil.org", aws),
            ("amazonaws.com:80", aws),
            ("minio:9001", "http://minio:9000"),
            ("10.1.2.4", "https://10.1.2.3"),
            ("11.0.0.0/8", "https://10.1.2.3"),
            ("10.0.0.0/8", aws),
            (".", aws),
            ("*.", aws),
            (",", aws),
        ] {
            check(&format!("ALL_PROXY=p:1;NO_PROXY={list}"), endpoint, "http://p:1");
        }
    }
}

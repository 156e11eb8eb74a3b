//! Who the peer is behind trusted reverse proxies, by `X-Forwarded-For`.
//!
//! Pure. Every proxy adds at the right end whom it had the request from, and passes on whatever
//! stood there before: the client can have written that. So the list is read from the right, and
//! believed only as far as trusted proxies wrote it.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address that a request came from, for bounds and for the log.
///
/// `socket` is who is connected; `forwarded_for` is the value of `X-Forwarded-For`, that of several
/// lines joined by commas in their order, for a proxy may as well add a line. From the right, the
/// first address that is not in `trusted` is the client's. Where the list ends before that, or has
/// something else than an address, it is the last proxy that is known.
///
/// An IPv4 address that was mapped into IPv6 counts, and is given back, as IPv4.
pub fn client_address(socket: IpAddr, forwarded_for: Option<&str>, trusted: &[IpNet]) -> IpAddr {
    let mut hops = forwarded_for.unwrap_or_default().rsplit(',').map_while(parse);
    let mut known = socket.to_canonical();
    while trusted.iter().any(|block| block.contains(&known)) {
        match hops.next() {
            Some(hop) => known = hop,
            None => break,
        }
    }
    known
}

/// Reads one entry: an address, with or without a port (Azure's Application Gateway adds it), in
/// brackets or not where it is IPv6.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = entry.parse::<IpAddr>().ok();
    address
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| bracketed().map(IpAddr::V6))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    /// Trusted: 10.0.0.0/8 and fd00::/8.
    fn client(socket: &str, forwarded_for: Option<&str>) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|block| block.parse().unwrap());
        client_address(socket.parse().unwrap(), forwarded_for, &trusted).to_string()
    }

    fn check(socket: &str, forwarded_for: &str, expected: &str) {
        assert_eq!(client(socket, Some(forwarded_for)), expected, "{socket} {forwarded_for:?}");
    }

    #[test]
    fn who_is_no_trusted_proxy_speaks_for_itself() {
        check("192.0.2.1", "198.51.100.1", "192.0.2.1");
        check("192.0.2.1", "10.0.0.1", "192.0.2.1");
        check("2001:db8::1", "198.51.100.1", "2001:db8::1");
        check("::ffff:192.0.2.1", "198.51.100.1", "192.0.2.1");
        let nobody = client_address([10, 0, 0, 1].into(), Some("198.51.100.1"), &[]);
        assert_eq!(nobody.to_string(), "10.0.0.1");
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        check("10.0.0.1", "192.0.2.1", "192.0.2.1");
        check("fd00::1", "2001:db8::1", "2001:db8::1");
        check("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1");
        check("10.0.0.1", "192.0.2.1, 10.0.0.2, fd00::3", "192.0.2.1");
        check("10.0.0.1", "192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1");
    }

    #[test]
    fn what_a_client_writes_into_the_list_is_not_believed() {
        check("10.0.0.1", "127.0.0.1, 192.0.2.1", "192.0.2.1");
        check("10.0.0.1", "10.0.0.9, 198.51.100.1, 192.0.2.1, 10.0.0.2", "192.0.2.1");
        check("10.0.0.1", "nonsense, 192.0.2.1", "192.0.2.1");
    }

    #[test]
    fn without_an_untrusted_address_it_is_the_last_proxy_known() {
        assert_eq!(client("10.0.0.1", None), "10.0.0.1");
        check("10.0.0.1", "", "10.0.0.1");
        check("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3");
    }

    #[test]
    fn what_is_no_address_ends_the_walk_at_the_proxy_before_it() {
        for nonsense in [
            "",
            "unknown",
            "_hidden",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1:x",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]:",
            "[2001:db8::1]80",
            "\"192.0.2.1\"",
            "192.0.2.1 192.0.2.2",
            "unix:",
        ] {
            check("10.0.0.1", nonsense, "10.0.0.1");
            check("10.0.0.1", &format!("198.51.100.1,{nonsense}, 10.0.0.2"), "10.0.0.2");
        }
    }

    #[test]
    fn ports_brackets_and_blanks_are_tolerated() {
        for (entry, address) in [
            (" \t192.0.2.1\t ", "192.0.2.1"),
            ("192.0.2.1:49152", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:49152", "2001:db8::1"),
            ("[::ffff:192.0.2.1]:49152", "192.0.2.1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ] {
            check("10.0.0.1", entry, address);
            check("10.0.0.1", &format!("198.51.100.1,{entry},[fd00::2]:80\t,10.0.0.2:80"), address);
        }
    }

    /// Any address but those of 10.0.0.0/8.
    fn outsider() -> impl Strategy<Value = IpAddr> {
        let v4 = (11..=255_u8, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| [a, b, c, d].into());
        prop_oneof![
            v4.clone().prop_map(IpAddr::V4),
            v4.prop_map(|v4: Ipv4Addr| v4.to_ipv6_mapped()).prop_map(IpAddr::V6),
            any::<[u16; 7]>()
                .prop_map(|[b, c, d, e, f, g, h]| [0x2001, b, c, d, e, f, g, h].into()),
        ]
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let proxy = any::<[u8; 3]>().prop_map(|[b, c, d]| [10, b, c, d].into());
        prop_oneof![outsider(), proxy]
    }

    fn text(list: &[IpAddr]) -> String {
        list.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
    }

    proptest! {
        #[test]
        fn nothing_a_client_sends_changes_who_it_is(
            client in outsider(), claims in ".{0,60}", proxies in 0..3_u8,
        ) {
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            // The first proxy adds the client, each further one the proxy before it.
            let mut list = vec![client];
            list.extend((0..proxies).map(|proxy| IpAddr::from([10, 0, 0, proxy])));
            let socket = IpAddr::from([10, 0, 1, 1]);
            for claimed in [claims.clone(), format!("{claims},{claims}"), "10.0.0.7".into()] {
                let header = format!("{claimed}, {}", text(&list));
                let found = client_address(socket, Some(&header), &trusted);
                prop_assert_eq!(found, client.to_canonical());
                let direct = client_address(client, Some(&header), &trusted);
                prop_assert_eq!(direct, client.to_canonical());
            }
        }

        #[test]
        fn the_walk_agrees_with_looking_from_the_left(
            socket in address(), list in proptest::collection::vec(address(), 0..6),
        ) {
            let trusted: [IpNet; 1] = ["10.0.0.0/8".parse().unwrap()];
            let is_trusted = |address: &IpAddr| trusted[0].contains(address);
            let path: Vec<IpAddr> =
                list.iter().chain([&socket]).map(|address| address.to_canonical()).collect();
            let expected = path.iter().rfind(|hop| !is_trusted(hop)).unwrap_or(&path[0]);
            let found = client_address(socket, Some(&text(&list)), &trusted);
            prop_assert_eq!(found, *expected);
        }
    }
}

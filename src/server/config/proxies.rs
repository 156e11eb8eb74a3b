//! `server.trusted_proxies`: whose word on a client's address is taken.
//!
//! Pure, as the whole configuration is.

use ipnet::IpNet;
use std::net::IpAddr;

/// Reads one entry: an address, or a block of them such as `10.0.0.0/8`.
pub(super) fn parse(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let block: IpNet = text.parse().map_err(|_| {
        "is neither an IP address nor a block of them; such as 127.0.0.1 or 10.0.0.0/8 is expected"
    })?;
    if matches!(block, IpNet::V6(block) if block.addr().to_ipv4_mapped().is_some()) {
        return Err("is a block of IPv4 addresses in IPv6 clothes; write it as IPv4".into());
    }
    // Taken as it stands, `10.1.2.3/8` would trust far more than its author may have meant.
    if block.trunc() == block {
        Ok(block)
    } else {
        let (whole, one) = (block.trunc(), block.addr());
        Err(format!("is ambiguous; write {whole} for that block or {one} for that address"))
    }
}

/// Whether `peer` is in one of `blocks`. An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`), as a
/// socket for both kinds shows it, is looked up as the IPv4 address that it is.
pub(super) fn contain(blocks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    blocks.iter().any(|block| block.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blocks: &[&str], trusted: &[&str], others: &[&str]) {
        let blocks: Vec<IpNet> = blocks.iter().map(|text| parse(text).unwrap()).collect();
        for (peers, expected) in [(trusted, true), (others, false)] {
            for peer in peers {
                assert_eq!(contain(&blocks, peer.parse().unwrap()), expected, "{peer} {blocks:?}");
            }
        }
    }

    #[test]
    fn an_address_stands_for_itself_and_a_block_for_all_in_it() {
        check(&[], &[], &["127.0.0.1", "::1"]);
        check(&["127.0.0.1"], &["127.0.0.1", "::ffff:127.0.0.1"], &["127.0.0.2", "::1"]);
        check(&["::1"], &["::1"], &["127.0.0.1", "::2"]);
        check(
            &["10.0.0.0/8", "fd00::/8"],
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "fd12::1"],
            &["9.255.255.255", "11.0.0.0", "fe80::1", "::10.1.2.3"],
        );
        check(&["::ffff:192.0.2.1"], &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.2"]);
        check(&["0.0.0.0/0"], &["192.0.2.1"], &["2001:db8::1"]);
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused() {
        let block = "is ambiguous; write 10.0.0.0/8 for that block or 10.1.2.3 for that address";
        assert_eq!(parse("10.1.2.3/8"), Err(block.into()));
        assert!(parse("::ffff:10.0.0.0/104").is_err_and(|error| error.ends_with("as IPv4")));
        for bad in
            ["", "proxy.example.com", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80", "[::1]", "::/129"]
        {
            assert!(parse(bad).is_err_and(|error| error.contains("such as")), "{bad}");
        }
    }
}

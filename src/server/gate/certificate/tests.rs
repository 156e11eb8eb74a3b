//! The specification of the server's certificate and key.

use super::*;
use crate::limits::CERTIFICATE_ENDS_SOON;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, Connection, ProtocolVersion, RootCertStore, ServerConnection,
    SupportedProtocolVersion,
};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

const NAME: &str = "backup.example.com";

/// A certificate and its key, both as PEM.
struct Pair {
    certificate: String,
    der: CertificateDer<'static>,
    key: String,
}

fn pair_with(change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let key = KeyPair::generate().unwrap();
    pair_of(&key, change)
}

fn pair_of(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.self_signed(key).unwrap();
    Pair {
        certificate: certificate.pem(),
        der: certificate.der().clone(),
        key: key.serialize_pem(),
    }
}

fn pair() -> Pair {
    pair_with(|_| {})
}

/// A folder with the two files.
struct Files {
    folder: TempDir,
    tls: Tls,
}

impl Files {
    fn new(certificate: &str, key: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = |name| folder.path().join(name);
        let tls = Tls { cert_file: file("cert.pem"), key_file: file("key.pem") };
        let files = Self { folder, tls };
        files.write(certificate, key);
        files
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(&self.tls.cert_file, certificate).unwrap();
        std::fs::write(&self.tls.key_file, key).unwrap();
    }
}

/// What a handshake with the server as it is now comes to: the version, the protocol, and the
/// certificate that the client saw. `pair` is the one the client trusts.
fn handshake(
    certificates: &Certificates,
    pair: &Pair,
    version: &'static SupportedProtocolVersion,
    alpn: &[&str],
) -> Result<(ProtocolVersion, Option<Vec<u8>>), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(pair.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(NAME).unwrap();
    let mut client: Connection = ClientConnection::new(Arc::new(config), name).unwrap().into();
    let mut server: Connection = ServerConnection::new(certificates.current()).unwrap().into();
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    Ok((client.protocol_version().unwrap(), client.alpn_protocol().map(<[u8]>::to_vec)))
}

/// Carries what one side has to say to the other.
fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), rustls::Error> {
    let mut said = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut said).unwrap();
    }
    let mut said = &said[..];
    while !said.is_empty() {
        to.read_tls(&mut said).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[track_caller]
fn assert_served(certificates: &Certificates, pair: &Pair) {
    handshake(certificates, pair, &TLS13, &[]).unwrap();
}

#[test]
fn a_pair_is_served_by_tls_1_2_and_1_3_for_http_1_1_alone() {
    let pair = pair();
    let certificates = Certificates::load(&Files::new(&pair.certificate, &pair.key).tls).unwrap();
    for version in [&TLS12, &TLS13] {
        for (alpn, expected) in [(&["h2", "http/1.1"][..], Some(b"http/1.1".to_vec())), (&[], None)]
        {
            let done = handshake(&certificates, &pair, version, alpn).unwrap();
            assert_eq!(done, (version.version, expected), "{alpn:?}");
        }
        let refused = handshake(&certificates, &pair, version, &["h2"]).unwrap_err();
        assert_eq!(refused, rustls::Error::NoApplicationProtocol, "another protocol alone");
    }
}

#[test]
fn keys_of_every_supported_kind_are_taken_and_only_the_first_of_a_file_counts() {
    for kind in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
    {
        let pair = pair_of(&KeyPair::generate_for(kind).unwrap(), |_| {});
        let other = self::pair();
        // Both halves may stand in one file, with comments, other sections, and foreign line ends.
        let mixed = format!("a comment\n{}{}{}", pair.key, pair.certificate, other.certificate);
        for key in [&pair.key, &mixed, &format!("{}{}", pair.key, other.key)] {
            for certificate in [&pair.certificate, &mixed, &mixed.replace('\n', "\r\n")] {
                let files = Files::new(certificate, key);
                assert_served(&Certificates::load(&files.tls).unwrap(), &pair);
            }
        }
    }
}

/// Loads the two files, which must be refused with this message. `DIR` stands for their folder.
#[track_caller]
fn check(certificate: &str, key: &str, expected: &str) {
    let files = Files::new(certificate, key);
    check_files(&files, expected);
}

#[track_caller]
fn check_files(files: &Files, expected: &str) {
    let error = Certificates::load(&files.tls).unwrap_err();
    for shown in [error.to_string(), format!("{error:?}")] {
        for line in std::fs::read_to_string(&files.tls.key_file).unwrap_or_default().lines() {
            let secret = line.len() > 40 && shown.contains(&line[..40]);
            assert!(!secret, "the key is shown: {shown}");
        }
    }
    let folder = files.folder.path().to_str().unwrap();
    let shown = error.to_string().replace(folder, "DIR");
    assert!(shown.starts_with(expected), "{shown}\n{expected}");
}

#[test]
fn whatever_is_wrong_names_file_key_and_what_would_be_right() {
    let (pair, other) = (pair(), pair());
    let (cert, key) = (&pair.certificate[..], &pair.key[..]);
    let in_cert = |problem| format!("server.tls.cert_file: \"DIR/cert.pem\" {problem}");
    let in_key = |problem| format!("server.tls.key_file: \"DIR/key.pem\" {problem}");
    let large = "#".repeat(PEM_BYTES_MAX as usize + 1);
    let one_line = key.replace('\n', "");
    let four_dashes = key.replace("-----\n", "----\n");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old_encrypted =
        key.replace("PRIVATE KEY-----\n", "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n");
    let garbage = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";

    check("", key, &in_cert("holds no certificate: the server's own, as PEM, is expected first"));
    check("\u{fffd}\u{1}", key, &in_cert("holds no certificate"));
    check(key, cert, &in_cert("holds no certificate"));
    check(&large, key, &in_cert("is larger than 262144 bytes"));
    check(
        &cert[..cert.len() / 2],
        key,
        &in_cert("is damaged: a section has no END line; hint: copy"),
    );
    check(&cert.replace("MII", "M!I"), key, &in_cert("is damaged: a section is not Base64"));
    check(garbage, key, &in_cert("begins with a certificate that cannot be read"));

    check(cert, "", &in_key("holds no private key: a PEM section `PRIVATE KEY`"));
    check(
        cert,
        cert,
        &in_key("holds a certificate and no private key; hint: are cert_file and key_file"),
    );
    check(cert, &large, &in_key("is larger than 262144 bytes"));
    check(cert, &one_line, &in_key("is damaged: a section has no END line; hint: copy it"));
    check(cert, &four_dashes, &in_key("is damaged: a BEGIN line does not end as it should"));
    check(cert, &encrypted, &in_key("is encrypted, and a server"));
    check(cert, &old_encrypted, &in_key("is encrypted, and a server"));
    check(
        cert,
        no_key,
        &in_key("holds a private key that cannot be used: RSA of 2048 to 4096 bits"),
    );
    check(
        cert,
        &other.key,
        &in_key("is not the key of the certificate in \"DIR/cert.pem\"; hint:"),
    );
}

#[test]
fn a_file_that_is_not_there_or_is_a_folder_is_named() {
    let pair = pair();
    let files = Files::new(&pair.certificate, &pair.key);
    std::fs::remove_file(&files.tls.key_file).unwrap();
    let start = "server.tls.key_file: \"DIR/key.pem\" cannot be read: ";
    check_files(&files, &format!("{start}No such file"));
    std::fs::create_dir(&files.tls.key_file).unwrap();
    check_files(&files, &format!("{start}Is a directory"));
}

#[test]
fn a_renewed_pair_is_served_after_it_was_read_again_and_a_broken_one_never_is() {
    let (old, new) = (pair(), pair());
    let files = Files::new(&old.certificate, &old.key);
    let certificates = Certificates::load(&files.tls).unwrap();
    let before = certificates.current();
    assert!(!certificates.reload().unwrap(), "nothing has changed");
    assert!(Arc::ptr_eq(&before, &certificates.current()), "sessions can be resumed");

    // A renewal replaces one file after the other.
    for (certificate, key) in [
        (&new.certificate, &old.key),
        (&old.certificate, &new.key),
        (&new.certificate, &String::new()),
    ] {
        files.write(certificate, key);
        certificates.reload().unwrap_err();
        assert_served(&certificates, &old);
    }
    files.write(&new.certificate, &new.key);
    assert!(certificates.reload().unwrap());
    assert_served(&certificates, &new);
    assert!(handshake(&certificates, &old, &TLS13, &[]).is_err(), "the old one is gone");
}

#[test]
fn an_intermediate_that_was_added_is_a_change() {
    let (pair, intermediate) = (pair(), pair());
    let files = Files::new(&pair.certificate, &pair.key);
    let certificates = Certificates::load(&files.tls).unwrap();
    files.write(&format!("{}{}", pair.certificate, intermediate.certificate), &pair.key);
    assert!(certificates.reload().unwrap());
}

#[track_caller]
fn check_concern(
    change: impl FnOnce(&mut CertificateParams),
    now: u64,
    expected: Option<ConcernKind>,
) -> Option<Concern> {
    let pair = pair_with(change);
    let files = Files::new(&pair.certificate, &pair.key);
    let certificates = Certificates::load(&files.tls).unwrap();
    let concern = certificates.concern(UNIX_EPOCH + Duration::from_secs(now));
    assert_eq!(concern.as_ref().map(|concern| concern.kind), expected);
    concern
}

#[test]
fn what_clients_will_refuse_is_a_concern_with_its_date() {
    // From 2026-01-01 to 2026-04-01.
    let (begin, end) = (1_767_225_600, 1_775_001_600);
    let days = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
    };
    let soon = end - CERTIFICATE_ENDS_SOON.as_secs();
    for (now, expected) in [
        (0, Some(ConcernKind::NotYetValid(begin))),
        (begin - 1, Some(ConcernKind::NotYetValid(begin))),
        (begin, None),
        (soon, None),
        (soon + 1, Some(ConcernKind::ExpiresSoon(end))),
        (end, Some(ConcernKind::ExpiresSoon(end))),
        (end + 1, Some(ConcernKind::Expired(end))),
        (end * 10, Some(ConcernKind::Expired(end))),
    ] {
        check_concern(days, now, expected);
    }
    let concern = check_concern(days, end + 1, Some(ConcernKind::Expired(end))).unwrap();
    let shown = concern.to_string();
    assert!(shown.starts_with("server.tls.cert_file: \"/"), "{shown}");
    assert!(
        shown.contains("/cert.pem\" expired at 2026-04-01 00:00 UTC: clients refuse"),
        "{shown}"
    );
}

#[test]
fn a_certificate_of_an_authority_or_for_clients_is_a_concern() {
    let now = 1_767_225_600;
    let authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    check_concern(authority, now, Some(ConcernKind::Authority));
    for (usages, expected) in [
        (vec![], None),
        (vec![ExtendedKeyUsagePurpose::ServerAuth], None),
        (vec![ExtendedKeyUsagePurpose::ClientAuth], Some(ConcernKind::NotForServers)),
    ] {
        check_concern(|params| params.extended_key_usages = usages, now, expected);
    }
}

#[test]
fn nothing_of_the_key_is_in_debug() {
    let pair = pair();
    let files = Files::new(&pair.certificate, &pair.key);
    let shown = format!("{:?}", Certificates::load(&files.tls).unwrap());
    assert!(shown.contains("key.pem") && shown.len() < 400, "{shown}");
}

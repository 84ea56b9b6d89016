//! `HOST:PORT`, as what is written into other programs' files.

use std::net::Ipv6Addr;

/// Whether `text` is `HOST:PORT`, of characters that mean nothing to those who read it. An IPv6 address
/// is in brackets.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_fits = match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
            !host.is_empty() && host.bytes().all(plain)
        }
    };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    host_fits && digits && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_word() {
        for good in ["10.0.0.7:8080", "[2001:db8::7]:8080", "mirror-1.lab:80"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a",
            "a:",
            "a:0",
            "a:+1",
            "a:65536",
            "2001:db8::7:80",
            "[a]:80",
            "[fe80::1%eth0]:80",
            "a b:80",
            "a:80 b:80",
            "{$X}:80",
            "unix//run/x:80",
            "http://a:80",
            "a\n:80",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}

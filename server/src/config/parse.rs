use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use url::Url;

use super::source::{SECRETS, SETTINGS, Sources};

/// A setting that can't be used, and what is allowed instead. Never holds the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub name: String,
    pub message: String,
}

impl Wrong {
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into() }
    }
}

/// One line of `config check`.
#[derive(Debug, Clone)]
pub struct Shown {
    pub name: &'static str,
    pub value: String,
    pub source: String,
}

/// Something that is set and that nothing reads. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub name: String,
    /// `environment`, `.env`.
    pub source: &'static str,
    /// What there is instead.
    pub note: String,
}

/// Reads settings one by one and collects everything that is wrong.
pub struct Reader {
    sources: Sources,
    wrong: Vec<Wrong>,
}

impl Reader {
    pub fn new(sources: Sources) -> Self {
        Self { sources, wrong: Vec::new() }
    }

    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.wrong.push(Wrong::new(name, message));
    }

    /// What is shown for each setting and what is set for nothing, or all that is wrong.
    pub fn finish(self) -> Result<(Vec<Shown>, Vec<Unread>), Vec<Wrong>> {
        if !self.wrong.is_empty() {
            return Err(self.wrong);
        }
        let show = |name: &'static str| {
            let (value, source) = self.sources.find(name);
            let value = match value {
                None => "–".to_owned(),
                Some(_) if SECRETS.contains(&name) => "•••".to_owned(),
                Some(value) => mask_password(&value),
            };
            Shown { name, value, source }
        };
        Ok((SETTINGS.iter().map(|(name, ..)| show(name)).collect(), self.sources.unread().to_vec()))
    }

    pub fn optional(&self, name: &str) -> Option<String> {
        self.sources.find(name).0.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    pub fn text(&self, name: &str) -> String {
        self.optional(name).unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.text(name))
    }

    /// The items of a list separated by commas or spaces.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        text.split([',', ' ']).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    pub fn one_of<T: Clone>(&mut self, name: &str, allowed: &[(&str, T)]) -> T {
        let text = self.text(name);
        if let Some((_, value)) = allowed.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            return value.clone();
        }
        let words: Vec<_> = allowed.iter().map(|(word, _)| *word).collect();
        self.refuse(name, format!("must be one of {}", words.join(", ")));
        allowed[0].1.clone()
    }

    pub fn switch(&mut self, name: &str) -> bool {
        match self.text(name).to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.refuse(name, "must be true or false");
                false
            }
        }
    }

    pub fn number(&mut self, name: &str, least: u32, most: u32) -> u32 {
        match self.text(name).parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.refuse(name, format!("must be a whole number from {least} to {most}"));
                least
            }
        }
    }

    pub fn size(&mut self, name: &str, least: u64, most: u64) -> u64 {
        match parse_size(&self.text(name)) {
            Some(bytes) if (least..=most).contains(&bytes) => bytes,
            _ => {
                self.refuse(name, format!("must be a size from {least} bytes to {} GiB, such as 100MB", most >> 30));
                least
            }
        }
    }

    pub fn http_url(&mut self, name: &str) -> Option<Url> {
        let text = self.optional(name)?;
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Some(url),
            _ => {
                self.refuse(name, "must be an address that begins with http:// or https://");
                None
            }
        }
    }

    pub fn cidrs(&mut self, name: &str) -> Vec<Cidr> {
        let parsed: Result<Vec<_>, _> = self.list(name).iter().map(|item| item.parse()).collect();
        parsed.unwrap_or_else(|_| {
            self.refuse(name, "must be addresses or networks such as 10.0.0.0/8, separated by commas");
            Vec::new()
        })
    }
}

/// `100MB`, `512 KiB` or plain bytes. The short forms count in 1024s, as disks and limits do here.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Hides the password of an address such as `postgresql://name:password@host/db`.
fn mask_password(value: &str) -> String {
    match Url::parse(value) {
        Ok(mut url) if url.password().is_some() => {
            // Setting a password can only fail for addresses that can't hold one.
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => value.to_owned(),
    }
}

/// A network such as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => prefix_equals(&net.octets(), &ip.octets(), self.bits),
            (IpAddr::V6(net), IpAddr::V6(ip)) => prefix_equals(&net.octets(), &ip.octets(), self.bits),
            _ => false,
        }
    }
}

fn prefix_equals(a: &[u8], b: &[u8], bits: u8) -> bool {
    let (whole, rest) = (usize::from(bits / 8), bits % 8);
    a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0)
}

/// The text is neither an address nor a network.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Cidr {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| NotANetwork)?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(NotANetwork) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

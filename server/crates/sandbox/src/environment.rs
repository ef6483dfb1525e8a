//! The variables a command starts with. Nothing of the server's own environment is among them.

use crate::egress;
use crate::spec::{Network, Spec};
use std::path::{Path, PathBuf};

/// What the run asked for, over a small fixed set.
pub(crate) fn environment(spec: &Spec, home: &str, tmp: &str, extra: &[PathBuf]) -> Vec<(String, String)> {
    let bins: Vec<String> =
        extra.iter().map(|p| p.join("bin")).filter(|p: &PathBuf| Path::new(p).is_dir()).map(|p| p.to_string_lossy().into_owned()).collect();
    let path = bins.iter().map(String::as_str).chain(["/usr/local/bin:/usr/bin:/bin"]).collect::<Vec<_>>().join(":");
    let term = if spec.tty.is_some() { "xterm-256color" } else { "dumb" };
    let fixed = [
        ("PATH", path.as_str()),
        ("HOME", home),
        ("TMPDIR", tmp),
        ("USER", "user"),
        ("LOGNAME", "user"),
        ("LANG", "C.UTF-8"),
        ("TERM", term),
    ];
    let proxy = if spec.network == Network::None { Vec::new() } else { proxy_environment() };
    let fixed = fixed.map(|(n, v)| (n, v.to_owned())).into_iter().chain(proxy);
    let given = |name: &str| spec.env.iter().any(|(n, _)| n == name);
    fixed.filter(|(n, _)| !given(n)).map(|(n, v)| (n.to_owned(), v)).chain(spec.env.iter().cloned()).collect()
}

/// What package managers and HTTP clients look at to find the proxy.
fn proxy_environment() -> Vec<(&'static str, String)> {
    let proxy = format!("http://127.0.0.1:{}", egress::PORT);
    let mut set: Vec<_> = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "CARGO_HTTP_PROXY"].map(|n| (n, proxy.clone())).into();
    set.extend(["NO_PROXY", "no_proxy"].map(|n| (n, "localhost,127.0.0.1,::1".to_owned())));
    // Node's own fetch asks for this before it looks at the others.
    set.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
    set
}

mod headers;
mod observe;
mod origin;

pub use headers::{Nonce, set_security_headers};
pub use observe::{RequestId, catch_panics, observe};
pub use origin::{refuse_foreign, refuse_unknown_hosts};

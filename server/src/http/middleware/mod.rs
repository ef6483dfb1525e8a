mod headers;
mod observe;
mod origin;
mod previews;

pub use headers::{Nonce, set_security_headers};
pub use observe::{RequestId, catch_panics, observe};
pub use origin::{is_same_origin, refuse_foreign, refuse_unknown_hosts};
pub use previews::answer_previews;

mod bounds;
mod cors;
mod form;
mod headers;
mod idempotency;
mod observe;
mod origin;
mod previews;
mod rates;

pub use bounds::{Deadline, limit_time, refuse_oversized};
pub use cors::{NamedOrigin, Origins, allow_origins};
pub use headers::{Nonce, set_security_headers};
pub use idempotency::once;
pub use observe::{RequestId, catch_panics, note_caller, observe};
pub use origin::{find_own_referer, is_same_origin, refuse_foreign, refuse_unknown_hosts};
pub use previews::answer_previews;
pub use rates::{ModelCalls, RateGate, limit_addresses, limit_callers};

//! Bounds that both sides check, in bytes unless the name says otherwise.

pub const USERNAME_MAX: usize = 32;
pub const EMAIL_MAX: usize = 254;
pub const PASSWORD_MIN_CHARS: usize = 8;
/// Enough for any pass phrase; it only keeps a megabyte from being hashed.
pub const PASSWORD_MAX: usize = 1024;
pub const FULL_NAME_MAX: usize = 120;
pub const PROJECT_NAME_MAX_CHARS: usize = 80;
pub const DESCRIPTION_MAX_CHARS: usize = 500;

pub const PATH_SEGMENT_MAX: usize = 255;
/// Short of what a system takes by the directory that a project is laid out in.
pub const PATH_MAX: usize = 4000;
/// Names in one path.
pub const PATH_DEPTH_MAX: usize = 64;
/// One file, the default of `STORAGE_FILE_SIZE_LIMIT`.
pub const FILE_MAX: u64 = 100 * 1024 * 1024;
/// Up to here the editor takes text; what is larger is shown by ranges.
pub const EDITOR_MAX: u64 = 20 * 1024 * 1024;
/// Above this the editor leaves out what looks at the whole text: colours, folding, word lists.
pub const EDITOR_LIGHT: u64 = 5 * 1024 * 1024;

pub const PROJECT_FILES_MAX: i64 = 200_000;
pub const PROJECT_BYTES_MAX: i64 = 2 * 1024 * 1024 * 1024;
/// Unpacked bytes per packed byte, beyond a first allowance.
pub const ARCHIVE_RATIO_MAX: u64 = 200;

pub const PROMPT_MAX_CHARS: usize = 100_000;
pub const COMMAND_MAX: usize = 32 * 1024;
pub const ENV_MAX_ENTRIES: usize = 64;
pub const RUN_TIMEOUT_DEFAULT_S: u32 = 600;
pub const TURN_STEPS_DEFAULT: u32 = 40;
/// The most model calls that one message may ask for.
pub const TURN_STEPS_MAX: u32 = 500;

/// Characters.
pub const TOKEN_NAME_MAX: usize = 80;
pub const TOKEN_PROJECTS_MAX: usize = 100;
/// Tokens of one person that have neither ended nor been revoked.
pub const TOKENS_MAX: i64 = 100;

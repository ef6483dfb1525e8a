//! The arithmetic of codes: nothing here remembers anything.

use qrcode::{Color, EcLevel, QrCode};
use totp_rs::{Algorithm, Builder, Totp};
use wire::{
    Micros, UserId,
    second_factor::{RECOVERY_CODES, TotpSetup},
};

use crate::{Error, Ids, Result, auth};

pub const SECRET_BYTES: usize = 20;
const ISSUER: &str = "cloudxdevai";
/// Without letters that are taken for each other: 32 of them, five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
const CODE_CHARS: usize = 16;
const GROUP: usize = 4;
/// White around the picture, in modules, as the standard asks for.
const QUIET: usize = 4;
/// Wrong tries that cost nothing.
const FREE_TRIES: i64 = 3;
const FIRST_DELAY_S: i64 = 5;
const LONGEST_DELAY_S: i64 = 300;

fn totp(secret: Vec<u8>, account: &str) -> Result<Totp> {
    let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(1).with_step_duration(30);
    let named = builder.with_secret(secret).with_issuer(Some(ISSUER)).with_account_name(account);
    named.build().map_err(|error| Error::internal(format!("{error:?}")))
}

pub fn setup(secret: Vec<u8>, account: &str) -> Result<TotpSetup> {
    let totp = totp(secret, account)?;
    let uri = totp.to_url().map_err(|error| Error::internal(format!("{error:?}")))?;
    let qr_svg = draw(&uri)?;
    Ok(TotpSetup { secret: totp.secret().to_base32(), uri, qr_svg })
}

/// The step of 30 seconds that a code belongs to: now, the one before or the one after.
pub fn step_of(secret: Vec<u8>, code: &str, now: Micros) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let seconds = u64::try_from(now.0 / 1_000_000).ok()?;
    totp(secret, "account").ok()?.check(&code, seconds).map(|step| step as i64)
}

/// Seconds to wait after so many wrong tries in a row.
pub fn delay_s(failures: i64) -> i64 {
    match failures - FREE_TRIES {
        over if over < 0 => 0,
        over => FIRST_DELAY_S.saturating_mul(1 << over.min(16)).min(LONGEST_DELAY_S),
    }
}

/// `abcd-efgh-jkmn-pqrs`: 80 bits each.
pub fn make_recovery_codes(ids: &dyn Ids) -> Vec<String> {
    let one = || {
        let mut random = [0; CODE_CHARS];
        ids.fill(&mut random);
        let letters: Vec<char> = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        letters.chunks(GROUP).map(String::from_iter).collect::<Vec<_>>().join("-")
    };
    (0..RECOVERY_CODES).map(|_| one()).collect()
}

/// However it was typed: spaces, dashes and case do not matter.
pub fn hash_recovery_code(user: UserId, code: &str) -> String {
    let plain: String = code.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(64).collect();
    auth::hash(&format!("recovery code of {user}: {plain}"))
}

/// Black on white in both themes, since not every camera reads it the other way around.
fn draw(text: &str) -> Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|color| **color == Color::Dark).count();
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run.max(1);
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"QR code for your authenticator app\" \
         shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemIds;

    /// RFC 6238, appendix B, with the last six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = b"12345678901234567890".to_vec();
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            let now = Micros(seconds * 1_000_000);
            assert_eq!(step_of(secret.clone(), code, now), Some(seconds / 30), "{seconds}");
            assert_eq!(step_of(secret.clone(), &format!(" {}-{} ", &code[..3], &code[3..]), now), Some(seconds / 30));
            assert_eq!(step_of(secret.clone(), code, now.plus_seconds(30)), Some(seconds / 30), "one step late");
            assert_eq!(step_of(secret.clone(), code, now.plus_seconds(90)), None, "too late");
        }
        for wrong in ["", "28708", "2870821", "+87082", "２８７０８２", "abcdef"] {
            assert_eq!(step_of(secret.clone(), wrong, Micros(59_000_000)), None, "{wrong}");
        }
    }

    #[test]
    fn recovery_codes_differ_and_are_read_as_people_type_them() {
        let codes = make_recovery_codes(&SystemIds);
        let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!((codes.len(), distinct.len()), (RECOVERY_CODES, RECOVERY_CODES));
        assert!(codes.iter().all(|code| code.len() == 19 && code.split('-').all(|part| part.len() == 4)), "{codes:?}");
        let (ada, ben) = (UserId(uuid::Uuid::from_u128(1)), UserId(uuid::Uuid::from_u128(2)));
        let typed = codes[0].replace('-', " ").to_uppercase();
        assert_eq!(hash_recovery_code(ada, &codes[0]), hash_recovery_code(ada, &typed));
        assert_ne!(hash_recovery_code(ada, &codes[0]), hash_recovery_code(ben, &codes[0]));
    }

    #[test]
    fn delays_grow_and_end_growing() {
        let delays: Vec<_> = (0..12).map(delay_s).collect();
        assert_eq!(delays, [0, 0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(delay_s(i64::MAX), LONGEST_DELAY_S);
    }

    #[test]
    fn the_picture_is_one_element_that_carries_nothing_else() {
        let setup = setup(vec![7; SECRET_BYTES], "ada").unwrap();
        assert!(setup.qr_svg.starts_with("<svg ") && setup.qr_svg.ends_with("</svg>") && !setup.qr_svg.contains("script"));
        assert_eq!(setup.uri, format!("otpauth://totp/cloudxdevai:ada?secret={}&issuer=cloudxdevai", setup.secret));
    }
}

//! Mail, where a server for it is configured. It is sent beside the request that asks for it, so that nobody can tell by the time whether
//! there was somebody to write to.

use std::{fmt, sync::Arc, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::{Ctx, Secret, Services};

const PATIENCE: Duration = Duration::from_secs(20);
/// For a look whether the server is there.
const REACH_TIME: Duration = Duration::from_millis(1500);

/// Where mail is handed over, and whose name it carries.
#[derive(Clone)]
pub struct MailSettings {
    /// `smtp://`, `smtps://`, or `smtp://…?tls=required`, with name and password where the server asks for them.
    url: Secret,
    from: Mailbox,
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSettings").field("from", &self.from.to_string()).finish_non_exhaustive()
    }
}

impl MailSettings {
    /// The reason where a value can't be used: first of the address of the server, then of the sender.
    pub fn new(url: &str, from: &str) -> Result<Self, MailRefusal> {
        let is_smtp = url.starts_with("smtp://") || url.starts_with("smtps://");
        if !is_smtp || AsyncSmtpTransport::<Tokio1Executor>::from_url(url).is_err() {
            return Err(MailRefusal::Url);
        }
        let from = from.parse().map_err(|_| MailRefusal::From)?;
        Ok(Self { url: Secret(url.as_bytes().to_vec()), from })
    }

    /// Whether the server takes a connection, and the name and password. Errors: a sentence.
    pub(crate) async fn reach(&self) -> Result<(), String> {
        let url = std::str::from_utf8(&self.url.0).map_err(|error| error.to_string())?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|error| error.to_string())?;
        let transport = transport.timeout(Some(REACH_TIME)).build::<Tokio1Executor>();
        match tokio::time::timeout(REACH_TIME, transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("it ends connections at once".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", REACH_TIME.as_millis())),
        }
    }

    async fn send(&self, letter: Letter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let url = std::str::from_utf8(&self.url.0)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(PATIENCE)).build();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, letter.to.parse()?))
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text)?;
        tokio::time::timeout(PATIENCE, transport.send(message)).await??;
        Ok(())
    }
}

/// Which of the settings of mail can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailRefusal {
    Url,
    From,
}

/// One message in plain text.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub to: String,
    pub subject: &'static str,
    pub text: String,
}

/// Whether links can be sent by mail here.
pub(crate) fn is_set_up(services: &Services) -> bool {
    services.settings.mail.is_some() && services.settings.site_url.is_some()
}

/// The whole address of a path of this site, for links outside of it.
pub(crate) fn address_of(services: &Services, path: &str) -> Option<String> {
    services.settings.site_url.as_ref().map(|site| format!("{}{path}", site.trim_end_matches('/')))
}

/// Sends a letter when there is time; `false` where no mail is configured. What fails is told to the log.
pub(crate) fn send_soon(ctx: &Ctx, letter: Letter) -> bool {
    let services: Arc<Services> = ctx.services().clone();
    if services.settings.mail.is_none() {
        return false;
    }
    let trace = ctx.trace().to_owned();
    tokio::spawn(async move {
        let Some(mail) = &services.settings.mail else { return };
        let subject = letter.subject;
        match mail.send(letter).await {
            Ok(()) => tracing::info!(request_id = trace, subject, "mail was handed over"),
            Err(error) => tracing::error!(request_id = trace, subject, %error, "mail could not be sent; check SMTP_URL and MAIL_FROM"),
        }
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_one_by_one() {
        assert!(MailSettings::new("smtp://127.0.0.1:2525", "cloudxdevai <no-reply@example.org>").is_ok());
        assert!(MailSettings::new("smtps://name:word@mail.example.org", "no-reply@example.org").is_ok());
        assert_eq!(MailSettings::new("http://mail.example.org", "no-reply@example.org").err(), Some(MailRefusal::Url));
        assert_eq!(MailSettings::new("smtp://mail.example.org", "nobody").err(), Some(MailRefusal::From));
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = MailSettings::new("smtp://name:hidden-word@127.0.0.1", "a@example.org").unwrap();
        assert!(!format!("{settings:?}").contains("hidden-word"));
    }
}

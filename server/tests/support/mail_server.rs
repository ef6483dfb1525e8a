//! A server on this machine that takes mail and keeps it.
#![allow(dead_code)]

use std::sync::Arc;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::PATIENCE;

/// One mail, as it was handed over.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whom the envelope names.
    pub to: Vec<String>,
    /// Head and text, without the line breaks of its encoding.
    pub text: String,
}

impl Mail {
    pub fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// What follows `prefix` in a link.
    #[track_caller]
    pub fn secret(&self, prefix: &str) -> &str {
        let (_, rest) = self.text.split_once(prefix).unwrap_or_else(|| panic!("{prefix} is not in {}", self.text));
        rest.split_whitespace().next().unwrap_or_default()
    }
}

/// Ends with the test.
pub struct MailServer {
    pub url: String,
    mails: Arc<watch::Sender<Vec<Mail>>>,
}

impl MailServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mails = Arc::new(watch::Sender::default());
        let kept = mails.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take_mail(stream, kept.clone()));
            }
        });
        Self { url, mails }
    }

    /// Settings of a site that sends its mail here.
    pub fn settings(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("SMTP_URL", self.url.as_str()),
            ("MAIL_FROM", "cloudxdevai <no-reply@example.org>"),
            ("APP_PUBLIC_URL", "http://code.example.org"),
        ]
    }

    pub fn count(&self) -> usize {
        self.mails.borrow().len()
    }

    /// Waits for the mail after the first `known` ones.
    pub async fn after(&self, known: usize) -> Mail {
        let mut mails = self.mails.subscribe();
        let come = tokio::time::timeout(PATIENCE, mails.wait_for(|mails| mails.len() > known)).await;
        come.expect("no mail came").unwrap()[known].clone()
    }
}

async fn take_mail(stream: TcpStream, mails: Arc<watch::Sender<Vec<Mail>>>) {
    let mut stream = BufReader::new(stream);
    let mut say = "220 here\r\n";
    let (mut to, mut line) = (Vec::new(), String::new());
    loop {
        if stream.get_mut().write_all(say.as_bytes()).await.is_err() {
            return;
        }
        line.clear();
        if !stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            return;
        }
        let word = line.split([' ', '\r']).next().unwrap_or_default().to_uppercase();
        say = match word.as_str() {
            "RCPT" => {
                to.extend(line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address.to_owned()));
                "250 ok\r\n"
            }
            "DATA" => {
                let _ = stream.get_mut().write_all(b"354 go on\r\n").await;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") && stream.read_line(&mut text).await.is_ok_and(|read| read > 0) {}
                let text = text.replace("=\r\n", "").replace("=3D", "=");
                mails.send_modify(|mails| mails.push(Mail { to: std::mem::take(&mut to), text }));
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
    }
}

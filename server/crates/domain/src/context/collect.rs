//! What a message names, read as it is now: it goes into the transcript with the message.

use wire::{
    ProjectId, RunId,
    chat::{Attachment, AttachmentKind, StartTurn},
    context::Mention,
    files::EntryKind,
    runs::{Run, RunState},
};

use super::{images, text::one_line};
use crate::{Ctx, Error, Result, files, runs};

/// Bytes of one attachment.
const FILE_MAX: u64 = 64 * 1024;
/// The last bytes of a run's output.
const OUTPUT_MAX: i64 = 16 * 1024;
/// Names of a folder.
const LISTED: usize = 500;
/// Bytes of everything that goes along with one message.
const TOTAL_MAX: usize = 512 * 1024;

/// Reads everything that goes along with a prompt: files, folders, runs, selections and pictures. The caller's right to the project is
/// asked by what reads them.
pub async fn collect(ctx: &Ctx, project: ProjectId, request: &StartTurn) -> Result<Vec<Attachment>> {
    let mut attachments = Vec::new();
    for path in &request.attachments {
        attachments.push(read_file(ctx, project, path).await?);
    }
    for mention in &request.context.mentions {
        attachments.push(match mention {
            Mention::Folder { path } => read_folder(ctx, project, path).await?,
            Mention::Run { run_id } => read_run(ctx, project, *run_id).await?,
            Mention::Selection { path, start_line, end_line, text, edited } => {
                let label = Mention::selection_label(path, *start_line, *end_line, *edited);
                of_kind(AttachmentKind::Selection, label, text.clone())
            }
        });
    }
    for image in &request.images {
        attachments.push(images::attach(ctx, project, image).await?);
    }
    let mut kept: Vec<Attachment> = Vec::with_capacity(attachments.len());
    for attachment in attachments {
        if !kept.iter().any(|known| known.kind == attachment.kind && known.path == attachment.path && known.checksum == attachment.checksum)
        {
            kept.push(attachment);
        }
    }
    if kept.iter().map(|attachment| attachment.content.len()).sum::<usize>() > TOTAL_MAX {
        return Err(Error::invalid("attachments", "Everything attached to one message may have at most 512 KiB. Take some of it out."));
    }
    Ok(kept)
}

fn of_kind(kind: AttachmentKind, path: String, content: String) -> Attachment {
    Attachment { kind, ..Attachment::file(path, content) }
}

async fn read_file(ctx: &Ctx, project: ProjectId, path: &str) -> Result<Attachment> {
    let opened = match files::open_text(ctx, project, path, None).await {
        Err(Error::NotFound("file")) => return Err(Error::invalid("attachments", format!("There is no file {path} any more."))),
        opened => opened?,
    };
    let text = opened.text.filter(|text| text.len() as u64 <= FILE_MAX);
    let content = text.ok_or_else(|| Error::invalid("attachments", format!("{path} is not text, or is larger than 64 KiB.")))?;
    Ok(Attachment::file(path, content))
}

async fn read_folder(ctx: &Ctx, project: ProjectId, path: &str) -> Result<Attachment> {
    let tree = match files::tree_below(ctx, project, Some(path), None).await {
        Err(Error::NotFound("directory")) => return Err(Error::invalid("context", format!("There is no folder {path} any more."))),
        tree => tree?,
    };
    let names: Vec<&str> = tree.items.iter().filter(|entry| entry.kind != EntryKind::Directory).map(|entry| entry.path.as_str()).collect();
    let mut content = names.iter().take(LISTED).copied().collect::<Vec<_>>().join("\n");
    if names.len() > LISTED {
        content.push_str(&format!("\n({} more files)", names.len() - LISTED));
    }
    if names.is_empty() {
        content.push_str("(no files)");
    }
    Ok(of_kind(AttachmentKind::Folder, path.to_owned(), content))
}

async fn read_run(ctx: &Ctx, project: ProjectId, id: RunId) -> Result<Attachment> {
    let gone = || Error::invalid("context", "A run that the message names is not there any more.");
    let run = match runs::get(ctx, id).await {
        Err(Error::NotFound(_)) => return Err(gone()),
        run => run?,
    };
    if run.project_id != project {
        return Err(gone());
    }
    let output = runs::stored_output(ctx, id, OUTPUT_MAX).await?;
    let shown = String::from_utf8_lossy(&output);
    let shown = plain(&shown);
    let cut = if run.usage.is_some_and(|usage| usage.output_bytes > output.len() as i64) { ", its last part" } else { "" };
    let content = format!("Command: {}\nState: {}\nOutput{cut}:\n{}", one_line(&run.command, 2000), state(&run), shown.trim_end());
    Ok(of_kind(AttachmentKind::Run, id.to_string(), content))
}

fn state(run: &Run) -> String {
    match (&run.exit, run.state) {
        (Some(exit), _) => exit.sentence.clone(),
        (None, RunState::Queued) => "Not begun yet.".to_owned(),
        (None, _) => "Still running.".to_owned(),
    }
}

/// Without the sequences that colour a terminal, which only cost tokens.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            if c == '\n' || c == '\t' || !c.is_control() {
                out.push(c);
            }
            continue;
        }
        if rest.next_if_eq(&'[').is_some() {
            while rest.next_if(|c| !('\u{40}'..='\u{7e}').contains(c)).is_some() {}
            rest.next();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_and_text_stays() {
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m\r\n\tä\u{7}"), "red\n\tä");
        assert_eq!(plain("\u{1b}["), "");
    }
}

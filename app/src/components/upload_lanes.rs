//! How uploads travel: one batch of small files and one large file at a time.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use leptos::{prelude::*, task::spawn_local, web_sys};
use wire::{
    UploadId,
    files::{Base, BatchOutcome, ChangeFiles, Entry, FileStep, StartUpload, Upload},
};

use super::{
    documents,
    explorer_actions::run_steps,
    ide::Ide,
    tree_model::find,
    upload_plan::{Item, State, is_passing, next_batch, next_large, piece_end, spread, take_conflict, take_outcome, wait_s},
    upload_send::{Answer, Payload, is_readable, send},
    uploads::{file_of, item, next_id, remember, update},
};
use crate::{api, ui::format};

/// More saved files than this in one go are not offered to be taken back.
const UNDO_MAX: usize = 500;

thread_local! {
    /// How often in a row a file's connection was lost.
    static TRIES: RefCell<BTreeMap<u64, u32>> = const { RefCell::new(BTreeMap::new()) };
}

/// Sends what is next: one batch and one large file at a time.
pub(super) fn pump(ide: Ide) {
    let uploads = ide.files.uploads;
    if uploads.paused.try_get_untracked() != Some(false) {
        return;
    }
    let (batch_runs, large_runs) = uploads.lanes.get_value();
    let (batch, large) = uploads.items.with_untracked(|items| {
        let batch = if batch_runs { Vec::new() } else { next_batch(items) };
        (batch, if large_runs { None } else { next_large(items) })
    });
    if !batch.is_empty() {
        uploads.lanes.update_value(|lanes| lanes.0 = true);
        spawn_local(async move {
            send_batch(ide, batch).await;
            if !ide.is_gone() {
                uploads.lanes.update_value(|lanes| lanes.0 = false);
                pump(ide);
            }
        });
    }
    if let Some(id) = large {
        uploads.lanes.update_value(|lanes| lanes.1 = true);
        spawn_local(async move {
            send_large(ide, id).await;
            if !ide.is_gone() {
                remember(ide);
                uploads.lanes.update_value(|lanes| lanes.1 = false);
                pump(ide);
            }
        });
    }
    finish(ide);
}

/// Once nothing is under way any more: says what was saved, offers to take it back, and leaves only what needs a person.
fn finish(ide: Ide) {
    let uploads = ide.files.uploads;
    // From the end, where those stand that wait longest.
    let busy = uploads.items.with_untracked(|items| items.iter().rev().any(|item| !item.is_settled() || item.state == State::Paused));
    if busy {
        return;
    }
    let saved: Vec<Item> =
        uploads.items.with_untracked(|items| items.iter().filter(|item| matches!(item.state, State::Saved(_))).cloned().collect());
    if saved.is_empty() {
        return;
    }
    uploads.items.update(|items| items.retain(|item| !matches!(item.state, State::Saved(_))));
    let text = match &saved[..] {
        [one] => format!("Uploaded {}", one.path),
        many => format!("Uploaded {} files", format::count(many.len() as i64)),
    };
    ide.announcement.set(format!("{text}."));
    let steps: Vec<FileStep> = saved.iter().filter_map(undo_step).collect();
    if steps.len() > UNDO_MAX {
        ide.toast(text);
    } else {
        ide.toast_undo(text, move || run_steps(ide, steps.clone(), "The upload was taken back"));
    }
}

fn undo_step(item: &Item) -> Option<FileStep> {
    let State::Saved(entry) = &item.state else { return None };
    Some(take_back(&item.path, item.base, entry))
}

fn take_back(path: &str, based_on: Base, entry: &Entry) -> FileStep {
    let (path, base) = (path.to_owned(), Base::Version(entry.version));
    match based_on {
        Base::Version(before) => FileStep::Restore { path, version: Some(before), base },
        _ => FileStep::Delete { path, base },
    }
}

async fn send_batch(ide: Ide, batch: Vec<u64>) {
    let items: Vec<Item> = batch.iter().filter_map(|id| item(ide, *id)).collect();
    let Some(form) = form_of(&items) else {
        for item in &items {
            update(ide, item.id, |item| item.state = State::Failed("The browser could not read this file. Choose it again.".to_owned()));
        }
        return;
    };
    ide.files.uploads.items.update(|all| {
        for id in &batch {
            if let Ok(at) = all.binary_search_by_key(id, |item| item.id) {
                all[at].state = State::Sending;
            }
        }
    });
    let sizes: Vec<f64> = items.iter().map(|item| item.size).collect();
    let ids = batch.clone();
    let progress = move |sent: f64| {
        let shares = spread(sent, &sizes);
        ide.files.uploads.items.try_update(|all| {
            for (id, share) in ids.iter().zip(shares) {
                if let Ok(at) = all.binary_search_by_key(id, |item| item.id) {
                    all[at].sent = share;
                }
            }
        });
    };
    let url = format!("/api/projects/{}/files:batch", ide.project_id);
    // Its key is no file's: a batch is never cut off in the middle, since nobody could tell then what of it is saved.
    let answer = send(next_id(), "POST", &url, &[], Payload::Form(form), progress).await;
    if !ide.is_gone() {
        take_batch(ide, &items, answer);
    }
}

fn form_of(items: &[Item]) -> Option<web_sys::FormData> {
    let form = web_sys::FormData::new().ok()?;
    let manifest: Vec<serde_json::Value> = items.iter().map(|item| serde_json::json!({ "path": item.path, "base": item.base })).collect();
    form.append_with_str("manifest", &serde_json::to_string(&manifest).ok()?).ok()?;
    for item in items {
        let file = file_of(item.id)?;
        form.append_with_blob_and_filename("file", &file, "file").ok()?;
    }
    Some(form)
}

fn take_batch(ide: Ide, batch: &[Item], answer: Answer) {
    let outcomes = answer.read::<Vec<BatchOutcome>>().filter(|outcomes| answer.is_ok() && outcomes.len() == batch.len());
    match outcomes {
        Some(outcomes) => take_outcomes(ide, batch, outcomes),
        None if is_passing(answer.status) => batch.iter().for_each(|item| lose(ide, item.id, &answer)),
        None => {
            for sent in batch {
                update(ide, sent.id, |item| {
                    item.sent = 0.0;
                    fail(item, &answer);
                });
            }
        }
    }
}

fn take_outcomes(ide: Ide, batch: &[Item], outcomes: Vec<BatchOutcome>) {
    let me = ide.viewer.with_value(|user| user.id);
    let mut unwanted = Vec::new();
    for (sent, outcome) in batch.iter().zip(outcomes) {
        if let BatchOutcome::Saved { entry } = &outcome {
            if item(ide, sent.id).is_none() {
                // Cancelled while it was on its way.
                unwanted.push(take_back(&sent.path, sent.base, entry));
                continue;
            }
            documents::put_entry(ide, entry.clone());
        }
        TRIES.with_borrow_mut(|all| all.remove(&sent.id));
        update(ide, sent.id, |item| take_outcome(item, outcome, me));
    }
    if !unwanted.is_empty() {
        spawn_local(async move {
            if let Err(error) = api::files::change(ide.project_id, ChangeFiles { steps: unwanted }).await
                && !ide.is_gone()
            {
                ide.error(&error.0);
            }
        });
    }
}

/// It may be there all the same; should it be tried again, a file that is there then is looked at first.
fn fail(item: &mut Item, answer: &Answer) {
    item.unsure |= answer.is_unsure();
    item.state = State::Failed(answer.reason());
}

/// The connection went; the file waits and goes on by itself, unless it was paused or cancelled.
fn lose(ide: Ide, id: u64, answer: &Answer) {
    let Some(known) = item(ide, id) else { return };
    if known.state == State::Paused || ide.files.uploads.paused.get_untracked() && !known.is_small() {
        return update(ide, id, |item| item.state = State::Paused);
    }
    let tries = TRIES.with_borrow_mut(|all| {
        let tries = all.entry(id).or_default();
        *tries += 1;
        *tries
    });
    update(ide, id, |item| (item.unsure, item.state) = (true, State::Lost(tries)));
    let asked = answer.problem().and_then(|problem| problem.retry_after);
    set_timeout(move || spawn_local(try_again(ide, id)), Duration::from_secs(u64::from(wait_s(tries, asked))));
}

async fn try_again(ide: Ide, id: u64) {
    let is_lost = || !ide.is_gone() && item(ide, id).is_some_and(|item| matches!(item.state, State::Lost(_)));
    if !is_lost() {
        return;
    }
    let readable = match file_of(id) {
        Some(file) => is_readable(&file).await,
        None => false,
    };
    if is_lost() {
        update(ide, id, |item| {
            item.state = if readable {
                State::Waiting
            } else {
                State::Failed("The file on your computer was changed or moved. Choose it again.".to_owned())
            };
        });
        pump(ide);
    }
}

/// Sends one large file piece by piece, from where the server has it.
async fn send_large(ide: Ide, id: u64) {
    let (Some(known), Some(file)) = (item(ide, id), file_of(id)) else {
        return update(ide, id, |item| item.state = State::Missing(None));
    };
    update(ide, id, |item| item.state = State::Sending);
    let opened = open_session(ide, &known).await;
    if ide.is_gone() {
        return;
    }
    let (session, mut received) = match opened {
        Ok(open) => open,
        Err(answer) => return refuse(ide, id, &answer),
    };
    update(ide, id, |item| (item.session, item.sent) = (Some(session), received));
    remember(ide);
    loop {
        // Paused or cancelled meanwhile.
        if item(ide, id).is_none_or(|item| item.state != State::Sending) {
            return;
        }
        if ide.files.uploads.paused.get_untracked() {
            return update(ide, id, |item| item.state = State::Paused);
        }
        // At the end this is an empty piece: it asks to finish what has arrived.
        let end = piece_end(received, known.size);
        let Ok(piece) = file.slice_with_f64_and_f64(received, end) else {
            return update(ide, id, |item| item.state = State::Failed("The browser could not read this file. Choose it again.".to_owned()));
        };
        let begun = received;
        let progress = move |sent: f64| update(ide, id, |item| item.sent = begun + sent);
        let mut headers = vec![("upload-offset", format!("{received:.0}"))];
        headers.extend(known.replaces.as_ref().map(|checksum| ("if-match", format!("\"{checksum}\""))));
        let answer = send(id, "PATCH", &format!("/api/uploads/{session}"), &headers, Payload::Bytes(piece), progress).await;
        if ide.is_gone() {
            return;
        }
        if let Some(entry) = answer.read::<Entry>().filter(|_| answer.is_ok()) {
            documents::put_entry(ide, entry.clone());
            return update(ide, id, |item| (item.sent, item.session, item.state) = (item.size, None, State::Saved(Box::new(entry))));
        }
        // A piece that came twice, or that was lost on the way back: the server says where it goes on.
        let upload = answer.read::<Upload>().filter(|_| answer.is_ok()).or_else(|| serde_json::from_value(answer.problem()?.current?).ok());
        match upload {
            Some(upload) if upload.received as f64 != received => received = upload.received as f64,
            _ => return refuse(ide, id, &answer),
        }
        TRIES.with_borrow_mut(|all| all.remove(&id));
        update(ide, id, |item| item.sent = received);
    }
}

/// The upload on the server with what it has received: the one begun before while it is known there, else a new one.
async fn open_session(ide: Ide, known: &Item) -> Result<(UploadId, f64), Answer> {
    if let Some(session) = known.session {
        let answer = send(known.id, "GET", &format!("/api/uploads/{session}"), &[], Payload::None, |_| {}).await;
        if let Some(upload) = answer.read::<Upload>().filter(|_| answer.is_ok()) {
            return Ok((session, upload.received as f64));
        }
        if !matches!(answer.status, 404 | 410) {
            return Err(answer);
        }
    }
    let request = StartUpload { path: known.path.clone(), size: known.size as i64, base: known.base };
    let json = serde_json::to_string(&request).unwrap_or_default();
    let url = format!("/api/projects/{}/uploads", ide.project_id);
    let answer = send(known.id, "POST", &url, &[], Payload::Json(json), |_| {}).await;
    match answer.read::<Upload>().filter(|_| answer.is_ok()) {
        Some(upload) => Ok((upload.id, upload.received as f64)),
        None => Err(answer),
    }
}

fn refuse(ide: Ide, id: u64, answer: &Answer) {
    if ide.is_gone() {
        return;
    }
    let me = ide.viewer.with_value(|user| user.id);
    match answer.status {
        status if is_passing(status) => lose(ide, id, answer),
        409 | 412 | 428 => {
            let there = item(ide, id).and_then(|item| ide.tree.with_untracked(|tree| find(&tree.items, &item.path).cloned()));
            match answer.current().or(there) {
                Some(current) => update(ide, id, |item| take_conflict(item, Some(current), me)),
                None => update(ide, id, |item| fail(item, answer)),
            }
        }
        _ => update(ide, id, |item| fail(item, answer)),
    }
}

//! Files and folders as the browser hands them over: by a picker or by a drop.

use leptos::{
    wasm_bindgen::{JsCast, JsValue, closure::Closure},
    web_sys::{self, DataTransfer, FileSystemDirectoryEntry, FileSystemDirectoryReader, FileSystemEntry, FileSystemFileEntry},
};
use wasm_bindgen_futures::JsFuture;

use super::{tree_model::join, upload_plan::is_left_out};

/// A file to upload; `path` is relative to where it goes.
#[derive(Debug, Clone)]
pub struct Picked {
    pub path: String,
    pub file: web_sys::File,
}

/// What was dropped or chosen.
#[derive(Debug, Default)]
pub struct PickedFiles {
    pub files: Vec<Picked>,
    /// Directories in which nothing lies.
    pub empty: Vec<String>,
    /// What the browser could not read, in sentences.
    pub unreadable: Vec<String>,
    /// Something in it belongs to version control and stays out.
    pub left_out: bool,
}

/// What a picker holds. Files of a picked folder carry their path below it.
pub fn of_list(list: &web_sys::FileList) -> PickedFiles {
    let files = (0..list.length()).filter_map(|i| list.item(i)).map(|file| {
        let relative = js_sys::Reflect::get(&file, &JsValue::from_str("webkitRelativePath")).ok().and_then(|path| path.as_string());
        Picked { path: relative.filter(|path| !path.is_empty()).unwrap_or_else(|| file.name()), file }
    });
    let (kept, left): (Vec<Picked>, Vec<Picked>) = files.partition(|picked| !is_left_out(&picked.path));
    PickedFiles { files: kept, left_out: !left.is_empty(), ..PickedFiles::default() }
}

/// What was dropped, roots only: has to be asked for while the event is handled.
#[derive(Debug, Default)]
pub struct Dropped {
    entries: Vec<FileSystemEntry>,
    plain: Vec<web_sys::File>,
}

pub fn of_drop(data: &DataTransfer) -> Dropped {
    let mut dropped = Dropped::default();
    let items = data.items();
    for item in (0..items.length()).filter_map(|i| items.get(i)).filter(|item| item.kind() == "file") {
        match item.webkit_get_as_entry().ok().flatten() {
            Some(entry) => dropped.entries.push(entry),
            None => dropped.plain.extend(item.get_as_file().ok().flatten()),
        }
    }
    dropped
}

/// Walks through the dropped folders.
pub async fn walk(dropped: Dropped) -> PickedFiles {
    let mut found = PickedFiles::default();
    found.files.extend(dropped.plain.into_iter().map(|file| Picked { path: file.name(), file }));
    let mut open: Vec<(String, FileSystemEntry)> = dropped.entries.into_iter().rev().map(|entry| (entry.name(), entry)).collect();
    while let Some((path, entry)) = open.pop() {
        if is_left_out(&path) {
            found.left_out = true;
        } else if entry.is_directory() {
            match children(entry.unchecked_into()).await {
                Ok(inside) if inside.is_empty() => found.empty.push(path),
                Ok(inside) => open.extend(inside.into_iter().rev().map(|entry| (join(&path, &entry.name()), entry))),
                Err(_) => found.unreadable.push(format!("{path}: the browser could not read this folder.")),
            }
        } else {
            match file_of(entry.unchecked_into()).await {
                Ok(file) => found.files.push(Picked { path, file }),
                Err(_) => found.unreadable.push(format!("{path}: the browser could not read this file.")),
            }
        }
    }
    found
}

async fn children(directory: FileSystemDirectoryEntry) -> Result<Vec<FileSystemEntry>, JsValue> {
    let reader = directory.create_reader();
    let mut all = Vec::new();
    // It gives a hundred at a time, and nothing at the end.
    loop {
        let some = next_of(&reader).await?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

async fn next_of(reader: &FileSystemDirectoryReader) -> Result<Vec<FileSystemEntry>, JsValue> {
    let read = called_back(|resolve, reject| reader.read_entries_with_callback_and_callback(resolve, reject)).await?;
    Ok(js_sys::Array::from(&read).iter().map(JsCast::unchecked_into).collect())
}

async fn file_of(entry: FileSystemFileEntry) -> Result<web_sys::File, JsValue> {
    let read = called_back(|resolve, reject| {
        entry.file_with_callback_and_callback(resolve, reject);
        Ok(())
    });
    read.await.map(JsCast::unchecked_into)
}

/// A call that ends in one of two callbacks, as something to wait for.
async fn called_back(call: impl Fn(&js_sys::Function, &js_sys::Function) -> Result<(), JsValue>) -> Result<JsValue, JsValue> {
    let promise = js_sys::Promise::new(&mut |resolve, reject| {
        if let Err(error) = call(&resolve, &reject) {
            let late = Closure::once_into_js(move || reject.call1(&JsValue::NULL, &error));
            let _ = late.unchecked_ref::<js_sys::Function>().call0(&JsValue::NULL);
        }
    });
    JsFuture::from(promise).await
}

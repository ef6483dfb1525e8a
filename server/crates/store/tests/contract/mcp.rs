use store::{
    Db, Word,
    mcp::{self, McpServerRow},
};
use wire::mcp::McpTransport;

use crate::world::{at, begin, commit, id, read, user, write};

fn server(name: &str) -> McpServerRow {
    McpServerRow {
        id: id(),
        name: name.to_owned(),
        transport: Word(McpTransport::Http),
        target: "https://tools.example.org/mcp".to_owned(),
        host: "tools.example.org".to_owned(),
        key_sealed: Some(vec![0, 1, 254, 255]),
        key_hint: "••••abcd".to_owned(),
        key_host: "tools.example.org".to_owned(),
        trusted: true,
        active: true,
        revision: 1,
        created_at: at(1),
        created_by: None,
    }
}

pub async fn tool_servers_are_changed_by_one_at_a_time(db: Db) {
    let ada = user(&db, "ada").await;
    let row = McpServerRow { created_by: Some(ada), ..server("b") };
    write!(&db, tx => mcp::insert(&mut tx, &row));
    write!(&db, tx => mcp::insert(&mut tx, &McpServerRow { transport: Word(McpTransport::Stdio), key_sealed: None, ..server("a") }));
    let mut tx = begin(&db).await;
    assert!(mcp::insert(&mut tx, &server("b")).await.is_err(), "a name is taken once");
    drop(tx);
    let names: Vec<String> = mcp::list(&mut read(&db).await).await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["a", "b"]);

    let found = mcp::get(&mut read(&db).await, row.id).await.unwrap().unwrap();
    assert_eq!(
        (found.key_sealed.as_deref(), found.created_by, found.transport.0),
        (Some(&[0, 1, 254, 255][..]), Some(ada), McpTransport::Http)
    );
    let changed = McpServerRow { name: "c".to_owned(), active: false, trusted: false, key_sealed: None, ..found.clone() };
    let mut tx = begin(&db).await;
    assert!(mcp::update(&mut tx, &changed).await.unwrap());
    assert!(!mcp::update(&mut tx, &found).await.unwrap(), "the revision has moved on");
    let _committed = commit(tx).await;
    let now = mcp::get(&mut read(&db).await, row.id).await.unwrap().unwrap();
    assert_eq!((now.name.as_str(), now.active, now.trusted, now.key_sealed, now.revision), ("c", false, false, None, 2));

    let mut tx = begin(&db).await;
    assert!(mcp::remove(&mut tx, row.id).await.unwrap());
    assert!(!mcp::remove(&mut tx, row.id).await.unwrap());
    let _committed = commit(tx).await;
    assert!(mcp::get(&mut read(&db).await, row.id).await.unwrap().is_none());
}

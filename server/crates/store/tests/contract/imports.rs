use store::{
    Db, files,
    imports::{self, Added, NameRow, NewImport},
    projects,
};
use wire::{JobId, Micros, ProjectId, UserId};

use crate::world::{at, id, read, user, write};

/// An import that expires after so many seconds.
async fn import(db: &Db, user: UserId, seconds: i64) -> ProjectId {
    let project_id = id();
    write!(db, tx => projects::insert(&mut tx, &projects::NewProject {
        id: project_id, owner_id: user, name: "Imported", description: "", storage_backend: "local", at: at(0), importing: true,
    }));
    write!(db, tx => imports::insert(&mut tx, &NewImport { project_id, user_id: user, at: at(0), expires_at: at(seconds) }));
    project_id
}

fn name(path: &str, letter: Option<&str>) -> NameRow {
    NameRow { folded: files::fold(path), path: path.to_owned(), checksum: letter.map(|letter| letter.repeat(64)), size: 3, mode: 0o644 }
}

pub async fn an_import_holds_its_files_until_it_ends(db: Db) {
    let ada = user(&db, "ada").await;
    let project = import(&db, ada, 10).await;
    let rows = [name("b/Two.txt", Some("b")), name("b", None), name("A.txt", Some("a")), name("b/one.txt", Some("c"))];
    write!(&db, tx => imports::insert_names(&mut tx, project, &rows));
    let added = Added { files: 3, bytes: 9, name_bytes: 20 };
    write!(&db, tx => imports::add(&mut tx, project, added, at(20)));
    let mut c = read(&db).await;
    let found = imports::get(&mut c, project, at(19)).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.file_count, found.size_bytes, found.name_bytes), ("Imported", 3, 9, 20));
    assert_eq!((found.user_id, found.job_id, found.created_at, found.expires_at), (ada, None, at(0), at(20)));
    assert!(imports::get(&mut c, project, at(20)).await.unwrap().is_none(), "expired");
    // In the order of the folded names, directories left out.
    let first = imports::files(&mut c, project, "", 2).await.unwrap();
    assert_eq!(first.iter().map(|row| row.path.as_str()).collect::<Vec<_>>(), ["A.txt", "b/one.txt"]);
    let rest = imports::files(&mut c, project, &first[1].folded, 2).await.unwrap();
    assert_eq!(rest, [name("b/Two.txt", Some("b"))]);
    let folded: Vec<String> = ["b", "b/two.txt", "none"].map(files::fold).to_vec();
    let mut met = imports::find(&mut c, project, &folded).await.unwrap();
    met.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(met, [name("b", None), name("b/Two.txt", Some("b"))]);
    let sum = "a".repeat(64);
    assert!(store::blobs::referenced(&mut c, "local", &[&sum]).await.unwrap().contains(&sum), "what has come is named");
    drop(c);
    write!(&db, tx => imports::clear(&mut tx, project));
    let mut c = read(&db).await;
    assert!(imports::get(&mut c, project, at(1)).await.unwrap().is_none());
    assert!(store::blobs::referenced(&mut c, "local", &[&sum]).await.unwrap().is_empty());
    assert!(store::blobs::place(&mut c, project).await.unwrap().is_some(), "the project stays");
}

pub async fn an_import_is_given_up_only_while_it_waits(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (old, new, others) = (import(&db, ada, 10).await, import(&db, ada, 20).await, import(&db, bob, 5).await);
    let mut c = read(&db).await;
    assert_eq!(imports::open_of(&mut c, ada).await.unwrap(), [new, old]);
    assert_eq!(imports::expired(&mut c, at(10), 10).await.unwrap(), [others, old]);
    assert_eq!(imports::expired(&mut c, at(10), 1).await.unwrap(), [others]);
    drop(c);
    assert!(!write!(&db, tx => imports::give_up(&mut tx, old, at(9))), "it has time left");
    let job: JobId = id();
    write!(&db, tx => imports::set_job(&mut tx, old, job));
    assert!(!write!(&db, tx => imports::give_up(&mut tx, old, Micros(i64::MAX))), "its job has it");
    let mut c = read(&db).await;
    assert_eq!(imports::get(&mut c, old, at(100)).await.unwrap().unwrap().job_id, Some(job), "and it does not expire");
    assert_eq!(imports::open_of(&mut c, ada).await.unwrap(), [new]);
    assert_eq!(imports::expired(&mut c, at(100), 10).await.unwrap(), [others, new]);
    drop(c);
    write!(&db, tx => imports::insert_names(&mut tx, new, &[name("a", Some("a"))]));
    assert!(write!(&db, tx => imports::give_up(&mut tx, new, at(20))));
    let mut c = read(&db).await;
    assert!(store::blobs::place(&mut c, new).await.unwrap().is_none(), "with its project");
    assert!(imports::files(&mut c, new, "", 10).await.unwrap().is_empty());
}

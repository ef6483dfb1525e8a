// Unsaved texts too large for the browser's plain storage, in IndexedDB. Loaded only when there is one to keep or to look for.
const STORE = 'drafts';
let opening;

/** Every module of the page is configured with the asset manifest; this one needs nothing of it. */
export function configure() {}

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('cloudxdevai', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function store(mode) {
  return (await database()).transaction(STORE, mode).objectStore(STORE);
}

/** A request may be granted and its transaction still fail, when the disk is full. */
function committed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Keeps `value` under `key`, and says whether it is kept; the oldest go when all together would take more than `cap` characters. */
export async function put(key, value, cap) {
  try {
    const drafts = await store('readwrite');
    drafts.put({ value, size: value.length, at: Date.now() }, key);
    await committed(drafts.transaction);
  } catch {
    // Storage is refused: private windows, full disks. The page works without it.
    return false;
  }
  try {
    await trim(key, cap);
  } catch {
    // The old ones stay for now.
  }
  return true;
}

async function trim(newest, cap) {
  const drafts = await store('readwrite');
  const kept = [];
  await new Promise((resolve, reject) => {
    const walk = drafts.openCursor();
    walk.onerror = () => reject(walk.error);
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (!cursor) return resolve();
      kept.push({ key: cursor.key, size: cursor.value.size, at: cursor.value.at });
      cursor.continue();
    };
  });
  let total = kept.reduce((sum, draft) => sum + draft.size, 0);
  for (const draft of kept.sort((a, b) => a.at - b.at)) {
    if (total <= cap) return;
    if (draft.key === newest) continue;
    drafts.delete(draft.key);
    total -= draft.size;
  }
}

/** What is kept under `key`, or undefined. */
export async function get(key) {
  try {
    return (await answer((await store('readonly')).get(key)))?.value;
  } catch {
    return undefined;
  }
}

export async function remove(key) {
  try {
    await answer((await store('readwrite')).delete(key));
  } catch {
    // As above.
  }
}

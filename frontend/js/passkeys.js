// Passkeys: the only code that asks a person's devices for keys. It carries no dependency, since the page for signing in loads it alone.
// Options and answers are in the JSON form of the Web Authentication API, with bytes in base64url.

/** Every module of the page is configured with the asset manifest; this one needs nothing of it. */
export function configure() {}

const toBytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const toText = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
const named = (keys) => (keys ?? []).map((key) => ({ ...key, id: toBytes(key.id) }));

function sayWhy(error, nothing) {
  switch (error?.name) {
    case 'NotAllowedError':
    case 'AbortError':
      return `You cancelled, or the device did not answer in time. ${nothing}`;
    case 'InvalidStateError':
      return `This device has a passkey for your account already. ${nothing}`;
    case 'SecurityError':
      return `The browser does not use passkeys at this address. ${nothing}`;
    default:
      return `${error?.message || 'The device could not be asked.'} ${nothing}`;
  }
}

function write(credential) {
  const response = credential.response;
  const answer = { clientDataJSON: toText(response.clientDataJSON) };
  if (response.attestationObject) {
    answer.attestationObject = toText(response.attestationObject);
    answer.transports = response.getTransports?.() ?? [];
  } else {
    answer.authenticatorData = toText(response.authenticatorData);
    answer.signature = toText(response.signature);
    answer.userHandle = response.userHandle ? toText(response.userHandle) : null;
  }
  return JSON.stringify({ id: credential.id, rawId: toText(credential.rawId), type: credential.type, response: answer, clientExtensionResults: {} });
}

// The browser's own list waits for an answer until it is told otherwise, and takes the device from whatever asks next, also after the page
// went on to another one without being loaded anew.
let offered = new AbortController();
let offering = Promise.resolve();

/** Resolves once the device is free: a browser refuses to ask it twice, and takes back what it asked only after a moment. */
async function endOffer() {
  offered.abort();
  offered = new AbortController();
  await offering;
}

/** Has a device make a key; text in, text out. Refuses with a sentence for the person. */
export async function create(text) {
  if (!window.PublicKeyCredential) throw 'This browser has no passkeys, or not at this address.';
  const options = JSON.parse(text).publicKey;
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: named(options.excludeCredentials),
  };
  await endOffer();
  try {
    return write(await navigator.credentials.create({ publicKey }));
  } catch (error) {
    throw sayWhy(error, 'Nothing was added.');
  }
}

async function begin(step) {
  const response = await fetch('/fn/auth/begin_passkey', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ step }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  const publicKey = answer.options.publicKey;
  return {
    ceremony: answer.ceremony,
    publicKey: { ...publicKey, challenge: toBytes(publicKey.challenge), allowCredentials: named(publicKey.allowCredentials) },
  };
}

function send(form, ceremony, credential) {
  form.elements.ceremony.value = ceremony;
  form.elements.credential.value = write(credential);
  form.submit();
}

/** Brings the form for passkeys of the sign-in page alive: by its button, and by the browser's own list where it has one. */
export function watch() {
  const form = document.querySelector('form[data-passkey]');
  if (!form || form.dataset.watched || !window.isSecureContext || !window.PublicKeyCredential) return;
  form.dataset.watched = 'yes';
  form.hidden = false;
  const step = form.dataset.passkey === 'step';
  const failure = form.querySelector('[role=alert]');
  const button = form.querySelector('button');
  const free = endOffer();
  const { signal } = offered;

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    failure.textContent = '';
    button.disabled = true;
    try {
      await endOffer();
      const { ceremony, publicKey } = await begin(step);
      send(form, ceremony, await navigator.credentials.get({ publicKey }));
    } catch (error) {
      failure.textContent = sayWhy(error, 'You are not signed in.');
      button.disabled = false;
      button.focus();
    }
  });
  if (!step) offering = free.then(() => offer(form, signal));
}

async function offer(form, signal) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  try {
    const { ceremony, publicKey } = await begin(false);
    if (signal.aborted || !form.isConnected) return;
    const credential = await navigator.credentials.get({ publicKey, mediation: 'conditional', signal });
    if (form.isConnected) send(form, ceremony, credential);
  } catch {
    // Nobody chose one from the list; the form and the button are still there.
  }
}

watch();

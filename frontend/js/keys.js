// Keys of the page's commands, as the Rust side writes them: {ctrl, alt, shift, key}. `ctrl` stands for Ctrl or Cmd; `key` is a sign in
// lower case or a name such as 'enter'. What a press can stand for is read as `wire::keys` does it.

const PLACES = {
  Backquote: '`', Minus: '-', Equal: '=', BracketLeft: '[', BracketRight: ']', Backslash: '\\', Semicolon: ';', Quote: "'", Comma: ',',
  Period: '.', Slash: '/',
};
const NAMED = /^(enter|escape|tab|space|backspace|delete|insert|home|end|pageup|pagedown|arrow(up|down|left|right)|f([1-9]|1[0-2]))$/;

/** The signs or names that a press can stand for, the likeliest first. */
export function readingsOf({ key, code, altKey, shiftKey }) {
  const name = key === ' ' ? 'space' : key.toLowerCase();
  if (NAMED.test(name)) return [name];
  const sign = [...key].length === 1 ? key : '';
  const found = [];
  if (sign && !altKey && (!shiftKey || /\p{L}/u.test(sign))) found.push(sign.toLowerCase());
  const latin = !altKey && /^[!-~]$/.test(sign) && (!shiftKey || /^[a-z]$/i.test(sign));
  const place = /^(?:Key|Digit)(\w)$/.exec(code)?.[1].toLowerCase() ?? PLACES[code];
  if (!latin && place && !found.includes(place)) found.push(place);
  return found;
}

export function isPressed(event, combo) {
  const held = (event.ctrlKey || event.metaKey) === combo.ctrl && event.altKey === combo.alt && event.shiftKey === combo.shift;
  return held && readingsOf(event).includes(combo.key);
}

/** The number by which Monaco knows a combination; undefined for a sign that it has no name for, which it then leaves alone. */
export function monacoKeybinding({ ctrl, alt, shift, key }, { KeyCode, KeyMod }) {
  const place = Object.keys(PLACES).find((name) => PLACES[name] === key);
  const arrow = /^arrow(.)(.+)$/.exec(key);
  const names = [
    place,
    /^[a-z]$/.test(key) && `Key${key.toUpperCase()}`,
    /^\d$/.test(key) && `Digit${key}`,
    arrow && `${arrow[1].toUpperCase()}${arrow[2]}Arrow`,
    { pageup: 'PageUp', pagedown: 'PageDown' }[key],
    `${key[0].toUpperCase()}${key.slice(1)}`,
  ];
  const code = names.filter(Boolean).map((name) => KeyCode[name]).find((found) => found !== undefined);
  if (code === undefined) return undefined;
  return (ctrl ? KeyMod.CtrlCmd : 0) | (alt ? KeyMod.Alt : 0) | (shift ? KeyMod.Shift : 0) | code;
}

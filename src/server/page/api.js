// The server, and what it says when it can't do what it is asked for.

// The token stands behind # of the address that the server prints; from there it goes into the tab's memory, so that a
// link that is passed on doesn't carry it.
const given = new URLSearchParams(location.hash.slice(1)).get('token');
if (given) {
  sessionStorage.setItem('token', given);
  history.replaceState(null, '', location.pathname + location.search);
}

// What the server refused, in its own words.
export class Refusal extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

// The server does not answer.
export class Gone extends Error {}

const listeners = [];
export const onGone = (listener) => listeners.push(listener);

function gone(error) {
  if (error.name === 'AbortError') return error;
  for (const listener of listeners) listener();
  return new Gone('The server does not answer.');
}

async function call(path, {body, accept = 'application/json', signal} = {}) {
  const headers = {Accept: accept};
  const token = sessionStorage.getItem('token');
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(path, {method: body ? 'POST' : 'GET', headers, signal, body: body && JSON.stringify(body)});
  } catch (error) {
    throw gone(error);
  }
  if (answer.ok) return answer;
  const text = await answer.text().catch(() => '');
  let message;
  try { message = JSON.parse(text).error.message; } catch { message = text || `${answer.status} ${answer.statusText}`; }
  throw new Refusal(message, answer.status, Number(answer.headers.get('Retry-After')) || 1);
}

async function body(answer, how) {
  try { return await answer[how](); } catch (error) { throw gone(error); }
}

export async function models(signal) {
  return body(await call('/api/models', {signal}), 'json');
}

// A piece of music, as JSON (POST /api/compose).
export async function composed(request, signal) {
  return body(await call('/api/compose', {body: request, signal}), 'json');
}

// What a request asks for, as a file of the kind `accept`.
export async function fileOf(path, {request, accept, signal}) {
  return body(await call(path, {body: request, accept, signal}), 'blob');
}

// A PNG; where the server says them, its label and the `onestep` line that makes it.
export async function picture(path, {request, signal}) {
  const answer = await call(path, {body: request, accept: 'image/png', signal});
  const {headers} = answer;
  return {png: await body(answer, 'blob'), command: headers.get('X-Onestep-Command'),
          label: headers.has('X-Onestep-Label') ? Number(headers.get('X-Onestep-Label')) : null};
}

export async function healthy() {
  try { return (await fetch('/healthz', {cache: 'no-store'})).ok; } catch { return false; }
}

// The events of a server-sent stream: [name, data]. https://html.spec.whatwg.org/multipage/server-sent-events.html
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    let piece;
    try { piece = await reader.read(); } catch (error) { throw gone(error); }
    if (piece.done) return;
    text = (text + piece.value).replaceAll('\r\n', '\n');
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      let name = 'message', data = [];
      for (const line of text.slice(0, end).split('\n')) {
        if (line.startsWith('event:')) name = line.slice(6).trim();
        if (line.startsWith('data:')) data.push(line.slice(5));
      }
      if (data.length) yield [name, JSON.parse(data.join('\n'))];
    }
  }
}

// What a sample comes as: pictures, clips, sounds.
const kinds = {png: 'image/png', webp: 'image/webp', wav: 'audio/wav'};

// A sample with its file as a Blob, under the name of its kind, and as the text that it came as.
function decoded(data) {
  const kind = Object.keys(kinds).find((each) => data[each]);
  const bytes = Uint8Array.from(atob(data[kind]), (character) => character.charCodeAt(0));
  return {...data, base64: data[kind], [kind]: new Blob([bytes], {type: kinds[kind]})};
}

// Draws what a request asks for, and hands over each sample as it is finished: {seed, label, label_name, command, base64, and
// png, webp or wav: Blob}. The report comes last. A request with `task` is an edit.
export async function draw(request, {signal, sample, progress, preview} = {}) {
  const answer = await call(request.task ? '/api/edit' : '/api/generate', {body: request, accept: 'text/event-stream', signal});
  let report = null;
  for await (const [name, data] of events(answer)) {
    if (name === 'sample') sample?.(decoded(data));
    if (name === 'preview') preview?.(decoded(data));
    if (name === 'progress') progress?.(data);
    if (name === 'error') throw new Refusal(data.error.message, 500, 1);
    if (name === 'done') report = data;  // read to the end, so that the connection serves the next request too
  }
  if (!report) throw gone(new Error('the stream ended early'));
  return report;
}

export async function drawOne(request, signal) {
  let one;
  await draw(request, {signal, sample: (sample) => { one ??= sample; }});
  return one;
}

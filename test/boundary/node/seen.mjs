// What a server's own code was given to execute, until the test asks for it at /mcp/seen. Notifications are
// not kept: they run when the answer is gone.
import { appendFileSync } from 'node:fs';

let seen = [];

/** Notes a request: in the file of SEEN, if that is set, before the answer is gone. */
export function note({ method, params }) {
  const sighting = { method, name: params?.name, uri: params?.uri, arguments: params?.arguments };
  if (process.env.SEEN) appendFileSync(process.env.SEEN, JSON.stringify(sighting) + '\n');
  else seen.push(sighting);
}

/** Answers a request for what was seen, if it is one. */
export function tell(request, response) {
  if (request.url !== '/mcp/seen') return false;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(seen));
  seen = [];
  return true;
}

/** Registers handlers that note what they are given: set(method, handler) registers one. */
export function handlers(server, set) {
  const does = result => async request => {
    note(request);
    return result;
  };
  set('tools/call', does({ content: [{ type: 'text', text: 'done' }] }));
  set('resources/read', does({ contents: [] }));
  set('prompts/get', does({ messages: [] }));
  set('completion/complete', does({ completion: { values: [] } }));
  server.fallbackRequestHandler = does({});
}

export const info = { name: 'boundary', version: '1.0.0' };
export const options = { capabilities: { tools: {}, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} } };

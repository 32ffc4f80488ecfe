// Many raw tools/call on kept-alive connections, and every answer checked: node load.mjs URL COUNT CONCURRENCY
// Prints one line: {"answered": how many were right, "wrong": the first few that were not}.
const [url, count, concurrency] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const version = '2026-07-28';
const headers = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': version,
  'mcp-method': 'tools/call',
  'mcp-name': 'echo',
};
const _meta = { 'io.modelcontextprotocol/protocolVersion': version, 'io.modelcontextprotocol/clientCapabilities': {} };

let next = 0;
let answered = 0;
const wrong = [];

/** The one JSON-RPC message of an answer, whichever of the two forms it came in. */
function message(type, body) {
  if (!type.includes('text/event-stream')) return JSON.parse(body);
  return JSON.parse(body.split('\n').filter(line => line.startsWith('data:')).map(line => line.slice(5)).join('\n'));
}

async function call(id) {
  const text = `call ${id}`;
  const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { text }, _meta } });
  const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) });
  const answer = message(response.headers.get('content-type') ?? '', await response.text());
  if (response.status !== 200 || answer.id !== id || answer.result?.content?.[0]?.text !== text) {
    throw new Error(`HTTP ${response.status}: ${JSON.stringify(answer)}`);
  }
  answered++;
}

async function worker() {
  while (next < count) {
    const id = next++;
    await call(id).catch(error => wrong.push(`call ${id}: ${error.cause ?? error}`));
  }
}

await Promise.all(Array.from({ length: concurrency }, worker));
console.log(JSON.stringify({ answered, wrong: wrong.slice(0, 10) }));

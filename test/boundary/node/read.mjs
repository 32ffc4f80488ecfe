// Uses an official TypeScript client on each endpoint of standard input, and prints all that a program was
// given there: node read.mjs ts1|ts2 [legacy|auto]
import { readFileSync } from 'node:fs';
import * as v1 from '@modelcontextprotocol/sdk/client/index.js';
import * as http1 from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as stdio1 from '@modelcontextprotocol/sdk/client/stdio.js';
import * as v2 from '@modelcontextprotocol/client';
import * as stdio2 from '@modelcontextprotocol/client/stdio';

const [sdk, mode] = process.argv.slice(2);
const patience = 60_000; // ms; only a hanging client needs so much
const info = { name: 'reader', version: '1.0.0' };
const capabilities = { elicitation: {}, sampling: {} };

function newClient({ url: at, command }) {
  if (command) {
    const server = { command: command[0], args: command.slice(1), stderr: 'ignore' };
    return sdk === 'ts1'
      ? [new v1.Client(info, { capabilities }), new stdio1.StdioClientTransport(server)]
      : [new v2.Client(info, { capabilities, versionNegotiation: { mode } }), new stdio2.StdioClientTransport(server)];
  }
  const url = new URL(at);
  if (sdk === 'ts1') {
    return [new v1.Client(info, { capabilities }), new http1.StreamableHTTPClientTransport(url, { reconnectionOptions })];
  }
  return [new v2.Client(info, { capabilities, versionNegotiation: { mode } }), new v2.StreamableHTTPClientTransport(url, { reconnectionOptions })];
}

const reconnectionOptions = { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 1 };

/** All there is in a value or an error. */
function show(value) {
  if (!(value instanceof Error)) return JSON.stringify(value) ?? 'nothing';
  const own = Object.fromEntries(Object.getOwnPropertyNames(value).map(name => [name, value[name]]));
  return `${value} ${JSON.stringify(own, (_, v) => (v instanceof Error ? show(v) : v))}`;
}

const does = [
  client => client.listTools(),
  client => (sdk === 'ts1' ? client.callTool({ name: 'echo', arguments: {} }, undefined, { timeout: patience }) : client.callTool({ name: 'echo', arguments: {} }, { timeout: patience })),
  client => client.readResource({ uri: 'test://x' }),
  client => client.getPrompt({ name: 'p' }),
];

const lastURI = 'test://last';

/** Has the server's own messages come, by the stream that is of the revision. */
async function listen({ url, stream }) {
  const given = [];
  const note = value => given.push(show(value));
  const [client, transport] = newClient({ url });
  const last = new Promise(done => {
    client.fallbackNotificationHandler = async notification => {
      note(notification);
      if (notification.params?.uri === lastURI) done();
    };
  });
  client.fallbackRequestHandler = async request => {
    note(request);
    return { action: 'decline' };
  };
  client.onerror = note;
  try {
    await client.connect(transport);
    if (mode === 'auto') note(await client.listen({ resourceSubscriptions: [lastURI] }));
    if (stream === 'last') await last;
    note(await client.listTools());
  } catch (error) {
    note(error);
  }
  await client.close().catch(note);
  return given;
}

async function read(endpoint) {
  const given = [];
  const note = value => given.push(show(value));
  for (const some of endpoint.command ? [does] : does.map(act => [act])) {
    const [client, transport] = newClient(endpoint);
    client.onerror = note;
    client.fallbackNotificationHandler = async notification => note(notification);
    client.fallbackRequestHandler = async request => {
      note(request);
      return { action: 'decline' };
    };
    try {
      await client.connect(transport);
      note([client.getInstructions(), client.getServerCapabilities(), client.getServerVersion()]);
      for (const act of some) note(await act(client).catch(error => error));
    } catch (error) {
      note(error);
    }
    await client.close().catch(note);
  }
  return given;
}

setTimeout(() => process.exit(1), 2 * patience).unref();
const endpoints = JSON.parse(readFileSync(0, 'utf8'));
const saw = {};
async function worker() {
  for (let e = endpoints.pop(); e; e = endpoints.pop()) saw[e.name] = await (e.stream ? listen(e) : read(e));
}
await Promise.all(Array.from({ length: 8 }, worker));
process.stdout.write(JSON.stringify(saw), () => process.exit(0)); // SDK timers must not keep the process

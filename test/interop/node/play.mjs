// Plays the steps that the Go test gives on standard input with one client, on one session, and prints one
// line: a JSON array with what the client saw at each step. Which SDK the client is of, is the caller's matter.
import { readFileSync } from 'node:fs';

/** Where the server is: its URL, or as JSON the command that starts one on standard input and output. */
export const endpoint = process.argv[2];

const [program, ...args] = endpoint.startsWith('[') ? JSON.parse(endpoint) : [];

/** The command, or undefined. It has this environment, as it would from a desktop client's configuration. */
export const command = program && { command: program, args, env: process.env, stderr: 'inherit' };

const patience = 60_000; // ms; only a hanging session needs so much

/** What the client was asked by the server, in order. */
const asked = [];

/** The answers to what a server may ask. */
export const answers = {
  elicit: async request => {
    asked.push(request.params.message);
    return { action: 'accept', content: { color: 'blue', name: 'Ada' } };
  },
  sample: async request => {
    const { content } = request.params.messages.at(-1);
    asked.push([content].flat()[0].text);
    return { model: 'none', role: 'assistant', content: { type: 'text', text: 'four' } };
  },
};

let changed = 0;

/** Client options: what the client can do, and that it wants to know of new tools. */
export const options = {
  capabilities: { elicitation: {}, sampling: {} },
  listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => { changed++; } } },
};

/**
 * Plays the steps. A session is {client, version, call}: call(params, options) is callTool of the SDK at hand,
 * and version the negotiated protocol version. explain(error) gives {code, message, data} of what it throws.
 */
export async function play(connect, explain) {
  setTimeout(() => fail('timed out'), patience * 2).unref();
  const steps = JSON.parse(readFileSync(0, 'utf8'));
  const session = await connect().catch(fail);
  const seen = [];
  for (const step of steps) {
    try {
      seen.push(await actions[step.do](session, step));
    } catch (error) {
      const { code, message, data } = explain(error);
      seen.push({ error: { code, message, reason: data?.reason ?? '' } });
    }
  }
  await session.client.close();
  console.log(JSON.stringify(seen));
  process.exit(0); // SDK timers must not keep the process
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

const actions = {
  version: async ({ version }) => ({ text: version() }),
  tools: async ({ client }) => ({ names: (await client.listTools()).tools.map(t => t.name) }),
  resources: async ({ client }) => ({ names: (await client.listResources()).resources.map(r => r.uri) }),
  prompts: async ({ client }) => ({ names: (await client.listPrompts()).prompts.map(p => p.name) }),
  read: async ({ client }, { name }) => ({ text: (await client.readResource({ uri: name })).contents[0].text }),
  prompt: async ({ client }, { name, args }) =>
    ({ text: (await client.getPrompt({ name, arguments: args })).messages[0].content.text }),
  call,
  asked: async () => ({ names: asked }),
  changed: untilChanged,
};

async function call(session, { name, args }) {
  const progress = [];
  const result = await session.call({ name, arguments: args ?? {} }, { timeout: patience, onprogress: p => progress.push(p.progress) });
  return { text: result.content?.[0]?.text, failed: result.isError === true, progress };
}

/** Calls a tool that changes the list of tools until a notification about that arrives. */
async function untilChanged(session, step) {
  const deadline = Date.now() + patience;
  for (const before = changed; changed === before; ) {
    if (Date.now() > deadline) throw new Error('no notifications/tools/list_changed');
    await call(session, step);
  }
  return { text: 'changed' };
}

// The official TypeScript SDK 2.x as a client: node ts2.mjs ENDPOINT legacy|auto|pinned <steps.json
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { answers, command, endpoint, options, play } from './play.mjs';

const mode = process.argv[3] === 'pinned' ? { pin: '2026-07-28' } : process.argv[3];

async function connect() {
  const client = new Client({ name: 'ts2', version: '1.0.0' }, { ...options, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', answers.elicit);
  client.setRequestHandler('sampling/createMessage', answers.sample);
  await client.connect(command ? new StdioClientTransport(command) : new StreamableHTTPClientTransport(new URL(endpoint)));
  return {
    client,
    version: () => client.getNegotiatedProtocolVersion(),
    call: (params, opts) => client.callTool(params, opts),
  };
}

/** A 4xx is thrown with the status and the body's text; anything in 200 is thrown as a protocol error. */
function explain(error) {
  return error.data?.text ? JSON.parse(error.data.text).error : error;
}

await play(connect, explain);

// The official TypeScript SDK 1.x as a client: node ts1.mjs ENDPOINT <steps.json
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { answers, command, endpoint, options, play } from './play.mjs';

async function connect() {
  const client = new Client({ name: 'ts1', version: '1.0.0' }, options);
  client.setRequestHandler(ElicitRequestSchema, answers.elicit);
  client.setRequestHandler(CreateMessageRequestSchema, answers.sample);
  const transport = command ? new StdioClientTransport(command) : new StreamableHTTPClientTransport(new URL(endpoint));
  let version; // each transport is told; only the one over HTTP can be asked
  const told = transport.setProtocolVersion;
  transport.setProtocolVersion = v => { version = v; told?.call(transport, v); };
  await client.connect(transport);
  return {
    client,
    version: () => version,
    call: (params, opts) => client.callTool(params, undefined, opts),
  };
}

await play(connect, error => error);

// The official TypeScript SDK 1.x as a client: node ts1.mjs URL <steps.json
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { answers, options, play } from './play.mjs';

async function connect() {
  const client = new Client({ name: 'ts1', version: '1.0.0' }, options);
  client.setRequestHandler(ElicitRequestSchema, answers.elicit);
  client.setRequestHandler(CreateMessageRequestSchema, answers.sample);
  const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
  await client.connect(transport);
  return {
    client,
    version: () => transport.protocolVersion,
    call: (params, opts) => client.callTool(params, undefined, opts),
  };
}

await play(connect, error => error);

// A server of the official TypeScript SDK 2.x, of both eras, on plain node:http: PORT=n node ts2-server.mjs
import { createServer } from 'node:http';
import { createMcpHandler, Server } from '@modelcontextprotocol/server';
import { handlers, info, options, tell } from './seen.mjs';

const handler = createMcpHandler(() => {
  const server = new Server(info, options);
  handlers(server, (method, handle) => server.setRequestHandler(method, handle));
  return server;
}, { responseMode: 'json' });

createServer(async (request, response) => {
  if (tell(request, response)) return;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = request.method === 'POST' ? Buffer.concat(chunks) : undefined;
  const answer = await handler.fetch(new Request(`http://127.0.0.1${request.url}`, { method: request.method, headers: request.headers, body }));
  response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
  response.end(Buffer.from(await answer.arrayBuffer()));
}).listen(Number(process.env.PORT), '127.0.0.1');

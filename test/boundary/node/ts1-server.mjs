// A server of the official TypeScript SDK 1.x behind Express and its JSON parser: PORT=n node ts1-server.mjs
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { handlers, info, options, tell } from './seen.mjs';
import { schemas } from './ts1-schemas.mjs';

const app = express();
app.use((request, response, next) => tell(request, response) || next());
app.use(express.json({ limit: '8mb' }));
app.all('/mcp', async (request, response) => {
  const server = new Server(info, options);
  handlers(server, (method, handler) => server.setRequestHandler(schemas[method], handler));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  response.on('close', () => server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response, request.body);
});
app.listen(Number(process.env.PORT), '127.0.0.1');

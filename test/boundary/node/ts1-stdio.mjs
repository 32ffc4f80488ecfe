// A server of the official TypeScript SDK 1.x on standard input and output: SEEN=file node ts1-stdio.mjs
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { handlers, info, options } from './seen.mjs';
import { schemas } from './ts1-schemas.mjs';

const server = new Server(info, options);
handlers(server, (method, handler) => server.setRequestHandler(schemas[method], handler));
await server.connect(new StdioServerTransport());
process.stdin.on('end', () => process.exit(0));

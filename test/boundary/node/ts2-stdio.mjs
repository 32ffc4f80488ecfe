// A server of the official TypeScript SDK 2.x, of both eras, on standard input and output: SEEN=file node ts2-stdio.mjs
import { Server } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { handlers, info, options } from './seen.mjs';

await serveStdio(() => {
  const server = new Server(info, options);
  handlers(server, (method, handle) => server.setRequestHandler(method, handle));
  return server;
});
process.stdin.on('end', () => process.exit(0));

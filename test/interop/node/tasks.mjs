// A task of the reference server, with a question in the middle of it, by the official TypeScript SDK 1.x:
// node tasks.mjs URL
// Prints one line: {"id", "states": the task's, "text": of its result, "asked": the questions, "stolen": what
// came of asking about a task by the id that only the server knows}.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const client = new Client({ name: 'tasks', version: '1.0.0' }, { capabilities: { elicitation: { form: {} } } });
const asked = [];
client.setRequestHandler(ElicitRequestSchema, request => {
  asked.push(request.params.message);
  return { action: 'accept', content: { interpretation: 'technical' } };
});
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));
await client.listTools();

const seen = { states: [], asked };
const call = { name: 'simulate-research-query', arguments: { topic: 'python', ambiguous: true } };
const stream = client.experimental.tasks.callToolStream(call, CallToolResultSchema, { task: { ttl: 60_000 } });
for await (const message of stream) {
  if (message.type === 'taskCreated') seen.id = message.task.taskId;
  if (message.type === 'taskStatus') seen.states.push(message.task.status);
  if (message.type === 'result') seen.text = message.result.content[0].text;
  if (message.type === 'error') seen.error = String(message.error);
}
seen.stolen = await client.experimental.tasks.getTask('0123456789abcdef0123456789abcdef').then(String, error => error.message);
console.log(JSON.stringify(seen));
await client.close();

// Tool calls at a constant rate, whatever becomes of those before: of ten calls
// eight are allowed, one is denied, and one has its result cleaned.
//
//   make bench-k6 RATE=1000
//   k6 run -e URL=https://gateway.example/mcp -e KEY=… -e RATE=10000 bench/k6/calls.js
//
// The gateway has the starter policies and a caller of the role dev. Its server
// answers temp.convert, and secret.read with a token in its text: as `go run
// ./bench/load upstream` does. P99 is the most that a call may take, in ms.
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';

const rate = Number(__ENV.RATE || 10000);
const version = '2026-07-28';

export const options = {
  scenarios: {
    calls: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: __ENV.DURATION || '60s',
      preAllocatedVUs: Math.ceil(rate / 10),
      maxVUs: Math.ceil(rate / 2),
    },
  },
  thresholds: {
    checks: ['rate==1'],
    dropped_iterations: ['count==0'],
    http_req_failed: ['rate==0'],
    http_req_duration: [`p(99)<${__ENV.P99 || 50}`],
    // Each kind of its own: a denial is quick, and hides the others.
    'http_req_duration{kind:allowed}': [`p(99)<${__ENV.P99 || 50}`],
    'http_req_duration{kind:denied}': [`p(99)<${__ENV.P99 || 50}`],
    'http_req_duration{kind:cleaned}': [`p(99)<${__ENV.P99 || 50}`],
  },
  summaryTrendStats: ['med', 'p(99)', 'p(99.9)', 'max'],
};

http.setResponseCallback(http.expectedStatuses(200, 403));

const kinds = {
  allowed: {
    tool: 'temp.convert',
    good: (r) => r.status === 200 && r.body.includes('"isError":false'),
  },
  denied: {
    tool: 'database.backup',
    good: (r) => r.status === 403 && r.body.includes('"role_mismatch"'),
  },
  cleaned: {
    tool: 'secret.read',
    good: (r) => r.status === 200 && r.body.includes('[redacted]'),
  },
};

export default function () {
  const id = exec.scenario.iterationInTest;
  const kind = { 0: 'denied', 5: 'cleaned' }[id % 10] || 'allowed';
  const { tool, good } = kinds[kind];
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': version,
        'io.modelcontextprotocol/clientInfo': { name: 'k6', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
      name: tool,
      arguments: tool === 'temp.convert' ? { temp: id % 10000, from: 'celsius', to: 'kelvin', kib: 1 } : {},
    },
  });
  const headers = {
    Accept: 'application/json, text/event-stream',
    Authorization: `Bearer ${__ENV.KEY}`,
    'Content-Type': 'application/json',
    'Mcp-Method': 'tools/call',
    'Mcp-Name': tool,
    'Mcp-Protocol-Version': version,
  };
  check(http.post(__ENV.URL, body, { headers, tags: { kind } }), {
    [kind]: good,
    'no token': (r) => !r.body.includes('ghp_'),
  });
}

// Decodes messages as JavaScript does: base64 lines in, a JSON line {value} or {error} out for each.
import { readFileSync } from 'node:fs';

function decode(line) {
  try {
    return { value: JSON.parse(Buffer.from(line, 'base64').toString('utf8')) };
  } catch (error) {
    return { error: String(error) };
  }
}

const lines = readFileSync(0, 'utf8').split('\n').slice(0, -1);
process.stdout.write(lines.map(line => JSON.stringify(decode(line)) + '\n').join(''));

// What the TypeScript SDK 1.x knows methods by.
import * as types from '@modelcontextprotocol/sdk/types.js';

export const schemas = {
  'tools/call': types.CallToolRequestSchema,
  'resources/read': types.ReadResourceRequestSchema,
  'prompts/get': types.GetPromptRequestSchema,
  'completion/complete': types.CompleteRequestSchema,
};

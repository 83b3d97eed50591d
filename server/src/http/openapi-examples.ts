import { readFileSync } from 'node:fs'

type Json = { [key: string]: unknown }
type Described = { operationId?: string; requestBody?: Json & { content: Record<string, Json> }; responses?: Json }
type Example = { body?: unknown; code: string; response: unknown }

/** One request and response of each operation, recorded by a test that also updates the file. */
const examples = JSON.parse(readFileSync(new URL('./examples.gen.json', import.meta.url), 'utf8')) as Record<
  string,
  Example
>

/** Adds an example request and response to each operation. */
export function addExamples<Document extends { paths: Json }>(document: Document): Document {
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods as Record<string, Described>)) {
      const example = examples[operation.operationId ?? '']
      if (!example) continue
      const media = operation.requestBody?.content['application/json']
      if (media && example.body !== undefined) media.example = example.body
      const response = operation.responses?.[example.code] as { content?: Record<string, Json> } | undefined
      const content = response?.content?.['application/json']
      if (content) content.example = example.response
    }
  }
  return document
}

const upload = {
  required: true,
  description:
    'A file: CSV with a header row (`text/csv`) or one JSON object per line (`application/x-ndjson`). Of an ' +
    '`application/octet-stream`, which generated clients send, and of `application/gzip`, the format is detected.',
  content: {
    'application/octet-stream': {
      schema: { type: 'string', format: 'binary', description: 'The file.' },
      example: 'phone_number,first_name,tags\n2065550144,Marisol,"vip, local"\n',
    },
  },
}

/** Describes the request body of an import, which is a file and has no schema. */
export function describeUpload<Document extends { paths: Json }>(document: Document): Document {
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods as Record<string, Described>)) {
      if (operation.operationId === 'createImport') operation.requestBody = upload
    }
  }
  return document
}

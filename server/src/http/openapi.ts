import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { addExamples, describeUpload } from './openapi-examples.ts'

const description = `Lists, subscribers and broadcasts by text message, compatible with the momoGood Messaging API v2
(formerly the Tatango v2 API). What that API does not have is marked \`x-extension\`; its clients never notice it.

* HTTP Basic: the login email is the user name, the API key is the password.
* Every success carries a \`status\`; everything else is \`{"status":"error","error":"..."}\` with a \`code\` for machines.
* Collections come in pages of 10, or \`per_page\` up to 1000.
* Times are ISO 8601 with an offset. Phone numbers are ten digits.`

const tags = [
  { name: 'Accounts', description: 'The account behind the key.' },
  { name: 'API keys', description: 'Who may call, and what.' },
  { name: 'Short codes', description: 'The numbers we send from.' },
  { name: 'Rates', description: 'What a part of a text costs; for an operator of the installation.' },
  { name: 'Connections', description: 'Our SMPP accounts at carriers; for an operator of the installation.' },
  { name: 'Lists', description: 'What people subscribe to; also called campaigns.' },
  { name: 'Subscribers', description: 'Phone numbers on a list, and their consent.' },
  { name: 'Custom fields', description: 'What a list wants to know of its people besides.' },
  { name: 'Tags', description: 'Words by which subscribers are grouped.' },
  { name: 'Imports', description: 'Many subscribers in one file.' },
  { name: 'Messages', description: 'Texts to a whole list.' },
  { name: 'Webhooks', description: 'Who is told what happens on a list.' },
  { name: 'Reports', description: 'Exports of the message log.' },
  { name: 'Donations', description: 'Gifts, by subscriber or by message.' },
  { name: 'Health', description: 'Whether it runs.' },
]

/** Describes the routes that are registered after it, at /openapi.json and readably at /docs. */
export async function useOpenApi(app: FastifyInstance) {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Carillon API', version: '2.0.0', description, license: { name: 'Apache-2.0' } },
      tags,
      security: [{ basicAuth: [] }],
      components: {
        securitySchemes: {
          basicAuth: { type: 'http', scheme: 'basic', description: 'Login email and API key.' },
        },
      },
    },
  })
  app.get('/openapi.json', { schema: { hide: true } }, async () => openApiOf(app))
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'",
    transformSpecification: () => openApiOf(app),
    transformSpecificationClone: false,
    // the bar on top shows the library's emblem, and asks for the address of some other API
    theme: {
      title: 'Carillon API',
      css: [{ filename: 'carillon.css', content: '.swagger-ui .topbar { display: none }' }],
    },
    uiConfig: { docExpansion: 'list', defaultModelsExpandDepth: -1 },
  })
}

const documents = new WeakMap<FastifyInstance, Document>()

/** The document; the app must be ready. */
export function openApiOf(app: FastifyInstance): Document {
  let document = documents.get(app)
  if (!document) {
    const written = structuredClone(app.swagger()) as unknown as Document
    document = addExamples(describeUpload(nameComponents(offerIdempotency(written))))
    documents.set(app, document)
  }
  return document
}

type Document = Record<string, unknown> & { paths: Json; components: { schemas?: Record<string, Json> } }
type Json = { [key: string]: unknown }

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  description:
    'Makes this happen once: within 24 hours the same request gets the same answer again, with `Idempotency-Replayed`. ' +
    'While the first is under way: 409. With another body: 422.',
  'x-extension': true,
}

/** Every POST below /api/v2 takes the header; no route has to say so. */
function offerIdempotency(document: Document): Document {
  for (const [path, methods] of Object.entries(document.paths)) {
    const { post } = methods as { post?: { parameters?: object[] } }
    if (post && path.startsWith('/api/v2/')) post.parameters = [...(post.parameters ?? []), idempotencyKey]
  }
  return document
}

/** Moves each schema with a title to the components, so that generated clients have names for them. */
function nameComponents(document: Document): Document {
  const schemas: Record<string, Json> = {}
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    const walked = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, walk(part)]))
    if (walked.description === 'Default Response') walked.description = 'Done.'
    const { title, ...schema } = walked
    if (typeof title !== 'string' || typeof walked.type !== 'string') return walked
    schemas[title] ??= schema
    return { $ref: `#/components/schemas/${title}` }
  }
  const paths = walk(document.paths) as Json
  const named = Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => a.localeCompare(b)))
  return { ...document, paths, components: { ...document.components, schemas: named } }
}

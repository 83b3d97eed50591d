import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { addExamples, describeUpload } from './openapi-examples.ts'

const description = `Lists, subscribers and broadcasts by text message, compatible with the momoGood Messaging API v2
(formerly the Tatango v2 API). Additions to that API are marked \`x-extension\` and do not affect its clients.

* HTTP Basic: the login email is the user name, the API key is the password.
* Every success has a \`status\`; every error is \`{"status":"error","error":"..."}\` with a \`code\` for programs.
* Collections are paged: 10 records per page, or \`per_page\` up to 1000.
* Times are ISO 8601 with an offset. Phone numbers are ten digits.`

const tags = [
  { name: 'Accounts', description: 'The account of the API key.' },
  { name: 'API keys', description: 'Credentials of programs, with their scopes and rate limits.' },
  { name: 'Short codes', description: 'Numbers from which texts are sent.' },
  { name: 'Rates', description: 'Prices of the parts of a text; for operators of the installation.' },
  { name: 'Connections', description: 'SMPP accounts at aggregators; for operators of the installation.' },
  { name: 'Lists', description: 'Lists that people subscribe to; also called campaigns.' },
  { name: 'Subscribers', description: 'Phone numbers on a list, and their consent.' },
  {
    name: 'Custom fields',
    description: 'Attributes that a list defines for its subscribers in addition to the profile.',
  },
  { name: 'Tags', description: 'Words that the owner of a list assigns to subscribers.' },
  { name: 'Imports', description: 'Many subscribers in one file.' },
  { name: 'Messages', description: 'Texts to a whole list, and to single phone numbers.' },
  { name: 'Webhooks', description: 'Subscriptions to the events of a list.' },
  { name: 'Reports', description: 'Exports of the message log.' },
  { name: 'Donations', description: 'Donations, by subscriber or by message.' },
  { name: 'Health', description: 'State of the installation.' },
]

/** Documents the routes that are registered later, at /openapi.json and as a page at /docs. */
export async function useOpenApi(app: FastifyInstance) {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      servers: [{ url: app.rt.config.http.publicUrl }],
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
    // requests from the page work at any address that serves it
    transformSpecification: () => ({ ...openApiOf(app), servers: serversOfPage(app) }),
    transformSpecificationClone: false,
    // the top bar shows the library's logo and a field for the URL of another API
    theme: {
      title: 'Carillon API',
      css: [{ filename: 'carillon.css', content: '.swagger-ui .topbar { display: none }' }],
    },
    uiConfig: { docExpansion: 'list', defaultModelsExpandDepth: -1 },
  })
}

function serversOfPage(app: FastifyInstance) {
  return [{ url: '/', description: 'The address of this page' }, { url: app.rt.config.http.publicUrl }]
}

const documents = new WeakMap<FastifyInstance, Document>()

/** Returns the OpenAPI document; the app must be ready. */
export function openApiOf(app: FastifyInstance): Document {
  let document = documents.get(app)
  if (!document) {
    const generated = structuredClone(app.swagger()) as unknown as Document
    document = addExamples(describeUpload(nameComponents(addIdempotencyKey(generated))))
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
    'The request is processed once: for 24 hours, a repetition gets the same response, with `Idempotency-Replayed`. ' +
    'The response is 409 while the first request is running, and 422 for another body with the same key.',
  'x-extension': true,
}

/** Adds the header to every POST below /api/v2, so that no route has to declare it. */
function addIdempotencyKey(document: Document): Document {
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

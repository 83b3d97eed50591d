import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { sharedResponses, withSharedErrors } from './openapi-errors.ts'
import { addExamples, describeUpload } from './openapi-examples.ts'
import { ComponentSchemas, describeParameter, type Json, pascal } from './openapi-schemas.ts'
import { usePageHeaders } from './response-headers.ts'
import { useStoredResponses } from './stored-responses.ts'

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
  { name: 'Events', description: 'The events of all lists in one feed.' },
  { name: 'Reports', description: 'Exports of the message log.' },
  { name: 'Donations', description: 'Donations, by subscriber or by message.' },
  { name: 'Health', description: 'State of the installation.' },
]

/** Documents the routes that are registered later, at /openapi.json and as a page at /docs. */
export async function useOpenApi(app: FastifyInstance) {
  await app.register(swagger, {
    convertConstToEnum: false,
    openapi: {
      openapi: '3.1.0',
      servers: [{ url: app.rt.config.http.publicUrl }],
      info: {
        title: 'Carillon API',
        version: '2.0.0',
        description,
        contact: { name: 'The operator of this installation', url: app.rt.config.http.publicUrl },
        license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
      },
      tags,
      security: [{ basicAuth: [] }],
      components: {
        securitySchemes: {
          basicAuth: { type: 'http', scheme: 'basic', description: 'Login email and API key.' },
        },
      },
    },
  })
  await app.register(async (document) => {
    useStoredResponses(document, ['/openapi.json'])
    document.get('/openapi.json', { schema: { hide: true } }, async () => openApiOf(app))
  })
  await app.register(async (pages) => {
    usePageHeaders(pages)
    useStoredResponses(pages, ['/docs/json', '/docs/yaml'])
    await pages.register(swaggerUi, {
      routePrefix: '/docs',
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
    document = addExamples(describe(describeUpload(addIdempotencyKey(generated))))
    documents.set(app, document)
  }
  return document
}

type Operation = {
  operationId: string
  parameters?: (Json & { schema: Json })[]
  requestBody?: { content: Record<string, Json> }
  responses: Record<string, { description?: string; content?: Record<string, Json> }>
}
type Document = Json & { paths: Record<string, Record<string, Operation>>; components: Json }

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]([ -~]*[!-~])?$' },
  description:
    'The request is processed once: for 24 hours, a repetition gets the same response, with `Idempotency-Replayed`. ' +
    'The response is 409 while the first request is running, and 422 for another body with the same key.',
  'x-extension': true,
}

/** Adds the header to every POST below /api/v2, so that no route has to declare it. */
function addIdempotencyKey(document: Document): Document {
  for (const [path, { post }] of Object.entries(document.paths)) {
    if (post && path.startsWith('/api/v2/')) post.parameters = [...(post.parameters ?? []), idempotencyKey]
  }
  return document
}

/** Describes all schemas, names them after their operations, and adds the errors that operations share. */
function describe(document: Document): Document {
  const schemas = new ComponentSchemas()
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      // a PATCH has the schemas of its PUT
      const { operationId } = method === 'patch' && methods.put ? methods.put : operation
      describeOperation(schemas, operation, pascal(operationId))
      operation.responses = withSharedErrors(path, method, operation)
    }
  }
  return { ...document, components: { ...document.components, schemas: schemas.toJson(), responses: sharedResponses } }
}

function describeOperation(schemas: ComponentSchemas, operation: Operation, name: string) {
  for (const parameter of operation.parameters ?? []) parameter.schema = describeParameter(parameter.schema)
  for (const media of Object.values(operation.requestBody?.content ?? {})) {
    media.schema = withoutNotes(schemas.describe(media.schema as Json, `${name}Body`))
  }
  for (const response of Object.values(operation.responses)) {
    if (response.description === 'Default Response') response.description = 'Success.'
    for (const media of Object.values(response.content ?? {})) {
      media.schema = withoutNotes(schemas.describe(media.schema as Json, `${name}Response`))
    }
  }
}

/** Returns a reference without its description, which the body or the response has. */
function withoutNotes(schema: Json): Json {
  return schema.$ref === undefined ? schema : { $ref: schema.$ref }
}

// All errors of code that routes share, such as the body parser and Node's HTTP server; routes declare only their own errors.
// openapi.json declares each status that an operation can return, so a new status of shared code is one entry of `shared`, and
// the tests fail until it exists.

type Operation = { requestBody?: { content: object }; responses: object }

/** What decides which shared errors an operation can return. */
type Traits = { isApi: boolean; method: string; isUpload: boolean }

type SharedError = {
  name: string
  description: string
  /** Whether the operation can return it; by default each can. */
  of?: (traits: Traits) => boolean
  retryAfter?: string
}

const ofApi = ({ isApi }: Traits) => isApi
// a file is streamed, with limits of its own, and may be compressed; other bodies are read in every method
const ofParsedBodies = ({ isUpload }: Traits) => !isUpload

/** The shared errors by status; each becomes a response of the components. */
const shared: Record<number, SharedError> = {
  400: { name: 'BadRequest', description: 'The path, the body or a header is malformed.' },
  401: { name: 'Unauthorized', description: 'The API key is missing or wrong.', of: ofApi },
  403: {
    name: 'Forbidden',
    description: 'The API key is disabled, its scope is too narrow, or a web page of another origin sent the request.',
    of: ofApi,
  },
  406: { name: 'NotAcceptable', description: 'The header `Accept` does not include application/json.', of: ofApi },
  408: { name: 'RequestTimeout', description: 'The request was not received in full within the time limit.' },
  409: {
    name: 'Conflict',
    description: 'A request with the same `Idempotency-Key` is still running.',
    of: ({ isApi, method }) => isApi && method === 'post',
    retryAfter: 'Seconds to wait.',
  },
  413: { name: 'ContentTooLarge', description: 'The body exceeds 1 MB.', of: ofParsedBodies },
  415: { name: 'UnsupportedMediaType', description: 'The body is compressed.', of: ofParsedBodies },
  422: {
    name: 'UnprocessableContent',
    description: 'A value is invalid, or an `Idempotency-Key` was used for another request.',
    of: ofApi,
  },
  429: {
    name: 'TooManyRequests',
    description: 'The API key has used up its calls, or the account has too many requests or bytes in progress.',
    of: ofApi,
    retryAfter: 'Seconds until the next call is accepted.',
  },
  431: {
    name: 'RequestHeaderFieldsTooLarge',
    description: 'The URL and the headers exceed 16 KB, or there are more than 100 headers.',
  },
  500: { name: 'InternalServerError', description: 'A defect of Carillon; the log has its cause by `request_id`.' },
  503: {
    name: 'ServiceUnavailable',
    description: 'The database is unavailable, or another request had precedence; nothing was changed.',
    retryAfter: 'Seconds to wait.',
  },
}

const schema = { $ref: '#/components/schemas/ErrorResponse' }

/** Every route declares these with `commonErrors`; the document has the shared response instead. */
const replaced = new Set(['401', '403', '429'])

/** Returns the responses of an operation with the errors that it shares with others, in the order of their statuses. */
export function withSharedErrors(path: string, method: string, { requestBody, responses }: Operation) {
  const isUpload = requestBody !== undefined && !('application/json' in requestBody.content)
  const traits = { isApi: path.startsWith('/api/v2/'), method, isUpload }
  const own = Object.entries(responses)
    .filter(([status]) => !replaced.has(status))
    .map(([status, response]) => [status, { ...response, ...(traits.isApi && headersOf(shared[Number(status)])) }])
  const references = Object.entries(shared)
    .filter(([, { of }]) => of?.(traits) ?? true)
    .map(([status, { name }]) => [status, { $ref: `#/components/responses/${name}` }])
  const all: Record<string, object> = { ...Object.fromEntries(references), ...Object.fromEntries(own) }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The responses of the components. */
export const sharedResponses = Object.fromEntries(
  Object.values(shared).map((error) => [
    error.name,
    { description: error.description, ...headersOf(error), content: { 'application/json': { schema } } },
  ]),
)

function headersOf(error: SharedError | undefined) {
  const description = error?.retryAfter
  if (description === undefined) return {}
  const schema = { type: 'integer', format: 'int32', minimum: 1, maximum: 3_600 }
  return { headers: { 'Retry-After': { description, schema } } }
}

// The errors of code that all routes share, such as the body parser; routes declare only their own errors.

type Operation = { requestBody?: { content: object }; responses: object }

const schema = { $ref: '#/components/schemas/ErrorResponse' }

/** The shared errors by status; each becomes a response of the components. */
const shared = {
  400: ['BadRequest', 'The path, the body or a header is malformed.'],
  401: ['Unauthorized', 'The API key is missing or wrong.'],
  403: [
    'Forbidden',
    'The API key is disabled, its scope is too narrow, or a web page of another origin sent the request.',
  ],
  406: ['NotAcceptable', 'The header `Accept` does not include application/json.'],
  409: [
    'Conflict',
    'A request with the same `Idempotency-Key` is still running; `Retry-After` has the seconds to wait.',
  ],
  413: ['ContentTooLarge', 'The body exceeds 1 MB.'],
  415: ['UnsupportedMediaType', 'The body is compressed.'],
  422: ['UnprocessableContent', 'A value is invalid, or an `Idempotency-Key` was used for another request.'],
  429: ['TooManyRequests', 'Too many calls; `Retry-After` has the seconds to wait.'],
  default: ['UnexpectedError', 'Any other error, such as a 503 while the database is unavailable.'],
} as const

type Status = keyof typeof shared

const ofAll: Status[] = [400, 401, 403, 406, 422, 429, 'default']
/** Every route declares these with `commonErrors`; the document has the shared response instead. */
const replaced = new Set(['401', '403', '429'])

/** Returns the responses of an operation with the errors that it shares with others, in the order of their statuses. */
export function withSharedErrors(path: string, method: string, { requestBody, responses }: Operation) {
  const own = Object.entries(responses).filter(([status]) => !replaced.has(status))
  const references = statusesOf(path, method, requestBody?.content).map((status) => [
    String(status),
    { $ref: `#/components/responses/${shared[status][0]}` },
  ])
  const all: Record<string, object> = { ...Object.fromEntries(references), ...Object.fromEntries(own) }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The responses of the components. */
export const sharedResponses = Object.fromEntries(
  Object.values(shared).map(([name, description]) => [
    name,
    { description, content: { 'application/json': { schema } } },
  ]),
)

function statusesOf(path: string, method: string, body: object | undefined): Status[] {
  if (!path.startsWith('/api/v2/')) return [400]
  // a file is streamed, without a limit, and may be compressed
  const isParsed = body !== undefined && 'application/json' in body
  return [...ofAll, ...(method === 'post' ? ([409] as const) : []), ...(isParsed ? ([413, 415] as const) : [])]
}

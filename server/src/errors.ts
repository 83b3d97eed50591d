/**
 * An error of the API. Rules throw it, and only `http/error-handler.ts` renders it. `message` is for people, and fixed where
 * the contract has it; `code` is for programs and never changes.
 */
export class AppError extends Error {
  readonly status: number
  readonly code: string
  /** The errors of each field: `{ "list.name": ["can't be blank"] }`. */
  readonly details: Record<string, string[]> | undefined
  /** Seconds after which the client may retry, for the header `Retry-After`. */
  readonly retryAfterS: number | undefined

  constructor(status: number, code: string, message: string, details?: Record<string, string[]>, retryAfterS?: number) {
    super(message)
    this.name = 'AppError'
    this.status = status
    this.code = code
    this.details = details
    this.retryAfterS = retryAfterS
  }
}

/** An error for the operator: its message is printed without a stack trace and includes the remedy. */
export class OperatorError extends Error {}

const notFound = (code: string, noun: string) => () => new AppError(404, code, `${noun} not found`)

export const errors = {
  unreadableRequest: (reason: string) => new AppError(400, 'unreadable_request', reason),
  unauthorized: () => new AppError(401, 'unauthorized', 'API key authorization failure'),
  metricsUnauthorized: () =>
    new AppError(
      401,
      'unauthorized',
      'Metrics require CARILLON_METRICS_TOKEN, or a request from this machine to localhost',
    ),
  metricsNeedToken: () =>
    new AppError(403, 'metrics_need_token', 'Metrics are disabled in production unless CARILLON_METRICS_TOKEN is set'),
  foreignOrigin: () =>
    new AppError(
      403,
      'foreign_origin',
      'A web page of another origin sent this request; the address of our own pages must be that of CARILLON_PUBLIC_URL',
    ),
  keyDisabled: () => new AppError(403, 'key_disabled', 'This API key is disabled'),
  scopeTooNarrow: () => new AppError(403, 'scope_too_narrow', 'The scope of this API key does not allow this request'),
  pathNotFound: notFound('path_not_found', 'Path'),
  badIdempotencyKey: (maxLength: number) =>
    new AppError(400, 'bad_idempotency_key', `Idempotency-Key must be 1 to ${maxLength} printable ASCII characters`),
  idempotencyKeyBusy: () =>
    new AppError(409, 'idempotency_key_busy', 'A request with this Idempotency-Key is still running'),
  idempotencyKeyReused: () =>
    new AppError(422, 'idempotency_key_reused', 'This Idempotency-Key was already used with a different request'),
  methodNotAllowed: () => new AppError(405, 'method_not_allowed', 'Method not allowed'),
  notAcceptable: () => new AppError(406, 'not_acceptable', 'Accept does not include application/json'),
  uploadStalled: () =>
    new AppError(408, 'upload_stalled', 'The upload stalled, or was too slow, before it was complete'),
  uploadsBusy: (retryAfterS: number) =>
    new AppError(
      503,
      'uploads_busy',
      'Too many uploads are running; send this file again later',
      undefined,
      retryAfterS,
    ),
  uploadSpaceFull: () =>
    new AppError(
      503,
      'upload_space_full',
      'The uploads that are not applied yet need too much space; send this file again later',
      undefined,
      60,
    ),
  uploadTooLarge: (limit: number) =>
    new AppError(413, 'upload_too_large', `The rows of the file are too large (maximum is ${limit} bytes)`),
  uploadBroken: () => new AppError(400, 'upload_broken', 'The connection closed before the upload was complete'),
  bodyTooLarge: (limit: number) => new AppError(413, 'body_too_large', `Body is too large (maximum is ${limit} bytes)`),
  bodyTooSlow: () => new AppError(408, 'body_too_slow', 'The body was not received within the time limit'),
  unsupportedMediaType: (accepted: string) =>
    new AppError(415, 'unsupported_media_type', `Content-Type must be ${accepted}`),
  unsupportedEncoding: () =>
    new AppError(
      415,
      'unsupported_media_type',
      'Content-Encoding must be identity: compressed bodies are not accepted',
    ),
  unsupportedUploadEncoding: () =>
    new AppError(415, 'unsupported_media_type', 'Content-Encoding must be gzip or identity'),
  listNotFound: notFound('list_not_found', 'List'),
  subscriberNotFound: notFound('subscriber_not_found', 'Subscriber'),
  messageNotFound: notFound('message_not_found', 'Message'),
  rateNotFound: notFound('rate_not_found', 'Rate'),
  flightPlanNotFound: notFound('flight_plan_not_found', 'Flight plan'),
  recipientNotFound: notFound('recipient_not_found', 'Recipient'),
  importNotFound: notFound('import_not_found', 'Import'),
  userNotFound: notFound('user_not_found', 'User'),
  apiKeyNotFound: notFound('api_key_not_found', 'API key'),
  customFieldNotFound: notFound('custom_field_not_found', 'Custom field'),
  shortCodeNotFound: notFound('short_code_not_found', 'Shortcode'),
  connectionNotFound: notFound('connection_not_found', 'Connection'),
  unmatchedMoNotFound: notFound('unmatched_mo_not_found', 'Unmatched MO'),
  moNotApplicable: (reason: string) =>
    new AppError(422, 'mo_not_applicable', `This MO cannot be applied as an opt-out. ${reason}`),
  webhookNotFound: notFound('webhook_not_found', 'Webhook'),
  replayNotFound: notFound('replay_not_found', 'Replay'),
  webhookDisabled: () =>
    new AppError(
      422,
      'webhook_disabled',
      'This webhook is disabled; update it with enabled set to true, and try again',
    ),
  attemptNotFound: notFound('attempt_not_found', 'Attempt'),
  logNotKept: (day: string) => new AppError(410, 'log_not_kept', `The message log of ${day} is no longer kept`),
  momtReportNotFound: notFound('momt_report_not_found', 'Momt report'),
  fileNotFound: () =>
    new AppError(
      404,
      'file_not_found',
      'No such file, or the link has expired; the report has a new link each time it is read',
    ),
  linkNotFound: () => new AppError(404, 'link_not_found', 'This link does not exist'),
  rangeNotSatisfiable: () => new AppError(416, 'range_not_satisfiable', 'The file has no bytes in this range'),
  emailTaken: () => new AppError(422, 'email_taken', 'Another account or user has this e-mail address'),
  lastOwner: () =>
    new AppError(422, 'last_owner', 'This user is the only owner of the account; add another owner first'),
  connectionNameTaken: () => new AppError(422, 'connection_name_taken', 'Another connection has this name'),
  connectionInUse: (reason: string) =>
    new AppError(422, 'connection_in_use', `This connection cannot be removed. ${reason}`),
  connectionUnusable: (reason: string) => new AppError(422, 'connection_unusable', reason),
  noSecretKey: (remedy: string) =>
    new AppError(422, 'no_secret_key', `A secret cannot be stored, because no secret key is set. ${remedy}`),
  secretUnreadable: () =>
    new AppError(422, 'secret_unreadable', 'The secret was sealed with another secret key; replace it to sign again'),
  shortCodeTaken: () => new AppError(422, 'short_code_taken', 'Shortcode is taken already'),
  tooManyTags: () => new AppError(422, 'too_many_tags', 'At most 1000 tags of a subscriber are allowed'),
  capReached: (name: string, limit: number, of: string) =>
    new AppError(422, `too_many_${name}`, `At most ${limit} ${of} are allowed`),
  keyInUse: () =>
    new AppError(422, 'key_in_use', 'An API key cannot disable or revoke itself; use another API key of the account'),
  eventsDeleted: (oldest: number) =>
    new AppError(410, 'events_deleted', `Events after this position are deleted; the oldest event is at ${oldest}`, {
      oldest_position: [String(oldest)],
    }),
  eventsLost: (last: number) =>
    new AppError(
      410,
      'events_lost',
      `A backup was restored that has no events between ${last} and this position; read again after ${last}`,
      { continue_after: [String(last)] },
    ),
  feedOff: () =>
    new AppError(
      422,
      'event_feed_off',
      'The event feed is off and has no further events; PUT /event_feed switches it on',
    ),
  tooManyWaiting: (limit: number) =>
    new AppError(
      429,
      'too_many_waiting_requests',
      `At most ${limit} requests of an account wait for events at a time`,
      undefined,
      5,
    ),
  noShortCode: () => new AppError(422, 'no_short_code', 'Validation failed: Account has no short code'),
  invalidKeywords: (names: string[]) =>
    new AppError(422, 'invalid_keywords', `invalid keyword names: ${names.join(', ')}`, { keyword_names: names }),
  badPhone: (reason: string) => new AppError(422, 'bad_phone_number', `Bad phone number: ${reason}`),
  badImportFile: (line: number, reason: string) =>
    new AppError(422, 'bad_import_file', `Line ${line}: ${reason}`, { line: [String(line)] }),
  optedOut: (field: string, numbers: string[]) => {
    const details = { [field]: [`has opted out: ${numbers.join(', ')}`] }
    return new AppError(422, 'opted_out', validationSentence(details), details)
  },
  wrongMessageStatus: (status: string, done: string) =>
    new AppError(422, 'wrong_message_status', `Message is ${status} and cannot be ${done}`),
  mmsNotSupported: (field: string) => {
    const details = { [field]: ['is not supported yet: only SMS can be sent'] }
    return new AppError(422, 'mms_not_supported', validationSentence(details), details)
  },
  invalid: (given: Record<string, string[]>) => {
    const details = bounded(given)
    return new AppError(422, 'invalid', validationSentence(details), details)
  },
  unstorable: () => new AppError(422, 'invalid', 'Validation failed: A value cannot be stored'),
  tooManyAtOnce: (limit: number) =>
    new AppError(
      429,
      'too_many_requests_at_once',
      `At most ${limit} requests of an account are handled at a time, and others wait too long`,
      undefined,
      1,
    ),
  tooManyBytes: () =>
    new AppError(
      429,
      'too_many_bytes_at_once',
      'Large requests and responses of this account are in progress and have its share of the memory',
      undefined,
      1,
    ),
  tooManyTestEvents: (limit: number) =>
    new AppError(
      429,
      'too_many_test_events',
      `At most ${limit} test events of an account are sent in a minute`,
      undefined,
      60,
    ),
  rateLimited: () => new AppError(429, 'rate_limited', 'Rate limit exceeded'),
  internal: () => new AppError(500, 'internal_error', 'Internal server error'),
  unavailable: () => new AppError(503, 'unavailable', 'Temporarily unavailable, please try again'),
}

const maxFields = 200
const maxFaultsPerField = 10
const longestField = 255
const longestFault = 1_000

/** Returns the first errors, with the beginning of long names and texts: a body has names and values of up to 1 MB. */
function bounded(details: Record<string, string[]>): Record<string, string[]> {
  const entries = Object.entries(details)
    .slice(0, maxFields)
    .map(([field, faults]) => [
      cut(field, longestField),
      faults.slice(0, maxFaultsPerField).map((fault) => cut(fault, longestFault)),
    ])
  return Object.fromEntries(entries)
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}

/** Returns a sentence such as `Validation failed: Name can't be blank, Content is too long (maximum is 160 characters)`. */
function validationSentence(details: Record<string, string[]>): string {
  const faults = Object.entries(details).flatMap(([field, texts]) =>
    texts.map((text) => `${fieldLabel(field)} ${text}`),
  )
  return `Validation failed: ${faults.join(', ')}`
}

/** Labels of fields that differ from their keys in the contract's messages. */
const labels = new Map([
  ['custom_field.key', 'Merge tag'],
  ['custom_field.max_length', 'Max. characters'],
])

function fieldLabel(field: string): string {
  const label = labels.get(field)
  if (label !== undefined) return label
  const last = field.split('.').at(-1) ?? field
  const words = last.replaceAll('_', ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

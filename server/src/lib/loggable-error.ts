/** The part of an error that a log may contain. */
export type LoggableError = { type: string; message?: string; stack?: string; cause?: LoggableError } & Record<
  string,
  unknown
>

// The other properties of an error may quote what a caller sent: `detail`, `where`, `internalQuery` and `parameters` of
// PostgreSQL, `input` of an invalid URL, `body` of an HTTP client.
const properties = ['code', 'severity', 'schema', 'table', 'column', 'constraint', 'routine', 'syscall']
const maxMessageLength = 1_000
const maxStackLength = 4_000
const maxDepth = 4

/**
 * Returns an error without values that people have sent: its type, message, code, stack and causes, and the names that
 * PostgreSQL reports. Messages have no phone numbers, no quoted JSON, and are omitted if PostgreSQL quotes a value in them.
 */
export function loggableError(error: unknown, depth = 1): LoggableError {
  if (!(error instanceof Error))
    return { type: typeof error, message: typeof error === 'string' ? maskText(error) : '' }
  const known = error as Error & Record<string, unknown>
  const values = properties.map((name) => [name, known[name]]).filter(([, value]) => typeof value === 'string')
  const message = messageOf(known)
  const errors: unknown[] = error instanceof AggregateError && depth < maxDepth ? error.errors.slice(0, 5) : []
  return {
    type: error.name,
    ...(message === undefined ? {} : { message }),
    ...Object.fromEntries(values),
    stack: framesOf(error.stack),
    ...(errors.length > 0 ? { errors: errors.map((each) => loggableError(each, depth + 1)) } : {}),
    ...(error.cause === undefined || depth >= maxDepth ? {} : { cause: loggableError(error.cause, depth + 1) }),
  }
}

/** Returns a text of limited length with `…` in place of each phone number; IPv4 addresses are unchanged. */
export function maskText(text: string): string {
  return text
    .slice(0, maxMessageLength)
    .replace(/\+?\d(?:[ ().-]{0,2}\d){9,}/g, (digits) => (/^\d{1,3}(\.\d{1,3}){3}$/.test(digits) ? digits : '…'))
}

function messageOf({ message, code, severity }: Error & Record<string, unknown>): string | undefined {
  const isOfPostgres = typeof severity === 'string' && typeof code === 'string'
  // data exceptions and errors that functions raise quote the value
  if (isOfPostgres && /^(22|P0)/.test(code)) return undefined
  // JSON.parse quotes the text that it cannot parse
  return maskText(message.replace(/"[\s\S]*" is not valid JSON/, '… is not valid JSON'))
}

/** Returns the lines of a stack that are locations; the others repeat the message. */
function framesOf(stack: string | undefined): string {
  const frames = (stack ?? '').split('\n').filter((line) => /^ +at /.test(line))
  return frames.join('\n').slice(0, maxStackLength)
}

export type ApiResponse = { status: number; body: Record<string, unknown> }

/** Calls the API with the key of one account, which `authorization` has as a header's value. */
export type Call = ((method: string, path: string, body?: object | string) => Promise<ApiResponse>) & {
  authorization: string
}

/** Returns the value of an Authorization header. */
export const basic = (user: string, key: string) => `Basic ${Buffer.from(`${user}:${key}`).toString('base64')}`

/** Sends a request, a string as CSV and an object as JSON, and returns its response, whose body is JSON. */
export async function request(
  url: string,
  method: string,
  body?: object | string,
  headers: Record<string, string> = {},
) {
  const type = typeof body === 'string' ? 'text/csv' : 'application/json'
  const response = await fetch(url, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': type }) },
    body: typeof body === 'object' ? JSON.stringify(body) : body,
    signal: AbortSignal.timeout(60_000), // a killed process never responds
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

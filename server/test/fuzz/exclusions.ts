// Where the contract, which fixes the behavior, differs from what schemathesis expects of every API.

export type Operation = {
  operationId: string
  method: string
  path: string
  parameters?: { name: string }[]
  requestBody?: object
}

/** A check that some operations do not have to pass; with `statuses`, they may also return these. */
export type Exclusion = { check: string; of: (operation: Operation) => boolean; statuses?: string[]; reason: string }

const hasParameter = ({ parameters = [] }: Operation, pattern: RegExp) =>
  parameters.some(({ name }) => pattern.test(name))

export const exclusions: Exclusion[] = [
  {
    check: 'positive_data_acceptance',
    of: ({ method }) => method === 'post',
    statuses: ['422'],
    reason:
      'a 422 is also for rules that a schema cannot express (a name is taken, a state does not permit the action), and for an ' +
      'Idempotency-Key of another request',
  },
  {
    check: 'positive_data_acceptance',
    of: ({ method, requestBody }) => method !== 'post' && requestBody !== undefined,
    statuses: ['422'],
    reason: 'a 422 is also for rules that a schema cannot express: times in order, names that are taken',
  },
  {
    check: 'positive_data_acceptance',
    of: ({ operationId }) => ['revokeApiKey', 'deleteConnection', 'deleteMessage'].includes(operationId),
    statuses: ['422'],
    reason: 'what is in use cannot be deleted',
  },
  {
    check: 'positive_data_acceptance',
    of: (operation) => operation.method === 'get' && hasParameter(operation, /_date$|^cursor$/),
    statuses: ['422'],
    reason: 'a pattern cannot say which eight digits are a date, nor which number is a cursor',
  },
  {
    check: 'negative_data_rejection',
    of: (operation) => operation.method === 'get' && hasParameter(operation, /^page$/),
    reason: 'the contract clamps `page` and `per_page` instead of rejecting them',
  },
  {
    check: 'negative_data_rejection',
    of: ({ requestBody }) => requestBody !== undefined,
    reason:
      'the document has the form that new clients should send, and more is accepted from clients of the vendor (docs/clients.md)',
  },
  {
    check: 'not_a_server_error',
    of: ({ operationId }) => operationId === 'getReadiness',
    reason: 'a 503 is the response while no gateway is bound, such as after a request that disabled the connection',
  },
]

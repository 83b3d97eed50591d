import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { parse } from 'yaml'

// The vendor's contract as an OpenAPI document; openapi-v2.yaml is an unchanged copy.

type Json = Record<string, unknown>
type ResponseObject = { content?: { 'application/json'?: { examples?: Record<string, unknown> } } }

/** An operation of the contract. An outcome is a status code, with the name of an example if the code has several. */
export type Operation = { id: string; method: string; path: string; outcomes: string[] }

const text = readFileSync(new URL('./openapi-v2.yaml', import.meta.url), 'utf8')
const document = parse(text) as Json & { paths: Record<string, Record<string, unknown>> }

const ajv = new Ajv2020({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema(document, 'contract')

const methods = ['get', 'post', 'put', 'delete']

/** All operations of the document, in document order. */
export const operations: Operation[] = Object.entries(document.paths).flatMap(([path, item]) =>
  methods
    .filter((method) => method in item)
    .map((method) => {
      const { operationId, responses } = item[method] as {
        operationId: string
        responses: Record<string, ResponseObject>
      }
      const outcomes = Object.entries(responses).flatMap(([code, response]) => {
        const examples = Object.keys(resolveReference(response).content?.['application/json']?.examples ?? {})
        return examples.length > 0 ? examples.map((name) => `${code} ${name}`) : [code]
      })
      return { id: operationId, method: method.toUpperCase(), path, outcomes }
    }),
)

/** Returns the schema errors of a response body; undefined if it is valid. */
export function faultsOf({ path, method }: Operation, code: string, body: unknown): string | undefined {
  const operation = document.paths[path]?.[method.toLowerCase()] as { responses: Record<string, Json> } | undefined
  const response = operation?.responses[code]
  if (!response) return `the document has no ${code} for this operation`
  const inline = `#${pointer('paths', path, method.toLowerCase(), 'responses', code)}`
  const schema = pointer('content', 'application/json', 'schema')
  const validate = validatorAt(`contract${response.$ref ?? inline}${schema}`)
  return validate(body) ? undefined : ajv.errorsText(validate.errors)
}

function validatorAt(address: string): ValidateFunction {
  const validate = ajv.getSchema(address)
  if (!validate) throw new Error(`the document has no schema at ${address}`)
  return validate as ValidateFunction
}

function pointer(...keys: string[]): string {
  return keys.map((key) => `/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('')
}

function resolveReference(response: ResponseObject | { $ref: string }): ResponseObject {
  if (!('$ref' in response)) return response
  const keys = response.$ref.slice(2).split('/')
  return keys.reduce((value: unknown, key) => (value as Json)[key], document) as ResponseObject
}

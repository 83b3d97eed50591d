import type { FastifyInstance } from 'fastify'
import { openApiOf } from '../../src/http/openapi.ts'

// The generated OpenAPI document, as the contract tests read it.

export type Media = { schema: object; example?: unknown }
export type ResponseObject = { description?: string; content?: Record<string, Media>; $ref?: string }
export type Schema = { [key: string]: unknown; type?: string | string[]; properties?: Record<string, Schema> }
export type Described = {
  operationId: string
  summary?: string
  description?: string
  tags?: string[]
  'x-extension'?: boolean
  parameters?: { name: string; in: string; schema?: object; description?: string }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, ResponseObject>
}
export type DescribedOperation = Described & { name: string; path: string }
type Document = {
  info: Record<string, unknown>
  servers: { url: string }[]
  paths: Record<string, Record<string, Described>>
  tags: { name: string; description: string }[]
  components: { schemas: Record<string, Schema>; responses: Record<string, ResponseObject> }
}

export const documentOf = (app: FastifyInstance) => openApiOf(app) as unknown as Document

/** Returns all operations of the document, named as `GET /lists`. */
export function describedOperations(app: FastifyInstance): DescribedOperation[] {
  return Object.entries(documentOf(app).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      path,
      name: `${method.toUpperCase()} ${path.replace('/api/v2', '')}`,
    })),
  )
}

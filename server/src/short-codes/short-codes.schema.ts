import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { textParam } from '../http/path-params.ts'

/** A short code in a path. */
export const ShortCodeParam = textParam(
  { pattern: '^[0-9A-Za-z+]{1,20}$', description: 'The short code.', examples: ['88222'] },
  errors.shortCodeNotFound,
)

export const ShortCodesResponse = Type.Object({
  status: Type.Literal('OK'),
  shortcodes: Type.Array(Type.String(), { examples: [['88222']] }),
})

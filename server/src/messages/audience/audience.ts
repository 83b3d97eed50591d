import { listCustomFields } from '../../custom-fields/custom-fields.queries.ts'
import { readValue } from '../../custom-fields/values.ts'
import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import type { Clicked } from '../../links/clicked.sql.ts'
import { listTrackedMessages } from './clicks.queries.ts'

export type FieldTest = {
  key: string
  op: 'eq' | 'ne' | 'gt' | 'lt' | 'contains' | 'exists'
  value?: string | number | boolean | null
}

/** A test of the clicks on a message, or on one of its links. */
export type ClickTest = { message_id: number; clicked: Clicked; link?: string }

/** A selection of a list's subscribers: those who match all filters. Stored in the form of the API. */
export type Audience = {
  tags_any?: string[]
  tags_all?: string[]
  tags_none?: string[]
  custom_fields?: FieldTest[]
  clicks?: ClickTest[]
}

const field = 'message.audience'

/**
 * Returns an audience as it is stored: tags trimmed, values converted to the type of the list's field. Throws for
 * errors that could make the audience larger than intended: no filter, a test without a value, a field that the list
 * does not have, clicks on a message that the account does not have or that has no such link.
 */
export async function readAudience(db: Db, listId: number, given: Audience): Promise<Audience> {
  const audience: Audience = {}
  for (const key of ['tags_any', 'tags_all', 'tags_none'] as const) {
    const tags = given[key]
    if (tags === undefined) continue
    if (tags.length === 0) throw errors.invalid({ [`${field}.${key}`]: ["can't be blank"] })
    audience[key] = [...new Set(tags.map((tag) => tag.trim()))]
  }
  if (given.custom_fields !== undefined) {
    if (given.custom_fields.length === 0) throw errors.invalid({ [`${field}.custom_fields`]: ["can't be blank"] })
    const known = new Map((await listCustomFields(db, listId)).map((rules) => [rules.key, rules]))
    audience.custom_fields = given.custom_fields.map((test) => {
      const rules = known.get(test.key)
      if (!rules) throw fault(`name a field that the list does not have: ${test.key}`)
      if (test.op === 'exists') return { key: test.key, op: test.op, value: test.value !== false }
      if (test.op === 'contains' && rules.contentType !== 'text')
        throw fault(`cannot use contains with ${test.key}, a ${rules.contentType}`)
      if (['gt', 'lt'].includes(test.op) && rules.contentType === 'text')
        throw fault(`cannot use ${test.op} with ${test.key}, a text`)
      // limits on stored values do not apply to a value for comparison
      const read = readValue({ ...rules, maxLength: Number.POSITIVE_INFINITY, isEnforced: false }, test.value ?? null)
      if ('error' in read) throw fault(`need a ${rules.contentType} for ${test.key}`)
      if (read.value === null) throw fault(`need a value for ${test.key}`)
      return { key: test.key, op: test.op, value: read.value }
    })
  }
  if (given.clicks !== undefined) audience.clicks = await readClickTests(db, listId, given.clicks)
  if (Object.keys(audience).length === 0) throw errors.invalid({ [field]: ["can't be blank"] })
  return audience
}

async function readClickTests(db: Db, listId: number, given: ClickTest[]): Promise<ClickTest[]> {
  const invalid = (text: string) => errors.invalid({ [`${field}.clicks`]: [text] })
  if (given.length === 0) throw invalid("can't be blank")
  const ids = [...new Set(given.map(({ message_id }) => message_id))]
  const linksOf = new Map((await listTrackedMessages(db, listId, ids)).map(({ id, links }) => [id, links]))
  for (const { message_id: id, link } of given) {
    const links = linksOf.get(id)
    if (!links) throw invalid(`name a message that the account has not sent with tracked links: ${id}`)
    if (link !== undefined && !links.includes(link))
      throw invalid(`name a link that message ${id} does not have: ${link}`)
  }
  return given.map(({ message_id, clicked, link }) => ({
    message_id,
    clicked,
    ...(link === undefined ? {} : { link }),
  }))
}

const fault = (text: string) => errors.invalid({ [`${field}.custom_fields`]: [text] })

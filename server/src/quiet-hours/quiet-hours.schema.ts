import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { presentHours, readHours } from './hours.schema.ts'
import { knownStates } from './locations.ts'
import type { OwnHours } from './quiet-hours.queries.ts'
import { findConflicts, type QuietHoursChange, type readQuietHours } from './quiet-hours.ts'

const State = Type.String({
  pattern: '^[A-Z]{2}$',
  description: 'State such as WA; US means every state without its own hours.',
})
const Weekdays = Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), {
  minItems: 1,
  maxItems: 7,
  uniqueItems: true,
  description: '1 is Monday, 7 is Sunday.',
})
const TimeOfDay = (description: string) => Type.String({ maxLength: 5, description, examples: ['20:00'] })
const from = TimeOfDay('Local time at the phone.')
const to = TimeOfDay('First minute after the hours; 24:00 is the end of the day.')
const Source = Type.String({ maxLength: 500, pattern: '\\S', description: 'Source of the hours, such as a law.' })

export const QuietHoursBody = Type.Object({
  quiet_hours: Type.Object(
    {
      broadcasts: Type.Optional(Type.Boolean({ description: 'Whether broadcasts observe quiet hours.' })),
      transactional: Type.Optional(
        Type.Boolean({
          description: 'Whether texts to given numbers observe quiet hours; replies of the platform never wait.',
        }),
      ),
      hours: Type.Optional(
        Type.Array(
          Type.Object(
            { state: State, weekdays: Weekdays, from, to, source: Source },
            { title: 'OwnHours', additionalProperties: false },
          ),
          {
            maxItems: 200,
            description:
              "All of the account's own hours, which replace the legal hours of their states. No text is sent on a weekday " +
              'without hours. Rows with the same weekday of a state must overlap, because a text is sent only at times that ' +
              'all of them allow.',
          },
        ),
      ),
    },
    { title: 'QuietHoursChange', description: 'Only the keys in the request change.' },
  ),
})

const QuietHours = Type.Object(
  {
    broadcasts: Type.Boolean(),
    transactional: Type.Boolean(),
    hours: Type.Array(
      Type.Object(
        {
          state: State,
          weekdays: Weekdays,
          from,
          to,
          source: Source,
          as_of: Type.String({ format: 'date', description: 'Date on which the source was checked.' }),
          own: Type.Boolean({ description: "True for the account's own hours, false for legal hours." }),
        },
        { title: 'StateHours' },
      ),
    ),
  },
  { title: 'QuietHours' },
)

export const QuietHoursResponse = Type.Object({ status: Type.Literal('OK'), quiet_hours: QuietHours })

export function presentQuietHours(settings: Awaited<ReturnType<typeof readQuietHours>>): Static<typeof QuietHours> {
  const { broadcasts, transactional, hours } = settings
  return {
    broadcasts,
    transactional,
    hours: hours.map(({ state, weekdays, source, asOf, own, ...times }) => ({
      state,
      weekdays,
      ...presentHours(times),
      source,
      as_of: asOf,
      own,
    })),
  }
}

/** Parses the change in a body; throws a 422 if times are invalid, a state is unknown, or rows conflict. */
export function readQuietHoursChange(body: Static<typeof QuietHoursBody>['quiet_hours']): QuietHoursChange {
  const { broadcasts, transactional, hours } = body
  const own = hours?.map(({ from, to, ...rest }, n): OwnHours => {
    const times = readHours({ from, to }, `quiet_hours.hours.${n}`)
    return { ...rest, ...(times ?? { from: 0, to: 0 }) }
  })
  if (own) validateOwnHours(own)
  return { broadcasts, transactional, own }
}

function validateOwnHours(own: OwnHours[]): void {
  const details: Record<string, string[]> = {}
  const addError = (n: number, error: string) => {
    const field = `quiet_hours.hours.${n}`
    details[field] = [...(details[field] ?? []), error]
  }
  own.forEach(({ state }, n) => {
    if (!knownStates.has(state)) addError(n, `state ${state} must be a known state or US`)
  })
  for (const [m, n] of findConflicts(own)) addError(n, `shares a weekday with hours.${m}, but no time of that day`)
  if (Object.keys(details).length > 0) throw errors.invalid(details)
}

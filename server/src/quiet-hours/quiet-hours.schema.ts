import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { presentHours, readHours } from './hours.schema.ts'
import { knownStates } from './locations.ts'
import type { OwnHours } from './quiet-hours.queries.ts'
import { findConflicts, type QuietHoursChange, type readQuietHours } from './quiet-hours.ts'

const State = Type.String({ pattern: '^[A-Z]{2}$', description: 'Such as WA; US is every state that is not named.' })
const Weekdays = Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), {
  minItems: 1,
  maxItems: 7,
  uniqueItems: true,
  description: '1 is Monday, 7 is Sunday.',
})
const TimeOfDay = (description: string) => Type.String({ maxLength: 5, description, examples: ['20:00'] })
const from = TimeOfDay('By the clock where the handset is.')
const to = TimeOfDay('The first minute that is too late; 24:00 is the end of the day.')
const Source = Type.String({ maxLength: 500, pattern: '\\S', description: 'Who says so.' })

export const QuietHoursBody = Type.Object({
  quiet_hours: Type.Object(
    {
      broadcasts: Type.Optional(Type.Boolean({ description: 'Whether broadcasts keep to them.' })),
      transactional: Type.Optional(
        Type.Boolean({ description: 'Whether texts to given numbers do; answers of the house never wait.' }),
      ),
      hours: Type.Optional(
        Type.Array(
          Type.Object({ state: State, weekdays: Weekdays, from, to, source: Source }, { additionalProperties: false }),
          {
            maxItems: 200,
            description:
              "All of the account's own hours. They stand in the place of the law's for the states that they name; a " +
              'weekday that a state is given no hours for is one without texts. Where rows name the same weekday of a ' +
              'state all of them must allow it, so they must overlap.',
          },
        ),
      ),
    },
    { description: 'Only the keys present change.' },
  ),
})

const QuietHours = Type.Object(
  {
    broadcasts: Type.Boolean(),
    transactional: Type.Boolean(),
    hours: Type.Array(
      Type.Object({
        state: State,
        weekdays: Weekdays,
        from,
        to,
        source: Source,
        as_of: Type.String({ format: 'date', description: 'When that was read.' }),
        own: Type.Boolean({ description: "The account's own word, not the law's." }),
      }),
    ),
  },
  { title: 'QuietHours' },
)

export const QuietHoursResponse = Type.Object({ status: Type.Literal('OK'), quiet_hours: QuietHours })

export function presentQuietHours(known: Awaited<ReturnType<typeof readQuietHours>>): Static<typeof QuietHours> {
  const { broadcasts, transactional, hours } = known
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

/** What a body wants changed; refuses hours that are none, or none together, and states that there are not. */
export function readQuietHoursChange(body: Static<typeof QuietHoursBody>['quiet_hours']): QuietHoursChange {
  const { broadcasts, transactional, hours } = body
  const own = hours?.map(({ from, to, ...rest }, n): OwnHours => {
    const times = readHours({ from, to }, `quiet_hours.hours.${n}`)
    return { ...rest, ...(times ?? { from: 0, to: 0 }) }
  })
  if (own) refuseUseless(own)
  return { broadcasts, transactional, own }
}

function refuseUseless(own: OwnHours[]): void {
  const details: Record<string, string[]> = {}
  const fault = (n: number, words: string) => {
    const field = `quiet_hours.hours.${n}`
    details[field] = [...(details[field] ?? []), words]
  }
  own.forEach(({ state }, n) => {
    if (!knownStates.has(state)) fault(n, `state ${state} is none that we know, and not US`)
  })
  for (const [m, n] of findConflicts(own)) fault(n, `shares a weekday with hours.${m} and no time of that day`)
  if (Object.keys(details).length > 0) throw errors.invalid(details)
}

import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Count, Id, maxInt32, TextOrNull, Time, Whole, WholeOrNull } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { type Alarm, alarmNames } from './alarms.ts'
import type { BindSlot, ConnectionRow } from './connections.queries.ts'
import type { ProbeResult } from './probe.ts'
import { fields, presentSettings, settable, Word } from './settings.schema.ts'

export const ConnectionUpdateBody = Type.Object({
  connection: Type.Object(fields.properties, {
    title: 'ConnectionChange',
    description: 'Only the keys in the request change.',
  }),
})
export const ConnectionCreateBody = Type.Object({
  connection: Type.Object(
    { ...fields.properties, name: settable.name, host: settable.host },
    { title: 'ConnectionCreation' },
  ),
})

const Bind = Type.Object(
  {
    slot: Whole(0, 63, 'Index of the slot, from 0.'),
    gateway: TextOrNull({ description: 'Id of the gateway that has a lease on the slot.' }),
    bound: Type.Boolean(),
    last_error: TextOrNull({ description: 'Latest error of the SMSC or the network, if the slot is not bound.' }),
    since: Time,
  },
  { title: 'Bind' },
)

const AlarmSchema = Type.Object(
  {
    name: Word([...alarmNames], 'Name of the condition; docs/operations.md has its meaning and remedy.'),
    since: Time,
    detail: Type.String({ description: 'What happened, for people.' }),
  },
  { title: 'Alarm' },
)

/** The id of a connection in a path. */
export const ConnectionIdParam = idParam('Id of the connection.', errors.connectionNotFound)

/** A connection in a response: its settings without secrets, and its current state. */
export const ConnectionSchema = Type.Object(
  {
    id: Id('Id of the connection.'),
    from_environment: Type.Boolean({ description: 'Whether CARILLON_SMPP_URL sets its address and credentials.' }),
    ...settable,
    host: TextOrNull({
      description: 'Host name or IP address of the SMSC; null if the connection has no address yet.',
    }),
    port: WholeOrNull(1, 65_535),
    has_password: Type.Boolean(),
    has_tls_key: Type.Boolean(),
    version: Whole(1, maxInt32, 'Number that each change increments.'),
    problem: TextOrNull({ description: 'Reason for which the api process cannot use the connection; null if it can.' }),
    binds: Type.Array(Bind),
    alarms: Type.Array(AlarmSchema, {
      description: 'Conditions that a person must act on, the oldest first; each disappears when it ends.',
    }),
    created_at: Time,
    updated_at: Time,
  },
  { title: 'Connection' },
)

export const ConnectionResponse = Type.Object({ status: Type.Literal('OK'), connection: ConnectionSchema })
export const ConnectionCreated = Type.Object({
  status: Type.Literal('Connection created'),
  connection: ConnectionSchema,
})
export const ConnectionUpdated = Type.Object({
  status: Type.Literal('Connection updated'),
  connection: ConnectionSchema,
})
export const ConnectionRemoved = Type.Object({ status: Type.Literal('Connection destroyed') })
export const ConnectionPage = pageSchema('connections', ConnectionSchema)

const TestStep = Type.Object(
  {
    step: Word(['resolve', 'connect', 'tls', 'bind', 'enquire_link', 'unbind'], 'Step of the test.'),
    bind: Word(
      ['transceiver', 'transmitter', 'receiver'],
      'Type of the bind; the binds of a pair are tested one after the other.',
    ),
    ok: Type.Boolean(),
    ms: Count('Duration of the step in milliseconds.'),
  },
  { title: 'ConnectionTestStep' },
)

export const ConnectionTested = Type.Object({
  status: Type.Literal('OK'),
  test: Type.Object(
    {
      ok: Type.Boolean({ description: 'Whether the SMSC accepted the bind, the enquire_link and the unbind.' }),
      ms: Count('Duration of the test in milliseconds.'),
      error: TextOrNull({ description: 'Cause of the failure, and settings to check; null if the test passed.' }),
      steps: Type.Array(TestStep, { description: 'All steps up to the first failure.' }),
    },
    { title: 'ConnectionTestResult' },
  ),
})

export function presentTest({ ok, ms, error, steps }: ProbeResult): Static<typeof ConnectionTested>['test'] {
  return { ok, ms, error, steps }
}

export type ConnectionState = { binds: BindSlot[]; alarms: Alarm[]; problem: string | null }

export function presentConnection(row: ConnectionRow, { binds, alarms, problem }: ConnectionState, timeZone: string) {
  const { id, fromEnvironment, version } = row
  return {
    id,
    from_environment: fromEnvironment,
    ...presentSettings(row),
    has_password: row.password !== null,
    has_tls_key: row.tlsKey !== null,
    version,
    problem,
    binds: binds.map(({ slot, gateway, bound, lastError, since }) => ({
      slot,
      gateway,
      bound,
      last_error: lastError,
      since: formatTime(since, timeZone),
    })),
    alarms: alarms.map(({ name, since, detail }) => ({ name, since: formatTime(since, timeZone), detail })),
    created_at: formatTime(row.createdAt, timeZone),
    updated_at: formatTime(row.updatedAt, timeZone),
  } satisfies Static<typeof ConnectionSchema>
}

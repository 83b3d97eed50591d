import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { Secret } from '../config/secret.ts'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Id, TextOrNull, Time } from '../http/schema.ts'
import { formatTime } from '../http/times.ts'
import { detailsOf } from '../http/validation.ts'
import type { ConnectionChange } from './changes.ts'
import type { MappedStatus } from './connection.ts'
import type { BindSlot, ConnectionRow } from './connections.queries.ts'
import type { ProbeResult } from './probe.ts'

const printable = '^[\\x20-\\x7e]*$'
const longestPem = 100_000

const Whole = (minimum: number, maximum: number, description: string) => Type.Integer({ minimum, maximum, description })
const WholeOrNull = (minimum: number, maximum: number, description: string) =>
  Type.Unsafe<number | null>({ type: ['integer', 'null'], minimum, maximum, description })
const Word = <const W extends string[]>(words: W, description: string) =>
  Type.Unsafe<W[number]>({ type: 'string', enum: words, description })
const Credential = (maxLength: number, description: string) =>
  Type.String({ maxLength, pattern: printable, description })

/** What an operator may set; the command line has the same words. */
const settable = {
  name: Type.String({ minLength: 1, maxLength: 60, pattern: '^\\S(.*\\S)?$', description: 'What people call it.' }),
  enabled: Type.Boolean({ description: 'Gateways bind to it.' }),
  serves_all: Type.Boolean({ description: 'Short codes without routes of their own send through it.' }),
  host: Type.String({ minLength: 1, maxLength: 253, description: 'Name or IP address of the SMSC.' }),
  port: Whole(1, 65_535, 'Port of the SMSC; 2775, or 3550 with TLS, for a new connection that names none.'),
  tls: Type.Boolean({ description: 'Whether to speak TLS.' }),
  tls_ca: TextOrNull({
    maxLength: longestPem,
    description: "Certificates (PEM) that the server's must go back to; null for those the system trusts.",
  }),
  tls_server_name: TextOrNull({
    maxLength: 253,
    description: "Name that the server's certificate must have; null for that of the host.",
  }),
  tls_certificate: TextOrNull({ maxLength: longestPem, description: 'Our own certificate (PEM), if it asks for one.' }),
  system_id: Credential(63, 'Who we are to the SMSC.'),
  system_type: Credential(32, 'Kind of system, where the SMSC asks for it.'),
  bind_type: Word(
    ['transceiver', 'pair', 'transmitter', 'receiver'],
    'How to bind; a pair is a transmitter and a receiver, a receiver sends nothing.',
  ),
  slots: Whole(1, 64, 'Binds, over all gateways.'),
  window: Whole(1, 1_000, 'Submits under way per bind.'),
  mps: WholeOrNull(1, 100_000, 'Parts (submit_sm) in any second, over all gateways; null for no cap.'),
  carrier_mps: Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 100_000 }), {
    description:
      "Parts in any second to handsets of one carrier, by the carrier's id as a subscriber shows it: of the contract's table, or one that the look-up of numbers gives. An id that no handset has caps nothing.",
    examples: [{ 383: 75 }],
  }),
  charset: Word(['gsm7', 'latin1'], 'What the SMSC means by data_coding 0.'),
  long_text: Word(
    ['udh8', 'udh16', 'sar', 'payload'],
    'How a long text travels: parts with a header of 8 or 16 bit, parts with sar TLVs, or whole as message_payload.',
  ),
  service_type: Credential(5, 'service_type of each submit_sm.'),
  source_ton: WholeOrNull(0, 255, 'Type of number of our address; null goes by its length.'),
  source_npi: WholeOrNull(0, 255, 'Numbering plan of our address; null goes by its length.'),
  dest_ton: WholeOrNull(0, 255, "Type of number of the handset's; null goes by its length."),
  dest_npi: WholeOrNull(0, 255, "Numbering plan of the handset's; null goes by its length."),
  validity_s: WholeOrNull(60, 2_592_000, 'Seconds for which the SMSC shall try; null leaves it to the SMSC.'),
  response_deadline_ms: WholeOrNull(
    100,
    300_000,
    'How long the answer to a submit_sm is waited for; null goes by the installation.',
  ),
  receipt_deadline_s: WholeOrNull(1, 2_592_000, 'How long a receipt is waited for; null goes by the installation.'),
  enquire_link_s: Whole(1, 3_600, 'Silence after which we ask whether the SMSC is there.'),
  receipt_id_form: Word(
    ['any', 'as_is', 'hex', 'decimal'],
    'How a receipt spells the id of the response: anyhow, letter for letter, or in a base of its own.',
  ),
  error_map: Type.Object(
    {
      receipt: Type.Optional(Type.Record(Type.String(), Type.Unsafe<MappedStatus>({ type: 'string' }))),
      status: Type.Optional(Type.Record(Type.String(), Type.Unsafe<MappedStatus>({ type: 'string' }))),
    },
    {
      description:
        'What codes of this SMSC mean: delivered, soft, hard, blocked or opted_out, by the err of a receipt and by command_status.',
      examples: [{ receipt: { 4470: 'blocked' }, status: { '0x45': 'soft' } }],
    },
  ),
  query_sm: Type.Boolean({ description: 'Ask by query_sm for texts whose receipt does not come.' }),
  query_after_s: Whole(1, 2_592_000, 'Seconds without a receipt after which to ask.'),
}

/** What is taken and never shown. */
const secrets = {
  password: Credential(63, 'Never shown.'),
  tls_key: TextOrNull({ maxLength: longestPem, description: 'Key (PEM) of our own certificate. Never shown.' }),
}

const fields = Type.Partial(Type.Object({ ...settable, ...secrets }))

export const ConnectionUpdateBody = Type.Object({
  connection: Type.Object(fields.properties, { description: 'Only the keys present change.' }),
})
export const ConnectionCreateBody = Type.Object({
  connection: Type.Object({ ...fields.properties, name: settable.name, host: settable.host }),
})

const Bind = Type.Object(
  {
    slot: Type.Integer({ description: 'From 0.' }),
    gateway: TextOrNull({ description: 'Which gateway has it.' }),
    bound: Type.Boolean(),
    last_error: TextOrNull({ description: 'Why it is not bound, as the SMSC or the network said it last.' }),
    since: Time,
  },
  { title: 'Bind' },
)

/** A connection on the wire: all that is set, no secret, and how it is now. */
/** The id of a connection in a path. */
export const ConnectionIdParam = idParam('Id of the connection.', errors.connectionNotFound)

export const ConnectionSchema = Type.Object(
  {
    id: Id('Id of the connection.'),
    from_environment: Type.Boolean({ description: 'CARILLON_SMPP_URL has its address and credentials.' }),
    ...settable,
    host: TextOrNull({ description: 'Null for one that nobody has given an address yet.' }),
    port: Type.Unsafe<number | null>({ type: ['integer', 'null'] }),
    has_password: Type.Boolean(),
    has_tls_key: Type.Boolean(),
    version: Type.Integer({ description: 'Counts its changes.' }),
    problem: TextOrNull({ description: 'Why it cannot be used, as far as this process can tell.' }),
    binds: Type.Array(Bind),
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

const TestStep = Type.Object({
  step: Word(['resolve', 'connect', 'tls', 'bind', 'enquire_link', 'unbind'], 'What was done.'),
  bind: Word(['transceiver', 'transmitter', 'receiver'], 'As what; a pair is tried one after the other.'),
  ok: Type.Boolean(),
  ms: Type.Integer({ description: 'How long it took.' }),
})

export const ConnectionTested = Type.Object({
  status: Type.Literal('OK'),
  test: Type.Object(
    {
      ok: Type.Boolean({ description: 'It bound, answered and unbound.' }),
      ms: Type.Integer(),
      why: TextOrNull({ description: 'What went wrong, and what to look at; null when nothing did.' }),
      steps: Type.Array(TestStep, { description: 'Up to the first that failed.' }),
    },
    { title: 'ConnectionTest' },
  ),
})

export function presentTest({ ok, ms, why, steps }: ProbeResult): Static<typeof ConnectionTested>['test'] {
  return { ok, ms, why, steps }
}

export type ConnectionState = { binds: BindSlot[]; problem: string | null }

export function presentConnection(row: ConnectionRow, { binds, problem }: ConnectionState, timeZone: string) {
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
    created_at: formatTime(row.createdAt, timeZone),
    updated_at: formatTime(row.updatedAt, timeZone),
  } satisfies Static<typeof ConnectionSchema>
}

function presentSettings(row: ConnectionRow) {
  return {
    name: row.name,
    enabled: row.enabled,
    serves_all: row.servesAll,
    host: row.host,
    port: row.port,
    tls: row.tls,
    tls_ca: row.tlsCa,
    tls_server_name: row.tlsServerName,
    tls_certificate: row.tlsCertificate,
    system_id: row.systemId,
    system_type: row.systemType,
    bind_type: row.bindType,
    slots: row.slots,
    window: row.window,
    mps: row.mps,
    carrier_mps: row.carrierMps,
    charset: row.charset,
    long_text: row.longText,
    service_type: row.serviceType,
    source_ton: row.sourceTon,
    source_npi: row.sourceNpi,
    dest_ton: row.destTon,
    dest_npi: row.destNpi,
    validity_s: row.validityS,
    response_deadline_ms: row.responseDeadlineMs,
    receipt_deadline_s: row.receiptDeadlineS,
    enquire_link_s: row.enquireLinkS,
    receipt_id_form: row.receiptIdForm,
    error_map: row.errorMap,
    query_sm: row.querySm,
    query_after_s: row.queryAfterS,
  }
}

/** What a body names, in our words. */
export function readConnectionChange(body: Static<typeof fields>): ConnectionChange {
  return {
    name: body.name,
    enabled: body.enabled,
    servesAll: body.serves_all,
    host: body.host,
    port: body.port,
    tls: body.tls,
    tlsCa: body.tls_ca,
    tlsServerName: body.tls_server_name,
    tlsCertificate: body.tls_certificate,
    tlsKey: body.tls_key == null ? body.tls_key : new Secret(body.tls_key),
    systemId: body.system_id,
    password: body.password === undefined ? undefined : new Secret(body.password),
    systemType: body.system_type,
    bindType: body.bind_type,
    slots: body.slots,
    window: body.window,
    mps: body.mps,
    carrierMps: body.carrier_mps,
    charset: body.charset,
    longText: body.long_text,
    serviceType: body.service_type,
    sourceTon: body.source_ton,
    sourceNpi: body.source_npi,
    destTon: body.dest_ton,
    destNpi: body.dest_npi,
    validityS: body.validity_s,
    responseDeadlineMs: body.response_deadline_ms,
    receiptDeadlineS: body.receipt_deadline_s,
    enquireLinkS: body.enquire_link_s,
    receiptIdForm: body.receipt_id_form,
    errorMap: body.error_map,
    querySm: body.query_sm,
    queryAfterS: body.query_after_s,
  }
}

type Field = { type: string | string[]; enum?: string[]; description: string }

/** What may be set, by name, for other ways in than HTTP. */
export const connectionFields: Record<string, Field> = JSON.parse(JSON.stringify(fields.properties))

const compiled = Compile(fields)

/** As the API reads a body, with each value as it was typed; `none` is null. */
export function parseConnectionFields(texts: Readonly<Record<string, string>>): ConnectionChange {
  const given = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, valueOfText(name, text)]))
  if (compiled.Check(given)) return readConnectionChange(given)
  const details = Object.entries(detailsOf(compiled.Errors(given)))
  throw errors.invalid(Object.fromEntries(details.map(([field, faults]) => [`connection.${field}`, faults])))
}

function valueOfText(name: string, text: string): unknown {
  const types = [connectionFields[name]?.type].flat()
  if (types.includes('null') && text === 'none') return null
  if (types.includes('integer') && /^-?\d{1,15}$/.test(text)) return Number(text)
  if (types.includes('boolean') && /^(yes|no|true|false)$/.test(text)) return /^(yes|true)$/.test(text)
  if (!types.includes('object')) return text
  try {
    return JSON.parse(text)
  } catch {
    throw errors.invalid({ [`connection.${name}`]: ['must be JSON'] })
  }
}

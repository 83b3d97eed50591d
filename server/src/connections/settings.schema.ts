// The settings of a connection with their names in the API and on the command line: schemas, and the mapping to and from a row.

import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { Secret } from '../config/secret.ts'
import { errors } from '../errors.ts'
import { TextOrNull, Whole, WholeOrNull } from '../http/schema.ts'
import { detailsOf } from '../http/validation.ts'
import type { ConnectionChange } from './changes.ts'
import type { MappedStatus } from './connection.ts'
import type { ConnectionRow } from './connections.queries.ts'

const printable = '^[\\x20-\\x7e]*$'
const maxPemLength = 100_000

export const Word = <const W extends string[]>(words: W, description: string) =>
  Type.Unsafe<W[number]>({ type: 'string', enum: words, description })
const Credential = (maxLength: number, description: string) =>
  Type.String({ maxLength, pattern: printable, description })

/** The settings that an operator can change; the command line uses the same names. */
export const settable = {
  name: Type.String({ minLength: 1, maxLength: 60, pattern: '^\\S(.*\\S)?$', description: 'Name shown to operators.' }),
  enabled: Type.Boolean({ description: 'Whether gateways bind to the connection.' }),
  serves_all: Type.Boolean({ description: 'Whether short codes without sending routes use the connection.' }),
  host: Type.String({ minLength: 1, maxLength: 253, description: 'Host name or IP address of the SMSC.' }),
  port: Whole(1, 65_535, 'Port of the SMSC; the default is 2775, or 3550 with TLS.'),
  tls: Type.Boolean({ description: 'Whether to use TLS.' }),
  tls_ca: TextOrNull({
    maxLength: maxPemLength,
    description:
      "Certificates (PEM) that the server's certificate must chain to; null means the system's trusted certificates.",
  }),
  tls_server_name: TextOrNull({
    maxLength: 253,
    description: "Name that the server's certificate must contain; null means `host`.",
  }),
  tls_certificate: TextOrNull({
    maxLength: maxPemLength,
    description: 'Client certificate (PEM), if the SMSC requires one.',
  }),
  system_id: Credential(63, 'The system_id that the SMSC assigned to us.'),
  system_type: Credential(32, 'The system_type, if the SMSC requires one.'),
  bind_type: Word(
    ['transceiver', 'pair', 'transmitter', 'receiver'],
    'Type of bind; a pair is one transmitter and one receiver, and a receiver alone does not send.',
  ),
  slots: Whole(1, 64, 'Number of binds over all gateways.'),
  window: Whole(1, 1_000, 'Maximum number of submit_sm per bind that await a response.'),
  mps: WholeOrNull(1, 100_000, 'Maximum number of parts (submit_sm) per second over all gateways; null means no cap.'),
  carrier_mps: Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 100_000 }), {
    description:
      'Maximum number of parts per second to the phones of one carrier, by the `carrier` id of subscribers, from the table of carriers or from the number look-up. An id without phones has no effect.',
    examples: [{ 383: 75 }],
  }),
  charset: Word(['gsm7', 'latin1'], 'Character set of the SMSC for data_coding 0.'),
  long_text: Word(
    ['udh8', 'udh16', 'sar', 'payload'],
    'Encoding of long texts: parts with an 8-bit or 16-bit UDH reference, parts with sar TLVs, or one message_payload.',
  ),
  service_type: Credential(5, 'service_type of each submit_sm.'),
  source_ton: WholeOrNull(0, 255, 'Type of number (TON) of our address; null derives it from the length.'),
  source_npi: WholeOrNull(0, 255, 'Numbering plan (NPI) of our address; null derives it from the length.'),
  dest_ton: WholeOrNull(0, 255, 'Type of number (TON) of the phone; null derives it from the length.'),
  dest_npi: WholeOrNull(0, 255, 'Numbering plan (NPI) of the phone; null derives it from the length.'),
  validity_s: WholeOrNull(
    60,
    2_592_000,
    'Seconds for which the SMSC attempts delivery; null means the default of the SMSC.',
  ),
  validity_period: Word(
    ['relative', 'absolute', 'off'],
    'Form of the validity_period in a submit_sm: a duration, a time in UTC, or none. With `off`, the SMSC may deliver a text after the hours or the deadline of its message.',
  ),
  response_deadline_ms: WholeOrNull(
    100,
    300_000,
    'Milliseconds to wait for a submit_sm_resp; null means the setting of the installation.',
  ),
  receipt_deadline_s: WholeOrNull(
    1,
    2_592_000,
    'Seconds to wait for a receipt; null means the setting of the installation.',
  ),
  enquire_link_s: Whole(1, 3_600, 'Seconds without traffic before an enquire_link is sent.'),
  receipt_id_form: Word(
    ['any', 'as_is', 'hex', 'decimal'],
    'Form of the message id in receipts: `any` ignores case and leading zeros, `as_is` matches exactly, `hex` or `decimal` is the base in receipts if responses use the other base.',
  ),
  receipts: Word(
    ['each_part', 'one_per_text'],
    'Receipts of a text in parts: one for each part, or only one, for example for the first or the last part, which then applies to the whole text.',
  ),
  error_map: Type.Object(
    {
      receipt: Type.Optional(Type.Record(Type.String(), Type.Unsafe<MappedStatus>({ type: 'string' }))),
      status: Type.Optional(Type.Record(Type.String(), Type.Unsafe<MappedStatus>({ type: 'string' }))),
    },
    {
      title: 'ErrorMap',
      description:
        'Status of the codes and words of this SMSC: delivered, soft, hard, blocked, opted_out or not_final, by the err or the state word of a receipt and by command_status.',
      examples: [{ receipt: { 4470: 'blocked' }, status: { '0x45': 'soft' } }],
    },
  ),
  query_sm: Type.Boolean({ description: 'Whether to send a query_sm for texts without a receipt.' }),
  query_after_s: Whole(1, 2_592_000, 'Seconds without a receipt before the query_sm.'),
}

/** Settings that requests may contain and responses never do. */
const secrets = {
  password: Credential(63, 'Password that the SMSC assigned to us. Never returned.'),
  tls_key: TextOrNull({
    maxLength: maxPemLength,
    description: 'Private key (PEM) of the client certificate. Never returned.',
  }),
}

/** All settings that a request can contain, each optional. */
export const fields = Type.Partial(Type.Object({ ...settable, ...secrets }))

/** Returns the settings of a row, without secrets. */
export function presentSettings(row: ConnectionRow) {
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
    validity_period: row.validityPeriod,
    response_deadline_ms: row.responseDeadlineMs,
    receipt_deadline_s: row.receiptDeadlineS,
    enquire_link_s: row.enquireLinkS,
    receipt_id_form: row.receiptIdForm,
    receipts: row.receipts,
    error_map: row.errorMap,
    query_sm: row.querySm,
    query_after_s: row.queryAfterS,
  }
}

/** Returns the change of a body; settings of missing keys do not change. */
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
    validityPeriod: body.validity_period,
    responseDeadlineMs: body.response_deadline_ms,
    receiptDeadlineS: body.receipt_deadline_s,
    enquireLinkS: body.enquire_link_s,
    receiptIdForm: body.receipt_id_form,
    receipts: body.receipts,
    errorMap: body.error_map,
    querySm: body.query_sm,
    queryAfterS: body.query_after_s,
  }
}

type Field = { type: string | string[]; enum?: string[]; description: string; minimum?: number; maximum?: number }

/** The schemas of the settings by name, for the command line. */
export const connectionFields: Record<string, Field> = JSON.parse(JSON.stringify(fields.properties))

const compiled = Compile(fields)

/**
 * Parses values from the command line, where `none` means null, and validates them like a body of the API. Throws the error
 * that the API returns for such a body.
 */
export function parseConnectionFields(values: Readonly<Record<string, string>>): ConnectionChange {
  const given = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, parseField(name, value)]))
  if (compiled.Check(given)) return readConnectionChange(given)
  const details = Object.entries(detailsOf(compiled.Errors(given)))
  throw errors.invalid(Object.fromEntries(details.map(([field, reasons]) => [`connection.${field}`, reasons])))
}

function parseField(name: string, value: string): unknown {
  const types = [connectionFields[name]?.type].flat()
  if (types.includes('null') && value === 'none') return null
  if (types.includes('integer') && /^-?\d{1,15}$/.test(value)) return Number(value)
  if (types.includes('boolean') && /^(yes|no|true|false)$/.test(value)) return /^(yes|true)$/.test(value)
  if (!types.includes('object')) return value
  try {
    return JSON.parse(value)
  } catch {
    throw errors.invalid({ [`connection.${name}`]: ['must be JSON'] })
  }
}

import type { Secret } from '../config/secret.ts'

/** The statuses to which an operator may map a code or word of an SMSC; not_final ends nothing, another receipt follows. */
export const mappedStatuses = ['delivered', 'soft', 'hard', 'blocked', 'opted_out', 'not_final'] as const
export type MappedStatus = (typeof mappedStatuses)[number]

/** Our SMPP account at an aggregator: a row that operators edit and gateways apply. */
export type Connection = {
  id: number
  name: string
  enabled: boolean
  servesAll: boolean
  fromEnvironment: boolean
  host: string
  port: number
  tls: boolean
  tlsCa: string | null
  tlsServerName: string | null
  tlsCertificate: string | null
  tlsKey: Secret | null
  systemId: string
  password: Secret
  systemType: string
  bindType: 'transceiver' | 'pair' | 'transmitter' | 'receiver'
  slots: number
  window: number
  mps: number | null
  /** PDUs per second, by the id of the phone's carrier. */
  carrierMps: Record<string, number>
  charset: 'gsm7' | 'latin1'
  longText: 'udh8' | 'udh16' | 'sar' | 'payload'
  serviceType: string
  sourceTon: number | null
  sourceNpi: number | null
  destTon: number | null
  destNpi: number | null
  validityS: number | null
  validityPeriod: 'relative' | 'absolute' | 'off'
  responseDeadlineMs: number | null
  receiptDeadlineS: number | null
  enquireLinkS: number
  receiptIdForm: 'any' | 'as_is' | 'hex' | 'decimal'
  receipts: 'each_part' | 'one_per_text'
  errorMap: ErrorMap
  querySm: boolean
  queryAfterS: number
  version: number
}

/** Keys are the err or the state word of a receipt, and the command_status as a number such as 0x45 or by its name. */
export type ErrorMap = { receipt?: Record<string, MappedStatus>; status?: Record<string, MappedStatus> }

// The part of npm `smpp` that tests and benches use; the package has no types.
declare module 'smpp' {
  import type { EventEmitter } from 'node:events'
  import type { Server as NetServer, Socket } from 'node:net'

  type Fields = Record<string, unknown>
  type Callback = (pdu: PDU) => void

  export class PDU {
    constructor(command: string | Buffer, fields?: Fields)
    command: string
    command_status: number
    sequence_number: number
    message_id: string
    system_id: string
    source_addr: string
    destination_addr: string
    esm_class: number
    short_message: { message: Buffer | string; udh?: Buffer[] }
    receipted_message_id: string
    message_state: number
    response(fields?: Fields): PDU
    toBuffer(): Buffer
    [field: string]: unknown
  }

  export interface Session extends EventEmitter {
    socket: Socket
    send(pdu: PDU, onResponse?: Callback): boolean
    bind_transceiver(fields: Fields, onResponse?: Callback): boolean
    submit_sm(fields: Fields, onResponse?: Callback): boolean
    submit_multi(fields: Fields, onResponse?: Callback): boolean
    data_sm(fields: Fields, onResponse?: Callback): boolean
    query_sm(fields: Fields, onResponse?: Callback): boolean
    cancel_sm(fields: Fields, onResponse?: Callback): boolean
    replace_sm(fields: Fields, onResponse?: Callback): boolean
    alert_notification(fields: Fields): boolean
    deliver_sm(fields: Fields, onResponse?: Callback): boolean
    enquire_link(fields: Fields, onResponse?: Callback): boolean
    unbind(fields: Fields, onResponse?: Callback): boolean
    close(): void
    destroy(): void
  }

  export interface Server extends NetServer {
    sessions: Session[]
  }

  export function createServer(onSession: (session: Session) => void): Server
  export function createServer(options: { key?: string; cert?: string }, onSession: (session: Session) => void): Server
  export function connect(options: Fields, onConnect?: () => void): Session
  export const errors: Record<string, number>
  export const tlvs: Record<string, { id: number }>
  export const commands: Record<string, { id: number }>
}

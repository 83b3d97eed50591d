import { isIP, type Socket } from 'node:net'
import { connect } from '../smpp/client.ts'
import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import { enquireLink } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { bindOptions, bindsOf } from './bind-options.ts'
import type { Connection } from './connection.ts'
import { describeProbeError, type ProbeFailure, type ProbeStepName } from './probe-errors.ts'

export type ProbeStep = { step: ProbeStepName; bind: Kind; ok: boolean; ms: number }
type Kind = 'transceiver' | 'transmitter' | 'receiver'

export type ProbeResult = {
  ok: boolean
  ms: number
  steps: ProbeStep[]
  /** What went wrong, in a sentence for the operator. */
  why: string | null
}

const longestMs = 10_000

/**
 * Tries a connection out with binds of its own, beside those that gateways have: binds, asks whether the SMSC is there,
 * unbinds. Answers in ten seconds at most, and never throws. A text that the SMSC delivers meanwhile is put off, not taken.
 */
export async function probe(
  connection: Connection,
  { ownBinds = 0, timeoutMs = longestMs } = {},
): Promise<ProbeResult> {
  const startedAt = performance.now()
  const deadline = AbortSignal.timeout(timeoutMs)
  const steps: ProbeStep[] = []
  for (const kind of bindsOf[connection.bindType]) {
    const failure = await tryBind(connection, kind, steps, deadline)
    if (failure) {
      const why = describeProbeError(failure, connection, { ownBinds, timeoutMs })
      return { ok: false, ms: since(startedAt), steps, why }
    }
  }
  return { ok: true, ms: since(startedAt), steps, why: null }
}

/** Goes through the steps of one bind and writes them down; answers the step that failed, if one did. */
async function tryBind(
  connection: Connection,
  kind: Kind,
  steps: ProbeStep[],
  deadline: AbortSignal,
): Promise<ProbeFailure | undefined> {
  let step: ProbeStepName = isIP(connection.host) ? 'connect' : 'resolve'
  let startedAt = performance.now()
  const finish = (ok: boolean) => {
    steps.push({ step, bind: kind, ok, ms: since(startedAt) })
    startedAt = performance.now()
  }
  const pass = (next: ProbeStepName) => {
    finish(true)
    step = next
  }
  let socketError: Error | undefined
  const onSocket = (socket: Socket) => {
    socket.once('lookup', (error) => {
      if (!error) pass('connect')
    })
    socket.once('connect', () => pass(connection.tls ? 'tls' : 'bind'))
    socket.once('secureConnect', () => pass('bind'))
    // the session tells that it closed, but not why in full
    socket.on('error', (error) => {
      socketError = error
    })
  }
  let session: Session | undefined
  const cut = () => session?.destroy('time is up')
  deadline.addEventListener('abort', cut)
  try {
    session = await connect({ ...bindOptions(connection), bind: kind, signal: deadline, onSocket })
    pass('enquire_link')
    const { command_status } = await session.send(enquireLink())
    if (command_status !== commandStatus.ESME_ROK) throw new Error(`enquire_link: ${statusName(command_status)}`)
    pass('unbind')
    await session.unbind()
    deadline.throwIfAborted()
    finish(true)
    return undefined
  } catch (error) {
    finish(false)
    return { step, error: error as Error, socketError, isLate: deadline.aborted }
  } finally {
    deadline.removeEventListener('abort', cut)
    session?.destroy()
  }
}

function since(startedAt: number): number {
  return Math.round(performance.now() - startedAt)
}

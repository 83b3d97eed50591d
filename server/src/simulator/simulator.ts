// The carrier in a box: an SMPP server on our own session that keeps what it takes in a raw file, and decides each
// text's fate by its number. A process of its own that never touches the database, so what it says about a crash is a
// witness's word.

import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { createServer, type ServerOptions } from '../smpp/server.ts'
import { Binds } from './binds.ts'
import { startControl } from './control.ts'
import { RawFile } from './raw-file.ts'
import { receiptOfRecord } from './receipts.ts'
import { type Settings, startingSettings } from './settings.ts'
import { openSettledReceipts } from './settled-receipts.ts'
import { Smsc } from './smsc.ts'
import { idBase } from './smsc-id.ts'
import { isSubmission } from './submissions.ts'

const LOOPBACK = '127.0.0.1'
/** A client that does not let go is left behind after this. */
const GOODBYE_MS = 2_000

export type Simulator = {
  smppPort: number
  /** Undefined where it speaks no TLS. */
  tlsPort: number | undefined
  controlPort: number
  stop(): Promise<void>
}

export type SimulatorRuntime = { config: Pick<Config, 'simulator' | 'smpp'>; log: Logger }

/** Takes binds and serves the control API, on loopback, from when this resolves. */
export async function startSimulator({ config, log }: SimulatorRuntime): Promise<Simulator> {
  const { rawFile: rawPath, latencyMs, receiptDelayMs, smppPort, tls, controlPort } = config.simulator
  const rawFile = new RawFile(rawPath)
  const answered = openSettledReceipts(`${rawPath}.answered`, rawPath, receiptOfRecord)
  const initial = startingSettings(latencyMs, receiptDelayMs)
  const smsc = new Smsc({
    rawFile,
    settledReceipts: answered.file,
    settings: initial,
    lastId: Math.max(idBase(Date.now()), answered.lastId),
    log,
  })
  smsc.restore(answered.owed)
  if (answered.owed.length > 0) log.info({ owed: answered.owed.length }, 'receipts of the last run are still owed')

  const { smpp } = config
  const binds = new Binds(smpp && { systemId: smpp.systemId, password: smpp.password.reveal() })
  let answering = Promise.withResolvers<void>()
  answering.resolve()

  const serverOptions: ServerOptions = {
    async onBind(_session, bind) {
      await answering.promise
      return binds.judge(bind, smsc.settings.maxBinds)
    },
    onSession(session, bind) {
      const info = binds.add(session, bind)
      const { id, kind } = info
      log.info({ bind: id, kind }, 'bound')
      session.on('close', (reason) => log.info({ bind: id, reason }, 'bind closed'))
      session.on('request', (request) => {
        smsc.take(session, request)
        if (isSubmission(request)) binds.submitted(session, info)
      })
      if (kind !== 'bound_tx') smsc.addReceiver(session)
      if (!smsc.settings.answer) session.pause()
    },
  }
  const servers = [createServer(serverOptions)]
  if (tls) {
    const pem = readFileSync(tls.file)
    servers.push(createServer({ ...serverOptions, tls: { cert: pem, key: pem } }))
  }
  const allSessions = () => servers.flatMap((server) => [...server.sessions])

  function change(settings: Settings): void {
    const turned = settings.answer !== smsc.settings.answer
    smsc.change(settings)
    binds.dropAfter(settings.dropAfter)
    if (!turned) return
    log.info({ answer: settings.answer }, 'answering turned')
    if (settings.answer) answering.resolve()
    else answering = Promise.withResolvers<void>()
    for (const session of allSessions()) {
      if (settings.answer) session.resume()
      else session.pause()
    }
  }

  const [boundPort = 0, tlsPort] = await Promise.all(
    servers.map((server, index) => server.listen((index === 0 ? smppPort : tls?.port) ?? 0, LOOPBACK)),
  )
  const control = await startControl(
    {
      smsc,
      binds,
      change,
      reset() {
        smsc.reset()
        change(initial)
      },
      initial,
    },
    controlPort,
    LOOPBACK,
  )
  log.info({ smppPort: boundPort, tlsPort, controlPort: control.port }, 'simulator is up')

  return {
    smppPort: boundPort,
    tlsPort,
    controlPort: control.port,
    async stop() {
      await control.close()
      smsc.windUp()
      const late = setTimeout(() => {
        for (const session of allSessions()) session.destroy('simulator stops')
      }, GOODBYE_MS)
      await Promise.all(servers.map((server) => server.close()))
      clearTimeout(late)
      smsc.close()
    },
  }
}

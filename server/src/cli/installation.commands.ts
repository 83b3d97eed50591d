import { OperatorError } from '../errors.ts'
import { listLiveRoles } from '../system/heartbeats.queries.ts'
import { isSendingPaused, type Mode, setMode, setSendingPaused } from '../system/installation.queries.ts'
import { type CliCommand, type CommandContext, UsageError } from './command.ts'
import {
  countEnabledConnections,
  countPendingWork,
  countSandboxKeys,
  disableConnections,
  type PendingWork,
} from './installation.queries.ts'

const yes = { yes: { help: 'Do it; without this it is only told what would be done' } }

const modeShow: CliCommand = {
  name: 'mode show',
  summary: 'Say which mode the installation is in',
  async run({ mode, db }) {
    const paused = await isSendingPaused(db)
    return {
      lines: [mode, ...(paused ? ['Sending is paused: see sending show.'] : [])],
      json: { mode, sending_paused: paused },
    }
  },
}

const modeSwitch: CliCommand = {
  name: 'mode switch',
  summary: 'Give the installation to the other mode',
  names: ['<sandbox|production>'],
  options: yes,
  takes: 'alone',
  notes: ['Says what it will do, and does it with --yes. Nothing may run meanwhile.'],
  async run(context) {
    const wanted = context.names[0]
    if (wanted !== 'sandbox' && wanted !== 'production') throw new UsageError('The mode is sandbox or production')
    if (wanted === context.mode)
      return { lines: [`It is in ${wanted} mode already.`], json: { mode: wanted, switched: false } }
    await refuseLiveRoles(context)
    const will = await consequences(context, wanted)
    if (!context.options.yes) {
      return {
        lines: [
          `Switching from ${context.mode} to ${wanted} mode will do this:`,
          '',
          ...will,
          '',
          'Add --yes to do it.',
        ],
        json: { mode: context.mode, switched: false, will },
      }
    }
    // paused first: should we die between the two, a start in either mode sends nothing
    await context.db.tx(async (tx) => {
      await setSendingPaused(tx, true)
      await setMode(tx, wanted)
      await disableConnections(tx)
    })
    await context.changeMode(wanted)
    return {
      lines: [`It is in ${wanted} mode now.`, '', ...will],
      json: { mode: wanted, switched: true, will },
    }
  },
}

async function consequences({ db }: CommandContext, wanted: Mode): Promise<string[]> {
  const waiting = describe(await countPendingWork(db))
  const connections = await countEnabledConnections(db)
  const lines = [
    `- ${waiting} Sending is paused until you say: sending resume.`,
    ...(connections > 0 ? [`- Connections (${connections}) are disabled until you enable those that you want.`] : []),
  ]
  if (wanted === 'sandbox') {
    return [...lines, '- No text reaches a phone any more: all go to the simulator. API keys go on working.']
  }
  const keys = await countSandboxKeys(db)
  return [
    ...lines,
    '- Texts reach phones, through the carriers of its connections; people pay for them.',
    `- API keys made in the sandbox (${keys}) open nothing any more: make new ones with key create.`,
    '- Set CARILLON_MODE=production and CARILLON_SMPP_URL (or add connections), and remove the settings that are for the sandbox only.',
    '- Accounts, short codes, lists and subscribers stay as they are, those of the sandbox too.',
  ]
}

async function refuseLiveRoles({ db }: CommandContext) {
  const roles = [...new Set((await listLiveRoles(db)).map(({ role }) => role))]
  if (roles.length > 0) throw new OperatorError(`Carillon runs on this database (${roles.join(', ')}). Stop it first.`)
}

const sendingShow: CliCommand = {
  name: 'sending show',
  summary: 'Say whether texts go out, and what waits',
  async run({ db }) {
    const [paused, waiting] = [await isSendingPaused(db), await countPendingWork(db)]
    return {
      lines: [paused ? 'Sending is paused.' : 'Texts go out.', describe(waiting)],
      json: { sending_paused: paused, ...waiting },
    }
  },
}

const sendingResume: CliCommand = {
  name: 'sending resume',
  summary: 'Let a restored or switched installation send',
  options: yes,
  notes: [
    'A copy that was restored, or given to another mode, sends nothing until this. If the original went on after the',
    'backup, what waits here may have been sent by it: texts would go out twice. Cancel such messages first.',
  ],
  async run({ db, options }) {
    const waiting = await countPendingWork(db)
    if (!(await isSendingPaused(db))) {
      return { lines: ['Sending is not paused.'], json: { sending_paused: false, resumed: false, ...waiting } }
    }
    if (!options.yes) {
      return {
        lines: [`This will let texts go out at once. ${describe(waiting)}`, '', 'Add --yes to do it.'],
        json: { sending_paused: true, resumed: false, ...waiting },
      }
    }
    await setSendingPaused(db, false)
    return {
      lines: [`Texts go out again. ${describe(waiting)}`],
      json: { sending_paused: false, resumed: true, ...waiting },
    }
  },
}

function describe({ messages, texts, scheduled }: PendingWork): string {
  const parts = [
    messages === 1 ? '1 message is under way' : `${messages} messages are under way`,
    texts === 1 ? '1 text waits' : `${texts} texts wait`,
    scheduled === 1 ? '1 message is scheduled' : `${scheduled} messages are scheduled`,
  ]
  return `${parts.join(', ')}.`
}

export const installationCommands: CliCommand[] = [modeShow, modeSwitch, sendingShow, sendingResume]

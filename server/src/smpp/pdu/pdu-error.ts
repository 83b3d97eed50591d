import { statusName } from './command-status.ts'
import type { Command } from './commands.ts'

/**
 * A PDU that cannot be read or written. `command_status` is what to answer it with, `sequence_number` whose answer that is
 * (0 when not even that could be read), and `command` what it claimed to be, where that is known.
 */
export class PduError extends Error {
  override name = 'PduError'
  readonly command_status: number
  readonly sequence_number: number
  readonly command: Command | undefined

  constructor(command_status: number, sequence_number: number, message: string, command?: Command) {
    super(`${message} (${statusName(command_status)})`)
    this.command_status = command_status
    this.sequence_number = sequence_number
    this.command = command
  }
}

import { statSync } from 'node:fs'
import { listUnreadableConnections } from '../connections/connections.ts'
import { readBackup } from './backup/read-backup.ts'
import { writeBackup } from './backup/write-backup.ts'
import type { CliCommand } from './command.ts'

const backup: CliCommand = {
  name: 'backup',
  summary: 'Write everything into one file, while the installation goes on working',
  names: ['<file>'],
  notes: [
    'The file is as of the moment the command began. It holds phone numbers and texts, and hashes of keys and passwords:',
    'keep it like the data itself. Settings, logs and the sandbox key in clear are not in it, nor is the secret key that',
    'opens the passwords of connections: keep a copy of that elsewhere.',
  ],
  async run({ databaseUrl, names, resolve }) {
    const file = resolve(names[0] ?? '')
    const { tables, rows } = await writeBackup(databaseUrl, file)
    const { size } = statSync(file)
    return {
      lines: [`${file}: ${rows} rows of ${tables} tables, ${(size / 1_000_000).toFixed(1)} MB.`],
      json: { file, tables, rows, bytes: size },
    }
  },
}

const restore: CliCommand = {
  name: 'restore',
  summary: 'Fill an empty database, or a new data directory, from a backup',
  names: ['<file>'],
  takes: 'empty',
  notes: [
    'Set CARILLON_DATA_DIR to a directory that does not exist yet, or DATABASE_URL to an empty database. The copy is in',
    'the mode of the backup; it sends nothing and binds to no carrier until: sending resume.',
  ],
  async run({ db, databaseUrl, changeMode, names, resolve, connectionConfig }) {
    const file = resolve(names[0] ?? '')
    const { header, tables, rows } = await readBackup(databaseUrl, file, ({ mode }) => changeMode(mode))
    const unopened = await listUnreadableConnections({ db, config: connectionConfig() })
    return {
      lines: [
        `Restored ${rows} rows of ${tables} tables, as of ${header.createdAt}, in ${header.mode} mode.`,
        ...(unopened.length > 0
          ? [
              `The secrets of ${unopened.join(', ')} need the secret key of the original: copy its secret.key into the data directory, or set CARILLON_SECRET_KEY.`,
            ]
          : []),
        'Nothing is sent until you say so: npm run carillon -- sending resume',
      ],
      json: { file, tables, rows, created_at: header.createdAt, mode: header.mode, sending_paused: true, unopened },
    }
  },
}

export const backupCommands: CliCommand[] = [backup, restore]

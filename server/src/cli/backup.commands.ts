import { statSync } from 'node:fs'
import { listUnreadableConnections } from '../connections/connections.ts'
import { OperatorError } from '../errors.ts'
import { readBackup } from './backup/read-backup.ts'
import { writeBackup } from './backup/write-backup.ts'
import type { CliCommand } from './command.ts'

const backup: CliCommand = {
  name: 'backup',
  summary: 'Write the whole database to one file, while the installation runs',
  names: ['<file>'],
  notes: [
    'The file has the state at the start of the command. It contains phone numbers, texts, and hashes of keys and passwords:',
    'protect it like the data itself. It does not contain settings, logs, the plain text of the sandbox key, or the secret key',
    'that decrypts the passwords of connections and signs the file: store a copy of that key elsewhere. A restore needs it.',
  ],
  async run({ databaseUrl, names, resolve, connectionConfig }) {
    const file = resolve(names[0] ?? '')
    const { secretKey } = connectionConfig()
    if (!secretKey) {
      throw new OperatorError(
        'CARILLON_SECRET_KEY is required: a backup is signed with it (openssl rand -hex 32 makes a key, which all processes need).',
      )
    }
    const { tables, rows } = await writeBackup(databaseUrl, file, secretKey)
    const { size } = statSync(file)
    return {
      lines: [`${file}: ${rows} rows of ${tables} tables, ${(size / 1_000_000).toFixed(1)} MB.`],
      json: { file, tables, rows, bytes: size },
    }
  },
}

const unverified = [
  'The signature was NOT verified: the rows are those of the file, whoever wrote it. Before you resume sending, check key list,',
  'user list, connection list, account list, and sending show; opt-outs and consent cannot be checked here.',
]

const restore: CliCommand = {
  name: 'restore',
  summary: 'Restore a backup into an empty database or a new data directory',
  names: ['<file>'],
  options: { unsigned: { help: 'also a file that is not signed with the secret key; see below' } },
  requires: 'empty',
  notes: [
    'Set CARILLON_DATA_DIR to a directory that does not exist yet, or DATABASE_URL to an empty database. The copy has the',
    'mode of the backup; it sends nothing and binds to no carrier until you run: sending resume. The backup must',
    'be signed with the secret key: CARILLON_SECRET_KEY, or secret.key, the only file that a new data directory may have.',
    'With --unsigned, any file is restored whose rows fit. It can run nothing, but its author decides who has keys and',
    'passwords, whose consent is recorded, what is sent, and to which carriers.',
  ],
  async run({ db, databaseUrl, changeMode, names, options, resolve, connectionConfig, findSecretKey }) {
    const file = resolve(names[0] ?? '')
    const { header, tables, rows, signature } = await readBackup({
      databaseUrl,
      file,
      secretKey: findSecretKey(),
      unsigned: options.unsigned === true,
      before: ({ mode }) => changeMode(mode),
    })
    const unopened = await listUnreadableConnections({ db, config: connectionConfig() })
    return {
      lines: [
        `Restored ${rows} rows of ${tables} tables, as of ${header.createdAt}, in ${header.mode} mode.`,
        ...(signature === 'own' ? [] : unverified),
        ...(unopened.length > 0
          ? [
              `The secrets of ${unopened.join(', ')} need the secret key of the original: copy its secret.key to the data directory, or set CARILLON_SECRET_KEY.`,
            ]
          : []),
        'Sending is paused until you run: npm run carillon -- sending resume',
      ],
      json: {
        file,
        tables,
        rows,
        created_at: header.createdAt,
        mode: header.mode,
        verified: signature === 'own',
        sending_paused: true,
        unopened,
      },
    }
  },
}

export const backupCommands: CliCommand[] = [backup, restore]
